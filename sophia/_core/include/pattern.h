/* An online table of templates: which lines are one message with different values?
 *
 * A *node* is a template: a *leaf* is a masked line as it was seen, a *general* one was found by evidence (enough
 * leaves that differ in one place only, see template.h). A *group* is the set of nodes that are one pattern; it
 * has one or more *ids*, of which the smallest is the survivor and the others are aliases. Groups merge when
 *
 *   - a generalisation of a node is a node itself (its place was a slot in another line),
 *   - as many nodes as it needs share a generalisation, which then becomes a general node,
 *   - two nodes have the same three or more constant words (templates with slots of variable length),
 *   - a leaf fits a general node in all places of that node's shape at once (two or more new values in a line).
 *
 * Groups never split, and nothing but the set of the lines seen decides what they are; only the last rule is
 * looked at later for older leaves, in a sweep after each growth by half. Every id is handed out once.
 *
 * Bounds: at most `capacity` leaves, as many general nodes and twice as many aliases. The least recently seen leaf
 * goes when a new one needs its room, its group goes with its last leaf, the oldest alias goes first. Work for a
 * masked line seen before: one hash and one look-up. For a new one: O(tokens + ways), plus amortised the general
 * nodes it brings up. Ownership: the table owns all of its memory until sophia_table_free(); node texts are one
 * allocation each; pointers into the pools are dead after any call that may add. Not thread-safe.
 */
#ifndef SOPHIA_PATTERN_H
#define SOPHIA_PATTERN_H

#include <stdlib.h>

#include "hash.h"
#include "mask.h"
#include "multimap.h"
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
       SOPHIA_N_SHAPED = 16, SOPHIA_N_STORED = 32 /* its row has been handed out by a list of changes */ };

