/* Normal form of a text for the exact cache: the plan of edits, from character classes alone.
 *
 * Two texts may share an answer only when nothing that can change the meaning differs, so the rule is narrow:
 *   - case is folded in plain words only. It is kept in tokens that hold a digit or follow one (`5 mW`), hold
 *     another non-letter (`-A`, `./a`) or inner capitals (`iPhone`), and in all-capital words of 2 to 5
 *     letters (`US`), unless the whole text is two or more words in capitals;
 *   - a run of blanks becomes one space. A run with a line break becomes one line break, and the blanks that
 *     indent the next line stay, since they can be code;
 *   - at the very end, blanks go, and so does one closing `.`, `?` or `!` behind an ordinary word: two letters or
 *     more and nothing else but apostrophes within. Behind anything else (`5!`, `n!`, `(ab)?`, `HEAD..`) a mark may
 *     carry meaning.
 *
 * The caller fills one class a character: from a table for ASCII bytes, from Python's tables otherwise. The plan
 * is one operation a character, so bytes and code points share this code.
 */
#ifndef SOPHIA_NORMALISE_H
#define SOPHIA_NORMALISE_H

#include <stddef.h>
#include <stdint.h>

enum sophia_class {
    SOPHIA_CLASS_OTHER = 0, /* any other sign: makes its token keep its case */
    SOPHIA_CLASS_LOWER,
    SOPHIA_CLASS_UPPER,
    SOPHIA_CLASS_LETTER, /* a letter without case */
    SOPHIA_CLASS_DIGIT,
    SOPHIA_CLASS_SPACE,
    SOPHIA_CLASS_BREAK, /* line break */
    SOPHIA_CLASS_APOSTROPHE,
    SOPHIA_CLASS_OPEN,  /* may stand before a word: ( " */
    SOPHIA_CLASS_CLOSE, /* may stand behind a word: ) " , ; : */
    SOPHIA_CLASS_STOP,
    SOPHIA_CLASS_QUERY,
    SOPHIA_CLASS_BANG
};

enum sophia_edit { SOPHIA_EDIT_DROP = 0, SOPHIA_EDIT_KEEP, SOPHIA_EDIT_FOLD, SOPHIA_EDIT_SPACE, SOPHIA_EDIT_BREAK };

#define SOPHIA_IS_LETTER(c) ((c) == SOPHIA_CLASS_LOWER || (c) == SOPHIA_CLASS_UPPER || (c) == SOPHIA_CLASS_LETTER)
#define SOPHIA_IS_BLANK(c) ((c) == SOPHIA_CLASS_SPACE || (c) == SOPHIA_CLASS_BREAK)
#define SOPHIA_IS_MARK(c) ((c) == SOPHIA_CLASS_STOP || (c) == SOPHIA_CLASS_QUERY || (c) == SOPHIA_CLASS_BANG)

static uint8_t sophia_ascii_class(unsigned char c)
{
    if (c >= 'a' && c <= 'z') return SOPHIA_CLASS_LOWER;
    if (c >= 'A' && c <= 'Z') return SOPHIA_CLASS_UPPER;
    if (c >= '0' && c <= '9') return SOPHIA_CLASS_DIGIT;
    switch (c) {
    case ' ': case '\t': case '\v': case '\f': return SOPHIA_CLASS_SPACE;
    case '\n': case '\r': return SOPHIA_CLASS_BREAK;
    case '\'': return SOPHIA_CLASS_APOSTROPHE;
    case '(': return SOPHIA_CLASS_OPEN;
    case '"': return SOPHIA_CLASS_CLOSE; /* opens as well: see sophia_opens() */
    case ')': case ',': case ';': case ':': return SOPHIA_CLASS_CLOSE;
    case '.': return SOPHIA_CLASS_STOP;
    case '?': return SOPHIA_CLASS_QUERY;
    case '!': return SOPHIA_CLASS_BANG;
    default: return SOPHIA_CLASS_OTHER;
    }
}

static inline int sophia_opens(uint8_t c)
{
    return c == SOPHIA_CLASS_OPEN || c == SOPHIA_CLASS_APOSTROPHE || c == SOPHIA_CLASS_CLOSE;
}

static inline int sophia_closes(uint8_t c)
{
    return c == SOPHIA_CLASS_CLOSE || c == SOPHIA_CLASS_APOSTROPHE || SOPHIA_IS_MARK(c);
}

