/* Built-in masks: one pass over the bytes of a line that turns what varies into slots.
 * Over 600 lines: the masks are tried at the same byte, one after the other, and each ends where another may begin.
 *
 * Numbers, hexadecimal, addresses with and without port, MAC addresses, UUIDs, times, dates, paths, URLs, mail
 * addresses, short quoted values and sizes with a unit become "<*>"; words stay as they are, case included, and so
 * does prose in quotes. Blanks are all bytes up to 0x20 (so a NUL is one); bytes from 0x80 on count as letters,
 * which keeps UTF-8 whole and asks nothing of it. The output has its tokens joined by one blank each; neighbouring
 * slots are one.
 *
 * No allocation, no recursion, no regular expressions: time is linear in the bytes looked at, which are at most
 * SOPHIA_MASK_BYTES and SOPHIA_MASK_TOKENS. What lies behind is not part of the template.
 */
#ifndef SOPHIA_MASK_H
#define SOPHIA_MASK_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define SOPHIA_MASK_BYTES 4096
#define SOPHIA_MASK_TOKENS 256
/* A slot has three bytes and stands for at least one, with a separator beside it: 2 to 1 is the worst case. */
#define SOPHIA_MASK_ROOM (3 * SOPHIA_MASK_BYTES + 64)
#define SOPHIA_MASK_QUOTE 64  /* bytes of a quoted value; what is longer is text */
#define SOPHIA_MASK_WIDE 12   /* characters of three bytes and more in it: scripts that write prose without blanks */
#define SOPHIA_MASK_MEMBER 64 /* bytes of the name of a JSON member */

static const unsigned char SOPHIA_SLOT[3] = {'<', '*', '>'};

typedef struct {
    uint32_t size, tokens;
    uint32_t start[SOPHIA_MASK_TOKENS + 2]; /* of each token in text; tokens are one blank apart */
    unsigned char text[SOPHIA_MASK_ROOM];
} sophia_masked;

/* Classes of bytes. */
enum {
    SOPHIA_C_ALPHA = 1,  /* A-Z a-z */
    SOPHIA_C_HIGH = 2,   /* 0x80 and above */
    SOPHIA_C_DIGIT = 4,
    SOPHIA_C_HEX = 8,
    SOPHIA_C_SIGN = 16,  /* other bytes of a piece: _ - . / \ @ # $ % + ~ * & */
    SOPHIA_C_JOIN = 32,  /* vanishes between two slots */
    SOPHIA_C_PATH = 64,  /* . / \ @ ~: look closer */
    SOPHIA_C_UPPER = 128,
    SOPHIA_C_LETTER = SOPHIA_C_ALPHA | SOPHIA_C_HIGH,
    SOPHIA_C_ALNUM = SOPHIA_C_LETTER | SOPHIA_C_DIGIT,
    SOPHIA_C_WORD = SOPHIA_C_ALNUM | SOPHIA_C_SIGN
};

#define A_ SOPHIA_C_ALPHA
#define X_ (SOPHIA_C_ALPHA | SOPHIA_C_HEX)
#define U_ (SOPHIA_C_ALPHA | SOPHIA_C_UPPER)
#define V_ (SOPHIA_C_ALPHA | SOPHIA_C_UPPER | SOPHIA_C_HEX)
#define D_ (SOPHIA_C_DIGIT | SOPHIA_C_HEX)
#define S_ SOPHIA_C_SIGN
#define J_ SOPHIA_C_JOIN
#define P_ SOPHIA_C_PATH
#define H_ SOPHIA_C_HIGH
#define H16 H_, H_, H_, H_, H_, H_, H_, H_, H_, H_, H_, H_, H_, H_, H_, H_
static const uint8_t SOPHIA_CLASS[256] = {
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    /*  !  "  #       $   %   &   '  (  )  *   +       ,   -       .            / */
    0, 0, 0, S_ | J_, S_, S_, S_, 0, 0, 0, S_, S_ | J_, J_, S_ | J_, S_ | J_ | P_, S_ | J_ | P_,
    D_, D_, D_, D_, D_, D_, D_, D_, D_, D_, J_, 0, 0, J_, 0, 0, /* : ; < = > ? */
    S_ | J_ | P_, V_, V_, V_, V_, V_, V_, U_, U_, U_, U_, U_, U_, U_, U_, U_,
    U_, U_, U_, U_, U_, U_, U_, U_, U_, U_, U_, 0, S_ | P_, 0, 0, S_, /* [ \ ] ^ _ */
    0, X_, X_, X_, X_, X_, X_, A_, A_, A_, A_, A_, A_, A_, A_, A_,
    A_, A_, A_, A_, A_, A_, A_, A_, A_, A_, A_, 0, J_, 0, S_ | P_, 0, /* { | } ~ */
    H16, H16, H16, H16, H16, H16, H16, H16,
};
#undef A_
#undef X_
#undef U_
#undef V_
#undef D_
#undef S_
#undef J_
#undef P_
#undef H_
#undef H16

