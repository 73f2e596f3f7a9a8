/* Templates: the tokens of a masked line, and the ways in which one place of it may become a slot.
 *
 * A *generalisation* of a template makes one more place a slot. Two lines that have a generalisation in common
 * differ in that place only; how many different lines must share it before the place counts as variable is its
 * `need`, and depends on what stands there and beside it:
 *
 *   - a digit behind a name (eth0, worker7): two, for the digit alone; three for the whole name;
 *   - a word behind a plain word ("for user NAME"), or name:<*> there: four, where three words or more stay
 *     constant (names of values counted in); eight where two stay, twelve where one does; with dots in it (a
 *     host, a class) three;
 *   - a value in name=value: four, then eight and twelve; with dots in it (a host, a class) three;
 *   - a word that opens the message (first of the line, or behind a slot or punctuation): eight, and never
 *     where fewer than three words stay: such words say what happened;
 *   - capitals (RUNNING, HTTPS), and plain words with a capital ("VM Paused"), are mostly one of a few states:
 *     eight;
 *   - several words at once that no line had before, each behind a known plain word or a name: five.
 *
 * No generalisation leaves a template without a constant word. Templates are compared by a 64-bit polynomial
 * over keyed token hashes, so that the hash of a generalisation costs O(1) from prefixes and suffixes.
 */
#ifndef SOPHIA_TEMPLATE_H
#define SOPHIA_TEMPLATE_H

#include "hash.h"
#include "mask.h"

#define SOPHIA_TEMPLATE_WAYS 32
#define SOPHIA_WAYS_MORE 3 /* beside them: a name has two, and the rare words */
#define SOPHIA_RARE_NEED 5
#define SOPHIA_NEVER 255
#define SOPHIA_POLY 0x9E3779B97F4A7C15ull /* odd: multiplication by it is a bijection */

enum {
    SOPHIA_T_SLOT = 1,   /* holds a slot */
    SOPHIA_T_BARE = 2,   /* is nothing but a slot */
    SOPHIA_T_WORD = 4,   /* a letter or digit, and no slot: a constant word */
    SOPHIA_T_PLAIN = 8,  /* no slot, and the last byte is a letter or digit */
    SOPHIA_T_STEM = 16,  /* its core is letters and one digit */
    SOPHIA_T_DIGIT = 32,
    SOPHIA_T_DOTTED = 64,
    SOPHIA_T_CAPITAL = 128,
    SOPHIA_T_NAMED = 256, /* holds a slot and the name of a value: counts as a constant word as well */
    SOPHIA_T_TITLE = 512, /* its first letter is a capital */
    SOPHIA_T_SMALL = 1024 /* small letters and nothing else, as most tokens are */
};

typedef struct {
    uint64_t hash;
    uint32_t start, size;
    uint32_t core, core_end; /* without the punctuation around it */
    uint32_t flags;
} sophia_token;

typedef enum {
    SOPHIA_WAY_STEMS, /* the digits of all names that end in one */
    SOPHIA_WAY_PAIR,  /* name:<*> as a whole */
    SOPHIA_WAY_DIGIT, /* the digit of one name */
    SOPHIA_WAY_VALUE, /* the value in name=value */
    SOPHIA_WAY_WORD,
    SOPHIA_WAY_RARE /* several words that no line had before */
} sophia_way_kind;

typedef struct {
    uint64_t hash;
    uint32_t place;     /* index of the token */
    uint32_t from, to;  /* the bytes of that token which become the slot */
    uint8_t kind, need;
    uint16_t constants; /* words that stay */
} sophia_way;

typedef struct {
    const unsigned char *text; /* borrowed */
    uint64_t seed, hash, slot_hash; /* slot_hash: of SOPHIA_SLOT as a token, 0 before the first line */
    uint64_t rare; /* a bit for each token of SOPHIA_WAY_RARE */
    uint32_t size, count, words, stems, ways;
    sophia_token token[SOPHIA_MASK_TOKENS];
    uint64_t prefix[SOPHIA_MASK_TOKENS + 1], suffix[SOPHIA_MASK_TOKENS + 1], power[SOPHIA_MASK_TOKENS + 1];
    sophia_way way[SOPHIA_TEMPLATE_WAYS + SOPHIA_WAYS_MORE];
    unsigned char scratch[SOPHIA_MASK_ROOM + 64];
} sophia_template;

