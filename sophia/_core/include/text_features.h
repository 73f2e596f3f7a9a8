/* Text to features: words and character 3- and 4-grams, each a 64-bit hash with its count.
 *
 * The text is UTF-8. ASCII letters are folded to lower case; everything else is taken as it is (who wants NFC
 * or full case folding normalises before). A byte that is not part of a well-formed UTF-8 sequence counts as
 * one code point of its own. Code points are of three classes:
 *
 *   separator   blanks, ASCII signs and the punctuation of other scripts; ends a word
 *   letter      letters, digits, marks; a maximal run of them is a word
 *   unspaced    scripts that are written without blanks (Han, Kana, Thai, Lao, Khmer, Myanmar) and
 * pictographs
 *
 * A word gives itself, and every 3- and 4-gram of its code points between edge marks: `<cat>` gives the word
 * cat and <ca cat at> <cat cat>. A gram that is the whole `<word>` would say the same twice and is left out;
 * so a word of one letter gives the word alone. A run of an unspaced script has no words to be found without
 * a dictionary: its overlapping pairs of code points stand for words, and its 3- and 4-grams have no edge
 * marks. A run of one unspaced code point gives that code point as its word.
 */
#ifndef SOPHIA_TEXT_FEATURES_H
#define SOPHIA_TEXT_FEATURES_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "hash.h"

#define SOPHIA_FEATURES_MAX 4096       /* distinct features of one text; the rest is counted in `dropped` */
#define SOPHIA_TEXT_MAX 0xFFFFFFFFu    /* bytes of one text */
#define SOPHIA_FEATURE_COUNT_MAX 65535 /* counts saturate here */

enum sophia_feature_kind { SOPHIA_FEATURE_WORD = 1, SOPHIA_FEATURE_GRAM3 = 3, SOPHIA_FEATURE_GRAM4 = 4 };
enum sophia_feature_edge { SOPHIA_EDGE_START = 1, SOPHIA_EDGE_END = 2 };
enum sophia_feature_error { SOPHIA_FEATURES_NONE = -1, SOPHIA_FEATURES_TOO_LONG = -2 };

struct sophia_feature {
    uint64_t hash;  /* never 0; kinds are hashed apart */
    uint32_t start; /* bytes of its first occurrence in the text, edge marks not counted */
    uint32_t size;
    uint16_t count;  /* occurrences, saturating */
    uint16_t weight; /* 0 until an encoder weighs it */
    uint8_t kind;    /* enum sophia_feature_kind */
    uint8_t edges;   /* enum sophia_feature_edge */
};

/* About 110 KB, all of it inline: reused from text to text, no allocation in between. One thread at a time.
 */
struct sophia_features {
    uint32_t count;   /* used entries, in order of first occurrence */
    uint32_t dropped; /* occurrences of features that found no room (saturating) */
    uint32_t mask;
    struct sophia_feature entries[SOPHIA_FEATURES_MAX];
    uint16_t slots[2 * SOPHIA_FEATURES_MAX]; /* hash -> entry + 1; 0 is free */
};

enum sophia_char_class { SOPHIA_SEPARATOR = 0, SOPHIA_LETTER = 1, SOPHIA_UNSPACED = 2 };

