/* What AddressSanitizer is told about memory that our own allocators keep; nothing in ordinary builds.
 *
 * The sanitizer watches malloc and free. Memory that an allocator of ours hands out again looks alive to it, so
 * that a use after a rewind would go unseen: what is not lent is therefore marked as not to be touched.
 */
#ifndef SOPHIA_SANITIZE_H
#define SOPHIA_SANITIZE_H

#if defined(__SANITIZE_ADDRESS__) /* GCC */
#define SOPHIA_ASAN 1
#elif defined(__has_feature) /* clang */
#if __has_feature(address_sanitizer)
#define SOPHIA_ASAN 1
#endif
#endif
#ifndef SOPHIA_ASAN
#define SOPHIA_ASAN 0
#endif

#if defined(__SANITIZE_THREAD__)
#define SOPHIA_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define SOPHIA_TSAN 1
#endif
#endif
#ifndef SOPHIA_TSAN
#define SOPHIA_TSAN 0
#endif

#if SOPHIA_ASAN
#include <stddef.h>

/* Declared here because clang's header comes in a package of its own. */
void __asan_poison_memory_region(void const volatile *memory, size_t bytes);
void __asan_unpoison_memory_region(void const volatile *memory, size_t bytes);

#define SOPHIA_HIDE(memory, bytes) __asan_poison_memory_region((memory), (bytes))
#define SOPHIA_SHOW(memory, bytes) __asan_unpoison_memory_region((memory), (bytes))
#else
#define SOPHIA_HIDE(memory, bytes) ((void)(memory), (void)(bytes))
#define SOPHIA_SHOW(memory, bytes) ((void)(memory), (void)(bytes))
#endif

#endif
