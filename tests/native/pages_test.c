/* Memory in huge pages: alignment, content, bounds. The sanitizers see ordinary memory in its place. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "pages.h"

static void check(int good, const char *what)
{
    if (good) return;
    fprintf(stderr, "failed: %s\n", what);
    exit(1);
}

/* Blocks at both sides of the size from which they are huge pages: aligned, zeroed, writable to the last byte. */
static void blocks(void)
{
    const size_t sizes[] = {0, 1, 63, 4096, SOPHIA_PAGES_LEAST - 1, SOPHIA_PAGES_LEAST, SOPHIA_PAGES_SIZE,
                            SOPHIA_PAGES_SIZE + 1, 3 * SOPHIA_PAGES_SIZE - 5};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        for (int again = 0; again < 2; again++) { /* the second time in memory that was written before */
            unsigned char *block = (unsigned char *)sophia_pages_zeroed(sizes[i]);
            check(block && (uintptr_t)block % 64 == 0, "a block");
            for (size_t at = 0; at < sizes[i]; at++) check(!block[at], "zeros");
            memset(block, 0xA5, sizes[i]);
            const size_t larger = sizes[i] * 2 + 7;
            block = (unsigned char *)sophia_pages_grow(block, sizes[i], larger);
            check(block != NULL, "a larger block");
            for (size_t at = 0; at < sizes[i]; at++) check(block[at] == 0xA5, "what it held");
            memset(block, 0x5A, larger);
            sophia_pages_give(block, larger);
        }
    }
    check(!sophia_pages_take(SOPHIA_PAGES_MOST + 1) && !sophia_pages_grow(NULL, 0, SIZE_MAX), "a bound");
    sophia_pages_give(NULL, 0);
    sophia_pages_give(NULL, SOPHIA_PAGES_SIZE);
}

int main(void)
{
    blocks();
    puts("ok");
    return 0;
}
