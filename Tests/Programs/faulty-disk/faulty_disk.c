// A disk that fails as a test says: preloaded (LD_PRELOAD) into a writer, for the errors that no file system here can be
// made to give at the wanted moment.
//
// The file named by NADI_FAULTS is read at each call. It holds nothing, or one line: a call, what happens, a number.
//     fsync fail 122      fsync of an open segment fails with this errno
//     rename fail 28      so does its renaming
//     open fail 24        its creation
//     write fail 28       each write to it
//     write torn 28       every other write takes half of its bytes, the next one fails: a line is cut
//     write short 0       each write takes only a part
//     write interrupted 0 every other write is interrupted by a signal before it begins
//     clock jump -3600    the clock is off by so many seconds
// Only open segments (`.open`) are concerned.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static int fault(const char *call, char *kind, int *code) {
    const char *path = getenv("NADI_FAULTS");
    char text[64] = {0}, name[16];
    if (path == NULL) return 0;
    int file = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
    if (file < 0) return 0;
    long count = syscall(SYS_read, file, text, sizeof text - 1);
    syscall(SYS_close, file);
    return count > 0 && sscanf(text, "%15s %15s %d", name, kind, code) == 3 && strcmp(name, call) == 0;
}

static int endsIn(const char *text, const char *tail) {
    size_t length = strlen(text), part = strlen(tail);
    return length >= part && strcmp(text + length - part, tail) == 0;
}

static int isSegment(int file) {
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length <= 0) return 0;
    path[length] = 0;
    return endsIn(path, ".open");
}

int fsync(int file) {
    char kind[16];
    int code = 0;
    if (isSegment(file) && fault("fsync", kind, &code)) {
        errno = code;
        return -1;
    }
    return (int)syscall(SYS_fsync, file);
}

int rename(const char *from, const char *to) {
    char kind[16];
    int code = 0;
    if (endsIn(from, ".open") && fault("rename", kind, &code)) {
        errno = code;
        return -1;
    }
    return (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
}

ssize_t write(int file, const void *bytes, size_t count) {
    static int calls;
    char kind[16];
    int code = 0;
    if (count > 1 && isSegment(file) && fault("write", kind, &code)) {
        int isOdd = __atomic_add_fetch(&calls, 1, __ATOMIC_RELAXED) & 1;
        if (strcmp(kind, "short") == 0) {
            count = count / 3 + 1;
        } else if (strcmp(kind, "torn") == 0 && isOdd) {
            count /= 2;
        } else if (strcmp(kind, "interrupted") == 0) {
            if (isOdd) {
                errno = EINTR;
                return -1;
            }
        } else {
            errno = code;
            return -1;
        }
    }
    return syscall(SYS_write, file, bytes, count);
}

static int openFile(const char *path, int flags, mode_t mode) {
    char kind[16];
    int code = 0;
    if (flags & O_CREAT && endsIn(path, ".open") && fault("open", kind, &code)) {
        errno = code;
        return -1;
    }
    return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

int open(const char *path, int flags, ...) {
    va_list more;
    va_start(more, flags);
    mode_t mode = flags & O_CREAT ? (mode_t)va_arg(more, int) : 0;
    va_end(more);
    return openFile(path, flags, mode);
}

int open64(const char *path, int flags, ...) {
    va_list more;
    va_start(more, flags);
    mode_t mode = flags & O_CREAT ? (mode_t)va_arg(more, int) : 0;
    va_end(more);
    return openFile(path, flags, mode);
}

int clock_gettime(clockid_t clock, struct timespec *time) {
    char kind[16];
    int seconds = 0;
    int result = (int)syscall(SYS_clock_gettime, clock, time);
    if (result == 0 && clock == CLOCK_REALTIME && fault("clock", kind, &seconds)) time->tv_sec += seconds;
    return result;
}
