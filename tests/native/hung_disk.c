/*
 * A disk that hangs, for one process: loaded with LD_PRELOAD. While the file HUNG_WHILE exists, whatever forces files
 * under the folder HUNG_UNDER to the disk does not return.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

static int watched(int fd)
{
    const char *under = getenv("HUNG_UNDER");
    char link[64], path[4096];
    ssize_t size;
    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    size = readlink(link, path, sizeof(path) - 1);
    if (under == NULL || size < 0)
        return 0;
    path[size] = 0;
    return strncmp(path, under, strlen(under)) == 0;
}

static void hang(int fd)
{
    const char *while_there = getenv("HUNG_WHILE");
    const struct timespec nap = {0, 5000000};
    if (while_there == NULL || !watched(fd))
        return;
    while (access(while_there, F_OK) == 0)
        nanosleep(&nap, NULL);
}

int fsync(int fd)
{
    hang(fd);
    return (int)syscall(SYS_fsync, fd);
}

int fdatasync(int fd)
{
    hang(fd);
    return (int)syscall(SYS_fdatasync, fd);
}