static inline int sophia_is_blank(unsigned char c) { return c <= 0x20; }

/* Lower-cases up to 16 bytes of ASCII into two words; 0 where `size` is none of 1 to 16. */
static inline int sophia_lower16(const unsigned char *p, size_t size, uint64_t out[2])
{
    unsigned char block[16] = {0};
    if (size == 0 || size > 16)
        return 0;
    for (size_t i = 0; i < size; i++)
        block[i] = (unsigned char)(p[i] | ((SOPHIA_CLASS[p[i]] & SOPHIA_C_UPPER) ? 0x20 : 0));
    memcpy(out, block, 16);
    return 1;
}

static inline int sophia_word_in(const char (*list)[12], size_t count, const unsigned char *p, size_t size)
{
    uint64_t word[2];
    if (size > 11 || !sophia_lower16(p, size, word))
        return 0;
    for (size_t i = 0; i < count; i++)
        if (memcmp(list[i], word, 12) == 0)
            return 1;
    return 0;
}

static inline int sophia_in_set(const char *set, unsigned char c)
{
    return c != 0 && strchr(set, c) != NULL;
}

static inline int sophia_is_date_name(const unsigned char *p, size_t size)
{
    static const char NAMES[][12] = {
        "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "sept", "oct", "nov", "dec",
        "january", "february", "march", "april", "june", "july", "august", "september", "october",
        "november", "december", "mon", "tue", "wed", "thu", "fri", "sat", "sun", "monday", "tuesday",
        "wednesday", "thursday", "friday", "saturday", "sunday"};
    return size >= 3 && size <= 9 && sophia_word_in(NAMES, sizeof NAMES / sizeof NAMES[0], p, size);
}

static inline int sophia_is_unit(const unsigned char *p, size_t size)
{
    static const char UNITS[][12] = {
        "b", "kb", "mb", "gb", "tb", "kib", "mib", "gib", "tib", "k", "m", "g", "s", "h", "ms", "us", "ns",
        "sec", "secs", "min", "mins", "hz", "khz", "mhz", "ghz", "%", "am", "pm", "utc", "gmt", "\xc2\xb5s",
        "est", "edt", "cst", "cdt", "mst", "mdt", "pst", "pdt", "cet", "cest", "bst", "ist", "jst"};
    return size >= 1 && size <= 4 && sophia_word_in(UNITS, sizeof UNITS / sizeof UNITS[0], p, size);
}

static inline int sophia_is_nothing(const unsigned char *p, size_t size)
{
    static const char NOTHING[][12] = {"null", "none", "nil"};
    return size >= 3 && size <= 4 && sophia_word_in(NOTHING, 3, p, size);
}

/* Length of the method where p is an HTTP request line, else 0: in "GET /x HTTP/1.1" the method stays. A target
 * has no blank, and without a version behind it starts with a slash: "GET well soon" is no request. */
