/* The same bits on every processor: what each part of the core makes of one seeded stream of input, as digests.
 *
 * Prints "LEVEL PART DIGEST" for every SIMD level of this machine. The test runs it natively and on another
 * processor and compares: levels with levels, and machine with machine.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dispatch.h"

#include "arena.h"
#include "bucket.h"
#include "hv_ops.h"
#include "hv_search.h"
#include "idf.h"
#include "kv_batch.h"
#include "literals.h"
#include "places.h"
#include "ngrams.h"
#include "normalise.h"
#include "pattern.h"
#include "pattern_rows.h"
#include "projection.h"
#include "prototypes.h"
#include "record.h"
#include "reflex.h"
#include "runs.h"
#include "salience.h"
#include "shared.h"
#include "workspace.h"

#define TEXT_ROOM 512

static uint64_t state;
static uint64_t digest;

static uint64_t next(void)
{
    return sophia_mix64(state += SOPHIA_MIX_C);
}

static void *room(size_t bytes)
{
    void *memory = NULL;
    if (posix_memalign(&memory, 64, bytes ? (bytes + 63) / 64 * 64 : 64)) exit(2);
    return memory;
}

static void check(int good, const char *what)
{
    if (good) return;
    printf("WRONG: %s\n", what);
    exit(1);
}

static void take(const void *data, size_t size)
{
    digest = sophia_hash_bytes(data, size, digest).low;
}

static void take_number(uint64_t number)
{
    take(&number, sizeof number);
}

static void take_double(double number)
{
    take(&number, sizeof number);
}

/* A line of log or prose: words, numbers, addresses, signs, other scripts and broken bytes. */
static size_t make_text(unsigned char *out)
{
    static const char *const pieces[] = {
        "Connection", "from", "10.0.0.1", "port", "22", "user=root", "failed", "for", "/var/log/app.log", "ERROR",
        "\"GET /index HTTP/1.1\"", "eth0", "deadbeef", "Dec", "12:30:01", "512", "MB", "why?", "OK!", "(a,b)",
        "\xc3\xa9t\xc3\xa9", "\xe7\x94\xa8\xe6\x88\xb7", "\xff\xc3", "\t", "\n", "US", "iPhone", "don't", "ms",
        "\"key\":", "a.b.c.d", "C:\\x", "\x01", "sudo rm -rf /", "[info]", "node17", "x=1;", "..", "\xf0\x9f\x98\x80"};
    const size_t count = next() % 14;
    size_t size = 0;
    for (size_t i = 0; i < count; i++) {
        const char *piece = pieces[next() % (sizeof pieces / sizeof *pieces)];
        memcpy(out + size, piece, strlen(piece));
        size += strlen(piece);
        if (next() % 8) out[size++] = ' ';
    }
    for (size_t i = next() % 4; i > 0; i--) out[size++] = (unsigned char)next();
    return size;
}

static void hashes(const struct sophia_kernels *k)
{
    unsigned char data[300];
    (void)k;
    for (size_t i = 0; i < sizeof data; i++) data[i] = (unsigned char)next();
    for (size_t size = 0; size < sizeof data; size++) {
        const sophia_hash128 hash = sophia_hash_bytes(data + (size & 7) % (size + 1), size - (size & 7) % (size + 1), size);
        take_number(hash.low);
        take_number(hash.high);
        take_number(sophia_vector_digest(data, size, (uint32_t)(size & 1), size * 8, next()));
    }
}

