/* The nodes of a table of templates: how they are found, entered everywhere, and taken out again. See pattern.h. */
#ifndef SOPHIA_PATTERN_NODES_H
#define SOPHIA_PATTERN_NODES_H

#include "pattern_table.h"

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

/* The map of forms has, under the hash of a template's tokens, the nodes that look like that (SOPHIA_OWN) and the nodes
 * that share it as a generalisation, with what it needs: both are asked for together, and are one line of memory. */
#define SOPHIA_OWN UINT32_MAX

/* A node whose template has this hash, or SOPHIA_NONE. */
static inline uint32_t sophia_find_form(const sophia_table *t, uint64_t hash)
{
    size_t at = 0;
    const sophia_entry *e = sophia_multimap_find(&t->form_map, hash, 0, &at);
    while (e && e->extra != SOPHIA_OWN)
        e = sophia_multimap_find(&t->form_map, hash, at + 1, &at);
    return e ? e->value : SOPHIA_NONE;
}

/* The sharer of a generalisation at or behind position `from` of its run, or NULL; see sophia_multimap_find(). */
static inline sophia_entry *sophia_find_sharer(const sophia_table *t, uint64_t hash, size_t from, size_t *at)
{
    sophia_entry *e = sophia_multimap_find(&t->form_map, hash, from, at);
    while (e && e->extra == SOPHIA_OWN)
        e = sophia_multimap_find(&t->form_map, hash, *at + 1, at);
    return e;
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
        sophia_multimap_reserve(&t->leaf_map, 1) || sophia_multimap_reserve(&t->key_map, 1) ||
        sophia_multimap_reserve(&t->id_map, 1) ||
        sophia_multimap_reserve(&t->form_map, 1 + SOPHIA_TEMPLATE_WAYS + SOPHIA_WAYS_MORE))
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
    sophia_multimap_ahead(&t->key_map, x->key);
    x->shape = sophia_template_shape(template_);
    x->group = x->newer = x->older = SOPHIA_NONE;
    x->flags = SOPHIA_N_USED | SOPHIA_N_DIRTY;
    x->born = t->next_born++;
    t->text_bytes += x->size;
    sophia_multimap_insert(&t->leaf_map, hash, node, 0);
    sophia_multimap_insert(&t->form_map, x->poly, node, SOPHIA_OWN);
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
        sophia_multimap_remove(&t->form_map, t->other.way[i].hash, node);
    sophia_multimap_remove(&t->leaf_map, x->hash, node);
    sophia_multimap_remove(&t->form_map, x->poly, node);
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
    while (g->ids != SOPHIA_NONE) /* the survivor last: its aliases name it when they go */
        sophia_drop_id(t, g->ids == g->survivor ? sophia_id_at(t, g->ids)->next : g->ids);
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

#endif