static inline size_t sophia_http_method(const unsigned char *p, size_t size)
{
    static const char *const METHODS[] = {"GET ", "POST ", "PUT ", "HEAD ", "DELETE ",
                                          "PATCH ", "OPTIONS ", "CONNECT ", "TRACE "};
    for (size_t i = 0; i < sizeof METHODS / sizeof METHODS[0]; i++) {
        const size_t length = strlen(METHODS[i]);
        if (size <= length || memcmp(p, METHODS[i], length) != 0)
            continue;
        size_t at = length;
        while (at < size && !sophia_is_blank(p[at]))
            at++;
        if (at == length)
            return 0;
        if (at == size)
            return p[length] == '/' ? length - 1 : 0;
        if (size - ++at <= 5 || memcmp(p + at, "HTTP/", 5) != 0)
            return 0;
        while (at < size && !sophia_is_blank(p[at]))
            at++;
        return at == size ? length - 1 : 0;
    }
    return 0;
}

/* Whether what is quoted at `quote` is by its name a message: msg="...", "error": "...". The name may have others
 * in front of it, as in last_error. */
static inline int sophia_names_message(const unsigned char *text, const unsigned char *quote)
{
    static const char NAMES[][12] = {"msg", "message", "text", "err", "error", "reason"};
    const unsigned char *b = quote;
    while (b > text && sophia_is_blank(b[-1]))
        b--;
    if (b == text || (b[-1] != '=' && b[-1] != ':'))
        return 0;
    b--;
    while (b > text && (sophia_is_blank(b[-1]) || b[-1] == '"'))
        b--;
    const unsigned char *a = b;
    while (a > text && b - a < 8 && (SOPHIA_CLASS[a[-1]] & SOPHIA_C_ALNUM))
        a--;
    return sophia_word_in(NAMES, sizeof NAMES / sizeof NAMES[0], a, (size_t)(b - a));
}

/* Whether a path starts at p: /x, ./x, ~/x, C:\x, C:/x, \\x. */
static inline int sophia_starts_path(const unsigned char *p, size_t size)
{
    if (size < 3)
        return 0;
    if (p[0] == '/')
        return (SOPHIA_CLASS[p[1]] & SOPHIA_C_ALNUM) || p[1] == '.';
    if (p[0] == '.' || p[0] == '~')
        return p[1] == '/';
    if (p[0] == '\\')
        return p[1] == '\\';
    return (SOPHIA_CLASS[p[0]] & SOPHIA_C_ALPHA) && p[1] == ':' && (p[2] == '/' || p[2] == '\\');
}

/* Whether the inside of quotes is a value and no prose: at most two words that do not end as a sentence does, or
 * words of which each has a digit or a sign that names and addresses have, or a path with blanks in its parts.
 * A value has no blank at its ends: what stands between a closing and an opening quote has. */
static inline int sophia_is_quoted_value(const unsigned char *p, size_t size)
{
    if (size == 0 || size > SOPHIA_MASK_QUOTE || sophia_is_blank(p[0]) || sophia_is_blank(p[size - 1]))
        return 0;
    size_t words = 0, wide = 0, bare = 0;
    int list = 1, path = sophia_starts_path(p, size);
    for (size_t i = 0; i < size;) {
        const size_t from = i;
        int sign = 0, part = 0, colon = 0;
        for (; i < size && !sophia_is_blank(p[i]); i++) {
            const unsigned char c = p[i];
            wide += c >= 0xE0;
            sign |= (SOPHIA_CLASS[c] & SOPHIA_C_DIGIT) || sophia_in_set("_/\\@", c) ||
                    (c == '.' && i > from && i + 1 < size && (SOPHIA_CLASS[p[i - 1]] & SOPHIA_C_ALNUM) &&
                     (SOPHIA_CLASS[p[i + 1]] & SOPHIA_C_ALNUM));
            part |= i > from && (c == '/' || c == '\\');
            colon |= c == ':';
        }
        words++;
        list &= sign;
        /* One word at most between two separators' words: "/etc/passwd was replaced by a/b" is no path. */
        bare = part ? 0 : bare + 1;
        if (bare > 1 || (from > 0 && (colon || p[from] == '/' || p[from] == '\\')))
            path = 0;
        while (i < size && sophia_is_blank(p[i]))
            i++;
    }
    if (wide > SOPHIA_MASK_WIDE)
        return 0;
    return words == 1 || (words == 2 && !sophia_in_set(".!?", p[size - 1])) || list || (path && bare == 0);
}

