/* Rows of a table, packed into one growing block. */
#ifndef SOPHIA_ROW_BUFFER_H
#define SOPHIA_ROW_BUFFER_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
#error "rows are little-endian"
#endif

typedef struct {
    unsigned char *data; /* owned by whoever holds the buffer: free() */
    size_t size, room;
} sophia_row_buffer;

static inline int sophia_put_bytes(sophia_row_buffer *out, const void *data, size_t size)
{
    if (out->room - out->size < size) {
        size_t room = out->room ? out->room : 4096;
        while (room - out->size < size)
            room *= 2;
        unsigned char *const grown = realloc(out->data, room);
        if (!grown)
            return -1;
        out->data = grown;
        out->room = room;
    }
    if (size)
        memcpy(out->data + out->size, data, size);
    out->size += size;
    return 0;
}

/* Little-endian, packed: id, count, first_n, last_n, reference (8 bytes each), sizes of text and state (4 each),
 * text, state. */
static inline int sophia_put_row(sophia_row_buffer *out, int64_t id, uint64_t count, uint64_t first_n,
                                 uint64_t last_n, uint64_t reference, const unsigned char *text, uint32_t text_size,
                                 const void *state, uint32_t state_size)
{
    const uint64_t numbers[5] = {(uint64_t)id, count, first_n, last_n, reference};
    const uint32_t sizes[2] = {text_size, state_size};
    return sophia_put_bytes(out, numbers, sizeof numbers) || sophia_put_bytes(out, sizes, sizeof sizes) ||
           sophia_put_bytes(out, text, text_size) || sophia_put_bytes(out, state, state_size);
}

#endif
