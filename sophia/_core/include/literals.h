/* Which rules may match a text. A rule has branches, a branch has groups (which branches may share), a group
 * has literals: the rule is a candidate when, for one of its branches, one literal of every group occurs.
 *
 * One Aho-Corasick automaton over all literals, spelled out as a deterministic table: one load a byte, no
 * failure links at run time. Bytes are first mapped to columns (all bytes that no literal uses share one;
 * an ASCII capital shares that of its small letter), which keeps a row within a few cache lines. Row numbers
 * are multiplied out, and rows that report something come last, so that the inner loop is one add, one load
 * and one compare. A long text is read by four cursors at once: the chain of loads, not the loads
 * themselves, is what limits one cursor.
 *
 * Source: A. V. Aho, M. J. Corasick, "Efficient string matching: an aid to bibliographic search",
 * Communications of the ACM 18(6), 1975.
 *
 * Ownership: sophia_literals_build copies what it needs; sophia_literals_free releases all of it. A built
 * automaton is never written again, so any number of threads may scan with it.
 */
#ifndef SOPHIA_LITERALS_H
#define SOPHIA_LITERALS_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "pages.h"

#define SOPHIA_LITERALS_MAX_RULES 1024u /* the scratch of a scan lives on the stack: 2 KiB at most */
#define SOPHIA_LITERALS_MAX_WORDS (SOPHIA_LITERALS_MAX_RULES / 64)
#define SOPHIA_LITERALS_MAX_BRANCHES 8192u
#define SOPHIA_LITERALS_MAX_GROUPS 16384u
#define SOPHIA_LITERALS_MAX_SIZE 64u      /* bytes of one literal */
#define SOPHIA_LITERALS_MAX_CELLS (1u << 24)
#define SOPHIA_LITERALS_EVERY UINT32_MAX  /* the group of a literal that makes every rule a candidate */
#define SOPHIA_LITERALS_LANES 4u
#define SOPHIA_LITERALS_LONG 512u         /* from this many bytes on, four cursors pay */

enum sophia_literals_status { SOPHIA_LITERALS_OK = 0, SOPHIA_LITERALS_NO_MEMORY = 1, SOPHIA_LITERALS_TOO_LARGE = 2 };

typedef struct {
    const unsigned char *text; /* borrowed during the build */
    uint32_t size;
    uint32_t group;
} sophia_literal;

typedef struct {
    uint32_t *next;    /* [states * columns] row (multiplied by columns) after a byte of that column */
    uint32_t *emit;    /* [states + 1] the groups of state s are items[emit[s] .. emit[s + 1]) */
    uint32_t *shorter; /* [states] the nearest state with groups among the suffixes of this one, or 0 */
    uint32_t *items;
    uint32_t *link;     /* [groups + 1] group g is one of the branches links[link[g] .. link[g + 1]) */
    uint32_t *links;
    uint32_t *lead;     /* [groups + 1] group g is the first to be asked of leads[lead[g] .. lead[g + 1]) */
    uint32_t *leads;
    uint64_t *leading;  /* [groups / 64 + 1] the groups that lead */
    uint32_t *rule_of;   /* [branches] */
    uint32_t *need;      /* [branches + 1] branch b has the groups needs[need[b] .. need[b + 1]) */
    uint32_t *needs;
    uint64_t *always;    /* [words] the rules with a branch without a group */
    uint32_t states, columns, groups, branches, rules, words, always_count;
    uint32_t first_report; /* rows from here on report */
    uint32_t longest;      /* bytes of the longest literal */
    uint8_t column_of[256];
} sophia_literals;

static void sophia_literals_free(sophia_literals *set)
{
    sophia_pages_give(set->next, (size_t)set->states * set->columns * sizeof *set->next);
    free(set->emit);
    free(set->shorter);
    free(set->items);
    free(set->link);
    free(set->links);
    free(set->lead);
    free(set->leads);
    free(set->leading);
    free(set->rule_of);
    free(set->need);
    free(set->needs);
    free(set->always);
    memset(set, 0, sizeof *set);
}

static inline unsigned char sophia_literals_fold(unsigned char byte)
{
    return byte >= 'A' && byte <= 'Z' ? (unsigned char)(byte + 32) : byte;
}

