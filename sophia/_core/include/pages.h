/* Memory for tables that are read at random places: 64-byte aligned, in huge pages where there are any.
 *
 * A table of some megabytes in pages of 4 KiB outgrows what a processor remembers of the page tables, so that most
 * look-ups first walk those (twice as deep in a virtual machine). From SOPHIA_PAGES_LEAST bytes on, a block starts
 * and ends on 2 MiB and Linux is asked for huge pages (madvise; the setting "never" leaves ordinary ones). Smaller
 * blocks, other systems and the sanitizers, which see the edges of malloc() only, take ordinary memory.
 *
 * Ownership: a block belongs to whoever took it until sophia_pages_give() with the same size.
 */
#ifndef SOPHIA_PAGES_H
#define SOPHIA_PAGES_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "sanitize.h"

#if defined(__linux__) && !SOPHIA_ASAN
#include <sys/mman.h>
#endif
#if defined(MAP_ANONYMOUS) && defined(MADV_HUGEPAGE)
#define SOPHIA_PAGES_HUGE 1
#else
#define SOPHIA_PAGES_HUGE 0
#endif

#define SOPHIA_PAGES_POPULATE 23 /* MADV_POPULATE_WRITE, which older headers lack; an older system refuses it */
#define SOPHIA_PAGES_SIZE ((size_t)1 << 21)
#define SOPHIA_PAGES_LEAST (SOPHIA_PAGES_SIZE / 2) /* clearing a page takes less than 250 ordinary faults */
#define SOPHIA_PAGES_MOST (SIZE_MAX / 4)

/* Bytes of no known content, or NULL: no memory, or more than SOPHIA_PAGES_MOST bytes. */
static inline void *sophia_pages_take(size_t bytes)
{
    if (bytes > SOPHIA_PAGES_MOST) return NULL;
#if SOPHIA_PAGES_HUGE
    if (bytes >= SOPHIA_PAGES_LEAST) {
        const size_t whole = (bytes + SOPHIA_PAGES_SIZE - 1) & ~(SOPHIA_PAGES_SIZE - 1);
        unsigned char *const got =
            mmap(NULL, whole + SOPHIA_PAGES_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (got == MAP_FAILED) return NULL;
        const size_t before = -(uintptr_t)got & (SOPHIA_PAGES_SIZE - 1);
        if (before) munmap(got, before);
        munmap(got + before + whole, SOPHIA_PAGES_SIZE - before);
        madvise(got + before, whole, MADV_HUGEPAGE);
        return got + before;
    }
#endif
    void *block = NULL;
    if (posix_memalign(&block, 64, bytes ? bytes : 1)) return NULL;
    return block;
}

/* The same, zeros. Huge pages are there on return, as far as the system does that (Linux 5.14): what is read at random
 * places needs nearly all of them from the first hundred entries on, which would each wait for a page to be cleared. */
static inline void *sophia_pages_zeroed(size_t bytes)
{
    void *const block = sophia_pages_take(bytes);
#if SOPHIA_PAGES_HUGE
    if (bytes >= SOPHIA_PAGES_LEAST) { /* from the system, which zeroes them */
        if (block) madvise(block, (bytes + SOPHIA_PAGES_SIZE - 1) & ~(SOPHIA_PAGES_SIZE - 1), SOPHIA_PAGES_POPULATE);
        return block;
    }
#endif
    if (block) memset(block, 0, bytes);
    return block;
}

/* NULL is allowed. */
static inline void sophia_pages_give(void *block, size_t bytes)
{
#if SOPHIA_PAGES_HUGE
    if (block && bytes >= SOPHIA_PAGES_LEAST) {
        munmap(block, (bytes + SOPHIA_PAGES_SIZE - 1) & ~(SOPHIA_PAGES_SIZE - 1));
        return;
    }
#endif
    (void)bytes;
    free(block);
}

/* A block of `larger` bytes that begins with what `block` holds, or NULL with `block` as it was. */
static inline void *sophia_pages_grow(void *block, size_t bytes, size_t larger)
{
    void *const grown = sophia_pages_take(larger);
    if (grown) {
        if (bytes) memcpy(grown, block, bytes);
        sophia_pages_give(block, bytes);
    }
    return grown;
}

#endif
