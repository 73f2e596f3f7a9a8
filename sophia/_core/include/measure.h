/* What a text is like, apart from what it says: how long it is, how little its bytes repeat.
 *
 * All of it in integers (fixed point, SOPHIA_MEASURE_ONE to one), with the table of logarithms of idf.h: the same
 * numbers on every machine. Entropy is Shannon's, of the bytes of the text: log2 n - sum(c log2 c) / n over the counts
 * c of its n bytes. Cost: about 1 ns a byte, and .2 us.
 */
#ifndef SOPHIA_MEASURE_H
#define SOPHIA_MEASURE_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "idf.h"

#define SOPHIA_MEASURE_ONE 4096
#define SOPHIA_MEASURED 65536 /* bytes of a text that are looked at; of a longer one only the length counts */

struct sophia_measure {
    uint32_t length;  /* log2(1 + bytes) */
    uint32_t entropy; /* bits a byte, up to 8 */
};

static inline struct sophia_measure sophia_measure_text(const unsigned char *text, size_t size)
{
    uint32_t counts[4][256]; /* four, as the same byte often comes twice in a row, which would have to wait */
    struct sophia_measure out = {sophia_log2(1 + (uint64_t)size), 0};
    if (size > SOPHIA_MEASURED) size = SOPHIA_MEASURED;
    if (!size) return out;
    memset(counts, 0, sizeof counts);
    size_t i = 0;
    for (; i + 4 <= size; i += 4)
        for (size_t k = 0; k < 4; k++) counts[k][text[i + k]]++;
    for (; i < size; i++) counts[0][text[i]]++;
    uint64_t sum = 0;
    for (size_t b = 0; b < 256; b++) {
        const uint64_t c = (uint64_t)counts[0][b] + counts[1][b] + counts[2][b] + counts[3][b];
        if (c > 1) sum += c * sophia_log2(c);
    }
    const uint64_t whole = sophia_log2(size), share = (sum + size / 2) / size;
    out.entropy = (uint32_t)(whole > share ? whole - share : 0); /* not below 0 by the rounding of the logarithms */
    return out;
}

#endif