static inline uint64_t sophia_token_hash(const unsigned char *p, size_t size, uint64_t seed)
{
    return sophia_hash_bytes(p, size, seed).low;
}

static inline const unsigned char *sophia_find(const unsigned char *p, size_t size, const void *word, size_t length)
{
    if (length == 0 || size < length)
        return NULL;
    const unsigned char first = *(const unsigned char *)word, *last = p + (size - length);
    while (p <= last) {
        p = memchr(p, first, (size_t)(last - p) + 1);
        if (!p)
            return NULL;
        if (memcmp(p, word, length) == 0)
            return p;
        p++;
    }
    return NULL;
}

static inline int sophia_has_slot(const unsigned char *p, size_t size)
{
    return sophia_find(p, size, SOPHIA_SLOT, 3) != NULL;
}

/* A dot inside, once the punctuation .,:;()[] around it is gone. */
static inline int sophia_is_dotted(const unsigned char *p, size_t size)
{
    while (size && sophia_in_set(".,:;()[]", *p)) {
        p++;
        size--;
    }
    while (size && sophia_in_set(".,:;()[]", p[size - 1]))
        size--;
    return memchr(p, '.', size) != NULL;
}

static inline int sophia_is_name_start(unsigned char c) { return (SOPHIA_CLASS[c] & SOPHIA_C_LETTER) || c == '_'; }

static inline int sophia_is_name(unsigned char c)
{
    return (SOPHIA_CLASS[c] & SOPHIA_C_ALNUM) || c == '_' || c == '-' || c == '.';
}

/* The next name before '=', ':' or a run of dots in p[*at..size): its range; 0 where there is none. A name that is
 * itself a value (behind '=') is none. */
static inline int sophia_next_name(const unsigned char *p, uint32_t size, uint32_t *at, uint32_t *from, uint32_t *to)
{
    uint32_t i = *at;
    while (i < size) {
        if (!sophia_is_name(p[i])) {
            i++;
            continue;
        }
        uint32_t j = i, a = i;
        while (j < size && sophia_is_name(p[j]))
            j++;
        while (a < j && !sophia_is_name_start(p[a]))
            a++;
        const int ends = (j < size && (p[j] == '=' || p[j] == ':')) ||
                         (j + 1 < size && p[j] == '"' && p[j + 1] == ':') ||
                         (j - i >= 2 && p[j - 1] == '.' && p[j - 2] == '.');
        const int value = i > 0 && p[i - 1] == '=';
        i = j;
        if (a == j || !ends || value)
            continue;
        *from = a;
        *to = *at = j;
        return 1;
    }
    return 0;
}

/* Reads the token that `p`, with a blank or `room` bytes behind, begins with. */
static inline void sophia_read_token(sophia_token *t, const unsigned char *p, size_t room, uint64_t seed)
{
    unsigned any = 0, all = SOPHIA_C_ALPHA, not_upper = 0, title = 0;
    uint32_t size = 0;
    for (; size < room && p[size] != ' '; size++) {
        any |= SOPHIA_CLASS[p[size]];
        all &= SOPHIA_CLASS[p[size]];
    }
    t->size = size;
    t->hash = sophia_token_hash(p, size, seed);
    if (size && all && !(any & SOPHIA_C_UPPER)) {
        t->core = 0;
        t->core_end = size;
        t->flags = SOPHIA_T_WORD | SOPHIA_T_PLAIN | SOPHIA_T_SMALL;
        return;
    }
    uint32_t letters = 0, a = 0, b = size;
    for (uint32_t i = 0; i < t->size; i++) {
        const unsigned kind = SOPHIA_CLASS[p[i]];
        if ((kind & SOPHIA_C_LETTER) && letters++ == 0)
            title = kind & SOPHIA_C_UPPER;
        not_upper |= (kind & SOPHIA_C_LETTER) && !(kind & SOPHIA_C_UPPER);
    }
    while (a < b && !(SOPHIA_CLASS[p[a]] & SOPHIA_C_ALNUM))
        a++;
    while (b > a && !(SOPHIA_CLASS[p[b - 1]] & SOPHIA_C_ALNUM))
        b--;
    t->core = a;
    t->core_end = b;
    t->flags = 0;
    if (sophia_has_slot(p, t->size)) {
        uint32_t at = 0, from, to;
        t->flags |= SOPHIA_T_SLOT | (t->size == 3 ? SOPHIA_T_BARE : 0);
        t->flags |= sophia_next_name(p, t->size, &at, &from, &to) ? SOPHIA_T_NAMED : 0;
    } else if (any & SOPHIA_C_ALNUM) {
        t->flags |= SOPHIA_T_WORD;
        t->flags |= (SOPHIA_CLASS[p[t->size - 1]] & SOPHIA_C_ALNUM) ? SOPHIA_T_PLAIN : 0;
        t->flags |= sophia_is_stem(p + a, b - a) ? SOPHIA_T_STEM : 0;
    }
    t->flags |= (any & SOPHIA_C_DIGIT) ? SOPHIA_T_DIGIT : 0;
    t->flags |= (any & SOPHIA_C_PATH) && sophia_is_dotted(p, t->size) ? SOPHIA_T_DOTTED : 0;
    t->flags |= letters >= 2 && !not_upper ? SOPHIA_T_CAPITAL : 0;
    t->flags |= title ? SOPHIA_T_TITLE : 0;
}