static void k_vectors(const struct sophia_kernels *k)
{
    enum { ROWS = 321, QUERIES = 9 };
    double *rows = (double *)room(sizeof(double) * 8 * ROWS), *out = (double *)room(sizeof(double) * QUERIES * ROWS);
    double frame[16];
    int64_t index[QUERIES * 7];
    for (int j = 0; j < 16; j++) frame[j] = (double)(next() >> 12) * 0x1p-52;
    for (int known = 0; known < 2; known++) {
        for (size_t i = 0; i < 8 * ROWS; i++) {
            const uint64_t draw = next();
            rows[i] = !known && draw % 16 == 0 ? (double)NAN : draw % 5 ? (double)(draw >> 12) * 0x1p-52 : (double)(draw & 1);
        }
        memset(rows + 8 * 5, 0, 64);
        for (int framed = 0; framed < 2; framed++) {
            const double *const in = framed ? frame : NULL;
            sophia_kv_cosine_matrix(&k->kv, rows, QUERIES, rows, ROWS, in, out);
            take(out, sizeof(double) * QUERIES * ROWS);
            sophia_kv_cosine_matrix(&k->kv, rows + 8, 1, rows, ROWS, in, out);
            take(out, sizeof(double) * ROWS);
            for (size_t i = 0; i + 1 < ROWS; i++) take_double(k->kv.cosine_f64(rows + 8 * i, rows + 8 * i + 8, in));
            sophia_kv_top(&k->kv, framed, rows, QUERIES, rows, ROWS, framed ? NULL : frame, 7, out, index);
            take(out, sizeof(double) * QUERIES * 7);
            take(index, sizeof index);
        }
        sophia_kv_euclidean_matrix(&k->kv, rows, QUERIES, rows, ROWS, out);
        take(out, sizeof(double) * QUERIES * ROWS);
        for (size_t i = 0; i + 1 < ROWS; i++) take_double(k->kv.euclidean_f64(rows + 8 * i, rows + 8 * i + 8));
        take_number(k->kv.read_f64(rows, 8 * ROWS));
    }
    free(rows);
    free(out);
}

static void hypervectors(const struct sophia_kernels *k)
{
    static const size_t dims[] = {64, 500, 1000, 10000};
    for (size_t d = 0; d < sizeof dims / sizeof *dims; d++) {
        enum { ROWS = 60 };
        const size_t dim = dims[d], words = sophia_row_bytes(SOPHIA_BSC, dim) / 8;
        uint64_t *rows = (uint64_t *)room(ROWS * words * 8), *out = (uint64_t *)room(words * 8);
        uint32_t far[ROWS];
        const uint64_t *votes[ROWS];
        for (size_t i = 0; i < ROWS; i++) {
            sophia_random_b1(sophia_random_key(d, i), rows + i * words, dim);
            votes[i] = rows + i * words;
        }
        take(rows, ROWS * words * 8);
        for (size_t n = 1; n <= ROWS; n += 7) {
            k->hv.majority_b1(votes, n, out, words);
            take(out, words * 8);
            k->hv.rotate_rows_b1(rows, 0, out, 0, 1, dim, n * 13 % dim);
            take(out, words * 8);
            k->hv.bind_b1(rows, rows + (n - 1) * words, out, words);
            take(out, words * 8);
        }
        k->hv.hamming_rows_b1(rows, rows, ROWS, words, NULL, far);
        take(far, sizeof far);
        free(rows);
        free(out);
    }
}

