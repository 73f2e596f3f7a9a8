/* How a new masked line finds its pattern, and what it proves about others. See pattern.h. */
#ifndef SOPHIA_PATTERN_LEARN_H
#define SOPHIA_PATTERN_LEARN_H

#include "pattern_nodes.h"

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
    const sophia_entry *e = sophia_find_sharer(t, hash, 0, &at);
    for (; e; e = sophia_find_sharer(t, hash, at + 1, &at)) {
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
    sophia_entry *e = sophia_find_sharer(t, way->hash, 0, &at);
    for (; e; e = sophia_find_sharer(t, way->hash, at + 1, &at), sharers++)
        if (e->value == node) {
            e->extra = way->need < e->extra ? way->need : e->extra;
            return;
        }
    if (sharers < SOPHIA_PATTERN_SHARERS)
        sophia_multimap_insert(&t->form_map, way->hash, node, way->need);
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
    uint32_t general = sophia_find_form(t, hash);
    if (t->generals >= t->capacity)
        return SOPHIA_PATTERN_OK; /* the table is full: sharers are merged, but later lines must show it again */
    if (general == SOPHIA_NONE) {
        if (sophia_reserve(t) || sophia_push_work(t, SOPHIA_NONE))
            return SOPHIA_PATTERN_NO_MEMORY;
        t->work_used--;
        unsigned char *const text = t->masked.text; /* free by now: the line's text is with its node */
        const size_t size = sophia_write_way(template_, &template_->way[way], text);
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
        sophia_entry *const e = sophia_find_sharer(t, hash, 0, &at);
        if (!e)
            break;
        sophia_multimap_remove_at(&t->form_map, e);
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
        const sophia_entry *e = sophia_find_sharer(t, x->poly, 0, &at);
        for (; e; e = sophia_find_sharer(t, sophia_node_at(t, node)->poly, at + 1, &at)) {
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
        const uint32_t target = sophia_find_form(t, way->hash);
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
        const sophia_entry *e = sophia_find_sharer(t, way->hash, 0, &at);
        for (; e; e = sophia_find_sharer(t, way->hash, at + 1, &at))
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
        const uint32_t target = hash ? sophia_find_form(t, hash) : SOPHIA_NONE;
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
        sophia_multimap_ahead(&t->word_map, template_->token[i].hash);
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
        if (sophia_token_value(template_, token, &from, &to))
            named++;
        else if (i == 0 || (unknown >> (i - 1) & 1) || !(template_->token[i - 1].flags & SOPHIA_T_PLAIN))
            return 0;
    }
    const uint32_t constants = template_->words - words + named;
    return words >= 2 && constants >= 3 && constants >= words && template_->words > words ? unknown : 0;
}

/* The general node that a line fits when all unknown words, in rows or not, are slots; SOPHIA_NONE without. */
static inline uint32_t sophia_find_rare_fit(const sophia_table *t, sophia_template *template_, uint64_t unknown)
{
    if ((unknown & (unknown - 1)) == 0)
        return SOPHIA_NONE;
    template_->ways = 0;
    template_->rare = unknown;
    sophia_add_way(template_, SOPHIA_WAY_RARE, 0, 0, 0, 0, SOPHIA_NEVER);
    if (template_->ways == 0 || template_->way[0].constants < 3)
        return SOPHIA_NONE;
    const uint32_t target = sophia_find_form(t, template_->way[0].hash);
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
    sophia_multimap_insert(&t->id_map, sophia_id_key(r->id), record, 0);
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
static inline int sophia_learn(sophia_table *t, uint64_t hash, uint32_t node, uint64_t n, uint64_t owner,
                               sophia_pattern_seen *seen)
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
    sophia_multimap_ahead(&t->form_map, t->line.hash);
    seen->fresh = 0;
    if (node != SOPHIA_NONE) {
        sophia_node_at(t, node)->flags |= SOPHIA_N_LEAF;
        sophia_group_at(t, sophia_node_at(t, node)->group)->leaves++;
        sophia_count_words(t, &t->line, 1);
        kept = t->line.words;
    } else {
        const uint64_t unknown = sophia_unknown_words(t, &t->line);
        const uint32_t fit = sophia_find_rare_fit(t, &t->line, unknown);
        sophia_find_ways(&t->line, sophia_isolated(&t->line, unknown));
        for (uint32_t i = 0; i < t->line.ways; i++) {
            sophia_multimap_ahead(&t->form_map, t->line.way[i].hash);
        }
        node = sophia_new_node(t, &t->line, hash);
        if (node == SOPHIA_NONE)
            return SOPHIA_PATTERN_NO_MEMORY;
        sophia_node_at(t, node)->rare = t->line.rare;
        t->line.text = sophia_node_at(t, node)->text; /* the mask's buffer is used again below */
        sophia_node_at(t, node)->flags |= SOPHIA_N_LEAF;
        sophia_count_words(t, &t->line, 1);
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
    sophia_node *const x = sophia_node_at(t, node);
    x->owner = owner;
    seen->closeness = seen->fresh ? 0.0 : (double)kept / (double)(x->words + 1);
    sophia_link_newest(t, node);
    t->leaves++;
    t->inserted++;
    sophia_count_line(t, node, n, seen);
    return error;
}

#endif
