/* Lexical features for a linear readout: words, pairs of words, pairs that skip one, character n-grams.
 *
 * Folding, classes of code points and the units of scripts without blanks are those of text_features.h, which
 * serves the memory vector; what is counted differs. Of each run of letters comes
 *
 *   word    the run
 *   pair    it and the word before it; the first and the last word of a text are paired with its edges
 *   skip    it and the word two before
 *   gram    every run of `least` to `most` of its code points between edge marks, but for the whole `<word>`
 *
 * A run of an unspaced script gives its code points as words (so that pairs are its bigrams), and grams without
 * edge marks. A feature that occurs twice is listed twice: its weights add up.
 *
 * Hash of a gram: a polynomial over its code points, taken from prefix sums, so each gram costs one
 * multiplication whatever its length.
 */
#ifndef SOPHIA_LEXICAL_H
#define SOPHIA_LEXICAL_H

#include "text_features.h"

#define SOPHIA_LEXICAL_MAX 4096 /* features of one text; what comes after is not read */
#define SOPHIA_LEXICAL_MOST 6   /* code points of a gram, edge marks counted in */
#define SOPHIA_LEXICAL_SHORT 30 /* letters of a word of the usual kind */

enum sophia_lexical_kind { SOPHIA_LEX_WORD, SOPHIA_LEX_PAIR, SOPHIA_LEX_SKIP, SOPHIA_LEX_GRAM, SOPHIA_LEX_KINDS };

/* Where a feature stands. */
struct sophia_lexeme {
    uint32_t start; /* bytes in the text; edge marks are not counted */
    uint32_t size;
    uint32_t edges; /* enum sophia_feature_edge */
};

/* About 90 KB, all of it inline: reused from text to text. One thread at a time. */
struct sophia_lexical {
    uint32_t count;
    uint8_t kind[SOPHIA_LEXICAL_MAX]; /* enum sophia_lexical_kind */
    uint64_t hash[SOPHIA_LEXICAL_MAX];
    struct sophia_lexeme place[SOPHIA_LEXICAL_MAX];
};

/* What is hashed, and by which seed. `power[g]` is the multiplier to the power g. */
struct sophia_lexical_plan {
    uint32_t least, most;
    uint64_t word, pair, skip, gram[SOPHIA_LEXICAL_MOST + 1], power[SOPHIA_LEXICAL_MOST + 1];
};

static inline struct sophia_lexical_plan sophia_lexical_plan(uint64_t seed, uint32_t least, uint32_t most)
{
    struct sophia_lexical_plan plan;
    const uint64_t base = sophia_mix64(seed ^ SOPHIA_MIX_B);
    plan.least = least;
    plan.most = most;
    plan.word = sophia_mix64(base + 1);
    plan.pair = sophia_mix64(base + 2);
    plan.skip = sophia_mix64(base + 3);
    plan.power[0] = 1;
    plan.gram[0] = 0;
    for (uint32_t g = 1; g <= SOPHIA_LEXICAL_MOST; g++) {
        plan.gram[g] = sophia_mix64(base + 16 + g);
        plan.power[g] = plan.power[g - 1] * SOPHIA_MIX64_MULTIPLIER;
    }
    return plan;
}

static inline void sophia_lexical_add(struct sophia_lexical *out, uint64_t hash, size_t start, size_t end,
                                      uint8_t kind, uint8_t edges)
{
    if (out->count == SOPHIA_LEXICAL_MAX) return;
    const struct sophia_lexeme place = {(uint32_t)start, (uint32_t)(end - start), edges};
    out->kind[out->count] = kind;
    out->hash[out->count] = hash;
    out->place[out->count++] = place;
}

/* The words seen so far: their hashes and where the last two begin. An edge counts as a word. */
struct sophia_lexical_words {
    uint64_t last, before; /* 0: there was none */
    size_t last_start, before_start;
};

