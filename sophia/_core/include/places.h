/* Where in a text each candidate rule may match: parts of it, so that a long text made of the rules' own words need not
 * be read whole by every rule.
 *
 * A rule has a reach: how many runs of blanks (what RE2's \s matches) a match of it holds at most. The literals that a
 * match needs then stand within that many runs of each other, and so does the match. One cursor reads the text and
 * notes, for each group, the run behind which it was last seen; where a branch finds all its groups near enough, its
 * rule gets the part in which each of them could be of one match. Parts that touch, or nearly, are one.
 *
 * Unlike sophia_literals_scan, this reads U+017F as s and U+212A as k, so neither makes every rule a candidate. The
 * literals must be ASCII.
 *
 * Ownership: the caller frees a sophia_places with sophia_places_free, whatever the status.
 */
#ifndef SOPHIA_PLACES_H
#define SOPHIA_PLACES_H

#include "literals.h"

#define SOPHIA_PLACES_FAR UINT32_MAX /* the reach of a rule without a bound */
#define SOPHIA_PLACES_NEAR 64u       /* runs between two parts below which one call of the engine costs less than two */

typedef struct {
    uint32_t rule;
    size_t from, to; /* while scanning in runs of blanks, afterwards in bytes */
} sophia_part;

typedef struct {
    sophia_part *places; /* by rule, then in order */
    size_t count, room;
    size_t *runs; /* where run k of blanks begins; runs[0] is 0 */
    size_t run_count, run_room;
} sophia_places;

/* What one scan knows of each group and each rule; one allocation. */
typedef struct {
    uint32_t *last;  /* [groups] 1 + the number of the run that it was last seen behind; 0 = never */
    uint32_t *place; /* [rules] 1 + the number of the rule's open part; 0 = none */
} sophia_places_seen;

static void sophia_places_free(sophia_places *found)
{
    free(found->places);
    free(found->runs);
    memset(found, 0, sizeof *found);
}

static int sophia_places_grow(void **memory, size_t *room, size_t each)
{
    const size_t more = *room ? 2 * *room : 64;
    void *const made = realloc(*memory, more * each);
    if (made == NULL) return SOPHIA_LITERALS_NO_MEMORY;
    *memory = made;
    *room = more;
    return SOPHIA_LITERALS_OK;
}

/* The rule may match within runs `from` to `to`. */
static int sophia_places_add(sophia_places *found, sophia_places_seen *seen, uint32_t rule, size_t from, size_t to)
{
    sophia_part *const open = seen->place[rule] ? found->places + seen->place[rule] - 1 : NULL;
    if (open != NULL && (open->to == SIZE_MAX || from <= open->to + SOPHIA_PLACES_NEAR)) {
        if (to > open->to) open->to = to;
        return SOPHIA_LITERALS_OK;
    }
    if (found->count == found->room
        && sophia_places_grow((void **)&found->places, &found->room, sizeof *found->places))
        return SOPHIA_LITERALS_NO_MEMORY;
    found->places[found->count] = (sophia_part){rule, from, to};
    seen->place[rule] = (uint32_t)++found->count;
    return SOPHIA_LITERALS_OK;
}

/* Takes note of the literals that end in `row`, behind run `run`. */
static int sophia_places_note(const sophia_literals *set, const uint32_t *reaches, sophia_places *found,
                              sophia_places_seen *seen, uint32_t row, uint32_t run)
{
    for (uint32_t state = row / set->columns; state != 0; state = set->shorter[state]) {
        for (uint32_t i = set->emit[state]; i < set->emit[state + 1]; i++) {
            const uint32_t group = set->items[i];
            if (seen->last[group] == run + 1) continue; /* what has changed since was noted with its own group */
            seen->last[group] = run + 1;
            for (uint32_t j = set->link[group]; j < set->link[group + 1]; j++) {
                const uint32_t branch = set->links[j], rule = set->rule_of[branch], reach = reaches[rule];
                const uint32_t from = reach >= run ? 0 : run - reach; /* a match that holds this literal begins here */
                const size_t most = reach == SOPHIA_PLACES_FAR ? SIZE_MAX : (size_t)run + reach;
                if (seen->place[rule] && found->places[seen->place[rule] - 1].to >= most) continue;
                uint32_t first = run;
                int near = 1;
                for (uint32_t k = set->need[branch]; near && k < set->need[branch + 1]; k++) {
                    const uint32_t last = seen->last[set->needs[k]];
                    near = last > from;
                    if (last <= first) first = last - 1;
                }
                /* It holds one of each group, and none stands behind the one that was seen last. */
                const size_t to = most == SIZE_MAX ? SIZE_MAX : (size_t)first + reach;
                if (near && sophia_places_add(found, seen, rule, from, to)) return SOPHIA_LITERALS_NO_MEMORY;
            }
        }
    }
    return SOPHIA_LITERALS_OK;
}