/* Columns: 0 for the bytes of no literal, then one for each folded byte in use. */
static void sophia_literals_columns(sophia_literals *set, const sophia_literal *literals, size_t count)
{
    uint8_t used[256] = {0};
    for (size_t i = 0; i < count; i++)
        for (uint32_t j = 0; j < literals[i].size; j++) used[sophia_literals_fold(literals[i].text[j])] = 1;
    uint32_t columns = 1;
    for (unsigned byte = 0; byte < 256; byte++)
        if (used[byte]) set->column_of[byte] = (uint8_t)columns++;
    for (unsigned byte = 'A'; byte <= 'Z'; byte++) set->column_of[byte] = set->column_of[byte + 32];
    set->columns = columns; /* at most 231: no capital letter has a column of its own */
}

/* The tables of a build that the finished automaton does not need; one allocation each, freed together. */
typedef struct {
    uint32_t *trie;   /* [states * columns], 0 = no child (the root is nobody's child) */
    uint32_t *fail;   /* [states] longest proper suffix that is a state */
    uint32_t *order;  /* [states] breadth first */
    uint32_t *place;  /* [states] final number */
    uint32_t *end;    /* [count] state in which a literal ends */
    uint32_t *emits;  /* [states] literals that end here */
    uint32_t *report; /* [states] nearest suffix, itself included, in which a literal ends; 0 = none */
} sophia_literals_draft;

static void sophia_literals_draft_free(sophia_literals_draft *draft)
{
    free(draft->trie);
    free(draft->fail);
    free(draft->order);
    free(draft->place);
    free(draft->end);
    free(draft->emits);
    free(draft->report);
}

static void sophia_literals_plant(sophia_literals *set, sophia_literals_draft *draft,
                                  const sophia_literal *literals, size_t count)
{
    uint32_t states = 1;
    for (size_t i = 0; i < count; i++) {
        uint32_t at = 0;
        for (uint32_t j = 0; j < literals[i].size; j++) {
            uint32_t *child = draft->trie + (size_t)at * set->columns + set->column_of[literals[i].text[j]];
            if (*child == 0) *child = states++;
            at = *child;
        }
        draft->end[i] = at;
        draft->emits[at]++;
        if (literals[i].size > set->longest) set->longest = literals[i].size;
    }
    set->states = states;
}

/* Completes the trie to a table without gaps, states in breadth-first order. */
static void sophia_literals_complete(const sophia_literals *set, sophia_literals_draft *draft)
{
    const uint32_t columns = set->columns;
    uint32_t tail = 1;
    draft->order[0] = 0;
    for (uint32_t head = 0; head < tail; head++) {
        const uint32_t at = draft->order[head];
        const uint32_t *fallback = draft->trie + (size_t)draft->fail[at] * columns;
        draft->report[at] = draft->emits[at] ? at : draft->report[draft->fail[at]];
        for (uint32_t column = 0; column < columns; column++) {
            uint32_t *child = draft->trie + (size_t)at * columns + column;
            if (*child != 0) {
                draft->fail[*child] = at == 0 ? 0 : fallback[column];
                draft->order[tail++] = *child;
            } else if (at != 0) {
                *child = fallback[column];
            }
        }
    }
}

/* Numbers the states: silent ones first, both parts breadth first, so that the busy rows lie together. */
static void sophia_literals_number(sophia_literals *set, sophia_literals_draft *draft)
{
    uint32_t number = 0;
    for (uint32_t i = 0; i < set->states; i++)
        if (draft->report[draft->order[i]] == 0) draft->place[draft->order[i]] = number++;
    set->first_report = number * set->columns;
    for (uint32_t i = 0; i < set->states; i++)
        if (draft->report[draft->order[i]] != 0) draft->place[draft->order[i]] = number++;
}

static void sophia_literals_fill(sophia_literals *set, const sophia_literals_draft *draft,
                                 const sophia_literal *literals, size_t count)
{
    const uint32_t columns = set->columns;
    for (uint32_t old = 0; old < set->states; old++) {
        const uint32_t at = draft->place[old];
        for (uint32_t column = 0; column < columns; column++)
            set->next[(size_t)at * columns + column] =
                draft->place[draft->trie[(size_t)old * columns + column]] * columns;
        set->emit[at + 1] = draft->emits[old];
        set->shorter[at] = old == 0 ? 0 : draft->place[draft->report[draft->fail[old]]];
    }
    for (uint32_t at = 0; at < set->states; at++) set->emit[at + 1] += set->emit[at];
    for (size_t i = 0; i < count; i++) { /* emits counts down: each literal takes the next free cell */
        const uint32_t old = draft->end[i];
        set->items[set->emit[draft->place[old]] + --draft->emits[old]] = literals[i].group;
    }
}