static void encoders(const struct sophia_kernels *k)
{
    static const size_t dims[] = {64, 1000, 10000};
    unsigned char text[TEXT_ROOM];
    sophia_log2_init();
    for (size_t d = 0; d < sizeof dims / sizeof *dims; d++) {
        const size_t dim = dims[d], words = (dim + 511) / 512 * 8;
        const struct sophia_feature_keys keys = sophia_feature_keys(d);
        struct sophia_workspace *space = sophia_workspace_new(dim);
        struct sophia_ngram_space *grams = sophia_ngram_space_new(dim, 3, d, (struct sophia_codebook){0});
        struct sophia_idf idf;
        uint64_t *row = (uint64_t *)room(words * 8);
        int8_t *levels = (int8_t *)room(dim);
        check(space && grams && !sophia_idf_init(&idf, SOPHIA_IDF_BOUND_MIN), "memory");
        for (int i = 0; i < 60; i++) {
            const size_t size = make_text(text);
            const struct sophia_sequence sequence = {text, size, 0, 0};
            if (sophia_features_extract(text, size, &keys, &space->features) > 0) {
                for (uint32_t f = 0; f < space->features.count; f++) take_number(space->features.entries[f].hash);
                check(!sophia_idf_document(&idf, &space->features, 1), "document");
                sophia_features_weigh(&space->features, i % 2 ? &idf : NULL);
                sophia_features_to_b1(&space->features, &space->vote, &k->enc, row);
                take(row, words * 8);
                sophia_features_to_i8(&space->features, &space->vote, &k->enc, levels);
                take(levels, dim);
            }
            if (sophia_ngrams_to_b1(&sequence, grams, &k->enc, row) == 0) take(row, words * 8);
        }
        struct sophia_idf_record *records = (struct sophia_idf_record *)room(idf.used * sizeof *records);
        take(records, sophia_idf_sorted(&idf, records) * sizeof *records);
        free(records);
        sophia_idf_free(&idf);
        sophia_workspace_free(space);
        sophia_ngram_space_free(grams);
        free(row);
        free(levels);
    }
}

/* Records of any width of number, with and without weights; an even total has ties. */
static void records(const struct sophia_kernels *k)
{
    enum { FEATURES = 300, LEVELS = 40 };
    static const size_t dims[] = {64, 1000, 10000};
    uint16_t weights[FEATURES];
    uint32_t total = 0;
    for (size_t f = 0; f < FEATURES; f++) total += weights[f] = (uint16_t)(next() % 7);
    for (size_t d = 0; d < sizeof dims / sizeof *dims; d++) {
        struct sophia_vote vote;
        check(!sophia_vote_init(&vote, dims[d]), "memory");
        const size_t words = vote.words, row = (dims[d] + 511) / 512 * 8;
        uint64_t *rows = (uint64_t *)room((FEATURES + LEVELS) * words * 8), *out = (uint64_t *)room(row * 8);
        int8_t *levels = (int8_t *)room(dims[d]);
        memset(rows, 0, (FEATURES + LEVELS) * words * 8);
        for (size_t i = 0; i < FEATURES + LEVELS; i++) sophia_random_b1(next(), rows + i * words, dims[d]);
        for (unsigned width = 1; width <= 8; width *= 2) {
            unsigned char index[8 * FEATURES] = {0};
            for (size_t f = 0; f < FEATURES; f++) index[f * width] = (unsigned char)(next() % LEVELS);
            for (int weighed = 0; weighed < 2; weighed++) {
                const struct sophia_record record = {dims[d], words, FEATURES, LEVELS, rows, rows + FEATURES * words,
                                                     weighed ? weights : NULL, weighed ? total : FEATURES, 0};
                check(sophia_record_to_b1(&record, index, width, weighed, &vote, &k->enc, out) == 0, "record");
                take(out, row * 8);
                check(sophia_record_to_i8(&record, index, width, weighed, &vote, &k->enc, levels) == 0, "record");
                take(levels, dims[d]);
            }
            index[7 * width] = LEVELS;
            take_number(sophia_record_to_b1(&(struct sophia_record){dims[d], words, FEATURES, LEVELS, rows,
                                                                    rows + FEATURES * words, NULL, FEATURES, 0},
                                            index, width, 0, &vote, &k->enc, out));
        }
        sophia_vote_free(&vote);
        free(rows);
        free(out);
        free(levels);
    }
}

/* Near -1 to 1. */
static float fraction(void)
{
    return (float)((double)(int64_t)next() * 0x1p-63);
}

