internal import TableStorage

/// Commits a batch through failures of the connection: admission, then ``BatchCommit``'s transaction.
///
/// When a connection breaks during COMMIT, the ledger says whether the batch is in the tables.
struct BatchCommitting: Sendable {
    let loader: Loader

    init(_ loader: Loader) { self.loader = loader }

    /// What a commit did.
    struct Result: Sendable {
        let counts: BatchCommit.Counts
        /// Names beyond a cap, by kind.
        var refused: [String: Int] = [:]
    }

    /// Commits; tries for about a minute.
    /// - Throws: ``LoadError`` with ``LoadError/Code/overtaken`` when another loader did part of it; `DatabaseError`.
    func run(_ batch: LoadBatch) async throws -> Result {
        var failures = 0
        var isUnknown = false
        var wasUnknown = false
        while true {
            do {
                if isUnknown, try await isCommitted(batch) { return Result(counts: BatchCommit.counts(of: batch)) }
                isUnknown = false
                return try await attempt(batch)
            } catch let error as LoadError where error.code == .overtaken {
                // By this batch's own COMMIT, which the server was still at when the ledger was asked.
                if wasUnknown, try await isCommitted(batch) { return Result(counts: BatchCommit.counts(of: batch)) }
                throw error
            } catch let error as DatabaseError where error.isRetryable {
                failures += 1
                isUnknown = isUnknown || error.isCommitOutcomeUnknown
                wasUnknown = wasUnknown || isUnknown
                if failures > 12 { throw error }
                // Full jitter, 50 ms doubling to 10 s: about a minute in all.
                let longest = min(10.0, 0.05 * Double(1 << failures))
                try await Task.sleep(for: .seconds(Double.random(in: 0.01...longest)))
            }
        }
    }

    private func attempt(_ batch: LoadBatch) async throws -> Result {
        let settings = loader.settings
        let retention = loader.retention
        return try await loader.database.run { connection in
            let admission = Admission(settings.caps)
            let admitted = try admission.admit(batch.aggregates, connection)
            let overflow = try batch.overflow?.admit(by: admission, connection)
            let commit = BatchCommit(
                batch: batch, admitted: admitted, overflow: overflow, owner: settings.owner, retention: retention,
                now_ms: try LoadClock.now_ms(connection))
            return Result(
                counts: try commit.run(connection),
                refused: admitted.refused.merging(overflow?.refused ?? [:], uniquingKeysWith: +))
        }
    }

    /// After a connection that broke during COMMIT: whether the ledger has the batch.
    private func isCommitted(_ batch: LoadBatch) async throws -> Bool {
        let ids = batch.objects.map(\.claim.objectID)
        return try await loader.database.run { connection in
            try connection.query(
                "SELECT count(*) FROM nadi_store.object WHERE object_id = ANY ($1::bigint[]) AND state = 'loaded'",
                [.integers(ids)])[0].integer(0) == Int64(ids.count)
        }
    }
}