/* A group belongs to a branch, and is the `rank`-th to be asked of it: the more selective the earlier. */
typedef struct {
    uint32_t group, branch, rank;
} sophia_literals_link;

/* Who owns what; `links` are sorted by group. */
static void sophia_literals_own(sophia_literals *set, const sophia_literals_link *links, size_t count,
                                const uint32_t *rule_of)
{
    uint32_t led = 0;
    for (size_t i = 0; i < count; i++) {
        set->links[i] = links[i].branch;
        set->link[links[i].group + 1] = (uint32_t)i + 1;
        if (links[i].rank == 0) {
            set->leads[led++] = links[i].branch;
            set->lead[links[i].group + 1] = led;
            set->leading[links[i].group / 64] |= 1ull << (links[i].group % 64);
        }
        set->need[links[i].branch + 1]++;
    }
    for (uint32_t group = 0; group < set->groups; group++) { /* a group that nobody owns, or that leads nowhere */
        if (set->link[group + 1] < set->link[group]) set->link[group + 1] = set->link[group];
        if (set->lead[group + 1] < set->lead[group]) set->lead[group + 1] = set->lead[group];
    }
    for (uint32_t branch = 0; branch < set->branches; branch++) set->need[branch + 1] += set->need[branch];
    for (size_t i = 0; i < count; i++) set->needs[set->need[links[i].branch] + links[i].rank] = links[i].group;
    for (uint32_t branch = 0; branch < set->branches; branch++) {
        const uint32_t rule = set->rule_of[branch] = rule_of[branch];
        const uint64_t bit = 1ull << (rule % 64);
        if (set->need[branch + 1] != set->need[branch] || set->always[rule / 64] & bit) continue;
        set->always[rule / 64] |= bit;
        set->always_count++;
    }
}

/* Builds the automaton. A rule with a branch that owns no group is always a candidate, one without a branch
 * never. Literals are folded to small ASCII letters; sizes are 1 to SOPHIA_LITERALS_MAX_SIZE. */
static int sophia_literals_build(sophia_literals *set, const sophia_literal *literals, size_t count,
                                 const sophia_literals_link *links, size_t link_count, const uint32_t *rule_of,
                                 uint32_t groups, uint32_t branches, uint32_t rules)
{
    memset(set, 0, sizeof *set);
    if (rules > SOPHIA_LITERALS_MAX_RULES || branches > SOPHIA_LITERALS_MAX_BRANCHES
        || groups > SOPHIA_LITERALS_MAX_GROUPS || link_count > SOPHIA_LITERALS_MAX_CELLS)
        return SOPHIA_LITERALS_TOO_LARGE;
    size_t states = 1;
    for (size_t i = 0; i < count; i++) {
        if (literals[i].size == 0 || literals[i].size > SOPHIA_LITERALS_MAX_SIZE) return SOPHIA_LITERALS_TOO_LARGE;
        if ((states += literals[i].size) > SOPHIA_LITERALS_MAX_CELLS) return SOPHIA_LITERALS_TOO_LARGE;
    }
    sophia_literals_columns(set, literals, count);
    if (states * set->columns > SOPHIA_LITERALS_MAX_CELLS) return SOPHIA_LITERALS_TOO_LARGE;

    set->groups = groups;
    set->branches = branches;
    set->rules = rules;
    set->words = (rules + 63) / 64;
    sophia_literals_draft draft;
    draft.trie = calloc(states * set->columns, sizeof *draft.trie);
    draft.fail = calloc(states, sizeof *draft.fail);
    draft.order = calloc(states, sizeof *draft.order);
    draft.place = calloc(states, sizeof *draft.place);
    draft.end = calloc(count + 1, sizeof *draft.end);
    draft.emits = calloc(states, sizeof *draft.emits);
    draft.report = calloc(states, sizeof *draft.report);
    set->link = calloc((size_t)groups + 1, sizeof *set->link);
    set->links = calloc(link_count + 1, sizeof *set->links);
    set->lead = calloc((size_t)groups + 1, sizeof *set->lead);
    set->leads = calloc(link_count + 1, sizeof *set->leads);
    set->leading = calloc((size_t)groups / 64 + 1, sizeof *set->leading);
    set->rule_of = calloc((size_t)branches + 1, sizeof *set->rule_of);
    set->need = calloc((size_t)branches + 1, sizeof *set->need);
    set->needs = calloc(link_count + 1, sizeof *set->needs);
    set->always = calloc((size_t)set->words + 1, sizeof *set->always);
    int ok = draft.trie && draft.fail && draft.order && draft.place && draft.end && draft.emits && draft.report
             && set->link && set->links && set->lead && set->leads && set->leading && set->rule_of && set->need
             && set->needs && set->always;
    if (ok) {
        sophia_literals_plant(set, &draft, literals, count);
        sophia_literals_complete(set, &draft);
        sophia_literals_number(set, &draft);
        set->next = sophia_pages_zeroed((size_t)set->states * set->columns * sizeof *set->next);
        set->emit = calloc((size_t)set->states + 1, sizeof *set->emit);
        set->shorter = calloc(set->states, sizeof *set->shorter);
        set->items = calloc(count + 1, sizeof *set->items);
        ok = set->next && set->emit && set->shorter && set->items;
    }
    int status = ok ? SOPHIA_LITERALS_OK : SOPHIA_LITERALS_NO_MEMORY;
    if (ok) {
        sophia_literals_fill(set, &draft, literals, count);
        sophia_literals_own(set, links, link_count, rule_of);
    }
    sophia_literals_draft_free(&draft);
    if (status != SOPHIA_LITERALS_OK) sophia_literals_free(set);
    return status;
}

