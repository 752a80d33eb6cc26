// Writes down what a program does to the files of one folder, in order; loaded with LD_PRELOAD by the power cut tests.
//
//     NADI_RECORD_ROOT   the folder, an absolute path; what lies outside is passed on unseen
//     NADI_RECORD_LOG    where to, appended
//     NADI_RECORD_DIE    after so many records, the process kills itself (SIGKILL)
//
// One record: the head below in native byte order, then two paths and the data that was written. What is written to
// standard output is recorded too: a program's word on what it has promised, in its place among what it did.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { START = 1, OPEN, CLOSE, WRITE, SYNC, RENAME, LINK, UNLINK, MKDIR, TRUNCATE, SAY };

struct head {
    uint32_t kind;
    int32_t fd;
    int64_t number; // open: its flags; write: the offset, or -1 for where the descriptor stands; truncate: the size
    uint32_t path, other, data;
    uint32_t zero;
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static const char *root;
static size_t root_length;
static int output = -1;
static long left = -1;
static unsigned char watched[4096];

static void emit(int kind, int fd, int64_t number, const char *path, const char *other, const void *data, size_t count) {
    int saved = errno;
    struct head head = {kind, fd, number, path ? strlen(path) : 0, other ? strlen(other) : 0, count, 0};
    struct iovec parts[4] = {{&head, sizeof head}, {(void *)path, head.path}, {(void *)other, head.other},
                             {(void *)data, count}};
    syscall(SYS_writev, output, parts, 4);
    if (left > 0 && --left == 0) syscall(SYS_kill, getpid(), SIGKILL);
    errno = saved;
}

__attribute__((constructor)) static void begin(void) {
    root = getenv("NADI_RECORD_ROOT");
    const char *log = getenv("NADI_RECORD_LOG"), *die = getenv("NADI_RECORD_DIE");
    if (!root || !log) return;
    root_length = strlen(root);
    output = syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    // A number that the program never sees, far from those it counts on.
    int high = syscall(SYS_fcntl, output, F_DUPFD_CLOEXEC, 3000);
    if (high >= 0) {
        syscall(SYS_close, output);
        output = high;
    }
    emit(START, 0, 0, 0, 0, 0, 0);
    if (die) left = strtol(die, 0, 10);
}

static int is_ours(const char *path) {
    return output >= 0 && path && !strncmp(path, root, root_length) && (path[root_length] == '/' || !path[root_length]);
}
static int is_watched(int fd) { return output >= 0 && fd >= 0 && fd < (int)sizeof watched && watched[fd]; }

#define REAL(type, name, ...) ((type(*)(__VA_ARGS__))dlsym(RTLD_NEXT, name))
#define LOCKED(call, condition, record)                                                                               \
    pthread_mutex_lock(&mutex);                                                                                       \
    __typeof__(call) result = call;                                                                                   \
    if (result >= 0 && (condition)) { record; }                                                                       \
    pthread_mutex_unlock(&mutex);                                                                                     \
    return result

static int opened(int fd, const char *path, int flags) {
    if (fd >= 0 && fd < (int)sizeof watched) watched[fd] = 1;
    emit(OPEN, fd, flags, path, 0, 0, 0);
    return fd;
}

#define OPENING(name)                                                                                                 \
    int name(const char *path, int flags, ...) {                                                                      \
        va_list rest;                                                                                                 \
        va_start(rest, flags);                                                                                        \
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0;                                       \
        va_end(rest);                                                                                                 \
        LOCKED(REAL(int, #name, const char *, int, ...)(path, flags, mode), is_ours(path), opened(result, path, flags)); \
    }
OPENING(open)
OPENING(open64)

#define OPENING_AT(name)                                                                                              \
    int name(int folder, const char *path, int flags, ...) {                                                          \
        va_list rest;                                                                                                 \
        va_start(rest, flags);                                                                                        \
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0;                                       \
        va_end(rest);                                                                                                 \
        LOCKED(REAL(int, #name, int, const char *, int, ...)(folder, path, flags, mode), is_ours(path),               \
               opened(result, path, flags));                                                                          \
    }
OPENING_AT(openat)
OPENING_AT(openat64)

int close(int fd) {
    LOCKED(REAL(int, "close", int)(fd), is_watched(fd), (watched[fd] = 0, emit(CLOSE, fd, 0, 0, 0, 0, 0)));
}

ssize_t write(int fd, const void *bytes, size_t count) {
    LOCKED(REAL(ssize_t, "write", int, const void *, size_t)(fd, bytes, count), is_watched(fd) || (fd == 1 && output >= 0),
           emit(fd == 1 ? SAY : WRITE, fd, -1, 0, 0, bytes, result));
}

#define WRITING_AT(name, offset_type)                                                                                 \
    ssize_t name(int fd, const void *bytes, size_t count, offset_type offset) {                                       \
        LOCKED(REAL(ssize_t, #name, int, const void *, size_t, offset_type)(fd, bytes, count, offset),                \
               is_watched(fd), emit(WRITE, fd, offset, 0, 0, bytes, result));                                         \
    }
WRITING_AT(pwrite, off_t)
WRITING_AT(pwrite64, off64_t)

int fsync(int fd) {
    LOCKED(REAL(int, "fsync", int)(fd), is_watched(fd), emit(SYNC, fd, 0, 0, 0, 0, 0));
}
int fdatasync(int fd) {
    LOCKED(REAL(int, "fdatasync", int)(fd), is_watched(fd), emit(SYNC, fd, 0, 0, 0, 0, 0));
}
int rename(const char *old, const char *new) {
    LOCKED(REAL(int, "rename", const char *, const char *)(old, new), is_ours(old) || is_ours(new),
           emit(RENAME, -1, 0, old, new, 0, 0));
}
int link(const char *old, const char *new) {
    LOCKED(REAL(int, "link", const char *, const char *)(old, new), is_ours(new), emit(LINK, -1, 0, old, new, 0, 0));
}
int unlink(const char *path) {
    LOCKED(REAL(int, "unlink", const char *)(path), is_ours(path), emit(UNLINK, -1, 0, path, 0, 0, 0));
}
int mkdir(const char *path, mode_t mode) {
    LOCKED(REAL(int, "mkdir", const char *, mode_t)(path, mode), is_ours(path), emit(MKDIR, -1, 0, path, 0, 0, 0));
}
#define TRUNCATING(name, offset_type)                                                                                 \
    int name(int fd, offset_type size) {                                                                              \
        LOCKED(REAL(int, #name, int, offset_type)(fd, size), is_watched(fd), emit(TRUNCATE, fd, size, 0, 0, 0, 0));   \
    }
TRUNCATING(ftruncate, off_t)
TRUNCATING(ftruncate64, off64_t)