typedef struct {
    uint64_t hash;  /* of the text: the leaf hash */
    uint64_t poly;  /* of the tokens, as generalisations are hashed */
    uint64_t key;   /* constant words; 0: fewer than three */
    uint64_t shape; /* of a general node with SOPHIA_N_SHAPED */
    uint64_t rare;  /* tokens that no leaf held when the node was made, see sophia_isolated() */
    uint64_t count, last_n, tick, born;
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
    uint8_t shapes_fresh;
    sophia_records nodes, groups, ids;
    sophia_multimap leaf_map, poly_map, key_map, way_map, id_map;
    sophia_multimap word_map; /* constant words: how often they occur in leaves */
    sophia_shape shapes[65][SOPHIA_PATTERN_SHAPES];
    uint8_t shape_count[65];
    /* What left the table since its row was handed out: births of nodes, ids. A list of changes makes room for
     * all rows that it hands out, so noting them never fails and never outgrows the table. */
    sophia_u64_list gone_nodes, gone_ids;
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

/* ---------------------------------------------------------------------------------------------- memory */

/* Makes sure that one sophia_records_take() succeeds. */
static inline int sophia_records_reserve(sophia_records *pool)
{
    if (pool->free != SOPHIA_NONE || pool->used < pool->room)
        return 0;
    const uint32_t room = pool->room ? pool->room * 2 : 64;
    if (room < pool->room || room > SIZE_MAX / pool->stride)
        return -1;
    unsigned char *const items = realloc(pool->items, (size_t)room * pool->stride);
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
    free(t->nodes.items);
    free(t->groups.items);
    free(t->ids.items);
    sophia_multimap_free(&t->leaf_map);
    sophia_multimap_free(&t->poly_map);
    sophia_multimap_free(&t->key_map);
    sophia_multimap_free(&t->way_map);
    sophia_multimap_free(&t->id_map);
    sophia_multimap_free(&t->word_map);
    free(t->gone_nodes.item);
    free(t->gone_ids.item);
    free(t->work);
}

static inline size_t sophia_table_bytes(const sophia_table *t)
{
    const size_t entries = t->leaf_map.room + t->poly_map.room + t->key_map.room + t->way_map.room + t->id_map.room +
                           t->word_map.room;
    return sizeof *t + (size_t)t->nodes.room * t->nodes.stride + (size_t)t->groups.room * t->groups.stride +
           (size_t)t->ids.room * t->ids.stride + entries * sizeof(sophia_entry) + t->text_bytes +
           (t->gone_nodes.room + t->gone_ids.room) * 8 + t->work_room * sizeof *t->work;
}

/* --------------------------------------------------------------------------------------------- groups */

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

static inline void sophia_drop_id(sophia_table *t, uint32_t record)
{
    sophia_pattern_id *const r = sophia_id_at(t, record);
    sophia_group *const g = sophia_group_at(t, r->group);
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
    sophia_multimap_remove(&t->id_map, sophia_mix64(r->id), record);
    sophia_records_give(&t->ids, record);
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

/* ---------------------------------------------------------------------------------------------- nodes */

static inline uint32_t sophia_find_text(const sophia_table *t, uint64_t hash, const unsigned char *text, size_t size)
{
    size_t at = 0;
    const sophia_entry *e = sophia_multimap_find(&t->leaf_map, hash, 0, &at);
    for (; e; e = sophia_multimap_find(&t->leaf_map, hash, at + 1, &at)) {
        const sophia_node *const x = sophia_node_at(t, e->value);
        if (x->size == size && memcmp(x->text, text, size) == 0)
            return e->value;
    }
    return SOPHIA_NONE;
}

static inline void sophia_unlink_use(sophia_table *t, uint32_t node)
{
    sophia_node *const x = sophia_node_at(t, node);
    if (x->newer != SOPHIA_NONE)
        sophia_node_at(t, x->newer)->older = x->older;
    else
        t->newest = x->older;
    if (x->older != SOPHIA_NONE)
        sophia_node_at(t, x->older)->newer = x->newer;
    else
        t->oldest = x->newer;
}

static inline void sophia_link_newest(sophia_table *t, uint32_t node)
{
    sophia_node *const x = sophia_node_at(t, node);
    x->newer = SOPHIA_NONE;
    x->older = t->newest;
    if (t->newest != SOPHIA_NONE)
        sophia_node_at(t, t->newest)->newer = node;
    else
        t->oldest = node;
    t->newest = node;
}

static inline void sophia_add_shape(sophia_table *t, uint32_t node)
{
    sophia_node *const x = sophia_node_at(t, node);
    if (x->depth < 2 || x->tokens == 0 || x->tokens > 64 || (x->flags & SOPHIA_N_SHAPED))
        return;
    sophia_shape *const list = t->shapes[x->tokens];
    uint8_t *const count = &t->shape_count[x->tokens];
    uint32_t i = 0;
    while (i < *count && list[i].shape != x->shape)
        i++;
    if (i == *count) {
        if (*count == SOPHIA_PATTERN_SHAPES)
            return;
        list[i].shape = x->shape;
        list[i].users = 0;
        ++*count;
    }
    list[i].users++;
    x->flags |= SOPHIA_N_SHAPED;
}

static inline void sophia_drop_shape(sophia_table *t, const sophia_node *x)
{
    sophia_shape *const list = t->shapes[x->tokens];
    uint8_t *const count = &t->shape_count[x->tokens];
    for (uint32_t i = 0; i < *count; i++) {
        if (list[i].shape != x->shape || --list[i].users > 0)
            continue;
        memmove(list + i, list + i + 1, (*count - i - 1) * sizeof *list);
        --*count;
        return;
    }
}

/* Room for one node with its entries and a group with its id. */
static inline int sophia_reserve(sophia_table *t)
{
    if (sophia_records_reserve(&t->nodes) || sophia_records_reserve(&t->groups) || sophia_records_reserve(&t->ids) ||
        sophia_multimap_reserve(&t->leaf_map, 1) || sophia_multimap_reserve(&t->poly_map, 1) ||
        sophia_multimap_reserve(&t->key_map, 1) || sophia_multimap_reserve(&t->id_map, 1) ||
        sophia_multimap_reserve(&t->way_map, SOPHIA_TEMPLATE_WAYS + SOPHIA_WAYS_MORE))
        return SOPHIA_PATTERN_NO_MEMORY;
    return SOPHIA_PATTERN_OK;
}

/* A node without group, found by its text from now on; the template is that of the text. After sophia_reserve().
 * SOPHIA_NONE: no memory. */
static inline uint32_t sophia_new_node(sophia_table *t, const sophia_template *template_, uint64_t hash)
{
    unsigned char *const text = malloc(template_->size ? template_->size : 1);
    if (!text)
        return SOPHIA_NONE;
    memcpy(text, template_->text, template_->size);
    const uint32_t node = sophia_records_take(&t->nodes);
    sophia_node *const x = sophia_node_at(t, node);
    x->hash = hash;
    x->poly = template_->hash;
    x->text = text;
    x->size = template_->size;
    x->words = template_->words;
    x->tokens = template_->count;
    x->key = template_->words >= 3 ? sophia_template_key(template_) : 0;
    x->shape = sophia_template_shape(template_);
    x->group = x->newer = x->older = SOPHIA_NONE;
    x->flags = SOPHIA_N_USED | SOPHIA_N_DIRTY;
    x->born = t->next_born++;
    t->text_bytes += x->size;
    sophia_multimap_insert(&t->leaf_map, hash, node, 0);
    sophia_multimap_insert(&t->poly_map, x->poly, node, 0);
    x->key_next = x->key_previous = node;
    return node;
}

/* Enters the node under its key; returns a node that had the same key before, or SOPHIA_NONE. */
static inline uint32_t sophia_enter_key(sophia_table *t, uint32_t node)
{
    sophia_node *const x = sophia_node_at(t, node);
    if (!x->key)
        return SOPHIA_NONE;
    const uint32_t head = sophia_multimap_get(&t->key_map, x->key);
    if (head == SOPHIA_NONE) {
        sophia_multimap_insert(&t->key_map, x->key, node, 0);
        return SOPHIA_NONE;
    }
    sophia_node *const h = sophia_node_at(t, head);
    x->key_next = head;
    x->key_previous = h->key_previous;
    sophia_node_at(t, h->key_previous)->key_next = node;
    h->key_previous = node;
    return head;
}

static inline void sophia_leave_key(sophia_table *t, uint32_t node)
{
    sophia_node *const x = sophia_node_at(t, node);
    if (!x->key)
        return;
    size_t at = 0;
    sophia_entry *const e = sophia_multimap_find(&t->key_map, x->key, 0, &at);
    if (e && e->value == node) {
        if (x->key_next == node)
            sophia_multimap_remove_at(&t->key_map, e);
        else
            e->value = x->key_next;
    }
    sophia_node_at(t, x->key_previous)->key_next = x->key_next;
    sophia_node_at(t, x->key_next)->key_previous = x->key_previous;
}

/* Takes a node out of everything. Its group keeps the text where it was the face. */
static inline void sophia_drop_node(sophia_table *t, uint32_t node)
{
    sophia_node *const x = sophia_node_at(t, node);
    sophia_group *const g = sophia_group_at(t, x->group);
    sophia_read_template(&t->other, x->text, x->size, t->seed);
    sophia_find_ways(&t->other, x->rare);
    for (uint32_t i = 0; i < t->other.ways; i++)
        sophia_multimap_remove(&t->way_map, t->other.way[i].hash, node);
    sophia_multimap_remove(&t->leaf_map, x->hash, node);
    sophia_multimap_remove(&t->poly_map, x->poly, node);
    sophia_leave_key(t, node);
    if (x->flags & SOPHIA_N_SHAPED)
        sophia_drop_shape(t, x);
    t->generals -= (x->flags & SOPHIA_N_GENERAL) != 0;
    if (x->next == node) {
        g->nodes = SOPHIA_NONE;
    } else {
        sophia_node_at(t, x->previous)->next = x->next;
        sophia_node_at(t, x->next)->previous = x->previous;
        if (g->nodes == node)
            g->nodes = x->next;
    }
    g->members--;
    if (g->face == node) {
        g->face = SOPHIA_NONE;
        g->text = x->text;
    } else {
        t->text_bytes -= x->size;
        free(x->text);
    }
    if (x->flags & SOPHIA_N_STORED)
        t->gone_nodes.item[t->gone_nodes.used++] = x->born;
    sophia_records_give(&t->nodes, node);
}

/* Forgets a pattern whose last leaf has gone. */
static inline void sophia_drop_group(sophia_table *t, uint32_t group)
{
    sophia_group *const g = sophia_group_at(t, group);
    while (g->nodes != SOPHIA_NONE)
        sophia_drop_node(t, g->nodes);
    while (g->ids != SOPHIA_NONE) {
        const sophia_pattern_id *const r = sophia_id_at(t, g->ids);
        if (r->stored)
            t->gone_ids.item[t->gone_ids.used++] = r->id;
        sophia_drop_id(t, g->ids);
    }
    if (g->text) {
        t->text_bytes -= g->text_size;
        free(g->text);
    }
    sophia_records_give(&t->groups, group);
    t->patterns--;
}

/* Counts the constant words of a leaf in (after a reserve) or out. */
static inline void sophia_count_words(sophia_table *t, const sophia_template *template_, int in)
{
    for (uint32_t i = 0; i < template_->count; i++) {
        const sophia_token *const token = &template_->token[i];
        size_t at;
        if (!(token->flags & SOPHIA_T_WORD))
            continue;
        sophia_entry *const e = sophia_multimap_find(&t->word_map, token->hash, 0, &at);
        if (e && in)
            e->value += e->value < SOPHIA_NONE - 1;
        else if (in)
            sophia_multimap_insert(&t->word_map, token->hash, 1, 0);
        else if (e && --e->value == 0)
            sophia_multimap_remove_at(&t->word_map, e);
    }
}

static inline void sophia_evict_oldest(sophia_table *t)
{
    const uint32_t node = t->oldest;
    sophia_node *const x = sophia_node_at(t, node);
    const uint32_t group = x->group;
    sophia_unlink_use(t, node);
    sophia_read_template(&t->other, x->text, x->size, t->seed);
    sophia_count_words(t, &t->other, 0);
    x->flags = (uint8_t)((x->flags & ~SOPHIA_N_LEAF) | SOPHIA_N_DIRTY);
    t->leaves--;
    t->evicted++;
    if (--sophia_group_at(t, group)->leaves == 0)
        sophia_drop_group(t, group);
    else if (!(x->flags & SOPHIA_N_GENERAL))
        sophia_drop_node(t, node);
}

/* ------------------------------------------------------------------------------------------- learning */

static inline int sophia_push_work(sophia_table *t, uint32_t node)
{
    if (t->work_used == t->work_room) {
        const size_t room = t->work_room ? t->work_room * 2 : 64;
        uint32_t *const grown = realloc(t->work, room * sizeof *grown);
        if (!grown)
            return SOPHIA_PATTERN_NO_MEMORY;
        t->work = grown;
        t->work_room = room;
    }
    t->work[t->work_used++] = node;
    return SOPHIA_PATTERN_OK;
}

/* What a generalisation has: how many nodes share it, and how few would be enough. */
static inline uint32_t sophia_count_sharers(const sophia_table *t, uint64_t hash, uint32_t node, uint32_t *need)
{
    uint32_t count = 0;
    size_t at = 0;
    const sophia_entry *e = sophia_multimap_find(&t->way_map, hash, 0, &at);
    for (; e; e = sophia_multimap_find(&t->way_map, hash, at + 1, &at)) {
        count += e->value != node;
        *need = e->extra < *need ? e->extra : *need;
    }
    return count;
}

/* Enters the node among the sharers of a generalisation, once, while there is room for it. */
static inline void sophia_enter_way(sophia_table *t, const sophia_way *way, uint32_t node)
{
    size_t at = 0;
    uint32_t sharers = 0;
    sophia_entry *e = sophia_multimap_find(&t->way_map, way->hash, 0, &at);
    for (; e; e = sophia_multimap_find(&t->way_map, way->hash, at + 1, &at), sharers++)
        if (e->value == node) {
            e->extra = way->need < e->extra ? way->need : e->extra;
            return;
        }
    if (sharers < SOPHIA_PATTERN_SHARERS)
        sophia_multimap_insert(&t->way_map, way->hash, node, way->need);
}

/* Does the node at `target`, which is a generalisation of another, take it in? Where it was seen as a line (and
 * not found by evidence), two words must be constant, so that "hello <*>" does not eat every greeting. */
static inline int sophia_takes_in(const sophia_node *target, const sophia_way *way)
{
    return (target->flags & SOPHIA_N_GENERAL) || way->constants >= 2 || way->kind == SOPHIA_WAY_DIGIT;
}

/* Makes the generalisation `way` of `node` a general node; all sharers are in the node's group already. */
static inline int sophia_open_way(sophia_table *t, const sophia_template *template_, uint32_t way, uint32_t node)
{
    const uint64_t hash = template_->way[way].hash;
    const uint32_t steps = sophia_node_at(t, node)->depth + (template_->way[way].kind == SOPHIA_WAY_RARE ? 2u : 1u);
    uint32_t general = sophia_multimap_get(&t->poly_map, hash);
    if (t->generals >= t->capacity)
        return SOPHIA_PATTERN_OK; /* the table is full: sharers are merged, but later lines must show it again */
    if (general == SOPHIA_NONE) {
        if (sophia_reserve(t) || sophia_push_work(t, SOPHIA_NONE))
            return SOPHIA_PATTERN_NO_MEMORY;
        t->work_used--;
        unsigned char *const text = t->masked.text; /* free by now: the line's text is with its node */
        const size_t size = sophia_write_way(template_, &template_->way[way], text, NULL);
        sophia_template *const spare = template_ == &t->line ? &t->other : &t->line;
        sophia_read_template(spare, text, size, t->seed);
        general = sophia_new_node(t, spare, sophia_hash_bytes(text, size, t->seed).low);
        if (general == SOPHIA_NONE)
            return SOPHIA_PATTERN_NO_MEMORY;
        sophia_push_work(t, general);
    }
    sophia_node *const x = sophia_node_at(t, general);
    x->flags |= SOPHIA_N_GENERAL | SOPHIA_N_DIRTY;
    x->depth = (uint8_t)(steps < 250 ? steps : 250);
    t->generals++;
    sophia_join(t, general, sophia_node_at(t, node)->group);
    for (;;) {
        size_t at = 0;
        sophia_entry *const e = sophia_multimap_find(&t->way_map, hash, 0, &at);
        if (!e)
            break;
        sophia_multimap_remove_at(&t->way_map, e);
    }
    if (x->depth >= 2) {
        sophia_add_shape(t, general);
        t->shapes_fresh = 1;
    }
    return SOPHIA_PATTERN_OK;
}

/* Connects a new node with what it belongs to. `*kept`: the most constant words shared with what it joined. */
static inline int sophia_connect(sophia_table *t, const sophia_template *template_, uint32_t node, uint32_t *kept)
{
    size_t at = 0;
    int error = SOPHIA_PATTERN_OK;
    sophia_node *x = sophia_node_at(t, node);
    const uint32_t words = x->words;
    if (words >= 2 || (x->flags & SOPHIA_N_GENERAL)) {
        const sophia_entry *e = sophia_multimap_find(&t->way_map, x->poly, 0, &at);
        for (; e; e = sophia_multimap_find(&t->way_map, sophia_node_at(t, node)->poly, at + 1, &at)) {
            sophia_join(t, node, sophia_node_at(t, e->value)->group);
            *kept = words;
        }
    }
    const uint32_t same_key = sophia_enter_key(t, node);
    if (same_key != SOPHIA_NONE) {
        sophia_join(t, node, sophia_node_at(t, same_key)->group);
        *kept = words;
    }
    for (uint32_t i = 0; i < template_->ways && !error; i++) {
        const sophia_way *const way = &template_->way[i];
        const uint32_t target = sophia_multimap_get(&t->poly_map, way->hash);
        if (target != SOPHIA_NONE && target != node && sophia_takes_in(sophia_node_at(t, target), way)) {
            sophia_join(t, node, sophia_node_at(t, target)->group);
            *kept = way->constants > *kept ? way->constants : *kept;
        }
        if (target != SOPHIA_NONE && (sophia_node_at(t, target)->flags & SOPHIA_N_GENERAL))
            continue;
        uint32_t need = way->need;
        const uint32_t sharers = sophia_count_sharers(t, way->hash, node, &need);
        sophia_enter_way(t, way, node);
        if (sharers + 1 < need)
            continue;
        const sophia_entry *e = sophia_multimap_find(&t->way_map, way->hash, 0, &at);
        for (; e; e = sophia_multimap_find(&t->way_map, way->hash, at + 1, &at))
            if (e->value != node)
                sophia_join(t, node, sophia_node_at(t, e->value)->group);
        *kept = way->constants > *kept ? way->constants : *kept;
        error = sophia_open_way(t, template_, i, node);
    }
    return error;
}

/* Joins a leaf to the general nodes that it fits in all their places at once. */
static inline void sophia_fit_shapes(sophia_table *t, sophia_template *template_, uint32_t node, uint32_t *kept)
{
    if (template_->count == 0 || template_->count > 64)
        return;
    for (uint32_t i = 0; i < t->shape_count[template_->count]; i++) {
        const uint64_t hash = sophia_shaped_hash(template_, t->shapes[template_->count][i].shape);
        const uint32_t target = hash ? sophia_multimap_get(&t->poly_map, hash) : SOPHIA_NONE;
        if (target == SOPHIA_NONE || !(sophia_node_at(t, target)->flags & SOPHIA_N_GENERAL))
            continue;
        sophia_join(t, node, sophia_node_at(t, target)->group);
        *kept = sophia_node_at(t, target)->words > *kept ? sophia_node_at(t, target)->words : *kept;
    }
}

/* The tokens that are words which no leaf holds; 0 for templates of more than 64 tokens. */
static inline uint64_t sophia_unknown_words(const sophia_table *t, const sophia_template *template_)
{
    uint64_t unknown = 0;
    if (template_->count > 64)
        return 0;
    for (uint32_t i = 0; i < template_->count; i++)
        if ((template_->token[i].flags & SOPHIA_T_WORD) &&
            sophia_multimap_get(&t->word_map, template_->token[i].hash) == SOPHIA_NONE)
            unknown |= (uint64_t)1 << i;
    return unknown;
}

/* `unknown` where these are two words or more, fewer than the known ones (of which there are three, names of
 * values counted in), and each stands behind a known plain word or is the value behind a name; else 0. A row of
 * unknown words is another message. */
static inline uint64_t sophia_isolated(const sophia_template *template_, uint64_t unknown)
{
    uint32_t words = 0, named = 0, from, to;
    for (uint32_t i = 0; i < template_->count && unknown >> i; i++) {
        const sophia_token *const token = &template_->token[i];
        if (!(unknown >> i & 1))
            continue;
        words++;
        if (sophia_find_value(template_->text + token->start, token->size, &from, &to))
            named++;
        else if (i == 0 || (unknown >> (i - 1) & 1) || !(template_->token[i - 1].flags & SOPHIA_T_PLAIN))
            return 0;
    }
    const uint32_t constants = template_->words - words + named;
    return words >= 2 && constants >= 3 && constants >= words && template_->words > words ? unknown : 0;
}

/* The general node that a line fits when all unknown words, in rows or not, are slots. */
static inline uint32_t sophia_find_rare_fit(const sophia_table *t, sophia_template *template_, uint64_t unknown)
{
    if ((unknown & (unknown - 1)) == 0)
        return SOPHIA_NONE;
    template_->ways = 0;
    template_->rare = unknown;
    sophia_add_way(template_, SOPHIA_WAY_RARE, 0, 0, 0, 0, SOPHIA_NEVER);
    if (template_->ways == 0 || template_->way[0].constants < 3)
        return SOPHIA_NONE;
    const uint32_t target = sophia_multimap_get(&t->poly_map, template_->way[0].hash);
    return target != SOPHIA_NONE && (sophia_node_at(t, target)->flags & SOPHIA_N_GENERAL) ? target : SOPHIA_NONE;
}

/* Holds the leaves that were seen before a general node was found against its shape. */
static inline void sophia_sweep(sophia_table *t)
{
    uint32_t kept = 0;
    for (uint32_t i = t->oldest; i != SOPHIA_NONE; i = sophia_node_at(t, i)->newer) {
        const sophia_node *const x = sophia_node_at(t, i);
        if (x->tokens > 64 || t->shape_count[x->tokens] == 0)
            continue;
        sophia_read_template(&t->other, x->text, x->size, t->seed);
        sophia_fit_shapes(t, &t->other, i, &kept);
    }
    t->shapes_fresh = 0;
    t->next_sweep = t->inserted + (t->leaves / 2 > SOPHIA_PATTERN_SWEEP ? t->leaves / 2 : SOPHIA_PATTERN_SWEEP);
}

static inline void sophia_new_group(sophia_table *t, uint32_t node, uint64_t n)
{
    const uint32_t group = sophia_records_take(&t->groups), record = sophia_records_take(&t->ids);
    sophia_group *const g = sophia_group_at(t, group);
    sophia_pattern_id *const r = sophia_id_at(t, record);
    g->used = r->used = r->dirty = 1;
    g->face = g->nodes = g->ids = SOPHIA_NONE;
    g->survivor = record;
    g->first_n = g->last_n = r->first_n = r->last_n = n;
    r->id = t->next_id++;
    r->later = r->earlier = SOPHIA_NONE;
    sophia_multimap_insert(&t->id_map, sophia_mix64(r->id), record, 0);
    sophia_group_add_id(t, group, record);
    sophia_group_add_node(t, group, node);
    t->patterns++;
}

/* Counts the line for the node, its group and the id that is handed out. */
static inline void sophia_count_line(sophia_table *t, uint32_t node, uint64_t n, sophia_pattern_seen *seen)
{
    sophia_node *const x = sophia_node_at(t, node);
    sophia_group *const g = sophia_group_at(t, x->group);
    sophia_pattern_id *const r = sophia_id_at(t, g->survivor);
    seen->id = r->id;
    seen->leaf_hash = x->hash;
    seen->leaf = node;
    seen->count = g->count;
    seen->leaf_count = x->count;
    x->count++;
    x->last_n = g->last_n = r->last_n = n;
    x->tick = t->tick;
    x->flags |= SOPHIA_N_DIRTY;
    g->count++;
    r->count++;
    r->dirty = 1;
}

/* A masked line (in t->masked) that is not a leaf yet; `node` is the general node of the same text, if any. */
static inline int sophia_learn(sophia_table *t, uint64_t hash, uint32_t node, uint64_t n, sophia_pattern_seen *seen)
{
    uint32_t kept = 0;
    int error = SOPHIA_PATTERN_OK;
    if (t->shapes_fresh && t->inserted >= t->next_sweep)
        sophia_sweep(t);
    if (t->leaves >= t->capacity) {
        sophia_evict_oldest(t);
        node = sophia_find_text(t, hash, t->masked.text, t->masked.size); /* it may just have gone */
    }
    if (sophia_reserve(t) || sophia_multimap_reserve(&t->word_map, t->masked.tokens))
        return SOPHIA_PATTERN_NO_MEMORY;
    sophia_read_template(&t->line, t->masked.text, t->masked.size, t->seed);
    seen->fresh = 0;
    if (node != SOPHIA_NONE) {
        sophia_node_at(t, node)->flags |= SOPHIA_N_LEAF;
        sophia_group_at(t, sophia_node_at(t, node)->group)->leaves++;
        kept = t->line.words;
    } else {
        const uint64_t unknown = sophia_unknown_words(t, &t->line);
        const uint32_t fit = sophia_find_rare_fit(t, &t->line, unknown);
        sophia_find_ways(&t->line, sophia_isolated(&t->line, unknown));
        node = sophia_new_node(t, &t->line, hash);
        if (node == SOPHIA_NONE)
            return SOPHIA_PATTERN_NO_MEMORY;
        sophia_node_at(t, node)->rare = t->line.rare;
        t->line.text = sophia_node_at(t, node)->text; /* the mask's buffer is used again below */
        sophia_node_at(t, node)->flags |= SOPHIA_N_LEAF;
        sophia_fit_shapes(t, &t->line, node, &kept);
        if (fit != SOPHIA_NONE) {
            sophia_join(t, node, sophia_node_at(t, fit)->group);
            kept = sophia_node_at(t, fit)->words > kept ? sophia_node_at(t, fit)->words : kept;
        }
        /* sophia_open_way() reads other templates into t->other, and t->line stays this line's. */
        error = sophia_connect(t, &t->line, node, &kept);
        if (sophia_node_at(t, node)->group == SOPHIA_NONE) {
            sophia_new_group(t, node, n);
            seen->fresh = 1;
        }
        while (t->work_used > 0) {
            const uint32_t general = t->work[--t->work_used];
            uint32_t ignored = 0;
            if (error || sophia_reserve(t)) {
                error = SOPHIA_PATTERN_NO_MEMORY;
                continue; /* it stays a template that takes lines in, but leads to no further ones */
            }
            const sophia_node *const g = sophia_node_at(t, general);
            sophia_read_template(&t->line, g->text, g->size, t->seed);
            sophia_find_ways(&t->line, 0);
            error = sophia_connect(t, &t->line, general, &ignored);
        }
    }
    const sophia_node *const x = sophia_node_at(t, node);
    sophia_read_template(&t->line, x->text, x->size, t->seed);
    sophia_count_words(t, &t->line, 1);
    seen->closeness = seen->fresh ? 0.0 : (double)kept / (double)(x->words + 1);
    sophia_link_newest(t, node);
    t->leaves++;
    t->inserted++;
    sophia_count_line(t, node, n, seen);
    return error;
}

/* A masked line that is known comes again. */
static inline int sophia_see_leaf(sophia_table *t, uint32_t node, uint64_t n, sophia_pattern_seen *seen)
{
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
                                            sophia_pattern_seen *seen)
{
    if (leaf >= t->nodes.used) return SOPHIA_PATTERN_UNKNOWN;
    const sophia_node *const x = sophia_node_at(t, leaf);
    if (!(x->flags & SOPHIA_N_USED) || !(x->flags & SOPHIA_N_LEAF) || x->hash != hash) return SOPHIA_PATTERN_UNKNOWN;
    return sophia_see_leaf(t, leaf, n, seen);
}

static inline int sophia_table_observe(sophia_table *t, const unsigned char *text, size_t size, uint64_t n,
                                       sophia_pattern_seen *seen)
{
    sophia_mask_line(text, size, &t->masked);
    const uint64_t hash = sophia_hash_bytes(t->masked.text, t->masked.size, t->seed).low;
    const uint32_t node = sophia_find_text(t, hash, t->masked.text, t->masked.size);
    if (node != SOPHIA_NONE && (sophia_node_at(t, node)->flags & SOPHIA_N_LEAF))
        return sophia_see_leaf(t, node, n, seen);
    t->tick++;
    return sophia_learn(t, hash, node, n, seen);
}

/* ---------------------------------------------------------------------------------------------- asking */

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
 * general node, patterns that this node would then pull in are not counted. A line that
 * observe would make a new pattern of has id 0 and `fresh`. */
static inline int sophia_table_match(sophia_table *t, const unsigned char *text, size_t size,
                                     sophia_pattern_seen *seen)
{
    sophia_template *const line = &t->line;
    sophia_candidates c = {{0}, 0, 0};
    size_t at = 0;
    sophia_mask_line(text, size, &t->masked);
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
        const sophia_entry *e = sophia_multimap_find(&t->way_map, line->hash, 0, &at);
        for (; e; e = sophia_multimap_find(&t->way_map, line->hash, at + 1, &at))
            sophia_add_candidate(t, &c, e->value, line->words);
    }
    if (line->words >= 3) {
        const uint32_t head = sophia_multimap_get(&t->key_map, sophia_template_key(line));
        if (head != SOPHIA_NONE)
            sophia_add_candidate(t, &c, head, line->words);
    }
    for (uint32_t i = 0; i < line->ways; i++) {
        const sophia_way *const way = &line->way[i];
        const uint32_t target = sophia_multimap_get(&t->poly_map, way->hash);
        if (target != SOPHIA_NONE && sophia_takes_in(sophia_node_at(t, target), way))
            sophia_add_candidate(t, &c, target, way->constants);
        uint32_t need = way->need;
        if (sophia_count_sharers(t, way->hash, SOPHIA_NONE, &need) + 1 < need)
            continue;
        const sophia_entry *e = sophia_multimap_find(&t->way_map, way->hash, 0, &at);
        for (; e; e = sophia_multimap_find(&t->way_map, way->hash, at + 1, &at))
            sophia_add_candidate(t, &c, e->value, way->constants);
    }
    if (line->count > 0 && line->count <= 64)
        for (uint32_t i = 0; i < t->shape_count[line->count]; i++) {
            const uint64_t hash = sophia_shaped_hash(line, t->shapes[line->count][i].shape);
            const uint32_t target = hash ? sophia_multimap_get(&t->poly_map, hash) : SOPHIA_NONE;
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
    const uint64_t key = sophia_mix64(id);
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