/* At least three ASCII letters and one digit, as in eth0 or SOCKS5: a name until its digit is seen to vary. */
static inline int sophia_is_stem(const unsigned char *p, size_t size)
{
    if (size < 4 || !(SOPHIA_CLASS[p[size - 1]] & SOPHIA_C_DIGIT))
        return 0;
    for (size_t i = 0; i + 1 < size; i++)
        if (!(SOPHIA_CLASS[p[i]] & SOPHIA_C_ALPHA))
            return 0;
    return 1;
}

/* A piece without digits that is still a value: a path, a dotted name of four parts, a mail address. */
static inline int sophia_is_path(const unsigned char *p, size_t size)
{
    size_t slashes = 0, dots = 0;
    int double_slash = 0, empty_part = p[0] == '.' || p[size - 1] == '.', back = 0, at = 0;
    for (size_t i = 0; i < size; i++) {
        if (p[i] == '/') {
            slashes++;
            double_slash |= i + 1 < size && p[i + 1] == '/';
        } else if (p[i] == '.') {
            dots++;
            empty_part |= i + 1 < size && p[i + 1] == '.';
        } else if (p[i] == '\\') {
            back |= i + 1 < size;
        } else if (p[i] == '@') {
            at |= i > 0 && i + 1 < size;
        }
    }
    if (size > 1 && p[0] == '/' && ((SOPHIA_CLASS[p[1]] & SOPHIA_C_ALNUM) || p[1] == '.'))
        return 1;
    if (size > 2 && (p[0] == '.' || p[0] == '~') && p[1] == '/')
        return 1;
    if (size > 2 && back)
        return 1;
    if (slashes >= 2 && !double_slash)
        return 1;
    if (dots >= 3 && !empty_part)
        return 1;
    return at && (SOPHIA_CLASS[p[0]] & SOPHIA_C_ALNUM);
}

/* `any` and `all`: the classes that some and that all bytes of the piece have. */
static inline int sophia_is_variable(const unsigned char *p, size_t size, unsigned any, unsigned all)
{
    if (any & SOPHIA_C_DIGIT)
        return !sophia_is_stem(p, size);
    if (!(any & SOPHIA_C_ALNUM))
        return 0;
    if ((all & SOPHIA_C_HEX) && size >= 8)
        return 1;
    return (any & SOPHIA_C_PATH) && sophia_is_path(p, size);
}

/* A MAC address, an IPv6 address or a time: groups of at most four hexadecimal digits with two colons or more.
 * Returns its length, else 0. */
static inline size_t sophia_colon_groups(const unsigned char *p, size_t size)
{
    size_t i = 0, group = 0, colons = 0;
    int digits = 0;
    for (; i < size; i++) {
        if (p[i] == ':') {
            colons++;
            group = 0;
        } else if (SOPHIA_CLASS[p[i]] & SOPHIA_C_HEX) {
            if (++group > 4)
                return 0;
            digits |= SOPHIA_CLASS[p[i]] & SOPHIA_C_DIGIT;
        } else {
            break;
        }
    }
    if (colons < 2 || !digits || p[i - 1] == ':')
        return 0;
    return i == size || !(SOPHIA_CLASS[p[i]] & SOPHIA_C_WORD) || p[i] == '%' ? i : 0;
}

/* Appends a slot to the token that starts at `from`; with only a joining byte between them two slots are one. */
static inline unsigned char *sophia_put_slot(unsigned char *from, unsigned char *to)
{
    const size_t size = (size_t)(to - from);
    if (size >= 3 && memcmp(to - 3, SOPHIA_SLOT, 3) == 0)
        return to;
    if (size >= 4 && (SOPHIA_CLASS[to[-1]] & SOPHIA_C_JOIN) && memcmp(to - 4, SOPHIA_SLOT, 3) == 0)
        return to - 1;
    memcpy(to, SOPHIA_SLOT, 3);
    return to + 3;
}

