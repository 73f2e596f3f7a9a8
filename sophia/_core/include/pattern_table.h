/* The memory of a table of templates: pools of nodes, groups and ids, and how groups merge. See pattern.h. */
#ifndef SOPHIA_PATTERN_TABLE_H
#define SOPHIA_PATTERN_TABLE_H

#include <stdlib.h>

#include "hash.h"
#include "mask.h"
#include "multimap.h"
#include "pages.h"
#include "row_buffer.h"
#include "template.h"

#define SOPHIA_PATTERN_OK 0
#define SOPHIA_PATTERN_NO_MEMORY 1
#define SOPHIA_PATTERN_UNKNOWN 2
#define SOPHIA_PATTERN_BAD_ROW 3

#define SOPHIA_PATTERN_SHAPES 16      /* for each number of tokens */
#define SOPHIA_PATTERN_SHARERS 16     /* entries kept of one generalisation */
#define SOPHIA_PATTERN_SWEEP 64       /* new leaves before the first sweep, and at least between two */

typedef struct {
    uint64_t id, leaf_hash, count, leaf_count;
    double closeness;
    int fresh;
    uint32_t leaf; /* where the masked line is held now: a hint for sophia_table_observe_leaf() */
} sophia_pattern_seen;

enum { SOPHIA_N_USED = 1, SOPHIA_N_LEAF = 2, SOPHIA_N_GENERAL = 4, SOPHIA_N_DIRTY = 8,
       SOPHIA_N_SHAPED = 16, SOPHIA_N_STORED = 32, /* its row has been handed out by a list of changes */
       SOPHIA_N_OWNED = 64 /* in rows only: they have the owner */ };

#define SOPHIA_OWNER_UNKNOWN 0 /* nobody said, or a row from before owners were kept */
#define SOPHIA_OWNER_SEVERAL UINT64_MAX

typedef struct {
    uint64_t hash;  /* of the text: the leaf hash */
    uint64_t poly;  /* of the tokens, as generalisations are hashed */
    uint64_t key;   /* constant words; 0: fewer than three */
    uint64_t shape; /* of a general node with SOPHIA_N_SHAPED */
    uint64_t rare;  /* tokens that no leaf held when the node was made, see sophia_isolated() */
    uint64_t count, last_n, tick, born;
    uint64_t owner; /* of a leaf: whose lines it stands for, see sophia_owner_of() */
    unsigned char *text;
    uint32_t size, words, tokens;
    uint32_t group, next, previous; /* the nodes of a group, a ring */
    uint32_t newer, older;          /* leaves by last use */
    uint32_t key_next, key_previous; /* the nodes of one key, a ring */
    uint8_t flags, depth;
} sophia_node;

typedef struct {
    uint64_t count, first_n, last_n;
    unsigned char *text; /* the template, where its node is gone; else NULL */
    uint32_t face;       /* the node that shows the template, or SOPHIA_NONE */
    uint32_t text_size, words, tokens;
    uint32_t survivor, ids, nodes; /* an id record; the rings */
    uint32_t leaves, members;
    uint8_t used;
} sophia_group;

typedef struct {
    uint64_t id, count, first_n, last_n;
    uint32_t group, next, previous; /* the ids of a group, a ring */
    uint32_t later, earlier;        /* aliases in the order they became one */
    uint8_t used, dirty, alias, stored;
} sophia_pattern_id;

/* A pool of equal records behind 32-bit indices; freed ones are used again first. */
typedef struct {
    unsigned char *items;
    size_t stride;
    uint32_t room, used, free;
} sophia_records;

typedef struct {
    uint64_t shape;
    uint32_t users;
} sophia_shape;

typedef struct {
    uint64_t *item;
    size_t used, room;
} sophia_u64_list;

