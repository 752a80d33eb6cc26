import TableStorage
import TestSupport

/// Looks at what loaders hold and wait for, from a connection of its own.
struct LoaderWatch {
    private let connection: Connection

    init(_ pipeline: Pipeline) throws { connection = try pipeline.database.connect() }

    /// Processes of loaders that wait for a lock inside a transaction.
    func waiting() throws -> [Int64] {
        try connection.query(
            """
            SELECT pid FROM pg_stat_activity
            WHERE datname = current_database() AND application_name = 'nadi-loader' AND wait_event_type = 'Lock'
              AND xact_start IS NOT NULL ORDER BY pid
            """
        ).rows.map { $0.integer(0) }
    }

    /// Waits until so many loaders wait for a lock, at most a minute.
    @discardableResult
    func wait(for loaders: Int) async throws -> [Int64] {
        for _ in 0..<1200 {
            let waiting = try waiting()
            if waiting.count >= loaders { return waiting }
            try await Task.sleep(for: .milliseconds(50))
        }
        return try waiting()
    }

    /// Advisory locks on hours and days of a process: key, and whether it has it.
    func hourLocks(_ process: Int64) throws -> [(key: Int64, isHeld: Bool)] {
        try connection.query(
            """
            SELECT objid::bigint, granted FROM pg_locks
            WHERE pid = $1 AND locktype = 'advisory' AND classid = 1851876458 ORDER BY 1
            """, [.integer(process)]
        ).rows.map { ($0.integer(0), $0.boolean(1)) }
    }

    /// Waits until a condition of the database holds, at most a minute.
    func wait(until condition: String) async throws -> Bool {
        for _ in 0..<1200 {
            if try connection.query("SELECT coalesce((\(condition)), false)")[0].boolean(0) { return true }
            try await Task.sleep(for: .milliseconds(50))
        }
        return false
    }
}