/* The class holds from `first` to the next entry. Unicode 15, by block, so that the table stays readable. */
static const struct {
    uint32_t first;
    uint8_t kind;
} SOPHIA_CHAR_CLASSES[] = {
    {0x80, SOPHIA_SEPARATOR}, /* C1 controls, Latin-1 signs */
    {0xAA, SOPHIA_LETTER},
    {0xAB, SOPHIA_SEPARATOR},
    {0xB5, SOPHIA_LETTER},
    {0xB6, SOPHIA_SEPARATOR},
    {0xBA, SOPHIA_LETTER},
    {0xBB, SOPHIA_SEPARATOR},
    {0xC0, SOPHIA_LETTER},
    {0xD7, SOPHIA_SEPARATOR},
    {0xD8, SOPHIA_LETTER},
    {0xF7, SOPHIA_SEPARATOR},
    {0xF8, SOPHIA_LETTER},
    {0x37E, SOPHIA_SEPARATOR},
    {0x37F, SOPHIA_LETTER},
    {0x387, SOPHIA_SEPARATOR},
    {0x388, SOPHIA_LETTER},
    {0x589, SOPHIA_SEPARATOR}, /* Armenian full stop */
    {0x58A, SOPHIA_LETTER},
    {0x60C, SOPHIA_SEPARATOR},
    {0x60E, SOPHIA_LETTER},
    {0x61B, SOPHIA_SEPARATOR},
    {0x61C, SOPHIA_LETTER},
    {0x61F, SOPHIA_SEPARATOR},
    {0x620, SOPHIA_LETTER},
    {0x66A, SOPHIA_SEPARATOR},
    {0x66E, SOPHIA_LETTER},
    {0x6D4, SOPHIA_SEPARATOR},
    {0x6D5, SOPHIA_LETTER},
    {0x964, SOPHIA_SEPARATOR}, /* danda */
    {0x966, SOPHIA_LETTER},
    {0xE01, SOPHIA_UNSPACED}, /* Thai, Lao */
    {0xF00, SOPHIA_LETTER},
    {0x1000, SOPHIA_UNSPACED}, /* Myanmar */
    {0x104A, SOPHIA_SEPARATOR},
    {0x1050, SOPHIA_UNSPACED},
    {0x10A0, SOPHIA_LETTER},
    {0x1361, SOPHIA_SEPARATOR}, /* Ethiopic wordspace and stops */
    {0x1369, SOPHIA_LETTER},
    {0x1680, SOPHIA_SEPARATOR},
    {0x1681, SOPHIA_LETTER},
    {0x1780, SOPHIA_UNSPACED}, /* Khmer */
    {0x17D4, SOPHIA_SEPARATOR},
    {0x17DC, SOPHIA_UNSPACED},
    {0x1800, SOPHIA_LETTER},
    {0x2000, SOPHIA_SEPARATOR}, /* general punctuation; the joiners 200C and 200D belong to words */
    {0x200C, SOPHIA_LETTER},
    {0x200E, SOPHIA_SEPARATOR},
    {0x2070, SOPHIA_LETTER},
    {0x20A0, SOPHIA_SEPARATOR},
    {0x20D0, SOPHIA_LETTER},
    {0x2190, SOPHIA_SEPARATOR}, /* arrows, mathematics, frames */
    {0x2460, SOPHIA_LETTER},
    {0x2500, SOPHIA_SEPARATOR},
    {0x2600, SOPHIA_UNSPACED}, /* pictographs */
    {0x27C0, SOPHIA_SEPARATOR},
    {0x2C00, SOPHIA_LETTER},
    {0x2E00, SOPHIA_SEPARATOR},
    {0x2E80, SOPHIA_UNSPACED}, /* CJK radicals */
    {0x2FF0, SOPHIA_SEPARATOR},
    {0x3005, SOPHIA_UNSPACED},
    {0x3008, SOPHIA_SEPARATOR},
    {0x3021, SOPHIA_UNSPACED},
    {0x3030, SOPHIA_SEPARATOR},
    {0x3031, SOPHIA_UNSPACED},
    {0x303D, SOPHIA_SEPARATOR},
    {0x3041, SOPHIA_UNSPACED}, /* Kana */
    {0x30FB, SOPHIA_SEPARATOR},
    {0x30FC, SOPHIA_UNSPACED},
    {0x3130, SOPHIA_LETTER}, /* Hangul has blanks */
    {0x31A0, SOPHIA_UNSPACED},
    {0xA000, SOPHIA_LETTER},
    {0xF900, SOPHIA_UNSPACED},
    {0xFB00, SOPHIA_LETTER},
    {0xFE10, SOPHIA_SEPARATOR},
    {0xFE20, SOPHIA_LETTER},
    {0xFE30, SOPHIA_SEPARATOR},
    {0xFE70, SOPHIA_LETTER},
    {0xFEFF, SOPHIA_SEPARATOR},
    {0xFF10, SOPHIA_LETTER},
    {0xFF1A, SOPHIA_SEPARATOR},
    {0xFF21, SOPHIA_LETTER},
    {0xFF3B, SOPHIA_SEPARATOR},
    {0xFF41, SOPHIA_LETTER},
    {0xFF5B, SOPHIA_SEPARATOR},
    {0xFF66, SOPHIA_UNSPACED},
    {0xFFA0, SOPHIA_LETTER},
    {0xFFE0, SOPHIA_SEPARATOR},
    {0x10000, SOPHIA_LETTER},
    {0x1F000, SOPHIA_UNSPACED},
    {0x1FB00, SOPHIA_LETTER},
    {0x20000, SOPHIA_UNSPACED}, /* CJK extensions */
    {0x323B0, SOPHIA_LETTER},   /* the rest, and bytes that are not UTF-8 */
};