typedef struct {
    uint64_t seed, next_id, tick, inserted, next_sweep, next_born, evicted;
    uint32_t capacity, leaves, generals, aliases, patterns;
    uint32_t newest, oldest, first_alias, last_alias;
    uint8_t shapes_fresh, unmasked; /* unmasked: lines are taken as they stand, without the built-in masks */
    sophia_records nodes, groups, ids;
    sophia_multimap leaf_map, key_map, id_map;
    sophia_multimap form_map; /* what a template may look like, see sophia_find_form() */
    sophia_multimap word_map; /* constant words: how often they occur in leaves */
    sophia_shape shapes[65][SOPHIA_PATTERN_SHAPES];
    uint8_t shape_count[65];
    /* What left the table since its row was handed out: births of nodes, ids. A list of changes makes room for
     * all rows that it hands out, so noting them never fails and never outgrows the table. */
    sophia_u64_list gone_nodes, gone_ids;
    sophia_row_buffer departed; /* rows of ids that had to go, up to `departed_bound` bytes (0: none are kept) */
    size_t departed_bound;
    uint64_t *losers; /* ids that became another's since whoever asks last emptied this, in order */
    size_t losers_count, losers_room;
    int noting; /* somebody asks */
    uint32_t *work; /* general nodes still to be connected */
    size_t work_used, work_room, text_bytes;
    sophia_masked masked;
    sophia_template line, other;
} sophia_table;

static inline sophia_node *sophia_node_at(const sophia_table *t, uint32_t i)
{
    return (sophia_node *)(void *)(t->nodes.items + (size_t)i * sizeof(sophia_node));
}

static inline sophia_group *sophia_group_at(const sophia_table *t, uint32_t i)
{
    return (sophia_group *)(void *)(t->groups.items + (size_t)i * sizeof(sophia_group));
}

static inline sophia_pattern_id *sophia_id_at(const sophia_table *t, uint32_t i)
{
    return (sophia_pattern_id *)(void *)(t->ids.items + (size_t)i * sizeof(sophia_pattern_id));
}

static inline void sophia_records_free(sophia_records *pool)
{
    sophia_pages_give(pool->items, (size_t)pool->room * pool->stride);
}

/* The key of an id in the map of ids: four in a row are one line of memory, as ids are handed out in order. */
static inline uint64_t sophia_id_key(uint64_t id) { return sophia_mix64(id >> 2) << 2 | (id & 3); }

/* Makes sure that one sophia_records_take() succeeds. */
static inline int sophia_records_reserve(sophia_records *pool)
{
    if (pool->free != SOPHIA_NONE || pool->used < pool->room)
        return 0;
    uint32_t room = pool->room ? pool->room * 2 : 64;
    const size_t bytes = (size_t)room * pool->stride;
    if (bytes >= SOPHIA_PAGES_LEAST && bytes < SOPHIA_PAGES_SIZE) /* it takes a whole huge page in any case */
        room = (uint32_t)(SOPHIA_PAGES_SIZE / pool->stride);
    if (room < pool->room || room > SIZE_MAX / pool->stride)
        return -1;
    unsigned char *const items =
        sophia_pages_grow(pool->items, (size_t)pool->room * pool->stride, (size_t)room * pool->stride);
    if (!items)
        return -1;
    pool->items = items;
    pool->room = room;
    return 0;
}

static inline uint32_t sophia_records_take(sophia_records *pool)
{
    uint32_t i = pool->free;
    if (i != SOPHIA_NONE)
        memcpy(&pool->free, pool->items + (size_t)i * pool->stride, sizeof pool->free);
    else
        i = pool->used++;
    memset(pool->items + (size_t)i * pool->stride, 0, pool->stride);
    return i;
}

static inline void sophia_records_give(sophia_records *pool, uint32_t i)
{
    unsigned char *const item = pool->items + (size_t)i * pool->stride;
    memset(item, 0, pool->stride); /* a record in use never looks like this: its `used` is set */
    memcpy(item, &pool->free, sizeof pool->free);
    pool->free = i;
}