/* What one scan has seen so far. Cleared on the first report: most texts have none. */
typedef struct {
    uint64_t *bits; /* NULL: the first candidate ends the scan */
    uint32_t found;
    int open;
    uint64_t seen[SOPHIA_LITERALS_MAX_GROUPS / 64];
} sophia_literals_scratch;

static int sophia_literals_all(const sophia_literals *set, sophia_literals_scratch *scratch)
{
    for (uint32_t rule = 0; scratch->bits && rule < set->rules; rule++)
        scratch->bits[rule / 64] |= 1ull << (rule % 64);
    scratch->found = set->rules;
    return 1;
}

static int sophia_literals_found(const sophia_literals *set, sophia_literals_scratch *scratch, uint32_t rule)
{
    if (!scratch->bits) return (int)++scratch->found;
    const uint64_t bit = 1ull << (rule % 64);
    if (scratch->bits[rule / 64] & bit) return 0;
    scratch->bits[rule / 64] |= bit;
    return ++scratch->found == set->rules;
}

/* Marks the rules whose branches `group` leads and of which all groups were seen; 1 as below. */
static int sophia_literals_led(const sophia_literals *set, sophia_literals_scratch *scratch, uint32_t group)
{
    for (uint32_t i = set->lead[group]; i < set->lead[group + 1]; i++) {
        const uint32_t branch = set->leads[i];
        uint32_t k = set->need[branch];
        while (k < set->need[branch + 1] && scratch->seen[set->needs[k] / 64] >> (set->needs[k] % 64) & 1) k++;
        if (k == set->need[branch + 1] && sophia_literals_found(set, scratch, set->rule_of[branch])) return 1;
    }
    return 0;
}

/* Takes note of the literals that end in `row`; 1 when nothing more can be learned from the text. A branch is looked at
 * when its first group comes up, which is rare, and once more at the end of the text (sophia_literals_settle). */
static __attribute__((noinline)) int sophia_literals_note(const sophia_literals *set,
                                                          sophia_literals_scratch *scratch, uint32_t row)
{
    if (!scratch->open) {
        scratch->open = 1;
        memset(scratch->seen, 0, ((set->groups + 63) / 64) * sizeof *scratch->seen);
    }
    for (uint32_t state = row / set->columns; state != 0; state = set->shorter[state]) {
        for (uint32_t i = set->emit[state]; i < set->emit[state + 1]; i++) {
            const uint32_t group = set->items[i];
            if (group == SOPHIA_LITERALS_EVERY) return sophia_literals_all(set, scratch);
            const uint64_t group_bit = 1ull << (group % 64);
            if (scratch->seen[group / 64] & group_bit) continue;
            scratch->seen[group / 64] |= group_bit;
            if (set->lead[group] < set->lead[group + 1] && sophia_literals_led(set, scratch, group)) return 1;
        }
    }
    return 0;
}