static unsigned sophia_char_class(uint32_t code)
{
    size_t low = 0, high = sizeof SOPHIA_CHAR_CLASSES / sizeof *SOPHIA_CHAR_CLASSES;
    while (high - low > 1) {
        const size_t middle = (low + high) / 2;
        if (SOPHIA_CHAR_CLASSES[middle].first <= code) low = middle;
        else high = middle;
    }
    return SOPHIA_CHAR_CLASSES[low].kind;
}

/* The code point at p (left >= 1 bytes) and its length; a stray byte b becomes 0x110000 + b. */
static inline uint32_t sophia_code_point(const unsigned char *p, size_t left, unsigned *size)
{
    static const uint32_t smallest[5] = {0, 0, 0x80, 0x800, 0x10000};
    const uint32_t lead = p[0];
    *size = 1;
    if (lead < 0x80) return lead;
    const unsigned length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
    if (lead < 0xC2 || lead > 0xF4 || length > left) return 0x110000 + lead;
    uint32_t code = lead & (0x7F >> length);
    for (unsigned i = 1; i < length; i++) {
        if ((p[i] & 0xC0) != 0x80) return 0x110000 + lead;
        code = code << 6 | (p[i] & 0x3F);
    }
    if (code < smallest[length] || code > 0x10FFFF || code - 0xD800 < 0x800) return 0x110000 + lead;
    *size = length;
    return code;
}

/* The keys of the kinds, derived from one seed. */
struct sophia_feature_keys {
    uint64_t word, gram3, gram4;
};

static inline struct sophia_feature_keys sophia_feature_keys(uint64_t seed)
{
    const uint64_t base = sophia_mix64(seed ^ SOPHIA_MIX_A);
    struct sophia_feature_keys keys;
    keys.word = sophia_mix64(base + SOPHIA_FEATURE_WORD * SOPHIA_MIX_D);
    keys.gram3 = sophia_mix64(base + SOPHIA_FEATURE_GRAM3 * SOPHIA_MIX_D);
    keys.gram4 = sophia_mix64(base + SOPHIA_FEATURE_GRAM4 * SOPHIA_MIX_D);
    return keys;
}

static inline uint64_t sophia_word_step(uint64_t state, uint32_t code)
{
    state = (state ^ code) * SOPHIA_MIX64_MULTIPLIER;
    return state ^ state >> 32;
}

static inline uint64_t sophia_feature_nonzero(uint64_t hash)
{
    return hash + (hash == 0);
}