/* Room for `more` numbers at the end of the list. */
static inline int sophia_u64_reserve(sophia_u64_list *list, size_t more)
{
    size_t room = list->room ? list->room : 64;
    while (room - list->used < more)
        room *= 2;
    if (room == list->room)
        return 0;
    uint64_t *const grown = realloc(list->item, room * sizeof *grown);
    if (!grown)
        return -1;
    list->item = grown;
    list->room = room;
    return 0;
}

static inline void sophia_table_init(sophia_table *t, uint32_t capacity, uint64_t seed)
{
    memset(t, 0, sizeof *t);
    t->capacity = capacity;
    t->seed = seed;
    t->next_id = t->next_born = 1;
    t->next_sweep = SOPHIA_PATTERN_SWEEP;
    t->newest = t->oldest = t->first_alias = t->last_alias = SOPHIA_NONE;
    t->nodes.stride = sizeof(sophia_node);
    t->groups.stride = sizeof(sophia_group);
    t->ids.stride = sizeof(sophia_pattern_id);
    t->nodes.free = t->groups.free = t->ids.free = SOPHIA_NONE;
}

static inline void sophia_table_free(sophia_table *t)
{
    for (uint32_t i = 0; i < t->nodes.used; i++)
        if (sophia_node_at(t, i)->flags & SOPHIA_N_USED)
            free(sophia_node_at(t, i)->text);
    for (uint32_t i = 0; i < t->groups.used; i++)
        if (sophia_group_at(t, i)->used)
            free(sophia_group_at(t, i)->text);
    free(t->losers);
    sophia_records_free(&t->nodes);
    sophia_records_free(&t->groups);
    sophia_records_free(&t->ids);
    sophia_multimap_free(&t->leaf_map);
    sophia_multimap_free(&t->key_map);
    sophia_multimap_free(&t->form_map);
    sophia_multimap_free(&t->id_map);
    sophia_multimap_free(&t->word_map);
    free(t->gone_nodes.item);
    free(t->gone_ids.item);
    free(t->departed.data);
    free(t->work);
}

static inline size_t sophia_table_bytes(const sophia_table *t)
{
    const size_t entries = t->leaf_map.room + t->key_map.room + t->form_map.room + t->id_map.room + t->word_map.room;
    return sizeof *t + (size_t)t->nodes.room * t->nodes.stride + (size_t)t->groups.room * t->groups.stride +
           (size_t)t->ids.room * t->ids.stride + entries * sizeof(sophia_entry) + t->text_bytes +
           (t->gone_nodes.room + t->gone_ids.room) * 8 + t->work_room * sizeof *t->work;
}

/* Does template a show a pattern better than b: fewer constants, then shorter, then first in byte order? */
static inline int sophia_shows_better(uint32_t words, uint32_t tokens, const unsigned char *text, uint32_t size,
                                      uint32_t words_b, uint32_t tokens_b, const unsigned char *text_b,
                                      uint32_t size_b)
{
    if (words != words_b)
        return words < words_b;
    if (tokens != tokens_b)
        return tokens < tokens_b;
    if (size != size_b)
        return size < size_b;
    return memcmp(text, text_b, size) < 0;
}

static inline const unsigned char *sophia_group_text(const sophia_table *t, const sophia_group *g)
{
    return g->face != SOPHIA_NONE ? sophia_node_at(t, g->face)->text : g->text;
}

static inline void sophia_offer_face(sophia_table *t, sophia_group *g, uint32_t node)
{
    const sophia_node *const x = sophia_node_at(t, node);
    const unsigned char *const text = sophia_group_text(t, g);
    if (text && !sophia_shows_better(x->words, x->tokens, x->text, x->size, g->words, g->tokens, text, g->text_size))
        return;
    if (g->text) {
        t->text_bytes -= g->text_size;
        free(g->text);
        g->text = NULL;
    }
    g->face = node;
    g->words = x->words;
    g->tokens = x->tokens;
    g->text_size = x->size;
    sophia_id_at(t, g->survivor)->dirty = 1;
}