/* Ends in a slot, with nothing but punctuation in front of it. */
static inline int sophia_ends_as_slot(const unsigned char *from, const unsigned char *to)
{
    if (to - from < 3 || memcmp(to - 3, SOPHIA_SLOT, 3) != 0)
        return 0;
    while (from < to && !(SOPHIA_CLASS[*from] & SOPHIA_C_ALNUM))
        from++;
    return from == to;
}

/* Ends the token that was written from `from` up to `to`. Where it goes on from a slot with a slot, the two are one
 * token: "[<*>" and "<*>]" become "[<*>]". */
static inline void sophia_put_token(sophia_masked *m, unsigned char *from, unsigned char *to)
{
    unsigned char *const end = m->text + m->size;
    if (m->tokens > 0 && to - from >= 3 && memcmp(from, SOPHIA_SLOT, 3) == 0 &&
        sophia_ends_as_slot(m->text + m->start[m->tokens - 1], end)) {
        memmove(end, from + 3, (size_t)(to - from - 3));
        m->size += (uint32_t)(to - from - 3);
        return;
    }
    m->start[m->tokens++] = (uint32_t)(from - m->text);
    m->size = (uint32_t)(to - m->text);
}

/* Where the next token is to be written: one blank behind the last. */
static inline unsigned char *sophia_next_token(sophia_masked *m)
{
    unsigned char *to = m->text + m->size;
    if (m->tokens > 0)
        *to++ = ' ';
    return to;
}

/* Month and day names right before a slot are part of the date: takes them back, puts slots in their place. */
static inline void sophia_absorb_dates(sophia_masked *m)
{
    uint32_t first = m->tokens;
    while (first > 0) {
        const unsigned char *a = m->text + m->start[first - 1];
        const unsigned char *b = first == m->tokens ? m->text + m->size : m->text + m->start[first] - 1;
        while (a < b && sophia_in_set("[(,.", *a))
            a++;
        while (b > a && sophia_in_set("[(,.", b[-1]))
            b--;
        if (!sophia_is_date_name(a, (size_t)(b - a)))
            break;
        first--;
    }
    const uint32_t last = m->tokens, end = m->size;
    uint32_t start[SOPHIA_MASK_TOKENS + 2];
    if (first == last)
        return;
    memcpy(start + first, m->start + first, (last - first) * sizeof start[0]);
    m->tokens = first;
    m->size = first > 0 ? start[first] - 1 : 0;
    for (uint32_t i = first; i < last; i++) {
        /* A name has three letters or more, so what is written never overtakes what is still to be read. */
        const unsigned char *a = m->text + start[i];
        const unsigned char *b = i + 1 == last ? m->text + end : m->text + start[i + 1] - 1;
        unsigned char *from = sophia_next_token(m), *to = from;
        while (sophia_in_set("[(,.", *a))
            *to++ = *a++;
        const unsigned char *tail = b;
        while (sophia_in_set("[(,.", tail[-1]))
            tail--;
        unsigned char behind[8];
        size_t kept = (size_t)(b - tail);
        if (kept > sizeof behind) { /* a run of commas: nothing that a date has; keep the most that fits */
            kept = sizeof behind;
        }
        memcpy(behind, tail, kept);
        memcpy(to, SOPHIA_SLOT, 3);
        memcpy(to + 3, behind, kept);
        to += 3 + kept;
        sophia_put_token(m, from, to);
    }
}

/* The name of a JSON member: "name": without a blank, up to 64 bytes. It stays. */
static inline int sophia_is_member_name(const unsigned char *p, const unsigned char *close, const unsigned char *end)
{
    if (close == p || (size_t)(close - p) > SOPHIA_MASK_MEMBER || close + 1 >= end || close[1] != ':' ||
        !((SOPHIA_CLASS[*p] & SOPHIA_C_LETTER) || *p == '_'))
        return 0;
    while (p < close && !sophia_is_blank(*p))
        p++;
    return p == close;
}

