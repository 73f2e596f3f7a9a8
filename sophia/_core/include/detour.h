/* Encodings that take words past the danger rules, undone where they stand: one more view of the text.
 *
 *   percent   %69, a byte
 *   escape    \x69 \151 (bytes), \u0069 \u{69} \U00000069, \n \r \t; any other ASCII sign after a backslash is itself,
 *             and a line break after one is nothing
 *   entity    &#105; &#x69; &lt; &gt; &amp; &quot; &apos; &nbsp;
 *   base64    a run of its alphabet (the one for addresses too), at whichever of its four alignments the longest
 *             readable text comes out: it may stand in a path or have signs before it. UTF-16 loses its zero bytes.
 *   hex       a run of hexadecimal digits, two a byte
 *
 * A run is taken only where SOPHIA_DETOUR_LEAST bytes in a row are readable: printable ASCII and blanks, or
 * SOPHIA_DETOUR_WIDE of well-formed UTF-8. So words and names nearly always stay as they are. What does not decode is
 * copied.
 *
 * A view is never longer than its text, and costs time linear in it; an encoding within an encoding is undone by
 * taking the view of a view, SOPHIA_DETOUR_DEPTH times at most.
 */
#ifndef SOPHIA_DETOUR_H
#define SOPHIA_DETOUR_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define SOPHIA_DETOUR_RUN 10   /* signs of the shortest run of base64 */
#define SOPHIA_DETOUR_LEAST 7  /* bytes of text that must come out of a run: `sudo su` */
#define SOPHIA_DETOUR_WIDE 16  /* the same where not all of them are ASCII: random bytes are UTF-8 more easily */
#define SOPHIA_DETOUR_DEPTH 3

enum sophia_detour_kind {
    SOPHIA_DETOUR_PERCENT = 1,
    SOPHIA_DETOUR_ESCAPE = 2,
    SOPHIA_DETOUR_ENTITY = 4,
    SOPHIA_DETOUR_BASE64 = 8,
    SOPHIA_DETOUR_HEX = 16
};

/* The value of a sign of base64, or -1. */
static inline int sophia_detour_sextet(unsigned char c)
{
    static const int8_t values[256] = {
#define N4 -1, -1, -1, -1
#define N16 N4, N4, N4, N4
        N16, N16, N4, N4, -1, -1, -1, 62, -1, 62, -1, 63, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, N4, -1, -1,
        -1, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, -1, -1, -1,
        -1, 63, -1, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47, 48, 49,
        50, 51, -1, -1, -1, -1, -1, N16, N16, N16, N16, N16, N16, N16, N16
#undef N16
#undef N4
    };
    return values[c];
}

static inline int sophia_detour_hex(unsigned char c)
{
    const unsigned digit = c - '0', letter = (c | 0x20) - 'a';
    return digit < 10 ? (int)digit : letter < 6 ? (int)letter + 10 : -1;
}

/* Whether a view could differ from the text: one with no mark of an encoding and no long run has none. */
static int sophia_detour_possible(const unsigned char *text, size_t size)
{
    int marks = 0;
    for (size_t i = 0; i < size; i++) marks |= (text[i] == '%') | (text[i] == '\\') | (text[i] == '&');
    if (marks) return 1;
    /* A run of RUN signs covers one of any RUN positions in a row. */
    for (size_t i = SOPHIA_DETOUR_RUN - 1; i < size;) {
        size_t from = i + 1, to = i + 1;
        while (from > 0 && i + 1 - from < SOPHIA_DETOUR_RUN && sophia_detour_sextet(text[from - 1]) >= 0) from--;
        if (from > i) {
            i += SOPHIA_DETOUR_RUN;
            continue;
        }
        while (to < size && to - from < SOPHIA_DETOUR_RUN && sophia_detour_sextet(text[to]) >= 0) to++;
        if (to - from >= SOPHIA_DETOUR_RUN) return 1;
        i = to + SOPHIA_DETOUR_RUN;
    }
    return 0;
}

/* Reads decoded bytes one after the other and keeps the longest stretch of readable text: bytes [best, best + length)
 * of those that came, of which `kept` are no zeros. */
struct sophia_detour_stretch {
    size_t best, length, kept;
    size_t begin, end, now; /* the stretch that is being read: from, up to its last whole character, kept of that */
    size_t half;            /* kept, with the bytes of a character that is not whole yet */
    int missing;            /* bytes of UTF-8 still to come */
    int wide;               /* it holds others than ASCII */
    unsigned char last;
};

static inline void sophia_detour_close(struct sophia_detour_stretch *s, size_t next)
{
    const size_t least = s->wide ? SOPHIA_DETOUR_WIDE : SOPHIA_DETOUR_LEAST;
    if (s->now > s->kept && s->now >= least) s->best = s->begin, s->length = s->end - s->begin, s->kept = s->now;
    s->begin = s->end = next;
    s->now = s->half = 0;
    s->missing = s->wide = 0;
    s->last = 0;
}

