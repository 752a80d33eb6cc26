import ServiceSupport

/// Runs calls that block on a thread of their own, so that the threads of tasks stay free.
enum Blocking {
    /// The result of `body`, which runs on a new thread.
    static func run<Value: Sendable>(_ body: @escaping @Sendable () -> Value) async -> Value {
        await withCheckedContinuation { continuation in
            DetachedThread.start { continuation.resume(returning: body()) }
        }
    }

    /// The result of `body`, or nil when it takes longer than a limit; it is cancelled then.
    static func within<Value: Sendable>(
        _ limit: Duration, _ body: @escaping @Sendable () async -> Value
    ) async -> Value? {
        await withTaskGroup(of: Value?.self) { group in
            group.addTask { await body() }
            group.addTask {
                try? await Task.sleep(for: limit)
                return nil
            }
            let first = await group.next() ?? nil
            group.cancelAll()
            return first
        }
    }
}