/* Floating point: no product may be fused with a sum, and all sums have one order. */
static void dense(const struct sophia_kernels *k)
{
    enum { FEATURES = 37, DIM = 333, ROWS = 9, CLASSES = 4 };
    struct sophia_projection plan = {FEATURES, DIM, (DIM + SOPHIA_LN_LANES - 1) / SOPHIA_LN_LANES, NULL, NULL};
    const size_t width = plan.blocks * SOPHIA_LN_LANES;
    float *weights = (float *)room(width * FEATURES * sizeof(float)), *phases = (float *)room(width * sizeof(float));
    float *sums = (float *)room(CLASSES * DIM * sizeof(float));
    double squares[CLASSES], scores[CLASSES];
    uint8_t moved[CLASSES] = {0};
    uint64_t bits[(DIM + 511) / 512 * 8];
    for (size_t i = 0; i < width * FEATURES; i++) weights[i] = fraction();
    for (size_t i = 0; i < width; i++) phases[i] = fraction();
    for (size_t i = 0; i < CLASSES * DIM; i++) sums[i] = 100 * fraction();
    for (size_t c = 0; c < CLASSES; c++) squares[c] = sophia_norm_f32(sums + c * DIM, DIM);
    struct sophia_prototypes table = {DIM, CLASSES, sums, squares, moved};
    plan.weights = weights;
    for (int waves = 0; waves < 2; waves++) {
        plan.phases = waves ? phases : NULL;
        struct sophia_projection_space *space = sophia_projection_space_new(&plan);
        check(space != NULL, "memory");
        for (size_t i = 0; i < ROWS * FEATURES; i++) space->x[i] = 3 * fraction();
        sophia_projection_run(&plan, space, ROWS, &k->ln);
        for (size_t r = 0; r < ROWS; r++) {
            const int8_t *row = space->out + r * width;
            take(row, DIM);
            sophia_projection_bits(row, DIM, bits);
            take(bits, sizeof bits);
            take_number((uint64_t)sophia_prototype_learn(&table, row, r % CLASSES, r % 2, 0.5, 0.1, &k->ln, scores));
            take(scores, sizeof scores);
        }
        sophia_projection_space_free(space);
    }
    take(sums, CLASSES * DIM * sizeof(float));
    take(squares, sizeof squares);
    free(weights);
    free(phases);
    free(sums);
}

static void sensors(const struct sophia_kernels *k)
{
    struct sophia_runs runs = {5, 4, 0, 0, {0}, {0}};
    (void)k;
    for (uint32_t i = 0; i < runs.longest; i++) {
        runs.sizes[i] = i ? runs.sizes[i - 1] * runs.levels : runs.levels;
        runs.counts[i] = (uint32_t *)room(runs.sizes[i] * sizeof(uint32_t));
        memset(runs.counts[i], 0, runs.sizes[i] * sizeof(uint32_t));
    }
    *runs.counts[0] = UINT32_MAX;
    for (uint64_t i = 0; i < 5000; i++) {
        const uint64_t draw = next();
        take_double(sophia_runs_add(&runs, (uint32_t)((draw % 3 ? i : draw) % 5), draw % 7 != 0));
    }
    for (uint32_t i = 0; i < runs.longest; i++) {
        take(runs.counts[i], runs.sizes[i] * sizeof(uint32_t));
        free(runs.counts[i]);
    }
}

static void filters(const struct sophia_kernels *k)
{
    (void)k;
    for (uint64_t capacity = 1; capacity < 5000; capacity = capacity * 3 + 1) {
        sophia_cuckoo filter;
        check(sophia_cuckoo_init(&filter, sophia_cuckoo_size(capacity), capacity), "memory");
        uint64_t *added = (uint64_t *)room(8 * (capacity + 200));
        size_t count = 0;
        for (uint64_t i = 0; i < capacity + 200; i++) {
            added[count] = i % 50 != 49 || !count ? next() : added[count / 2];
            if (sophia_cuckoo_add(&filter, added[count]) == SOPHIA_FILTER_OK) count++;
            if (i % 5 == 4 && count) take_number((uint64_t)sophia_cuckoo_discard(&filter, added[--count]));
        }
        check(sophia_cuckoo_valid(&filter) && filter.count == count, "valid");
        for (size_t i = 0; i < count; i++) check(sophia_cuckoo_contains(&filter, added[i]), "contains");
        unsigned char *bytes = (unsigned char *)room(8 * filter.size);
        sophia_cuckoo_export(&filter, bytes);
        take(bytes, 8 * filter.size);
        take_number(filter.stashed);
        free(bytes);
        free(added);
        sophia_cuckoo_free(&filter);
    }
}