static inline void sophia_lexical_word(const struct sophia_lexical_plan *plan, struct sophia_lexical_words *words,
                                       uint64_t word, size_t start, size_t end, struct sophia_lexical *out)
{
    const uint8_t first = words->last == plan->word ? SOPHIA_EDGE_START : 0;
    sophia_lexical_add(out, word, start, end, SOPHIA_LEX_WORD, 0);
    sophia_lexical_add(out, sophia_mix64(words->last * SOPHIA_MIX64_MULTIPLIER + (word ^ plan->pair)),
                       first ? start : words->last_start, end, SOPHIA_LEX_PAIR, first);
    if (words->before && words->before != plan->word)
        sophia_lexical_add(out, sophia_mix64(words->before * SOPHIA_MIX64_MULTIPLIER + (word ^ plan->skip)),
                           words->before_start, end, SOPHIA_LEX_SKIP, 0);
    words->before = words->last;
    words->before_start = words->last_start;
    words->last = word;
    words->last_start = start;
}

/* The last code points of a run: prefix sums of the polynomial before each, and where each starts. */
struct sophia_lexical_run {
    uint64_t prefix[8];
    size_t start[8];
    uint64_t sum;
    size_t length;
};

/* Takes one code point that ends at byte `end`, and adds the grams that end with it. `marked`: the run began
 * with an edge mark; `closing`: this is the mark at its end. */
static inline void sophia_lexical_push(const struct sophia_lexical_plan *plan, struct sophia_lexical_run *run,
                                       uint32_t code, size_t start, size_t end, int marked, int closing,
                                       struct sophia_lexical *out)
{
    run->prefix[run->length & 7] = run->sum;
    run->start[run->length & 7] = start;
    run->sum = run->sum * SOPHIA_MIX64_MULTIPLIER + code + 1;
    run->length++;
    for (uint32_t g = plan->least; g <= plan->most && g <= run->length; g++) {
        const size_t from = run->length - g;
        const int opening = marked && from == 0;
        if (opening && closing) return; /* the whole word is a feature already */
        const uint64_t hash = run->sum - run->prefix[from & 7] * plan->power[g];
        sophia_lexical_add(out, sophia_mix64(hash ^ plan->gram[g]), run->start[from & 7], end, SOPHIA_LEX_GRAM,
                           (opening ? SOPHIA_EDGE_START : 0) | (closing ? SOPHIA_EDGE_END : 0));
    }
}

/* The letters and digits of ASCII that [text, text + size) begins with. */
static inline size_t sophia_ascii_letters(const unsigned char *text, size_t size)
{
    size_t n = 0;
    while (n < size && (((unsigned)text[n] | 0x20) - 'a' < 26u || (unsigned)text[n] - '0' < 10u)) n++;
    return n;
}

/* The grams of a short word whose code points, edge marks among them, have these prefix sums. Inline for the usual
 * sizes, so that these are constants. */
static inline __attribute__((always_inline)) void sophia_lexical_grams(const struct sophia_lexical_plan *plan,
                                                                       const uint64_t *prefix, size_t begin, size_t n,
                                                                       size_t least, size_t most,
                                                                       struct sophia_lexical *out)
{
    const uint64_t *const power = plan->power, *const key = plan->gram;
    uint32_t count = out->count;
    for (size_t j = least; j <= n + 2; j++) {
        const int closing = j == n + 2;
        if (j > most && !closing) { /* inside the word */
            for (size_t g = least; g <= most; g++, count++) {
                out->kind[count] = SOPHIA_LEX_GRAM;
                out->hash[count] = sophia_mix64((prefix[j] - prefix[j - g] * power[g]) ^ key[g]);
                out->place[count] = (struct sophia_lexeme){(uint32_t)(begin + j - g - 1), (uint32_t)g, 0};
            }
            continue;
        }
        const size_t end = begin + j - 1 - (size_t)closing;
        for (size_t g = least; g <= most && g <= j - (size_t)closing; g++, count++) {
            const size_t start = begin + j - g - (j > g);
            out->kind[count] = SOPHIA_LEX_GRAM;
            out->hash[count] = sophia_mix64((prefix[j] - prefix[j - g] * power[g]) ^ key[g]);
            out->place[count] =
                (struct sophia_lexeme){(uint32_t)start, (uint32_t)(end - start),
                                       (j == g ? SOPHIA_EDGE_START : 0u) | (closing ? SOPHIA_EDGE_END : 0u)};
        }
    }
    out->count = count;
}