static inline void sophia_detour_feed(struct sophia_detour_stretch *s, size_t at, unsigned char byte)
{
    if (s->missing) {
        if ((byte & 0xC0) == 0x80) {
            s->half++;
            if (--s->missing == 0) s->end = at + 1, s->now = s->half, s->wide = 1;
            return;
        }
        sophia_detour_close(s, at);
    }
    if ((byte >= ' ' && byte < 0x7F) || (byte >= '\t' && byte <= '\r')) {
        s->end = at + 1;
        s->now = ++s->half;
    } else if (byte == 0 && s->last && s->last < 0x7F) {
        s->end = at + 1; /* the other half of a UTF-16 unit */
    } else if (byte >= 0xC2 && byte <= 0xF4) {
        s->half++;
        s->missing = byte >= 0xF0 ? 3 : byte >= 0xE0 ? 2 : 1;
    } else {
        sophia_detour_close(s, at + 1);
        return;
    }
    s->last = byte;
}

/* Byte `k` of a run of base64 that begins at `run`. */
static inline unsigned char sophia_detour_byte64(const unsigned char *run, size_t k)
{
    const size_t bit = 8 * k, at = bit / 6;
    const unsigned two =
        (unsigned)(sophia_detour_sextet(run[at]) << 6 | sophia_detour_sextet(run[at + 1])); /* 12 bits from 6 * at on */
    return (unsigned char)(two >> (4 - bit % 6));
}

static inline unsigned char sophia_detour_byte16(const unsigned char *run, size_t k)
{
    return (unsigned char)(sophia_detour_hex(run[2 * k]) << 4 | sophia_detour_hex(run[2 * k + 1]));
}

/* Writes a run, decoded where text comes out of it; what stands before and after that text is kept, a blank apart. */
static size_t sophia_detour_write(const unsigned char *run, size_t size, size_t skip, int hex,
                                  const struct sophia_detour_stretch *s, unsigned char *out)
{
    const size_t first = hex ? 2 * s->best : 8 * s->best / 6;
    const size_t after = hex ? 2 * (s->best + s->length) : (8 * (s->best + s->length) + 5) / 6;
    const size_t before = skip + first, rest = size - skip - after;
    size_t n = before;
    memcpy(out, run, before);
    if (before) out[n++] = ' ';
    for (size_t k = s->best; k < s->best + s->length; k++) {
        const unsigned char byte = hex ? sophia_detour_byte16(run + skip, k) : sophia_detour_byte64(run + skip, k);
        if (byte) out[n++] = byte;
    }
    if (rest) out[n++] = ' ';
    memcpy(out + n, run + size - rest, rest);
    return n + rest;
}

/* A run of base64 signs, longest readable text first; `kinds` gains what it was. */
static size_t sophia_detour_decode(const unsigned char *run, size_t size, unsigned char *out, unsigned *kinds)
{
    struct sophia_detour_stretch best = {0}, s;
    size_t skip = 0, digits = size > 2 && run[0] == '0' && run[1] == 'x' ? 2 : 0;
    int hex = 0;
    const size_t from = digits;
    while (digits < size && sophia_detour_hex(run[digits]) >= 0) digits++;
    if (digits == size) {
        memset(&s, 0, sizeof s);
        for (size_t k = 0; k < (size - from) / 2; k++) sophia_detour_feed(&s, k, sophia_detour_byte16(run + from, k));
        sophia_detour_close(&s, 0);
        if (s.kept) best = s, skip = from, hex = 1;
    }
    for (size_t shift = 0; shift < 4 && !hex; shift++) {
        memset(&s, 0, sizeof s);
        const size_t bytes = (size - shift) * 6 / 8;
        for (size_t k = 0; k < bytes; k++) sophia_detour_feed(&s, k, sophia_detour_byte64(run + shift, k));
        sophia_detour_close(&s, 0);
        if (s.kept > best.kept) best = s, skip = shift;
    }
    if (!best.kept) {
        memcpy(out, run, size);
        return size;
    }
    *kinds |= hex ? SOPHIA_DETOUR_HEX : SOPHIA_DETOUR_BASE64;
    return sophia_detour_write(run, size, skip, hex, &best, out);
}

/* The UTF-8 of a code point, or 0 bytes for none that a text may hold. */
static inline size_t sophia_detour_utf8(uint32_t code, unsigned char *out)
{
    if (code == 0 || code > 0x10FFFF || code - 0xD800 < 0x800) return 0;
    if (code < 0x80) {
        out[0] = (unsigned char)code;
        return 1;
    }
    const size_t size = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    for (size_t i = size - 1; i > 0; i--, code >>= 6) out[i] = (unsigned char)(0x80 | (code & 0x3F));
    out[0] = (unsigned char)((0xF00 >> size) | code);
    return size;
}

