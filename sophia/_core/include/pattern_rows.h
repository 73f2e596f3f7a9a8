/* A table of templates as rows, and built again from them, for stores and files.
 *
 * A row has an id, three counts, a reference, a text and a state. There are three kinds: id > 0 is a pattern or an
 * alias, id < 0 a node (minus its birth), id 0 the table itself. A row with an empty state says that what had this
 * id is gone. A later row replaces an earlier one with the same id; the rows that are left make the table again.
 *
 * To build: sophia_put_pattern() for every surviving id, sophia_put_alias() for the others, sophia_put_node() for
 * all nodes by birth, sophia_put_face(), sophia_put_done() once. What can be computed from the rows (hashes,
 * generalisations, keys, shapes) is, so that no row can make a table that disagrees with itself.
 */
#ifndef SOPHIA_PATTERN_ROWS_H
#define SOPHIA_PATTERN_ROWS_H

#include "pattern.h"

/* All rows, or those that changed since the last list of changes (which this then is). */
static inline int sophia_write_rows(sophia_table *t, int everything, sophia_row_buffer *out)
{
    int changed = everything;
    if (!everything && (sophia_u64_reserve(&t->gone_nodes, t->nodes.used) ||
                        sophia_u64_reserve(&t->gone_ids, t->ids.used)))
        return SOPHIA_PATTERN_NO_MEMORY;
    const size_t gone_nodes = everything ? 0 : t->gone_nodes.used, gone_ids = everything ? 0 : t->gone_ids.used;
    for (size_t i = 0; i < gone_ids; i++)
        if (sophia_put_row(out, (int64_t)t->gone_ids.item[i], 0, 0, 0, 0, NULL, 0, NULL, 0))
            return SOPHIA_PATTERN_NO_MEMORY;
    for (size_t i = 0; i < gone_nodes; i++)
        if (sophia_put_row(out, -(int64_t)t->gone_nodes.item[i], 0, 0, 0, 0, NULL, 0, NULL, 0))
            return SOPHIA_PATTERN_NO_MEMORY;
    changed |= gone_ids + gone_nodes > 0;
    for (uint32_t i = 0; i < t->ids.used; i++) {
        const sophia_pattern_id *const r = sophia_id_at(t, i);
        if (!r->used || (!everything && !r->dirty))
            continue;
        const sophia_group *const g = sophia_group_at(t, r->group);
        const uint64_t into = r->alias ? sophia_id_at(t, g->survivor)->id : 0;
        if (sophia_put_row(out, (int64_t)r->id, r->alias ? r->count : g->count, r->alias ? r->first_n : g->first_n,
                           r->alias ? r->last_n : g->last_n, into, sophia_group_text(t, g), g->text_size, &r->count,
                           sizeof r->count))
            return SOPHIA_PATTERN_NO_MEMORY;
        changed = 1;
    }
    for (uint32_t i = 0; i < t->nodes.used; i++) {
        const sophia_node *const x = sophia_node_at(t, i);
        if (!(x->flags & SOPHIA_N_USED) || (!everything && !(x->flags & SOPHIA_N_DIRTY)))
            continue;
        const sophia_group *const g = sophia_group_at(t, x->group);
        unsigned char state[26] = {
            (unsigned char)((x->flags & (SOPHIA_N_USED | SOPHIA_N_LEAF | SOPHIA_N_GENERAL)) | SOPHIA_N_OWNED),
            x->depth};
        memcpy(state + 2, &x->tick, sizeof x->tick);
        memcpy(state + 10, &x->rare, sizeof x->rare);
        memcpy(state + 18, &x->owner, sizeof x->owner);
        if (sophia_put_row(out, -(int64_t)x->born, x->count, 0, x->last_n, sophia_id_at(t, g->survivor)->id, x->text,
                           x->size, state, sizeof state))
            return SOPHIA_PATTERN_NO_MEMORY;
        changed = 1;
    }
    if (changed) {
        const uint64_t state[8] = {t->seed,       t->next_id,   t->tick,    t->inserted,
                                   t->next_sweep, t->next_born, t->evicted, t->shapes_fresh};
        if (sophia_put_row(out, 0, t->tick, 0, 0, 0, NULL, 0, state, sizeof state))
            return SOPHIA_PATTERN_NO_MEMORY;
    }
    if (everything)
        return SOPHIA_PATTERN_OK;
    for (uint32_t i = 0; i < t->ids.used; i++)
        if (sophia_id_at(t, i)->used && sophia_id_at(t, i)->dirty) {
            sophia_id_at(t, i)->dirty = 0;
            sophia_id_at(t, i)->stored = 1;
        }
    for (uint32_t i = 0; i < t->nodes.used; i++)
        if (sophia_node_at(t, i)->flags & SOPHIA_N_DIRTY)
            sophia_node_at(t, i)->flags =
                (uint8_t)((sophia_node_at(t, i)->flags & ~SOPHIA_N_DIRTY) | SOPHIA_N_STORED);
    t->gone_nodes.used = t->gone_ids.used = 0;
    return SOPHIA_PATTERN_OK;
}

