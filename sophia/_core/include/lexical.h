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

#include "ro_kernels.h"
#include "text_features.h"

#define SOPHIA_LEXICAL_MAX 4096 /* features of one text; what comes after is not read */

enum sophia_lexical_kind { SOPHIA_LEX_WORD, SOPHIA_LEX_PAIR, SOPHIA_LEX_SKIP, SOPHIA_LEX_GRAM, SOPHIA_LEX_KINDS };

/* Where a feature stands. */
struct sophia_lexeme {
    uint32_t start; /* bytes in the text; edge marks are not counted */
    uint32_t size;
    uint32_t edges; /* enum sophia_feature_edge */
};

/* About 36 KB: reused from text to text. One thread at a time. */
struct sophia_lexical {
    struct sophia_lexeme *place; /* borrowed, of SOPHIA_LEXICAL_MAX: where each stands; NULL, where nobody asks */
    uint32_t count;
    uint8_t kind[SOPHIA_LEXICAL_MAX + SOPHIA_RO_MORE]; /* enum sophia_lexical_kind */
    uint64_t hash[SOPHIA_LEXICAL_MAX + SOPHIA_RO_MORE];
};

/* What is hashed, and by which seed. */
struct sophia_lexical_plan {
    uint64_t word, pair, skip;
    struct sophia_ro_grams grams;
};

static inline struct sophia_lexical_plan sophia_lexical_plan(uint64_t seed, uint32_t least, uint32_t most)
{
    struct sophia_lexical_plan plan;
    const uint64_t base = sophia_mix64(seed ^ SOPHIA_MIX_B);
    plan.grams.least = least;
    plan.grams.most = most;
    plan.word = sophia_mix64(base + 1);
    plan.pair = sophia_mix64(base + 2);
    plan.skip = sophia_mix64(base + 3);
    plan.grams.power[0] = 1;
    plan.grams.key[0] = 0;
    for (uint32_t g = 1; g <= SOPHIA_RO_GRAM; g++) {
        plan.grams.key[g] = sophia_mix64(base + 16 + g);
        plan.grams.power[g] = plan.grams.power[g - 1] * SOPHIA_MIX64_MULTIPLIER;
    }
    return plan;
}

static inline void sophia_lexical_add(struct sophia_lexical *out, uint64_t hash, size_t start, size_t end,
                                      uint8_t kind, uint8_t edges)
{
    if (out->count == SOPHIA_LEXICAL_MAX) return;
    if (out->place) out->place[out->count] = (struct sophia_lexeme){(uint32_t)start, (uint32_t)(end - start), edges};
    out->kind[out->count] = kind;
    out->hash[out->count++] = hash;
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
    for (uint32_t g = plan->grams.least; g <= plan->grams.most && g <= run->length; g++) {
        const size_t from = run->length - g;
        const int opening = marked && from == 0;
        if (opening && closing) return; /* the whole word is a feature already */
        const uint64_t hash = run->sum - run->prefix[from & 7] * plan->grams.power[g];
        sophia_lexical_add(out, sophia_mix64(hash ^ plan->grams.key[g]), run->start[from & 7], end, SOPHIA_LEX_GRAM,
                           (opening ? SOPHIA_EDGE_START : 0) | (closing ? SOPHIA_EDGE_END : 0));
    }
}

/* A word of ASCII: the sums before each of its code points, edge marks among them, and behind the last. */
struct sophia_lexical_letters {
    uint64_t prefix[SOPHIA_RO_LETTERS + 3], word;
    size_t count;
};

/* Reads the letters and digits of ASCII that [text, text + size) begins with. 0 where they are no whole word, or one of
 * more than SOPHIA_RO_LETTERS: that is read the general way. */