static inline void sophia_features_add(struct sophia_features *out, uint64_t hash, size_t start, size_t end,
                                       uint8_t kind, uint8_t edges)
{
    hash = sophia_feature_nonzero(hash);
    uint32_t i = (uint32_t)hash & out->mask;
    for (;; i = (i + 1) & out->mask) {
        const uint32_t slot = out->slots[i];
        if (slot == 0) break;
        struct sophia_feature *entry = &out->entries[slot - 1];
        if (entry->hash == hash) {
            entry->count += entry->count < SOPHIA_FEATURE_COUNT_MAX;
            return;
        }
    }
    if (out->count == SOPHIA_FEATURES_MAX) {
        out->dropped += out->dropped < UINT32_MAX;
        return;
    }
    const struct sophia_feature entry = {hash, (uint32_t)start, (uint32_t)(end - start), 1, 0, kind, edges};
    out->entries[out->count++] = entry;
    out->slots[i] = (uint16_t)out->count;
}

/* The window over one word or run: the last four code points (edge marks included) and where each starts. */
struct sophia_window {
    uint32_t code[4]; /* oldest first */
    size_t start[4];
    size_t length; /* code points pushed since the run began */
};

static inline void sophia_window_push(struct sophia_window *window, uint32_t code, size_t start)
{
    for (int i = 0; i < 3; i++) {
        window->code[i] = window->code[i + 1];
        window->start[i] = window->start[i + 1];
    }
    window->code[3] = code;
    window->start[3] = start;
    window->length++;
}

/* Adds the 3- and 4-gram that end at the newest code point. `closing`: that one is the end mark. */
static inline void sophia_window_grams(const struct sophia_window *window,
                                       const struct sophia_feature_keys *keys, size_t end, int marked,
                                       int closing, struct sophia_features *out)
{
    const size_t length = window->length;
    const uint8_t last = closing ? SOPHIA_EDGE_END : 0;
    if (length < 3 + (size_t)(length == 3 && closing)) return;
    const uint64_t newest = window->code[3];
    const uint64_t three = window->code[1] | (uint64_t)window->code[2] << 21 | newest << 42;
    const uint8_t first3 = marked && length == 3 ? SOPHIA_EDGE_START : 0;
    sophia_features_add(out, sophia_mix64(three ^ keys->gram3), window->start[1], end, SOPHIA_FEATURE_GRAM3,
                        first3 | last);
    if (length < 4 + (size_t)(length == 4 && closing)) return;
    const uint64_t older =
        window->code[0] | (uint64_t)window->code[1] << 21 | (uint64_t)window->code[2] << 42;
    const uint64_t four = sophia_mix64(sophia_mix64(older ^ keys->gram4) + newest * SOPHIA_MIX_D);
    const uint8_t first4 = marked && length == 4 ? SOPHIA_EDGE_START : 0;
    sophia_features_add(out, four, window->start[0], end, SOPHIA_FEATURE_GRAM4, first4 | last);
}

/* One step of the scanner: class and folded code point at p. */
static inline unsigned sophia_scan(const unsigned char *p, size_t left, uint32_t *code, unsigned *size)
{
    const unsigned byte = p[0];
    if (byte < 0x80) {
        const unsigned lower = byte | 0x20;
        *size = 1;
        if (lower - 'a' < 26u) {
            *code = lower;
            return SOPHIA_LETTER;
        }
        *code = byte;
        return byte - '0' < 10u ? SOPHIA_LETTER : SOPHIA_SEPARATOR;
    }
    *code = sophia_code_point(p, left, size);
    return sophia_char_class(*code);
}

/* Fills `out` with the features of the text. Returns their number, or an enum sophia_feature_error: a text
 * without a letter, digit or sign of an unspaced script has none. Cost: linear, about 3 hashes a code point.
 */