/* The line without masks: its words, one blank apart, under the same bounds. */
static inline void sophia_unmasked_line(const unsigned char *text, size_t size, sophia_masked *m)
{
    const unsigned char *p = text, *const end = text + (size < SOPHIA_MASK_BYTES ? size : SOPHIA_MASK_BYTES);
    m->size = m->tokens = 0;
    while (m->tokens < SOPHIA_MASK_TOKENS) {
        while (p < end && sophia_is_blank(*p))
            p++;
        if (p >= end)
            return;
        unsigned char *const from = sophia_next_token(m), *to = from;
        while (p < end && !sophia_is_blank(*p))
            *to++ = *p++;
        sophia_put_token(m, from, to);
    }
}

/* Copies the word of letters, and nothing else, that [p, end) begins with, where no mask has a say in it: the end of
 * the copy, or NULL. */
static inline unsigned char *sophia_copy_word(const unsigned char *p, const unsigned char *end, unsigned char *to)
{
    unsigned all = SOPHIA_C_ALPHA | SOPHIA_C_HEX, kind;
    const unsigned char *const start = p;
    while (p < end && (kind = SOPHIA_CLASS[*p]) & SOPHIA_C_ALPHA) {
        all &= kind;
        *to++ = *p++;
    }
    const int whole = p > start && (p == end || sophia_is_blank(*p));
    return whole && !sophia_is_variable(start, (size_t)(p - start), SOPHIA_C_ALPHA, all) ? to : NULL;
}