/* Up to `most` digits of a base at `text`; their number, and their value in `*value`. */
static inline size_t sophia_detour_digits(const unsigned char *text, size_t left, unsigned base, size_t most,
                                          uint32_t *value)
{
    size_t n = 0;
    *value = 0;
    for (; n < most && n < left; n++) {
        const int digit = sophia_detour_hex(text[n]);
        if (digit < 0 || (unsigned)digit >= base) break;
        *value = *value * base + (unsigned)digit;
    }
    return n;
}

/* What begins with a mark at `text`: bytes read, with `*wrote` of them written; 0 where it is no encoding. */
static size_t sophia_detour_mark(const unsigned char *text, size_t left, unsigned char *out, size_t *wrote,
                                 unsigned *kinds)
{
    static const struct {
        const char *name;
        size_t size;
        unsigned char sign;
    } names[] = {{"lt;", 3, '<'}, {"gt;", 3, '>'}, {"amp;", 4, '&'}, {"quot;", 5, '"'}, {"apos;", 5, '\''},
                 {"nbsp;", 5, ' '}};
    uint32_t value;
    size_t n, from;
    if (left < 2) return 0;
    if (text[0] == '%') {
        if (sophia_detour_digits(text + 1, left - 1, 16, 2, &value) < 2 || value == 0) return 0;
        *out = (unsigned char)value;
        *kinds |= SOPHIA_DETOUR_PERCENT;
        *wrote = 1;
        return 3;
    }
    if (text[0] == '&') {
        if (text[1] != '#') {
            for (size_t k = 0; k < sizeof names / sizeof *names; k++)
                if (left > names[k].size && memcmp(text + 1, names[k].name, names[k].size) == 0) {
                    *out = names[k].sign;
                    *kinds |= SOPHIA_DETOUR_ENTITY;
                    *wrote = 1;
                    return 1 + names[k].size;
                }
            return 0;
        }
        const int hex = left > 2 && (text[2] | 0x20) == 'x';
        from = 2 + (size_t)hex;
        n = from < left ? sophia_detour_digits(text + from, left - from, hex ? 16 : 10, hex ? 6 : 7, &value) : 0;
        if (n == 0 || (*wrote = sophia_detour_utf8(value, out)) == 0) return 0;
        *kinds |= SOPHIA_DETOUR_ENTITY;
        return from + n + (from + n < left && text[from + n] == ';');
    }
    const unsigned char c = text[1];
    if (c == 'x' && sophia_detour_digits(text + 2, left - 2, 16, 2, &value) == 2 && value) {
        *out = (unsigned char)value;
        *wrote = 1;
        n = 4;
    } else if (c == 'u' || c == 'U') {
        const int braced = c == 'u' && left > 2 && text[2] == '{';
        const size_t most = braced ? 6 : c == 'u' ? 4 : 8;
        from = 2 + (size_t)braced;
        n = from < left ? sophia_detour_digits(text + from, left - from, 16, most, &value) : 0;
        if (braced ? n == 0 || from + n >= left || text[from + n] != '}' : n < most) return 0;
        if ((*wrote = sophia_detour_utf8(value, out)) == 0) return 0;
        n += from + (size_t)braced;
    } else if (sophia_detour_digits(text + 1, left - 1, 8, 3, &value) == 3 && value && value < 256) {
        *out = (unsigned char)value;
        *wrote = 1;
        n = 4;
    } else if (c > ' ' && c < 0x7F) {
        *out = c == 'n' ? '\n' : c == 'r' ? '\r' : c == 't' ? '\t' : c;
        *wrote = 1;
        n = 2;
    } else if (c == '\n' || c == '\r') {
        *wrote = 0;
        n = left > 2 && c == '\r' && text[2] == '\n' ? 3 : 2;
    } else {
        return 0;
    }
    *kinds |= SOPHIA_DETOUR_ESCAPE;
    return n;
}

/* The view of a text into `out`, which has room for `size` bytes; returns its length. `*kinds` says what was undone:
 * 0, and the view is the text. */
static size_t sophia_detour_view(const unsigned char *text, size_t size, unsigned char *out, unsigned *kinds)
{
    size_t n = 0;
    *kinds = 0;
    for (size_t i = 0; i < size;) {
        const unsigned char c = text[i];
        if (sophia_detour_sextet(c) >= 0) {
            size_t end = i + 1;
            while (end < size && sophia_detour_sextet(text[end]) >= 0) end++;
            unsigned kind = 0;
            if (end - i >= SOPHIA_DETOUR_RUN) {
                n += sophia_detour_decode(text + i, end - i, out + n, &kind);
                if (kind)
                    for (int pad = 0; pad < 2 && end < size && text[end] == '='; pad++) end++;
                *kinds |= kind;
            } else {
                memcpy(out + n, text + i, end - i);
                n += end - i;
            }
            i = end;
            continue;
        }
        size_t wrote = 0;
        const size_t read = c == '%' || c == '\\' || c == '&'
                                ? sophia_detour_mark(text + i, size - i, out + n, &wrote, kinds) : 0;
        if (!read) out[n++] = c;
        n += wrote;
        i += read ? read : 1;
    }
    return n;
}

#endif