/* The run of `n` letters of ASCII at `begin`: what the general way below finds, from sums that stand beside each other.
 * Room for all of it is there. */
static inline void sophia_lexical_short(const struct sophia_lexical_plan *plan, const unsigned char *text, size_t begin,
                                        size_t n, struct sophia_lexical_words *words, struct sophia_lexical *out)
{
    uint64_t prefix[SOPHIA_LEXICAL_SHORT + 3], word = plan->word;
    prefix[0] = 0;
    prefix[1] = '<' + 1;
    for (size_t i = 0; i < n; i++) {
        const unsigned byte = text[begin + i], code = byte < 'A' ? byte : byte | 0x20;
        word = sophia_word_step(word, code);
        prefix[i + 2] = prefix[i + 1] * SOPHIA_MIX64_MULTIPLIER + code + 1;
    }
    prefix[n + 2] = prefix[n + 1] * SOPHIA_MIX64_MULTIPLIER + '>' + 1;
    if (plan->least == 2 && plan->most == 4)
        sophia_lexical_grams(plan, prefix, begin, n, 2, 4, out);
    else if (plan->least == 3 && plan->most == 3)
        sophia_lexical_grams(plan, prefix, begin, n, 3, 3, out);
    else
        sophia_lexical_grams(plan, prefix, begin, n, plan->least, plan->most, out);
    sophia_lexical_word(plan, words, sophia_mix64(word + n + 2), begin, begin + n, out);
}

/* Fills `out`; returns the number of features, or an enum sophia_feature_error. Cost: linear in the text, up to the
 * last feature that finds room. */
static int sophia_lexical_extract(const unsigned char *text, size_t size, const struct sophia_lexical_plan *plan,
                                  struct sophia_lexical *out)
{
    out->count = 0;
    if (size > SOPHIA_TEXT_MAX) return SOPHIA_FEATURES_TOO_LONG;
    struct sophia_lexical_words words = {plan->word, 0, 0, 0};
    size_t at = 0;
    while (at < size && out->count < SOPHIA_LEXICAL_MAX) {
        uint32_t code;
        unsigned step;
        const unsigned kind = sophia_scan(text + at, size - at, &code, &step);
        if (kind == SOPHIA_SEPARATOR) {
            at += step;
            continue;
        }
        const size_t begin = at, letters = sophia_ascii_letters(text + at, size - at);
        if (letters && letters <= SOPHIA_LEXICAL_SHORT && (at + letters == size || text[at + letters] < 0x80) &&
            out->count + (letters + 2) * plan->most + 3 <= SOPHIA_LEXICAL_MAX) {
            sophia_lexical_short(plan, text, at, letters, &words, out);
            at += letters;
            continue;
        }
        struct sophia_lexical_run run = {{0}, {0}, 0, 0};
        if (kind == SOPHIA_LETTER) {
            uint64_t word = plan->word;
            sophia_lexical_push(plan, &run, '<', begin, begin, 1, 0, out);
            do {
                word = sophia_word_step(word, code);
                sophia_lexical_push(plan, &run, code, at, at + step, 1, 0, out);
                at += step;
            } while (at < size && sophia_scan(text + at, size - at, &code, &step) == SOPHIA_LETTER);
            sophia_lexical_push(plan, &run, '>', at, at, 1, 1, out);
            sophia_lexical_word(plan, &words, sophia_mix64(word + run.length), begin, at, out);
        } else {
            do {
                sophia_lexical_push(plan, &run, code, at, at + step, 0, 0, out);
                sophia_lexical_word(plan, &words, sophia_mix64(sophia_word_step(plan->word, code)), at, at + step,
                                    out);
                at += step;
            } while (at < size && out->count < SOPHIA_LEXICAL_MAX &&
                     sophia_scan(text + at, size - at, &code, &step) == SOPHIA_UNSPACED);
        }
    }
    if (out->count == 0) return SOPHIA_FEATURES_NONE;
    sophia_lexical_add(out, sophia_mix64(words.last * SOPHIA_MIX64_MULTIPLIER + (plan->word ^ plan->pair)),
                       words.last_start, size, SOPHIA_LEX_PAIR, SOPHIA_EDGE_END);
    return (int)out->count;
}

#endif