static inline void sophia_mask_line(const unsigned char *text, size_t size, sophia_masked *m)
{
    const unsigned char *p = text, *const end = text + (size < SOPHIA_MASK_BYTES ? size : SOPHIA_MASK_BYTES);
    int quotes = 1, leading = 1, number = 0;
    const unsigned char *quote_end = NULL; /* not NULL: a quoted request goes on behind its method, up to here */
    const unsigned char *prose_end = NULL; /* the quote that closes the prose being masked */
    m->size = m->tokens = 0;
    for (uint32_t count = 0; count < SOPHIA_MASK_TOKENS; count++) {
        if (!quote_end)
            while (p < end && sophia_is_blank(*p))
                p++;
        if (p >= end && !quote_end)
            return;
        const unsigned char *raw = p;
        unsigned char *const from = sophia_next_token(m), *to = from;
        int ends_in_number = 0, quoted = 0;
        if (!quote_end && !number) {
            unsigned char *const word = sophia_copy_word(p, end, to);
            if (word) {
                sophia_put_token(m, from, word);
                p += word - to;
                leading = 0;
                continue;
            }
        }
        if (quote_end) {
            memcpy(to, "<*>\"", 4);
            to += 4;
            p = quote_end + 1;
            quote_end = NULL;
            quoted = 1;
        }
        while (p < end && !sophia_is_blank(*p)) {
            const unsigned char c = *p;
            const unsigned kind = SOPHIA_CLASS[c];
            const int first = leading;
            leading = ends_in_number = 0;
            if (c == '"' && quotes && p != prose_end) {
                const unsigned char *const in = p + 1, *const close = memchr(in, '"', (size_t)(end - in));
                const size_t inside = close ? (size_t)(close - in) : 0;
                const size_t method = sophia_http_method(in, inside);
                if (close && sophia_is_member_name(in, close, end)) {
                    memcpy(to, p, inside + 2);
                    to += inside + 2;
                    p = close + 1;
                    continue;
                }
                *to++ = '"';
                if (method) {
                    quoted = 1;
                    memcpy(to, in, method);
                    to += method;
                    quote_end = close;
                    break;
                }
                if (!close || first) {
                    quotes = 0;
                } else if (inside && sophia_is_quoted_value(in, inside) && !sophia_names_message(text, p)) {
                    quoted = 1;
                    memcpy(to, "<*>\"", 4);
                    to += 4;
                    p = close;
                } else {
                    prose_end = close;
                }
                p++;
                continue;
            }
            if ((kind & SOPHIA_C_HEX) || c == ':') {
                size_t k = 0; /* cheap refusal first: four hexadecimal digits at most, then a colon */
                while (k < 5 && p + k < end && (SOPHIA_CLASS[p[k]] & SOPHIA_C_HEX))
                    k++;
                if (k < 5 && p + k < end && p[k] == ':') {
                    const size_t length = sophia_colon_groups(p, (size_t)(end - p));
                    if (length) {
                        to = sophia_put_slot(from, to);
                        p += length;
                        ends_in_number = 1;
                        continue;
                    }
                }
            }
            if (!(kind & SOPHIA_C_WORD)) {
                *to++ = c;
                p++;
                continue;
            }
            const unsigned char *q = p;
            if (c == '.' && p + 1 < end && p[1] == '.') {
                while (q < end && *q == '.')
                    q++;
                if (q == end || *q != '/') {
                    memcpy(to, p, (size_t)(q - p));
                    to += q - p;
                    p = q;
                    continue;
                }
                q = p;
            }
            unsigned any = 0, all = 0xFF, kinds;
            for (; q < end && ((kinds = SOPHIA_CLASS[*q]) & SOPHIA_C_WORD); q++) {
                if (*q == '.' && q > p && q + 1 < end && q[1] == '.')
                    break;
                any |= kinds;
                all &= kinds;
            }
            if (end - q >= 3 && memcmp(q, "://", 3) == 0) {
                q += 3;
                while (q < end && !sophia_is_blank(*q) && !sophia_in_set("\"'<>()[]{},;", *q))
                    q++;
                to = sophia_put_slot(from, to);
                p = q;
                continue;
            }
            const unsigned char *tail = q; /* closing dots and dashes are not part of a value */
            while (tail > p && (tail[-1] == '.' || tail[-1] == '-'))
                tail--;
            const size_t length = (size_t)(tail - p);
            if (tail != q) {
                any = 0;
                all = 0xFF;
                for (size_t i = 0; i < length; i++) {
                    any |= SOPHIA_CLASS[p[i]];
                    all &= SOPHIA_CLASS[p[i]];
                }
            }
            int slot = length > 0 && sophia_is_variable(p, length, any, all);
            if (!slot && tail == q && (any & SOPHIA_C_PATH) && (any & SOPHIA_C_ALNUM) &&
                !(any & SOPHIA_C_UPPER) && q + 1 < end && *q == ':' && (SOPHIA_CLASS[q[1]] & SOPHIA_C_DIGIT))
                slot = memchr(p, '.', length) != NULL; /* host.name:port */
            if (!slot && to > from && to[-1] == '=')
                slot = sophia_is_nothing(p, length);
            if (slot) {
                to = sophia_put_slot(from, to);
                memcpy(to, tail, (size_t)(q - tail));
                to += q - tail;
                if (tail == q) {
                    ends_in_number = 1;
                    for (size_t i = 0; i < length && ends_in_number; i++)
                        ends_in_number = (SOPHIA_CLASS[p[i]] & SOPHIA_C_DIGIT) || p[i] == '.' || p[i] == '+' ||
                                         p[i] == '-';
                }
            } else {
                memcpy(to, p, (size_t)(q - p));
                to += q - p;
            }
            p = q;
        }
        if (number && !quoted) {
            const unsigned char *a = raw, *b = p;
            while (a < b && sophia_in_set("()[]{}<>,;:.\"'", *a))
                a++;
            while (b > a && sophia_in_set("()[]{}<>,;:.\"'", b[-1]))
                b--;
            if (sophia_is_unit(a, (size_t)(b - a))) {
                /* The unit is part of the size before it; its brackets and commas move there too. */
                unsigned char *at = m->text + m->size;
                memmove(at, raw, (size_t)(a - raw));
                memmove(at + (a - raw), b, (size_t)(p - b));
                m->size += (uint32_t)((a - raw) + (p - b));
                number = 0;
                continue;
            }
        }
        number = ends_in_number;
        if (to - from >= 3 && to - from <= 4 && memcmp(from, SOPHIA_SLOT, 3) == 0 && m->tokens > 0) {
            unsigned char token[4];
            const size_t length = (size_t)(to - from);
            memcpy(token, from, length);
            sophia_absorb_dates(m);
            unsigned char *const again = sophia_next_token(m);
            memcpy(again, token, length);
            sophia_put_token(m, again, again + length);
        } else {
            sophia_put_token(m, from, to);
        }
    }
}

#endif
