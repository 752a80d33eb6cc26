internal import Dispatch

/// One thread with one connection: blocking database calls stay off Swift's cooperative threads.
///
/// Calls run one after another, in the order they are made. The connection is opened at the first call and again
/// after it was lost.
package final class DatabaseThread: Sendable {
    private let queue: DispatchQueue
    private let state: State

    /// Nothing is opened yet.
    package init(_ connectionString: String, _ options: ConnectionOptions = ConnectionOptions()) {
        queue = DispatchQueue(label: "nadi.database")
        state = State(connectionString: connectionString, options: options)
    }

    /// Runs `body` with the connection on the thread.
    /// - Throws: ``DatabaseError`` if no connection can be made, and what `body` throws.
    package func run<Result: Sendable>(
        _ body: sending @escaping (Connection) throws -> Result
    ) async throws -> Result {
        let box = Box(body)
        return try await withCheckedThrowingContinuation { continuation in
            queue.async { [state] in
                continuation.resume(with: Swift.Result { try box.body(state.connection()) })
            }
        }
    }

    /// Closes the connection; the next call opens another.
    package func close() async {
        await withCheckedContinuation { continuation in
            queue.async { [state] in
                state.close()
                continuation.resume()
            }
        }
    }

    /// Touched on the queue only.
    private final class State: @unchecked Sendable {
        let connectionString: String
        let options: ConnectionOptions
        var current: Connection?

        init(connectionString: String, options: ConnectionOptions) {
            self.connectionString = connectionString
            self.options = options
        }

        func connection() throws -> Connection {
            if let current, current.isUsable, !current.isInTransaction { return current }
            current = nil
            let opened = try Connection(connectionString, options)
            current = opened
            return opened
        }

        func close() {
            current?.close()
            current = nil
        }
    }

    /// Carries the body to the queue, where it runs once.
    private final class Box<Value>: @unchecked Sendable {
        let body: (Connection) throws -> Value
        init(_ body: @escaping (Connection) throws -> Value) { self.body = body }
    }
}
