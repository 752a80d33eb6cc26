// Shows Swift's Synchronization.Mutex to the thread sanitizer; loaded with LD_PRELOAD by Tests/run.
//
// The mutex's fast path is inlined into instrumented code, where the sanitizer sees its atomic operations. The slow path,
// taken when two threads meet, lies in libswiftSynchronization, which is not instrumented: the sanitizer would miss that
// the one who waited comes after the one who held it, and report races that are none. These two functions stand before
// the library's own, call them, and tell the sanitizer. Nothing is suppressed by that: a value touched without its mutex
// is still a race (Tests/run seeds one and wants it found).
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdint.h>
#include <stdlib.h>

extern void __tsan_acquire(void *) __attribute__((weak));
extern void __tsan_release(void *) __attribute__((weak));

#define LOCK "$s15Synchronization12_MutexHandleV9_lockSlowyys6UInt32VF"
#define UNLOCK "$s15Synchronization12_MutexHandleV11_unlockSlowyyF"

typedef __attribute__((swiftcall)) void (*lock_function)(uint32_t, __attribute__((swift_context)) void *);
typedef __attribute__((swiftcall)) void (*unlock_function)(__attribute__((swift_context)) void *);

static void *real(const char *name) {
    void *found = dlsym(RTLD_NEXT, name);
    if (!found) abort(); // another Swift: look up the names again with nm -D libswiftSynchronization.so
    return found;
}

__attribute__((swiftcall, visibility("default"))) void lock_slow(uint32_t, __attribute__((swift_context)) void *)
    __asm__(LOCK);
__attribute__((swiftcall)) void lock_slow(uint32_t me, __attribute__((swift_context)) void *handle) {
    ((lock_function)real(LOCK))(me, handle);
    if (__tsan_acquire) __tsan_acquire(handle);
}

__attribute__((swiftcall, visibility("default"))) void unlock_slow(__attribute__((swift_context)) void *)
    __asm__(UNLOCK);
__attribute__((swiftcall)) void unlock_slow(__attribute__((swift_context)) void *handle) {
    if (__tsan_release) __tsan_release(handle);
    ((unlock_function)real(UNLOCK))(handle);
}
