/* An online table of templates: which lines are one message with different values?
 *
 * A *node* is a template: a *leaf* is a masked line as it was seen, a *general* one was found by evidence (enough
 * leaves that differ in one place only, see template.h). A *group* is the set of nodes that are one pattern; it
 * has one or more *ids*, of which the smallest is the survivor and the others are aliases. Groups merge when
 *
 *   - a generalisation of a node is a node itself (its place was a slot in another line),
 *   - as many nodes as it needs share a generalisation, which then becomes a general node,
 *   - two nodes have the same three or more constant words (templates with slots of variable length),
 *   - a new leaf fits a general node in several places at once: in all places of that node's shape, or with all
 *     words that no leaf had before.
 *
 * Groups never split. Without the last rule, nothing but the set of the lines seen would decide what they are; it
 * is held against older leaves as well in sweeps, after each growth by half. Every id is handed out once.
 *
 * Bounds: at most `capacity` leaves, as many general nodes and twice as many aliases. The least recently seen leaf
 * goes when a new one needs its room, its group goes with its last leaf, the oldest alias goes first. Work for a
 * masked line seen before: one hash and one look-up. For a new one: O(tokens + ways), plus amortised the general
 * nodes it brings up. Ownership: the table owns all of its memory until sophia_table_free(); node texts are one
 * allocation each; pointers into the pools are dead after any call that may add. Not thread-safe.
 */
#ifndef SOPHIA_PATTERN_H
#define SOPHIA_PATTERN_H

#include "pattern_learn.h"

/* Whose a line is, as a leaf keeps it: a number of the name of its scope. Neither of the two that mean no one. */
static inline uint64_t sophia_owner_of(const unsigned char *scope, size_t size)
{
    const uint64_t owner = sophia_hash_bytes(scope, size, SOPHIA_MIX_C).low;
    return owner == SOPHIA_OWNER_UNKNOWN || owner == SOPHIA_OWNER_SEVERAL ? 1 : owner;
}

/* Reads a line into t->masked. */
static inline void sophia_take_line(sophia_table *t, const unsigned char *text, size_t size)
{
    if (t->unmasked)
        sophia_unmasked_line(text, size, &t->masked);
    else
        sophia_mask_line(text, size, &t->masked);
}

/* A masked line that is known comes again. */
static inline int sophia_see_leaf(sophia_table *t, uint32_t node, uint64_t n, uint64_t owner,
                                  sophia_pattern_seen *seen)
{
    sophia_node *const x = sophia_node_at(t, node);
    if (x->owner != owner)
        x->owner = SOPHIA_OWNER_SEVERAL; /* unknown ones may be another's as well */
    t->tick++;
    if (t->newest != node) {
        sophia_unlink_use(t, node);
        sophia_link_newest(t, node);
    }
    seen->closeness = 1.0;
    seen->fresh = 0;
    sophia_count_line(t, node, n, seen);
    return SOPHIA_PATTERN_OK;
}

/* The same as observing a text whose masked form an earlier sighting had at (leaf, hash), without masking it again;
 * SOPHIA_PATTERN_UNKNOWN, and nothing learned, where that place holds another one by now. */
static inline int sophia_table_observe_leaf(sophia_table *t, uint32_t leaf, uint64_t hash, uint64_t n,
                                            uint64_t owner, sophia_pattern_seen *seen)
{
    if (leaf >= t->nodes.used)
        return SOPHIA_PATTERN_UNKNOWN;
    const sophia_node *const x = sophia_node_at(t, leaf);
    if (!(x->flags & SOPHIA_N_USED) || !(x->flags & SOPHIA_N_LEAF) || x->hash != hash)
        return SOPHIA_PATTERN_UNKNOWN;
    return sophia_see_leaf(t, leaf, n, owner, seen);
}

static inline int sophia_table_observe(sophia_table *t, const unsigned char *text, size_t size, uint64_t n,
                                       uint64_t owner, sophia_pattern_seen *seen)
{
    sophia_take_line(t, text, size);
    const uint64_t hash = sophia_hash_bytes(t->masked.text, t->masked.size, t->seed).low;
    const uint32_t node = sophia_find_text(t, hash, t->masked.text, t->masked.size);
    if (node != SOPHIA_NONE && (sophia_node_at(t, node)->flags & SOPHIA_N_LEAF))
        return sophia_see_leaf(t, node, n, owner, seen);
    t->tick++;
    return sophia_learn(t, hash, node, n, owner, seen);
}

typedef struct {
    uint32_t group[64];
    uint32_t used, kept;
} sophia_candidates;

static inline void sophia_add_candidate(const sophia_table *t, sophia_candidates *c, uint32_t node, uint32_t kept)
{
    const uint32_t group = sophia_node_at(t, node)->group;
    c->kept = kept > c->kept ? kept : c->kept;
    for (uint32_t i = 0; i < c->used; i++)
        if (c->group[i] == group)
            return;
    if (c->used < 64)
        c->group[c->used++] = group;
}

/* What observe would answer. The one difference: where this line would be the last piece of evidence for a new
 * general node, patterns that this node would then pull in are not counted. A line that observe would make a new
 * pattern of has id 0 and `fresh`. */
