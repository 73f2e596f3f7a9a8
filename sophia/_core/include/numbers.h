/* Integers of any width, from memory of any alignment. */
#ifndef SOPHIA_NUMBERS_H
#define SOPHIA_NUMBERS_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* The item at place `i` of an array of items of 1, 2, 4 or 8 bytes in native order. Of signed ones (`signs`) a negative
 * one is what it is modulo 2^64, so that a number is the same whatever its width. */
static inline uint64_t sophia_number_at(const unsigned char *data, size_t i, unsigned width, int signs)
{
    uint16_t half;
    uint32_t single;
    uint64_t twice;
    switch (width) {
    case 1: return signs ? (uint64_t)(int8_t)data[i] : data[i];
    case 2: memcpy(&half, data + 2 * i, 2); return signs ? (uint64_t)(int16_t)half : half;
    case 4: memcpy(&single, data + 4 * i, 4); return signs ? (uint64_t)(int32_t)single : single;
    default: memcpy(&twice, data + 8 * i, 8); return twice;
    }
}

#endif