static inline void sophia_group_add_node(sophia_table *t, uint32_t group, uint32_t node)
{
    sophia_group *const g = sophia_group_at(t, group);
    sophia_node *const x = sophia_node_at(t, node);
    x->group = group;
    if (g->nodes == SOPHIA_NONE) {
        g->nodes = x->next = x->previous = node;
    } else {
        sophia_node *const head = sophia_node_at(t, g->nodes);
        x->next = g->nodes;
        x->previous = head->previous;
        sophia_node_at(t, head->previous)->next = node;
        head->previous = node;
    }
    g->leaves += (x->flags & SOPHIA_N_LEAF) != 0;
    g->members++;
    sophia_offer_face(t, g, node);
}

static inline void sophia_group_add_id(sophia_table *t, uint32_t group, uint32_t record)
{
    sophia_group *const g = sophia_group_at(t, group);
    sophia_pattern_id *const r = sophia_id_at(t, record);
    r->group = group;
    if (g->ids == SOPHIA_NONE) {
        g->ids = r->next = r->previous = record;
    } else {
        sophia_pattern_id *const head = sophia_id_at(t, g->ids);
        r->next = g->ids;
        r->previous = head->previous;
        sophia_id_at(t, head->previous)->next = record;
        head->previous = record;
    }
    g->members++;
}

/* Keeps the last word on an id that goes, for whoever asked for it. What does not fit is dropped: it is a record, not
 * a part of the table. */
static inline void sophia_note_departure(sophia_table *t, const sophia_pattern_id *r)
{
    const sophia_group *const g = sophia_group_at(t, r->group);
    if (t->departed.size >= t->departed_bound) return;
    const uint64_t into = r->alias ? sophia_id_at(t, g->survivor)->id : 0;
    const size_t before = t->departed.size;
    if (sophia_put_row(&t->departed, (int64_t)r->id, r->alias ? r->count : g->count, r->alias ? r->first_n : g->first_n,
                       r->alias ? r->last_n : g->last_n, into, sophia_group_text(t, g), g->text_size, NULL, 0))
        t->departed.size = before;
}

static inline void sophia_drop_id(sophia_table *t, uint32_t record)
{
    sophia_pattern_id *const r = sophia_id_at(t, record);
    sophia_group *const g = sophia_group_at(t, r->group);
    if (r->stored)
        t->gone_ids.item[t->gone_ids.used++] = r->id;
    sophia_note_departure(t, r);
    if (r->alias) {
        if (r->earlier != SOPHIA_NONE)
            sophia_id_at(t, r->earlier)->later = r->later;
        else
            t->first_alias = r->later;
        if (r->later != SOPHIA_NONE)
            sophia_id_at(t, r->later)->earlier = r->earlier;
        else
            t->last_alias = r->earlier;
        t->aliases--;
    }
    if (r->next == record) {
        g->ids = SOPHIA_NONE;
    } else {
        sophia_id_at(t, r->previous)->next = r->next;
        sophia_id_at(t, r->next)->previous = r->previous;
        if (g->ids == record)
            g->ids = r->next;
    }
    g->members--;
    sophia_multimap_remove(&t->id_map, sophia_id_key(r->id), record);
    sophia_records_give(&t->ids, record);
}

/* Notes an id that becomes another's. Without memory it is not noted: somebody takes it for one that went silent. */
static inline void sophia_note_loser(sophia_table *t, uint64_t id)
{
    if (t->losers_count == t->losers_room) {
        const size_t room = t->losers_room ? 2 * t->losers_room : 64;
        uint64_t *const moved = (uint64_t *)realloc(t->losers, room * sizeof *moved);
        if (!moved) return;
        t->losers = moved;
        t->losers_room = room;
    }
    t->losers[t->losers_count++] = id;
}

