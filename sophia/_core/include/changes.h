/* A bounded log of what happened to a filter: nine bytes a change, an operation and a little-endian hash. */
#ifndef SOPHIA_CHANGES_H
#define SOPHIA_CHANGES_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#define SOPHIA_CHANGE_BYTES 9

enum sophia_change {
    SOPHIA_CHANGE_ADD = '+',
    SOPHIA_CHANGE_DISCARD = '-',
    SOPHIA_CHANGE_ROTATE = '>',
    SOPHIA_CHANGE_CLEAR = '0'
};

typedef struct {
    unsigned char *bytes; /* owned: until sophia_changes_free() */
    size_t used, room, limit; /* bytes; limit 0: nothing is logged */
    int lost;                 /* 1: more changes than the limit, or no memory for them */
} sophia_changes;

static inline void sophia_changes_log(sophia_changes *log, unsigned char change, uint64_t hash)
{
    if (!log->limit || log->lost) return;
    if (log->used + SOPHIA_CHANGE_BYTES > log->room) {
        size_t room = log->room ? 2 * log->room : 64 * SOPHIA_CHANGE_BYTES;
        if (room > log->limit) room = log->limit;
        unsigned char *bytes =
            log->used + SOPHIA_CHANGE_BYTES > room ? NULL : (unsigned char *)realloc(log->bytes, room);
        if (!bytes) {
            log->lost = 1;
            return;
        }
        log->bytes = bytes;
        log->room = room;
    }
    unsigned char *out = log->bytes + log->used;
    out[0] = change;
    for (int i = 0; i < 8; i++) out[1 + i] = (unsigned char)(hash >> (8 * i));
    log->used += SOPHIA_CHANGE_BYTES;
}

/* Begins an empty log; whoever copied the struct owns the bytes now. */
static inline void sophia_changes_forget(sophia_changes *log)
{
    log->bytes = NULL;
    log->used = log->room = 0;
    log->lost = 0;
}

static inline void sophia_changes_free(sophia_changes *log)
{
    free(log->bytes);
    sophia_changes_forget(log);
}

#endif