/* Splits a masked line (tokens one blank apart) and hashes it; the text is borrowed as long as `t` is used. */
static inline void sophia_read_template(sophia_template *t, const unsigned char *text, size_t size, uint64_t seed)
{
    t->text = text;
    t->size = (uint32_t)size;
    if (!t->slot_hash || t->seed != seed)
        t->slot_hash = sophia_token_hash((const unsigned char *)SOPHIA_SLOT, 3, seed);
    t->seed = seed;
    t->count = t->words = t->stems = t->ways = 0;
    size_t i = 0;
    while (i < size && t->count < SOPHIA_MASK_TOKENS) {
        sophia_token *token = &t->token[t->count++];
        token->start = (uint32_t)i;
        sophia_read_token(token, text + i, size - i, seed);
        t->words += (token->flags & (SOPHIA_T_WORD | SOPHIA_T_NAMED)) != 0;
        t->stems += (token->flags & SOPHIA_T_STEM) != 0;
        i += token->size + 1;
    }
    t->prefix[0] = t->suffix[t->count] = 0;
    t->power[0] = 1;
    for (uint32_t k = 0; k < t->count; k++) {
        t->prefix[k + 1] = t->prefix[k] * SOPHIA_POLY + t->token[k].hash;
        t->power[k + 1] = t->power[k] * SOPHIA_POLY;
    }
    for (uint32_t k = t->count; k-- > 0;)
        t->suffix[k] = t->token[k].hash * t->power[t->count - 1 - k] + t->suffix[k + 1];
    t->hash = sophia_mix64(t->prefix[t->count]);
}

/* The hash of the template with another token in place `p`. */
static inline uint64_t sophia_replaced_hash(const sophia_template *t, uint32_t p, uint64_t token)
{
    return sophia_mix64((t->prefix[p] * SOPHIA_POLY + token) * t->power[t->count - 1 - p] + t->suffix[p + 1]);
}

/* The same with nothing but a slot there; slots that come to stand together are one. */
static inline uint64_t sophia_slotted_hash(const sophia_template *t, uint32_t p)
{
    uint64_t left = t->prefix[p];
    uint32_t next = p + 1;
    if (next < t->count && (t->token[next].flags & SOPHIA_T_BARE))
        next++;
    if (p == 0 || !(t->token[p - 1].flags & SOPHIA_T_BARE))
        left = left * SOPHIA_POLY + t->slot_hash;
    return sophia_mix64(left * t->power[t->count - next] + t->suffix[next]);
}

/* `word` as a whole word of the token (its first occurrence only): where, or the token's size. */
static inline uint32_t sophia_whole_word(const unsigned char *token, uint32_t size, const unsigned char *word,
                                         uint32_t length)
{
    const unsigned char *at = sophia_find(token, size, word, length);
    if (!at)
        return size;
    const uint32_t k = (uint32_t)(at - token);
    if (k > 0 && (SOPHIA_CLASS[token[k - 1]] & SOPHIA_C_ALNUM))
        return size;
    if (k + length < size && (SOPHIA_CLASS[token[k + length]] & SOPHIA_C_ALNUM))
        return size;
    return k;
}

