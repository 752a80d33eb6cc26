// Gives Swift's concurrency sixteen threads on any machine; loaded with LD_PRELOAD by Tests/run.
//
// Tests hold a thread while they ask a database or wait for a program, on purpose and often. Where the pool has as many
// threads as the machine has processors, a few such tests keep all others from letting go what somebody waits for, for
// longer than timeouts allow. libdispatch makes its pool as wide as these two calls say.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { THREADS = 16 };

long sysconf(int name) {
    static long (*next)(int);
    if (next == NULL) next = (long (*)(int))dlsym(RTLD_NEXT, "sysconf");
    return name == _SC_NPROCESSORS_CONF ? THREADS : next(name);
}

int pthread_getaffinity_np(pthread_t thread, size_t size, cpu_set_t *set) {
    (void)thread;
    CPU_ZERO_S(size, set);
    for (int i = 0; i < THREADS; i++) CPU_SET_S((size_t)i, size, set);
    return 0;
}

// Only the tests themselves: programs that they start are as they are for users.
__attribute__((constructor)) static void stay(void) {
    const char *dot = strrchr(program_invocation_short_name, '.');
    if (dot != NULL && strcmp(dot, ".xctest") == 0) unsetenv("LD_PRELOAD");
}