static int sophia_features_extract(const unsigned char *text, size_t size,
                                   const struct sophia_feature_keys *keys, struct sophia_features *out)
{
    out->count = out->dropped = 0;
    if (size > SOPHIA_TEXT_MAX) return SOPHIA_FEATURES_TOO_LONG;
    /* At most three features a byte: a table of twice that stays under half full. */
    uint32_t slots = 64;
    while (slots < 2 * SOPHIA_FEATURES_MAX && slots < 6 * size) slots *= 2;
    out->mask = slots - 1;
    memset(out->slots, 0, slots * sizeof out->slots[0]);

    size_t at = 0;
    while (at < size) {
        uint32_t code;
        unsigned step;
        const unsigned kind = sophia_scan(text + at, size - at, &code, &step);
        if (kind == SOPHIA_SEPARATOR) {
            at += step;
            continue;
        }
        const size_t begin = at;
        struct sophia_window window;
        memset(&window, 0, sizeof window);
        if (kind == SOPHIA_LETTER) {
            uint64_t word = keys->word;
            size_t letters = 0;
            sophia_window_push(&window, '<', begin);
            do {
                word = sophia_word_step(word, code);
                letters++;
                sophia_window_push(&window, code, at);
                at += step;
                sophia_window_grams(&window, keys, at, 1, 0, out);
            } while (at < size && sophia_scan(text + at, size - at, &code, &step) == SOPHIA_LETTER);
            sophia_window_push(&window, '>', at);
            sophia_window_grams(&window, keys, at, 1, 1, out);
            sophia_features_add(out, sophia_mix64(word + letters), begin, at, SOPHIA_FEATURE_WORD, 0);
        } else {
            do {
                sophia_window_push(&window, code, at);
                at += step;
                if (window.length >= 2) {
                    const uint64_t pair =
                        sophia_word_step(sophia_word_step(keys->word, window.code[2]), code);
                    sophia_features_add(out, sophia_mix64(pair + 2), window.start[2], at, SOPHIA_FEATURE_WORD,
                                        0);
                }
                sophia_window_grams(&window, keys, at, 0, 0, out);
            } while (at < size && sophia_scan(text + at, size - at, &code, &step) == SOPHIA_UNSPACED);
            if (window.length == 1) {
                const uint64_t word = sophia_word_step(keys->word, window.code[3]);
                sophia_features_add(out, sophia_mix64(word + 1), begin, at, SOPHIA_FEATURE_WORD, 0);
            }
        }
    }
    return out->count ? (int)out->count : SOPHIA_FEATURES_NONE;
}

/* Fills `out` with the distinct words of the text that are worth counting one by one: of two code points or more and
 * without an ASCII digit, as numbers and identifiers hardly ever come twice; of an unspaced script its pairs. The
 * hashes are those of sophia_features_extract. Returns their number, which may be 0. Cost: about 1 ns a byte.
 */
static int sophia_words_extract(const unsigned char *text, size_t size, const struct sophia_feature_keys *keys,
                                struct sophia_features *out)
{
    out->count = out->dropped = 0;
    if (size > SOPHIA_TEXT_MAX) return SOPHIA_FEATURES_TOO_LONG;
    uint32_t slots = 64; /* at most one word for two bytes */
    while (slots < 2 * SOPHIA_FEATURES_MAX && slots < size) slots *= 2;
    out->mask = slots - 1;
    memset(out->slots, 0, slots * sizeof out->slots[0]);

    size_t at = 0;
    while (at < size) {
        uint32_t code, last = 0;
        unsigned step;
        const unsigned kind = sophia_scan(text + at, size - at, &code, &step);
        if (kind == SOPHIA_SEPARATOR) {
            at += step;
            continue;
        }
        const size_t begin = at;
        uint64_t word = keys->word;
        size_t letters = 0;
        int digits = 0;
        do {
            if (kind == SOPHIA_UNSPACED) {
                if (letters) {
                    const uint64_t pair = sophia_word_step(sophia_word_step(keys->word, last), code);
                    sophia_features_add(out, sophia_mix64(pair + 2), begin, at + step, SOPHIA_FEATURE_WORD, 0);
                }
                last = code;
            } else {
                word = sophia_word_step(word, code);
                digits |= code - '0' < 10u;
            }
            letters++;
            at += step;
        } while (at < size && sophia_scan(text + at, size - at, &code, &step) == kind);
        if (kind == SOPHIA_LETTER && letters > 1 && !digits)
            sophia_features_add(out, sophia_mix64(word + letters), begin, at, SOPHIA_FEATURE_WORD, 0);
    }
    return (int)out->count;
}

#endif