static inline void sophia_make_alias(sophia_table *t, uint32_t record)
{
    sophia_pattern_id *const r = sophia_id_at(t, record);
    r->alias = r->dirty = 1;
    r->later = SOPHIA_NONE;
    r->earlier = t->last_alias;
    if (t->last_alias != SOPHIA_NONE)
        sophia_id_at(t, t->last_alias)->later = record;
    else
        t->first_alias = record;
    t->last_alias = record;
    t->aliases++;
    if (t->aliases > 2 * (uint64_t)t->capacity)
        sophia_drop_id(t, t->first_alias);
}

/* One group out of two; returns it. Members of the smaller move, the smaller id survives. */
static inline uint32_t sophia_merge(sophia_table *t, uint32_t a, uint32_t b)
{
    if (a == b)
        return a;
    if (sophia_group_at(t, a)->members < sophia_group_at(t, b)->members) {
        const uint32_t swap = a;
        a = b;
        b = swap;
    }
    sophia_group *const g = sophia_group_at(t, a), *const h = sophia_group_at(t, b);
    uint32_t i = h->nodes;
    do {
        sophia_node_at(t, i)->group = a;
        i = sophia_node_at(t, i)->next;
    } while (i != h->nodes);
    i = h->ids;
    do {
        sophia_id_at(t, i)->group = a;
        i = sophia_id_at(t, i)->next;
    } while (i != h->ids);
    sophia_node *const x = sophia_node_at(t, g->nodes), *const y = sophia_node_at(t, h->nodes);
    const uint32_t x_last = x->previous, y_last = y->previous;
    sophia_node_at(t, x_last)->next = h->nodes;
    sophia_node_at(t, y_last)->next = g->nodes;
    x->previous = y_last;
    y->previous = x_last;
    sophia_pattern_id *const r = sophia_id_at(t, g->ids), *const s = sophia_id_at(t, h->ids);
    const uint32_t r_last = r->previous, s_last = s->previous;
    sophia_id_at(t, r_last)->next = h->ids;
    sophia_id_at(t, s_last)->next = g->ids;
    r->previous = s_last;
    s->previous = r_last;
    g->members += h->members;
    g->leaves += h->leaves;
    g->count += h->count;
    g->first_n = g->first_n < h->first_n ? g->first_n : h->first_n;
    g->last_n = g->last_n > h->last_n ? g->last_n : h->last_n;
    uint32_t loser = h->survivor;
    if (sophia_id_at(t, loser)->id < sophia_id_at(t, g->survivor)->id) {
        loser = g->survivor;
        g->survivor = h->survivor;
    }
    sophia_id_at(t, g->survivor)->dirty = 1;
    const unsigned char *const text = sophia_group_text(t, h);
    if (sophia_shows_better(h->words, h->tokens, text, h->text_size, g->words, g->tokens, sophia_group_text(t, g),
                            g->text_size)) {
        if (g->text) {
            t->text_bytes -= g->text_size;
            free(g->text);
        }
        g->text = h->text; /* moves, or both are NULL */
        g->face = h->face;
        g->words = h->words;
        g->tokens = h->tokens;
        g->text_size = h->text_size;
    } else if (h->text) {
        t->text_bytes -= h->text_size;
        free(h->text);
    }
    sophia_records_give(&t->groups, b);
    t->patterns--;
    if (t->noting) sophia_note_loser(t, sophia_id_at(t, loser)->id);
    sophia_make_alias(t, loser);
    return a;
}

/* Puts the node into the group of another; a node without group (SOPHIA_NONE) joins, else the groups merge. */
static inline void sophia_join(sophia_table *t, uint32_t node, uint32_t group)
{
    const uint32_t own = sophia_node_at(t, node)->group;
    if (group == SOPHIA_NONE || own == group)
        return;
    if (own == SOPHIA_NONE)
        sophia_group_add_node(t, group, node);
    else
        sophia_merge(t, own, group);
}

#endif