static inline int sophia_lexical_letters(uint64_t key, const unsigned char *text, size_t size,
                                         struct sophia_lexical_letters *out)
{
    const size_t most = size < SOPHIA_RO_LETTERS ? size : SOPHIA_RO_LETTERS;
    size_t n = 0;
    out->prefix[0] = 0;
    uint64_t sum = '<' + 1, word = key;
    for (; n < most; n++) {
        const unsigned lower = text[n] | 0x20u, letter = lower - 'a' < 26u;
        if (!letter && text[n] - (unsigned)'0' >= 10u) break;
        const unsigned code = letter ? lower : text[n];
        out->prefix[n + 1] = sum;
        sum = sum * SOPHIA_MIX64_MULTIPLIER + code + 1;
        word = sophia_word_step(word, code);
    }
    uint32_t code;
    unsigned step;
    if (!n || (n < size && sophia_scan(text + n, size - n, &code, &step) == SOPHIA_LETTER)) return 0;
    out->prefix[n + 1] = sum;
    out->prefix[n + 2] = sum * SOPHIA_MIX64_MULTIPLIER + '>' + 1;
    out->word = word;
    out->count = n;
    return 1;
}

/* Where the grams of a word of `n` letters at `begin` stand, in the order of their hashes. */
static void sophia_lexical_places(const struct sophia_ro_grams *by, size_t begin, size_t n, struct sophia_lexeme *out)
{
    for (size_t j = by->least; j <= n + 2; j++) {
        const size_t closing = j == n + 2, end = begin + j - 1 - closing;
        for (size_t g = by->least; g <= by->most && g <= j - closing; g++) {
            const size_t start = begin + j - g - (j > g);
            *out++ = (struct sophia_lexeme){(uint32_t)start, (uint32_t)(end - start),
                                            (j == g ? SOPHIA_EDGE_START : 0u) | (closing ? SOPHIA_EDGE_END : 0u)};
        }
    }
}

/* The features of a word of ASCII at `begin`: what the general way below finds. Room for all of them is there. */
static inline void sophia_lexical_short(const struct sophia_lexical_plan *plan, const struct sophia_ro_kernels *kernels,
                                        const struct sophia_lexical_letters *letters, size_t begin,
                                        struct sophia_lexical_words *words, struct sophia_lexical *out)
{
    const size_t n = letters->count;
    if (out->place) sophia_lexical_places(&plan->grams, begin, n, out->place + out->count);
    const size_t grams = kernels->grams(&plan->grams, letters->prefix, n, out->hash + out->count);
    for (size_t i = 0; i < grams; i += 8) memset(out->kind + out->count + i, SOPHIA_LEX_GRAM, 8);
    out->count += (uint32_t)grams;
    sophia_lexical_word(plan, words, sophia_mix64(letters->word + n + 2), begin, begin + n, out);
}

/* Fills `out`; returns the number of features, or an enum sophia_feature_error. Cost: linear in the text, up to the
 * last feature that finds room. */
static int sophia_lexical_extract(const unsigned char *text, size_t size, const struct sophia_lexical_plan *plan,
                                  const struct sophia_ro_kernels *kernels, struct sophia_lexical *out)
{
    out->count = 0;
    if (size > SOPHIA_TEXT_MAX) return SOPHIA_FEATURES_TOO_LONG;
    struct sophia_lexical_words words = {plan->word, 0, 0, 0};
    const uint32_t roomy = SOPHIA_LEXICAL_MAX - ((SOPHIA_RO_LETTERS + 2) * SOPHIA_RO_GRAM + 3);
    size_t at = 0;
    while (at < size && out->count < SOPHIA_LEXICAL_MAX) {
        uint32_t code;
        unsigned step;
        const unsigned kind = sophia_scan(text + at, size - at, &code, &step);
        if (kind == SOPHIA_SEPARATOR) {
            at += step;
            continue;
        }
        const size_t begin = at;
        struct sophia_lexical_letters letters;
        if (out->count <= roomy && sophia_lexical_letters(plan->word, text + at, size - at, &letters)) {
            sophia_lexical_short(plan, kernels, &letters, at, &words, out);
            at += letters.count;
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