/* name=value: the range of the value without the punctuation behind it; 0 where the token is none. */
static inline int sophia_find_value(const unsigned char *p, uint32_t size, uint32_t *from, uint32_t *to)
{
    const unsigned char *equal = memchr(p, '=', size);
    if (!equal)
        return 0;
    const uint32_t e = (uint32_t)(equal - p);
    uint32_t a = 0, b = size;
    while (a < e && !(SOPHIA_CLASS[p[a]] & SOPHIA_C_ALNUM) && p[a] != '_')
        a++;
    if (a == e || !sophia_is_name_start(p[a]))
        return 0;
    for (uint32_t i = a; i < e; i++)
        if (!(SOPHIA_CLASS[p[i]] & SOPHIA_C_ALNUM) && p[i] != '_' && p[i] != '.')
            return 0;
    while (b > e + 1 && !(SOPHIA_CLASS[p[b - 1]] & SOPHIA_C_ALNUM))
        b--;
    if (b == e + 1 || sophia_has_slot(p + e + 1, b - e - 1))
        return 0;
    *from = e + 1;
    *to = b;
    return 1;
}

/* The same of a token of the template. */
static inline int sophia_token_value(const sophia_template *t, const sophia_token *token, uint32_t *from, uint32_t *to)
{
    return !(token->flags & SOPHIA_T_SMALL) && sophia_find_value(t->text + token->start, token->size, from, to);
}

/* What becomes a slot where all of a token varies: the value of name=value, else its core. */
static inline void sophia_find_place(const sophia_template *t, uint32_t i, uint32_t *from, uint32_t *to)
{
    const sophia_token *const token = &t->token[i];
    if (sophia_token_value(t, token, from, to))
        return;
    *from = token->core;
    *to = token->core_end;
}

/* Writes the generalisation into `out` (room for the template and two bytes a token more); its size. */
static inline size_t sophia_write_way(const sophia_template *t, const sophia_way *way, unsigned char *out)
{
    unsigned char *to = out;
    int after_bare = 0;
    const sophia_token *const place = &t->token[way->place];
    const unsigned char *const word = t->text + place->start + place->core;
    const uint32_t length = place->core_end - place->core;
    for (uint32_t i = 0; i < t->count; i++) {
        const sophia_token *const token = &t->token[i];
        const unsigned char *const p = t->text + token->start;
        uint32_t from = token->size, until = token->size;
        if (way->kind == SOPHIA_WAY_STEMS) {
            if (token->flags & SOPHIA_T_STEM) {
                from = token->core;
                until = token->core_end;
            }
        } else if (way->kind == SOPHIA_WAY_RARE) {
            if (i < 64 && (t->rare >> i & 1))
                sophia_find_place(t, i, &from, &until);
        } else if (i == way->place) {
            from = way->from;
            until = way->to;
        } else if (way->kind == SOPHIA_WAY_WORD && (place->flags & SOPHIA_T_STEM) &&
                   !(token->flags & SOPHIA_T_SLOT)) {
            from = sophia_whole_word(p, token->size, word, length); /* the same name again varies with it */
            until = from < token->size ? from + length : from;
        }
        const int replaced = until > from;
        const int bare = replaced ? from == 0 && until == token->size : (token->flags & SOPHIA_T_BARE) != 0;
        if (bare && after_bare)
            continue;
        after_bare = bare;
        if (to != out)
            *to++ = ' ';
        memcpy(to, p, from);
        to += from;
        if (replaced) {
            memcpy(to, SOPHIA_SLOT, 3);
            to += 3;
            memcpy(to, p + until, token->size - until);
            to += token->size - until;
        }
    }
    return (size_t)(to - out);
}

/* name:<*> with nothing but punctuation around it. */
static inline int sophia_find_pair(const unsigned char *p, uint32_t size, uint32_t *from, uint32_t *to)
{
    uint32_t a = 0;
    while (a < size && !(SOPHIA_CLASS[p[a]] & SOPHIA_C_ALNUM) && p[a] != '_')
        a++;
    uint32_t j = a;
    while (j < size && sophia_is_name(p[j]))
        j++;
    if (j == a || !sophia_is_name_start(p[a]) || size - j < 4 || memcmp(p + j, ":<*>", 4) != 0)
        return 0;
    for (uint32_t i = j + 4; i < size; i++)
        if (SOPHIA_CLASS[p[i]] & SOPHIA_C_ALNUM)
            return 0;
    if (sophia_has_slot(p + j + 4, size - j - 4))
        return 0;
    *from = a;
    *to = j + 4;
    return 1;
}

