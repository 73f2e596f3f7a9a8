/*
 * A disk that is full from the Nth change on, for one process: loaded with LD_PRELOAD.
 *
 * FULL_UNDER   folder whose files are watched
 * FULL_FROM    number of the first change that fails, from 1; 0: none
 * FULL_HOW     "full": ENOSPC from there on; "short": the same, but a first write gets half its bytes in;
 *              "once": EIO for this one change
 * FULL_COUNT   file that gets the number of changes seen, at the end of the process
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

static long seen;

static int watched_path(const char *path)
{
    const char *under = getenv("FULL_UNDER");
    return under != NULL && strncmp(path, under, strlen(under)) == 0;
}

static int watched(int fd)
{
    char link[64], path[4096];
    ssize_t size;
    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    size = readlink(link, path, sizeof(path) - 1);
    if (size < 0)
        return 0;
    path[size] = 0;
    return watched_path(path);
}

/* 0: goes through; 1: fails with errno set; 2: gets half. */
static int refuses(void)
{
    const char *from = getenv("FULL_FROM"), *how = getenv("FULL_HOW");
    long n = __atomic_add_fetch(&seen, 1, __ATOMIC_SEQ_CST), first = from != NULL ? atol(from) : 0;
    if (first == 0 || n < first)
        return 0;
    if (how != NULL && strcmp(how, "once") == 0) {
        errno = EIO;
        return n == first;
    }
    errno = ENOSPC;
    return how != NULL && strcmp(how, "short") == 0 && n == first ? 2 : 1;
}

static int refuses_fd(int fd, size_t *size)
{
    int verdict = watched(fd) ? refuses() : 0;
    if (verdict == 2 && (size == NULL || *size < 2))
        verdict = 1;
    if (verdict == 2)
        *size /= 2;
    return verdict == 1;
}

ssize_t write(int fd, const void *data, size_t size)
{
    return refuses_fd(fd, &size) ? -1 : syscall(SYS_write, fd, data, size);
}

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t at)
{
    return refuses_fd(fd, &size) ? -1 : syscall(SYS_pwrite64, fd, data, size, at);
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t at)
{
    return pwrite64(fd, data, size, at);
}

ssize_t sendfile64(int out, int in, off64_t *at, size_t size)
{
    return refuses_fd(out, &size) ? -1 : syscall(SYS_sendfile, out, in, at, size);
}

ssize_t sendfile(int out, int in, off_t *at, size_t size)
{
    return sendfile64(out, in, (off64_t *)at, size);
}

int fdatasync(int fd)
{
    return refuses_fd(fd, NULL) ? -1 : (int)syscall(SYS_fdatasync, fd);
}

int fsync(int fd)
{
    return refuses_fd(fd, NULL) ? -1 : (int)syscall(SYS_fsync, fd);
}

int ftruncate64(int fd, off64_t size)
{
    return refuses_fd(fd, NULL) ? -1 : (int)syscall(SYS_ftruncate, fd, size);
}

int ftruncate(int fd, off_t size)
{
    return ftruncate64(fd, size);
}

int fallocate64(int fd, int mode, off64_t at, off64_t size)
{
    return refuses_fd(fd, NULL) ? -1 : (int)syscall(SYS_fallocate, fd, mode, at, size);
}

int fallocate(int fd, int mode, off_t at, off_t size)
{
    return fallocate64(fd, mode, at, size);
}

int mkdir(const char *path, mode_t mode)
{
    return watched_path(path) && refuses() ? -1 : (int)syscall(SYS_mkdirat, AT_FDCWD, path, mode);
}

int rename(const char *from, const char *to)
{
    return watched_path(to) && refuses() ? -1 : (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
}

/* Only a file that is not there yet needs room. */
int open64(const char *path, int flags, ...)
{
    va_list more;
    mode_t mode;
    va_start(more, flags);
    mode = flags & O_CREAT ? va_arg(more, mode_t) : 0;
    va_end(more);
    if (flags & O_CREAT && watched_path(path) && access(path, F_OK) != 0 && refuses())
        return -1;
    return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

int open(const char *path, int flags, ...)
{
    va_list more;
    mode_t mode;
    va_start(more, flags);
    mode = flags & O_CREAT ? va_arg(more, mode_t) : 0;
    va_end(more);
    return open64(path, flags, mode);
}

__attribute__((destructor)) static void tell(void)
{
    const char *path = getenv("FULL_COUNT");
    char text[32];
    int fd, size;
    if (path == NULL)
        return;
    fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    size = snprintf(text, sizeof(text), "%ld", seen);
    if (fd >= 0 && syscall(SYS_write, fd, text, size) == size)
        syscall(SYS_close, fd);
}