/* Whether token [start, end) keeps its case. `shouted`: the text is words in capitals only. */
static int sophia_keeps_case(const uint8_t *cls, size_t start, size_t end, int shouted)
{
    while (start < end && sophia_opens(cls[start])) start++;
    while (end > start && sophia_closes(cls[end - 1])) end--;
    size_t upper = 0, lower = 0, letters = 0;
    int inner_capital = 0;
    for (size_t i = start; i < end; i++) {
        const uint8_t c = cls[i];
        if (!SOPHIA_IS_LETTER(c) && c != SOPHIA_CLASS_APOSTROPHE) return 1;
        upper += c == SOPHIA_CLASS_UPPER;
        lower += c == SOPHIA_CLASS_LOWER;
        letters += SOPHIA_IS_LETTER(c);
        inner_capital |= c == SOPHIA_CLASS_UPPER && i > start;
    }
    if (upper > 0 && lower == 0) return letters >= 2 && letters <= 5 && !shouted;
    return inner_capital;
}

/* Where the text ends once the closing mark behind its last token [start, end) is dropped. */
static size_t sophia_drop_closing(const uint8_t *cls, size_t start, size_t end)
{
    if (end - start < 3 || !SOPHIA_IS_MARK(cls[end - 1])) return end;
    for (size_t i = start; i < end - 1; i++) {
        const int within = i > start && cls[i] == SOPHIA_CLASS_APOSTROPHE && SOPHIA_IS_LETTER(cls[i - 1]);
        if (!SOPHIA_IS_LETTER(cls[i]) && !(within && SOPHIA_IS_LETTER(cls[i + 1]))) return end;
    }
    return end - 1;
}

/* Two or more words, none with a small letter. */
static int sophia_is_shouted(const uint8_t *cls, size_t size)
{
    size_t words = 0;
    int in_word = 0;
    for (size_t i = 0; i < size; i++) {
        if (cls[i] == SOPHIA_CLASS_LOWER) return 0;
        words += !SOPHIA_IS_BLANK(cls[i]) && !in_word;
        in_word = !SOPHIA_IS_BLANK(cls[i]);
    }
    return words > 1;
}

/* Plans the blanks [start, end) between two words: one space, or one line break and the indent behind it. */
static void sophia_plan_blanks(const uint8_t *cls, size_t start, size_t end, uint8_t *edit)
{
    size_t last_break = end;
    for (size_t i = start; i < end; i++) {
        edit[i] = SOPHIA_EDIT_DROP;
        if (cls[i] == SOPHIA_CLASS_BREAK) last_break = i;
    }
    if (last_break == end) {
        edit[start] = SOPHIA_EDIT_SPACE;
        return;
    }
    edit[last_break] = SOPHIA_EDIT_BREAK;
    for (size_t i = last_break + 1; i < end; i++) edit[i] = SOPHIA_EDIT_KEEP;
}

/* Fills edit[0..size) from cls[0..size). */
static void sophia_plan_edits(const uint8_t *cls, size_t size, uint8_t *edit)
{
    size_t end = size, i = 0;
    int after_digit = 0, shouted = -1; /* -1: not looked at yet */
    while (end > 0 && SOPHIA_IS_BLANK(cls[end - 1])) edit[--end] = SOPHIA_EDIT_DROP;
    while (i < end && SOPHIA_IS_BLANK(cls[i])) edit[i++] = SOPHIA_EDIT_DROP;
    while (i < end) {
        const size_t start = i;
        unsigned classes = 0;
        for (; i < end && !SOPHIA_IS_BLANK(cls[i]); i++) {
            classes |= 1u << cls[i];
            edit[i] = SOPHIA_EDIT_KEEP;
        }
        if (classes & 1u << SOPHIA_CLASS_UPPER && !after_digit) {
            if (shouted < 0) shouted = sophia_is_shouted(cls, end);
            if (!sophia_keeps_case(cls, start, i, shouted))
                for (size_t j = start; j < i; j++)
                    if (cls[j] == SOPHIA_CLASS_UPPER) edit[j] = SOPHIA_EDIT_FOLD;
        }
        after_digit = (classes >> SOPHIA_CLASS_DIGIT) & 1;
        const size_t blank = i;
        while (i < end && SOPHIA_IS_BLANK(cls[i])) i++;
        if (i > blank)
            sophia_plan_blanks(cls, blank, i, edit);
        else
            for (size_t j = sophia_drop_closing(cls, start, i); j < i; j++) edit[j] = SOPHIA_EDIT_DROP;
    }
}

#endif
