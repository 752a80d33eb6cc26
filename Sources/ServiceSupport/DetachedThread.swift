import Glibc

/// A thread of its own for calls that block, which must not sit on the threads that tasks share.
package enum DetachedThread {
    private final class Body: Sendable {
        let run: @Sendable () -> Void

        init(_ run: @escaping @Sendable () -> Void) { self.run = run }
    }

    /// Starts a thread that nobody waits for.
    ///
    /// - Parameters:
    ///   - name: what `top -H` shows, at most 15 bytes.
    ///   - body: what it runs.
    package static func start(name: String, _ body: @escaping @Sendable () -> Void) {
        let context = Unmanaged.passRetained(Body(body)).toOpaque()
        var thread = pthread_t()
        let code = pthread_create(&thread, nil, { context in
            guard let context else { return nil }
            Unmanaged<Body>.fromOpaque(context).takeRetainedValue().run()
            return nil
        }, context)
        precondition(code == 0, "no thread could be started (errno \(code)): raise TasksMax")
        pthread_setname_np(thread, String(name.prefix(15)))
        pthread_detach(thread)
    }
}