/* At the end of a text that was read to its end. */
static void sophia_literals_settle(const sophia_literals *set, sophia_literals_scratch *scratch)
{
    for (uint32_t word = 0; scratch->open && word < (set->groups + 63) / 64; word++)
        for (uint64_t left = scratch->seen[word] & set->leading[word]; left != 0; left &= left - 1)
            if (sophia_literals_led(set, scratch, 64 * word + (uint32_t)__builtin_ctzll(left))) return;
}

/* One cursor from `row` over [at, end); 1 when the scan is over. */
static inline int sophia_literals_walk(const sophia_literals *set, sophia_literals_scratch *scratch,
                                       uint32_t row, const unsigned char *at, const unsigned char *end)
{
    const uint32_t *const next = set->next;
    const uint8_t *const column_of = set->column_of;
    const uint32_t first_report = set->first_report;
    for (; at < end; at++) {
        row = next[row + column_of[*at]];
        if (__builtin_expect(row >= first_report, 0) && sophia_literals_note(set, scratch, row)) return 1;
    }
    return 0;
}

/* Four cursors, each over its quarter and on over the bytes that a literal begun there may still need. */
static int sophia_literals_walk_long(const sophia_literals *set, sophia_literals_scratch *scratch,
                                     const unsigned char *text, size_t size)
{
    const uint32_t *const next = set->next;
    const uint8_t *const column_of = set->column_of;
    const uint32_t first_report = set->first_report;
    const size_t quarter = size / SOPHIA_LITERALS_LANES, over = set->longest ? set->longest - 1 : 0;
    const unsigned char *const b = text + quarter, *const c = b + quarter, *const d = c + quarter;
    uint32_t rows[SOPHIA_LITERALS_LANES] = {0, 0, 0, 0};
    uint32_t ra = 0, rb = 0, rc = 0, rd = 0;
    for (size_t i = 0; i < quarter; i++) {
        ra = next[ra + column_of[text[i]]];
        rb = next[rb + column_of[b[i]]];
        rc = next[rc + column_of[c[i]]];
        rd = next[rd + column_of[d[i]]];
        const uint32_t ab = ra > rb ? ra : rb, cd = rc > rd ? rc : rd;
        if (__builtin_expect((ab > cd ? ab : cd) >= first_report, 0)) {
            if (ra >= first_report && sophia_literals_note(set, scratch, ra)) return 1;
            if (rb >= first_report && sophia_literals_note(set, scratch, rb)) return 1;
            if (rc >= first_report && sophia_literals_note(set, scratch, rc)) return 1;
            if (rd >= first_report && sophia_literals_note(set, scratch, rd)) return 1;
        }
    }
    rows[0] = ra, rows[1] = rb, rows[2] = rc, rows[3] = rd;
    for (unsigned lane = 0; lane < SOPHIA_LITERALS_LANES; lane++) {
        const unsigned char *from = text + (lane + 1) * quarter;
        const unsigned char *to = lane + 1 < SOPHIA_LITERALS_LANES ? from + over : text + size;
        if (sophia_literals_walk(set, scratch, rows[lane], from, to)) return 1;
    }
    return 0;
}

/* Number of candidate rules of a text. With `bits` ([words] words, overwritten) all are found and marked;
 * with NULL the scan ends at the first, and the answer is 0 or not 0. */
static uint32_t sophia_literals_scan(const sophia_literals *set, const unsigned char *text, size_t size,
                                     uint64_t *bits)
{
    sophia_literals_scratch scratch;
    scratch.bits = bits;
    scratch.found = set->always_count;
    scratch.open = 0;
    if (bits) memcpy(bits, set->always, set->words * sizeof *bits);
    if (scratch.found == set->rules || (!bits && scratch.found)) return scratch.found;
    if (size == 0) return scratch.found;
    const int done = size >= SOPHIA_LITERALS_LONG && size / SOPHIA_LITERALS_LANES >= set->longest
                         ? sophia_literals_walk_long(set, &scratch, text, size)
                         : sophia_literals_walk(set, &scratch, 0, text, text + size);
    if (!done) sophia_literals_settle(set, &scratch);
    return scratch.found;
}