/* A group with its surviving id, still without nodes. */
static inline int sophia_put_pattern(sophia_table *t, uint64_t id, uint64_t count, uint64_t own_count,
                                     uint64_t first_n, uint64_t last_n)
{
    if (id == 0 || sophia_find_id(t, id) != SOPHIA_NONE)
        return SOPHIA_PATTERN_BAD_ROW;
    if (sophia_reserve(t))
        return SOPHIA_PATTERN_NO_MEMORY;
    const uint32_t group = sophia_records_take(&t->groups), record = sophia_records_take(&t->ids);
    sophia_group *const g = sophia_group_at(t, group);
    sophia_pattern_id *const r = sophia_id_at(t, record);
    g->used = r->used = 1;
    g->face = g->nodes = g->ids = SOPHIA_NONE;
    g->survivor = record;
    g->count = count;
    g->first_n = r->first_n = first_n;
    g->last_n = r->last_n = last_n;
    r->id = id;
    r->count = own_count;
    r->stored = 1;
    r->later = r->earlier = SOPHIA_NONE;
    sophia_multimap_insert(&t->id_map, sophia_id_key(id), record, 0);
    sophia_group_add_id(t, group, record);
    t->patterns++;
    return SOPHIA_PATTERN_OK;
}

static inline int sophia_put_alias(sophia_table *t, uint64_t id, uint64_t count, uint64_t first_n, uint64_t last_n,
                                   uint64_t into)
{
    const uint32_t survivor = sophia_find_id(t, into);
    if (id <= into || survivor == SOPHIA_NONE || sophia_find_id(t, id) != SOPHIA_NONE)
        return SOPHIA_PATTERN_BAD_ROW;
    if (sophia_reserve(t))
        return SOPHIA_PATTERN_NO_MEMORY;
    const uint32_t record = sophia_records_take(&t->ids), group = sophia_id_at(t, survivor)->group;
    sophia_pattern_id *const r = sophia_id_at(t, record);
    r->used = r->stored = 1;
    r->id = id;
    r->count = count;
    r->first_n = first_n;
    r->last_n = last_n;
    sophia_multimap_insert(&t->id_map, sophia_id_key(id), record, 0);
    sophia_group_add_id(t, group, record);
    sophia_make_alias(t, record);
    return SOPHIA_PATTERN_OK;
}

static inline int sophia_put_node(sophia_table *t, const unsigned char *text, size_t size, uint64_t pattern,
                                  int leaf, int general, uint32_t depth, uint64_t count, uint64_t last_n,
                                  uint64_t tick, uint64_t rare, uint64_t born, uint64_t owner)
{
    const uint32_t record = sophia_find_id(t, pattern);
    if (record == SOPHIA_NONE || size > SOPHIA_MASK_ROOM || depth > 250 || (!leaf && !general) ||
        born < t->next_born || tick > t->tick)
        return SOPHIA_PATTERN_BAD_ROW;
    for (size_t i = 0; i < size; i++)
        if (text[i] < 0x20 || (text[i] == 0x20 && (i == 0 || i + 1 == size || text[i - 1] == 0x20)))
            return SOPHIA_PATTERN_BAD_ROW;
    const uint64_t hash = sophia_hash_bytes(text, size, t->seed).low;
    if (sophia_find_text(t, hash, text, size) != SOPHIA_NONE)
        return SOPHIA_PATTERN_BAD_ROW;
    sophia_read_template(&t->other, text, size, t->seed);
    for (uint32_t i = 0; i < 64 && rare >> i; i++)
        if ((rare >> i & 1) && (i >= t->other.count || !(t->other.token[i].flags & SOPHIA_T_WORD)))
            return SOPHIA_PATTERN_BAD_ROW;
    if (sophia_reserve(t) || sophia_multimap_reserve(&t->word_map, t->other.count))
        return SOPHIA_PATTERN_NO_MEMORY;
    const uint32_t node = sophia_new_node(t, &t->other, hash);
    if (node == SOPHIA_NONE)
        return SOPHIA_PATTERN_NO_MEMORY;
    sophia_node *const x = sophia_node_at(t, node);
    x->flags = (uint8_t)(SOPHIA_N_USED | SOPHIA_N_STORED | (leaf ? SOPHIA_N_LEAF : 0) | (general ? SOPHIA_N_GENERAL : 0));
    x->depth = (uint8_t)depth;
    x->count = count;
    x->last_n = last_n;
    x->tick = tick;
    x->born = born;
    x->rare = rare;
    x->owner = owner;
    t->next_born = born + 1;
    t->leaves += leaf != 0;
    t->generals += general != 0;
    sophia_group_add_node(t, sophia_id_at(t, record)->group, node);
    sophia_enter_key(t, node);
    if (leaf)
        sophia_count_words(t, &t->other, 1);
    if (general)
        sophia_add_shape(t, node);
    return SOPHIA_PATTERN_OK;
}