static inline uint8_t sophia_need_word(const sophia_template *t, uint32_t p, uint32_t constants)
{
    const uint32_t flags = t->token[p].flags;
    const int start = p == 0 || !(t->token[p - 1].flags & SOPHIA_T_PLAIN);
    const uint8_t few = constants == 2 ? 8 : 12;
    uint8_t need;
    if (flags & SOPHIA_T_DIGIT)
        need = constants >= 2 ? 3 : 12;
    else if (flags & SOPHIA_T_DOTTED)
        need = constants >= 3 ? 3 : start ? SOPHIA_NEVER : few;
    else if (start)
        need = constants >= 3 ? 8 : SOPHIA_NEVER;
    else
        need = (flags & SOPHIA_T_TITLE) && constants >= 3 ? 8 : constants >= 3 ? 4 : few;
    return (flags & SOPHIA_T_CAPITAL) && need < 8 ? 8 : need;
}

static inline void sophia_add_way(sophia_template *t, sophia_way_kind kind, uint32_t place, uint32_t from,
                                  uint32_t to, uint32_t constants, uint8_t need)
{
    sophia_way *const way = &t->way[t->ways++];
    way->kind = (uint8_t)kind;
    way->place = place;
    way->from = from;
    way->to = to;
    way->constants = (uint16_t)constants;
    way->need = need;
    if (kind == SOPHIA_WAY_STEMS || kind == SOPHIA_WAY_RARE || (kind == SOPHIA_WAY_WORD && (t->token[place].flags & SOPHIA_T_STEM))) {
        /* More than one token may change: write it out and read hash and words off the text. */
        uint32_t words = 0;
        const size_t size = sophia_write_way(t, way, t->scratch);
        uint64_t hash = 0;
        for (size_t i = 0; i < size;) {
            sophia_token token = {0};
            sophia_read_token(&token, t->scratch + i, size - i, t->seed);
            hash = hash * SOPHIA_POLY + token.hash;
            words += (token.flags & (SOPHIA_T_WORD | SOPHIA_T_NAMED)) != 0;
            i += token.size + 1;
        }
        way->constants = (uint16_t)words;
        way->hash = sophia_mix64(hash);
        if (words == 0)
            t->ways--;
        return;
    }
    const sophia_token *const token = &t->token[place];
    if (from == 0 && to == token->size) {
        way->hash = sophia_slotted_hash(t, place);
        return;
    }
    const unsigned char *const p = t->text + token->start;
    memcpy(t->scratch, p, from);
    memcpy(t->scratch + from, SOPHIA_SLOT, 3);
    memcpy(t->scratch + from + 3, p + to, token->size - to);
    way->hash = sophia_replaced_hash(t, place, sophia_token_hash(t->scratch, from + 3 + token->size - to, t->seed));
}

/* Fills t->way. Places beyond the first SOPHIA_TEMPLATE_WAYS are not looked at. `rare`: tokens that are taken
 * together as one more generalisation, or 0. */
