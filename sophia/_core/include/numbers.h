/* Unsigned integers of any width, from memory of any alignment. */
#ifndef SOPHIA_NUMBERS_H
#define SOPHIA_NUMBERS_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* The item at place `i` of an array of items of 1, 2, 4 or 8 bytes in native order. */
static inline uint64_t sophia_number_at(const unsigned char *data, size_t i, unsigned width)
{
    uint16_t half;
    uint32_t single;
    uint64_t twice;
    switch (width) {
    case 1: return data[i];
    case 2: memcpy(&half, data + 2 * i, 2); return half;
    case 4: memcpy(&single, data + 4 * i, 4); return single;
    default: memcpy(&twice, data + 8 * i, 8); return twice;
    }
}

#endif