/* The template of a pattern whose own node is gone; ignored where a node shows the pattern as well. */
static inline int sophia_put_face(sophia_table *t, uint64_t id, const unsigned char *text, size_t size)
{
    const uint32_t record = sophia_find_id(t, id);
    if (record == SOPHIA_NONE || size > SOPHIA_MASK_ROOM)
        return SOPHIA_PATTERN_BAD_ROW;
    sophia_group *const g = sophia_group_at(t, sophia_id_at(t, record)->group);
    sophia_read_template(&t->other, text, size, t->seed);
    if (g->face == SOPHIA_NONE || !sophia_shows_better(t->other.words, t->other.count, text, t->other.size, g->words,
                                                       g->tokens, sophia_group_text(t, g), g->text_size))
        return SOPHIA_PATTERN_OK;
    unsigned char *const copy = malloc(size ? size : 1);
    if (!copy)
        return SOPHIA_PATTERN_NO_MEMORY;
    memcpy(copy, text, size);
    t->text_bytes += size;
    g->text = copy;
    g->face = SOPHIA_NONE;
    g->words = t->other.words;
    g->tokens = t->other.count;
    g->text_size = (uint32_t)size;
    return SOPHIA_PATTERN_OK;
}

static int sophia_by_tick(const void *a, const void *b)
{
    const uint64_t x = ((const uint64_t *)a)[0], y = ((const uint64_t *)b)[0];
    return x < y ? -1 : x > y;
}

/* Orders the leaves by use, enters all generalisations, and evicts what is over the capacity. A pattern without
 * a leaf is refused. */
static inline int sophia_put_done(sophia_table *t)
{
    uint64_t *const order = malloc(((size_t)t->leaves + 1) * 2 * sizeof *order);
    size_t leaves = 0;
    if (!order)
        return SOPHIA_PATTERN_NO_MEMORY;
    if (sophia_u64_reserve(&t->gone_nodes, t->nodes.used) || sophia_u64_reserve(&t->gone_ids, t->ids.used)) {
        free(order);
        return SOPHIA_PATTERN_NO_MEMORY;
    }
    for (uint32_t i = 0; i < t->nodes.used; i++)
        if (sophia_node_at(t, i)->flags & SOPHIA_N_LEAF) {
            order[2 * leaves] = sophia_node_at(t, i)->tick;
            order[2 * leaves++ + 1] = i;
        }
    qsort(order, leaves, 2 * sizeof *order, sophia_by_tick);
    for (size_t i = 0; i < leaves; i++)
        sophia_link_newest(t, (uint32_t)order[2 * i + 1]);
    free(order);
    for (uint32_t i = 0; i < t->groups.used; i++)
        if (sophia_group_at(t, i)->used && sophia_group_at(t, i)->leaves == 0)
            return SOPHIA_PATTERN_BAD_ROW;
    for (uint32_t i = 0; i < t->nodes.used; i++) {
        const sophia_node *const x = sophia_node_at(t, i);
        if (sophia_multimap_reserve(&t->form_map, SOPHIA_TEMPLATE_WAYS + SOPHIA_WAYS_MORE))
            return SOPHIA_PATTERN_NO_MEMORY;
        sophia_read_template(&t->other, x->text, x->size, t->seed);
        sophia_find_ways(&t->other, x->rare);
        for (uint32_t k = 0; k < t->other.ways; k++) {
            const uint32_t target = sophia_find_form(t, t->other.way[k].hash);
            if (target == SOPHIA_NONE || !(sophia_node_at(t, target)->flags & SOPHIA_N_GENERAL))
                sophia_enter_way(t, &t->other.way[k], i);
        }
    }
    while (t->leaves > t->capacity)
        sophia_evict_oldest(t);
    return SOPHIA_PATTERN_OK;
}

#endif