static void caches(const struct sophia_kernels *k)
{
    sophia_reflex cache;
    (void)k;
    check(sophia_reflex_init(&cache, sophia_reflex_tables(40) + 8192, 40, 7), "memory");
    for (int i = 1; i < 4000; i++) {
        unsigned char key[64];
        const size_t size = 1 + next() % (sizeof key);
        memset(key, (int)(next() % 90), sizeof key);
        const sophia_hash128 hash = sophia_reflex_hash(&cache, key, size % 8 + 1);
        const sophia_reflex_entry *found = sophia_reflex_find(&cache, key, size % 8 + 1, hash, i);
        take_number(found ? found->value_size : SIZE_MAX);
        if (!found) {
            const int code = sophia_reflex_put(&cache, key, size % 8 + 1, hash, key, size, key, size / 2, 1, 0, NULL,
                                               i % 3 ? i + 200 : 0, key, size % 3);
            take_number((uint64_t)code);
        }
        if (i % 97 == 0) take_number(sophia_reflex_expire(&cache, i));
        if (i % 31 == 0) take_number((uint64_t)sophia_reflex_drop(&cache, key, size % 8 + 1, hash));
        take_number(cache.entries);
        take_number(cache.evictions);
    }
    sophia_reflex_free(&cache);
}

static void texts(const struct sophia_kernels *k)
{
    unsigned char text[TEXT_ROOM], cls[TEXT_ROOM], edit[TEXT_ROOM];
    sophia_masked *masked = (sophia_masked *)room(sizeof *masked);
    (void)k;
    for (int i = 0; i < 3000; i++) {
        const size_t size = make_text(text);
        for (size_t j = 0; j < size; j++) cls[j] = sophia_ascii_class(text[j] & 0x7F);
        sophia_plan_edits(cls, size, edit);
        take(edit, size);
        sophia_mask_line(text, size, masked);
        take(masked->text, masked->size);
        take_double(sophia_complexity(text, size));
        take_number((uint64_t)sophia_has_controls(text, size));
    }
    free(masked);
}

static void patterns(const struct sophia_kernels *k)
{
    (void)k;
    for (uint32_t capacity = 16; capacity < 2000; capacity *= 8) {
        unsigned char text[TEXT_ROOM];
        sophia_table *table = (sophia_table *)room(sizeof *table);
        sophia_row_buffer rows = {NULL, 0, 0};
        sophia_table_init(table, capacity, capacity);
        for (uint64_t n = 1; n <= 3000; n++) {
            sophia_pattern_seen seen = {0};
            const size_t size = make_text(text);
            check(sophia_table_observe(table, text, size, n, 0, &seen) == SOPHIA_PATTERN_OK, "observe");
            take_number(seen.id);
            take_double(seen.closeness);
            if (n % 7 == 0 && sophia_table_match(table, text, size / 2, &seen) == SOPHIA_PATTERN_OK) {
                take_number(seen.id);
                take_double(seen.closeness);
            }
        }
        check(!sophia_write_rows(table, 1, &rows), "rows");
        take(rows.data, rows.size);
        free(rows.data);
        sophia_table_free(table);
        free(table);
    }
}

