// What the thread sanitizer must find, and what it must not; compiled and run by Tests/run before its verdict is trusted.
//
//     seeded-race race     two threads count without a lock: a report
//     seeded-race mutex    two threads count under a Synchronization.Mutex and meet often: none
import Glibc
import Synchronization

nonisolated(unsafe) var unguarded = 0
let guarded = Mutex([Int]())

func onTwoThreads(_ body: @escaping @Sendable () -> Void) {
    final class Box: Sendable {
        let body: @Sendable () -> Void
        init(_ body: @escaping @Sendable () -> Void) { self.body = body }
    }
    let threads = (0..<2).map { _ in
        var thread = pthread_t()
        pthread_create(
            &thread, nil,
            { box in
                if let box { Unmanaged<Box>.fromOpaque(box).takeRetainedValue().body() }
                return nil
            }, Unmanaged.passRetained(Box(body)).toOpaque())
        return thread
    }
    for thread in threads { pthread_join(thread, nil) }
}

switch CommandLine.arguments.dropFirst().first {
case "race": onTwoThreads { for _ in 0..<1000 { unguarded += 1 } }
case "mutex":
    onTwoThreads {
        for number in 0..<20_000 {
            guarded.withLock { list in
                list.append(number)
                if list.count > 100 { list = [] }
            }
        }
    }
default: exit(64)
}