static inline int sophia_table_match(sophia_table *t, const unsigned char *text, size_t size,
                                     sophia_pattern_seen *seen)
{
    sophia_template *const line = &t->line;
    sophia_candidates c = {{0}, 0, 0};
    size_t at = 0;
    sophia_take_line(t, text, size);
    seen->leaf_hash = sophia_hash_bytes(t->masked.text, t->masked.size, t->seed).low;
    seen->leaf_count = seen->count = 0;
    seen->fresh = 0;
    const uint32_t node = sophia_find_text(t, seen->leaf_hash, t->masked.text, t->masked.size);
    sophia_read_template(line, t->masked.text, t->masked.size, t->seed);
    if (node != SOPHIA_NONE) {
        const sophia_node *const x = sophia_node_at(t, node);
        const sophia_group *const g = sophia_group_at(t, x->group);
        seen->id = sophia_id_at(t, g->survivor)->id;
        seen->count = g->count;
        seen->leaf_count = x->count;
        seen->closeness = (x->flags & SOPHIA_N_LEAF) ? 1.0 : (double)x->words / (double)(x->words + 1);
        return SOPHIA_PATTERN_OK;
    }
    const uint64_t unknown = sophia_unknown_words(t, line);
    const uint32_t fit = sophia_find_rare_fit(t, line, unknown);
    if (fit != SOPHIA_NONE)
        sophia_add_candidate(t, &c, fit, sophia_node_at(t, fit)->words);
    sophia_find_ways(line, sophia_isolated(line, unknown));
    if (line->words >= 2) {
        const sophia_entry *e = sophia_find_sharer(t, line->hash, 0, &at);
        for (; e; e = sophia_find_sharer(t, line->hash, at + 1, &at))
            sophia_add_candidate(t, &c, e->value, line->words);
    }
    if (line->words >= 3) {
        const uint32_t head = sophia_multimap_get(&t->key_map, sophia_template_key(line));
        if (head != SOPHIA_NONE)
            sophia_add_candidate(t, &c, head, line->words);
    }
    for (uint32_t i = 0; i < line->ways; i++) {
        const sophia_way *const way = &line->way[i];
        const uint32_t target = sophia_find_form(t, way->hash);
        if (target != SOPHIA_NONE && sophia_takes_in(sophia_node_at(t, target), way))
            sophia_add_candidate(t, &c, target, way->constants);
        uint32_t need = way->need;
        if (sophia_count_sharers(t, way->hash, SOPHIA_NONE, &need) + 1 < need)
            continue;
        const sophia_entry *e = sophia_find_sharer(t, way->hash, 0, &at);
        for (; e; e = sophia_find_sharer(t, way->hash, at + 1, &at))
            sophia_add_candidate(t, &c, e->value, way->constants);
    }
    if (line->count > 0 && line->count <= 64)
        for (uint32_t i = 0; i < t->shape_count[line->count]; i++) {
            const uint64_t hash = sophia_shaped_hash(line, t->shapes[line->count][i].shape);
            const uint32_t target = hash ? sophia_find_form(t, hash) : SOPHIA_NONE;
            if (target != SOPHIA_NONE && (sophia_node_at(t, target)->flags & SOPHIA_N_GENERAL))
                sophia_add_candidate(t, &c, target, sophia_node_at(t, target)->words);
        }
    seen->fresh = c.used == 0;
    seen->id = c.used ? UINT64_MAX : 0;
    seen->closeness = c.used ? (double)c.kept / (double)(line->words + 1) : 0.0;
    for (uint32_t i = 0; i < c.used; i++) {
        const sophia_group *const g = sophia_group_at(t, c.group[i]);
        const uint64_t id = sophia_id_at(t, g->survivor)->id;
        seen->id = id < seen->id ? id : seen->id;
        seen->count += g->count;
    }
    return SOPHIA_PATTERN_OK;
}

static inline uint32_t sophia_find_id(const sophia_table *t, uint64_t id)
{
    size_t at = 0;
    const uint64_t key = sophia_id_key(id);
    const sophia_entry *e = sophia_multimap_find(&t->id_map, key, 0, &at);
    for (; e; e = sophia_multimap_find(&t->id_map, key, at + 1, &at))
        if (sophia_id_at(t, e->value)->id == id)
            return e->value;
    return SOPHIA_NONE;
}

static inline int sophia_table_forget_sighting(sophia_table *t, uint64_t id, uint64_t leaf_hash)
{
    const uint32_t record = sophia_find_id(t, id);
    if (record == SOPHIA_NONE)
        return SOPHIA_PATTERN_UNKNOWN;
    sophia_pattern_id *const r = sophia_id_at(t, record);
    sophia_group *const g = sophia_group_at(t, r->group);
    r->count -= r->count > 0;
    g->count -= g->count > 0;
    r->dirty = sophia_id_at(t, g->survivor)->dirty = 1;
    size_t at = 0;
    const sophia_entry *e = sophia_multimap_find(&t->leaf_map, leaf_hash, 0, &at);
    for (; e; e = sophia_multimap_find(&t->leaf_map, leaf_hash, at + 1, &at)) {
        sophia_node *const x = sophia_node_at(t, e->value);
        if (x->group != r->group)
            continue;
        x->count -= x->count > 0;
        x->flags |= SOPHIA_N_DIRTY;
        break;
    }
    return SOPHIA_PATTERN_OK;
}

#endif