static inline void sophia_find_ways(sophia_template *t, uint64_t rare)
{
    uint32_t looked = 0, from = 0, to = 0;
    t->ways = 0;
    if (t->stems >= 2) {
        looked++;
        if (t->words - t->stems >= 2)
            sophia_add_way(t, SOPHIA_WAY_STEMS, 0, 0, 0, t->words - t->stems, 2);
    }
    for (uint32_t p = 0; p < t->count && looked < SOPHIA_TEMPLATE_WAYS; p++) {
        const sophia_token *const token = &t->token[p];
        const unsigned char *const text = t->text + token->start;
        const int slot = (token->flags & SOPHIA_T_SLOT) != 0;
        if (slot && sophia_find_pair(text, token->size, &from, &to)) {
            looked++;
            const uint32_t constants = t->words - !!(token->flags & SOPHIA_T_NAMED);
            const uint8_t need = sophia_need_word(t, p, constants);
            if (constants >= 1 && need != SOPHIA_NEVER)
                sophia_add_way(t, SOPHIA_WAY_PAIR, p, from, to, constants, need);
            continue;
        }
        const int value = sophia_token_value(t, token, &from, &to);
        if (!value && !(token->flags & SOPHIA_T_WORD))
            continue;
        const uint32_t constants = t->words - (value ? 0 : 1); /* the name of a value stays */
        const int stem = (token->flags & SOPHIA_T_STEM) != 0;
        if (value) {
            looked++;
            if (constants >= 1) {
                uint8_t need = constants >= 3 ? (token->flags & SOPHIA_T_DOTTED ? 3 : 4) : constants == 2 ? 8 : 12;
                if ((token->flags & SOPHIA_T_CAPITAL) && need < 8)
                    need = 8;
                sophia_add_way(t, SOPHIA_WAY_VALUE, p, from, to, constants, need);
            }
            continue;
        }
        if (stem && constants >= 1) {
            looked++;
            sophia_add_way(t, SOPHIA_WAY_DIGIT, p, token->core_end - 1, token->core_end, constants, 2);
        }
        if (text[token->size - 1] == '=')
            continue;
        looked++;
        if (constants < 1)
            continue;
        const uint8_t need = sophia_need_word(t, p, constants);
        if (need != SOPHIA_NEVER)
            sophia_add_way(t, SOPHIA_WAY_WORD, p, token->core, token->core_end, constants, need);
    }
    t->rare = rare;
    if (rare)
        sophia_add_way(t, SOPHIA_WAY_RARE, 0, 0, 0, 0, SOPHIA_RARE_NEED);
}

/* The constant words in order and, of a token with a slot, the names before '=', ':' and runs of dots: templates
 * that share it differ only in how many slots they have. Never 0 by accident: 0 stands for "no key". */
static inline uint64_t sophia_template_key(const sophia_template *t)
{
    uint64_t key = SOPHIA_MIX_C;
    for (uint32_t k = 0; k < t->count; k++) {
        const sophia_token *const token = &t->token[k];
        const unsigned char *const p = t->text + token->start;
        if (token->flags & SOPHIA_T_WORD)
            key = key * SOPHIA_POLY + token->hash;
        if (!(token->flags & SOPHIA_T_NAMED))
            continue;
        uint32_t at = 0, from, to;
        while (sophia_next_name(p, token->size, &at, &from, &to))
            key = key * SOPHIA_POLY + sophia_token_hash(p + from, to - from, ~t->seed);
    }
    key = sophia_mix64(key);
    return key ? key : 1;
}

/* The bits of the tokens that hold a slot; 0 where there are more than 64 tokens. */
static inline uint64_t sophia_template_shape(const sophia_template *t)
{
    uint64_t shape = 0;
    if (t->count > 64)
        return 0;
    for (uint32_t i = 0; i < t->count; i++)
        shape |= (uint64_t)(t->token[i].flags & SOPHIA_T_SLOT) << i;
    return shape;
}

/* The hash of the template with a slot in every place of `shape`; 0 where a place has nothing to replace. */
static inline uint64_t sophia_shaped_hash(sophia_template *t, uint64_t shape)
{
    uint64_t hash = 0;
    int after_bare = 0;
    for (uint32_t i = 0; i < t->count; i++) {
        const sophia_token *const token = &t->token[i];
        uint64_t part = token->hash;
        int bare = (token->flags & SOPHIA_T_BARE) != 0;
        if ((shape >> i & 1) && !(token->flags & SOPHIA_T_SLOT)) {
            const unsigned char *const p = t->text + token->start;
            uint32_t from, until;
            sophia_find_place(t, i, &from, &until);
            if (from == until)
                return 0;
            memcpy(t->scratch, p, from);
            memcpy(t->scratch + from, SOPHIA_SLOT, 3);
            memcpy(t->scratch + from + 3, p + until, token->size - until);
            const size_t size = from + 3 + token->size - until;
            part = sophia_token_hash(t->scratch, size, t->seed);
            bare = size == 3;
        }
        if (bare && after_bare)
            return 0;
        after_bare = bare;
        hash = hash * SOPHIA_POLY + part;
    }
    return sophia_mix64(hash);
}

#endif