static int sophia_places_order(const void *left, const void *right)
{
    const sophia_part *const a = left, *const b = right;
    if (a->rule != b->rule) return a->rule < b->rule ? -1 : 1;
    return a->from < b->from ? -1 : a->from > b->from;
}

static inline int sophia_places_blank(unsigned char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\f' || c == '\r';
}

static int sophia_places_read(const sophia_literals *set, const uint32_t *reaches, const unsigned char *text,
                              size_t size, sophia_places *found, sophia_places_seen *seen)
{
    uint32_t row = 0;
    int blank = 0;
    for (uint32_t rule = 0; rule < set->rules; rule++)
        if (set->always[rule / 64] >> (rule % 64) & 1 && sophia_places_add(found, seen, rule, 0, SIZE_MAX))
            return SOPHIA_LITERALS_NO_MEMORY;
    for (size_t at = 0; at < size; at++) {
        unsigned char byte = text[at];
        if (sophia_places_blank(byte)) {
            if (!blank) {
                if (found->run_count == found->run_room
                    && sophia_places_grow((void **)&found->runs, &found->run_room, sizeof *found->runs))
                    return SOPHIA_LITERALS_NO_MEMORY;
                found->runs[found->run_count++] = at;
            }
            blank = 1;
        } else {
            blank = 0;
            if (byte == 0xC5 && at + 1 < size && text[at + 1] == 0xBF) {
                byte = 's';
                at += 1;
            } else if (byte == 0xE2 && at + 2 < size && text[at + 1] == 0x84 && text[at + 2] == 0xAA) {
                byte = 'k';
                at += 2;
            }
        }
        row = set->next[row + set->column_of[byte]];
        if (__builtin_expect(row >= set->first_report, 0)
            && sophia_places_note(set, reaches, found, seen, row, (uint32_t)found->run_count - 1))
            return SOPHIA_LITERALS_NO_MEMORY;
    }
    return SOPHIA_LITERALS_OK;
}

/* The parts of a text in which its candidate rules may match. `found` is zeroed memory, `size` below UINT32_MAX. */
static int sophia_places_find(const sophia_literals *set, const uint32_t *reaches, const unsigned char *text,
                              size_t size, sophia_places *found)
{
    uint32_t *const memory = calloc((size_t)set->groups + set->rules + 1, sizeof *memory);
    sophia_places_seen seen = {memory, memory ? memory + set->groups : NULL};
    int status = SOPHIA_LITERALS_NO_MEMORY;
    if (memory != NULL
        && !sophia_places_grow((void **)&found->runs, &found->run_room, sizeof *found->runs)) {
        found->runs[found->run_count++] = 0;
        status = sophia_places_read(set, reaches, text, size, found, &seen);
    }
    free(memory);
    if (status != SOPHIA_LITERALS_OK) return status;
    if (found->count > 1) qsort(found->places, found->count, sizeof *found->places, sophia_places_order);
    for (size_t i = 0; i < found->count; i++) {
        sophia_part *const place = found->places + i;
        place->from = found->runs[place->from];
        place->to = place->to < found->run_count - 1 ? found->runs[place->to + 1] : size;
    }
    return SOPHIA_LITERALS_OK;
}

#endif
