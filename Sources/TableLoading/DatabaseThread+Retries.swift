internal import TableStorage

extension DatabaseThread {
    /// Runs something that may be run again, up to 12 times more while the database fails in a way that passes: 50 ms
    /// doubling to 10 s, full jitter, about a minute in all.
    ///
    /// - Parameter final: SQLSTATEs that pass in general, but not here: thrown at once.
    func runWithRetries<Result: Sendable>(
        except final: Set<String> = [], _ body: @escaping @Sendable (Connection) throws -> Result
    ) async throws -> Result {
        var failures = 0
        while true {
            do {
                return try await run(body)
            } catch let error as DatabaseError where error.isRetryable && !final.contains(error.sqlState) {
                failures += 1
                if failures > 12 { throw error }
                try await Task.sleep(for: .seconds(Double.random(in: 0.01...min(10, 0.05 * Double(1 << failures)))))
            }
        }
    }
}