/* One of several texts that are read abreast. */
typedef struct {
    const unsigned char *at, *end;
    uint32_t row;
    size_t number;
    sophia_literals_scratch scratch;
} sophia_literals_lane;

/* Puts the next short text from number *taken on into the lane; longer ones before it are answered at once. 0: there is
 * none. */
static int sophia_literals_fetch(const sophia_literals *set, const unsigned char *const *texts, const size_t *sizes,
                                 size_t count, size_t *taken, sophia_literals_lane *lane, unsigned char *hits)
{
    while (*taken < count) {
        const size_t i = (*taken)++;
        if (set->always_count || sizes[i] == 0 || sizes[i] >= SOPHIA_LITERALS_LONG) {
            hits[i] = sophia_literals_scan(set, texts[i], sizes[i], NULL) != 0;
            continue;
        }
        lane->at = texts[i];
        lane->end = texts[i] + sizes[i];
        lane->row = 0;
        lane->number = i;
        lane->scratch.bits = NULL;
        lane->scratch.found = 0;
        lane->scratch.open = 0;
        return 1;
    }
    return 0;
}

/* All cursors go on together, `steps` bytes or to the first report. */
static inline void sophia_literals_abreast(const sophia_literals *set, sophia_literals_lane *lanes, size_t steps)
{
    const uint32_t *const next = set->next;
    const uint8_t *const column_of = set->column_of;
    const uint32_t first_report = set->first_report;
    const unsigned char *const a = lanes[0].at, *const b = lanes[1].at, *const c = lanes[2].at, *const d = lanes[3].at;
    uint32_t ra = lanes[0].row, rb = lanes[1].row, rc = lanes[2].row, rd = lanes[3].row;
    size_t i = 0;
    while (i < steps) {
        ra = next[ra + column_of[a[i]]];
        rb = next[rb + column_of[b[i]]];
        rc = next[rc + column_of[c[i]]];
        rd = next[rd + column_of[d[i]]];
        i++;
        const uint32_t ab = ra > rb ? ra : rb, cd = rc > rd ? rc : rd;
        if (__builtin_expect((ab > cd ? ab : cd) >= first_report, 0)) break;
    }
    lanes[0].row = ra, lanes[1].row = rb, lanes[2].row = rc, lanes[3].row = rd;
    for (unsigned lane = 0; lane < SOPHIA_LITERALS_LANES; lane++) lanes[lane].at += i;
}

/* hits[i]: whether text i has a candidate. A cursor waits for each of its loads, so short texts are read abreast. */
static void sophia_literals_scan_many(const sophia_literals *set, const unsigned char *const *texts,
                                      const size_t *sizes, size_t count, unsigned char *hits)
{
    sophia_literals_lane lanes[SOPHIA_LITERALS_LANES];
    size_t taken = 0;
    unsigned open = 0;
    while (open < SOPHIA_LITERALS_LANES &&
           sophia_literals_fetch(set, texts, sizes, count, &taken, &lanes[open], hits)) open++;
    while (open == SOPHIA_LITERALS_LANES) {
        size_t steps = SIZE_MAX;
        for (unsigned i = 0; i < SOPHIA_LITERALS_LANES; i++) {
            const size_t left = (size_t)(lanes[i].end - lanes[i].at);
            steps = left < steps ? left : steps;
        }
        sophia_literals_abreast(set, lanes, steps);
        for (unsigned i = 0; i < open; i++) {
            sophia_literals_lane *const lane = &lanes[i];
            const int over = lane->row >= set->first_report && sophia_literals_note(set, &lane->scratch, lane->row);
            if (!over && lane->at < lane->end) continue;
            if (!over) sophia_literals_settle(set, &lane->scratch);
            hits[lane->number] = lane->scratch.found != 0;
            if (sophia_literals_fetch(set, texts, sizes, count, &taken, lane, hits)) continue;
            if (i < --open) *lane = lanes[open], i--; /* which is looked at next */
        }
    }
    for (unsigned i = 0; i < open; i++) {
        sophia_literals_lane *const lane = &lanes[i];
        if (!sophia_literals_walk(set, &lane->scratch, lane->row, lane->at, lane->end))
            sophia_literals_settle(set, &lane->scratch);
        hits[lane->number] = lane->scratch.found != 0;
    }
}

#endif