static void literals(const struct sophia_kernels *k)
{
    static const char *const words[] = {"sudo", "rm -rf", "root", "fail", "log", "error", "a", "index", "get /"};
    enum { WORDS = sizeof words / sizeof *words };
    sophia_literal given[WORDS];
    sophia_literals_link links[WORDS];
    uint32_t rule_of[WORDS / 2 + 1];
    (void)k;
    /* Two literals a group, one group a branch, one branch a rule. */
    for (uint32_t i = 0; i < WORDS; i++) {
        given[i] = (sophia_literal){(const unsigned char *)words[i], (uint32_t)strlen(words[i]), i / 2};
        links[i / 2] = (sophia_literals_link){i / 2, i / 2, 0};
        rule_of[i / 2] = i / 2;
    }
    const uint32_t rules = WORDS / 2 + 1;
    sophia_literals set;
    check(!sophia_literals_build(&set, given, WORDS, links, rules, rule_of, rules, rules, rules), "literals");
    unsigned char text[4 * TEXT_ROOM];
    for (int i = 0; i < 2000; i++) {
        size_t size = 0;
        uint64_t bits[SOPHIA_LITERALS_MAX_WORDS] = {0};
        for (size_t parts = next() % 4; parts > 0; parts--) size += make_text(text + size);
        take_number(sophia_literals_scan(&set, text, size, bits));
        take_number(bits[0]);
        const uint32_t reaches[WORDS / 2 + 1] = {0, 1, 2, 3, SOPHIA_PLACES_FAR};
        sophia_places found = {0};
        check(!sophia_places_find(&set, reaches, text, size, &found), "places");
        for (size_t k = 0; k < found.count; k++) {
            take_number(found.places[k].rule);
            take_number(found.places[k].from);
            take_number(found.places[k].to);
        }
        sophia_places_free(&found);
    }
    sophia_literals_free(&set);
}

static void arenas(const struct sophia_kernels *k)
{
    sophia_arena arena;
    sophia_chunk *chunk = NULL;
    size_t mark = 0;
    uint64_t generation = 1;
    (void)k;
    sophia_arena_init(&arena, 4096, 1 << 20);
    for (int i = 0; i < 20000; i++) {
        const uint64_t draw = next();
        if (draw % 64 == 0) {
            take_number((uint64_t)sophia_arena_rewind(&arena, chunk, mark, generation));
        } else if (draw % 64 == 1) {
            chunk = arena.current;
            mark = sophia_arena_used(&arena);
            generation = arena.generation;
        } else if (draw % 4096 == 2) {
            take_number((uint64_t)sophia_arena_reset(&arena));
        } else {
            void *block = NULL;
            size_t position = 0;
            const int code = sophia_arena_take(&arena, draw >> 32 & 1023, &block, &position);
            if (!code) memset(block, i, draw >> 32 & 1023);
            take_number((uint64_t)code);
            take_number(position);
        }
        take_number((uint64_t)sophia_arena_holds(&arena, generation, mark));
    }
    take_number(arena.high_water);
    sophia_arena_close(&arena);
}

int main(void)
{
    static const char *const names[] = {"scalar", "avx2", "avx512", "neon"};
    static const struct {
        const char *name;
        void (*run)(const struct sophia_kernels *kernels);
    } parts[] = {{"hash", hashes},          {"kvector", k_vectors}, {"hypervector", hypervectors},
                 {"encode", encoders},      {"record", records},    {"dense", dense},
                 {"sensor", sensors},       {"filter", filters},    {"cache", caches},
                 {"text", texts},           {"pattern", patterns},  {"literals", literals},
                 {"arena", arenas}};
    for (int level = 0; level < SOPHIA_LEVEL_COUNT; level++) {
        const struct sophia_kernels *kernels = sophia_kernels_at(level);
        if (!kernels) continue;
        for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
            state = i;
            digest = 0;
            parts[i].run(kernels);
            printf("%s %s %016llx\n", names[level], parts[i].name, (unsigned long long)digest);
        }
    }
    return 0;
}
