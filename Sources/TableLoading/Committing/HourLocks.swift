package import TableStorage

/// Who may change an hour's rows: advisory locks of a transaction on the hour's number modulo 1,024, and on the day's.
///
/// Adders take all theirs shared, ascending, in one statement, before their first row. A replacer takes its hour's and
/// its day's exclusively for the swap alone. Nobody upgrades a lock.
package enum HourLocks {
    /// First key of all our advisory locks on hours ("nadi" in ASCII plus one).
    static let space: Int64 = 1_851_876_458
    /// First key of the locks on one model's outcome rows.
    static let outcomeSpace: Int64 = 1_851_876_459
    /// First key of the lock, of a session, on being the one that sweeps.
    static let sweepSpace: Int64 = 1_851_876_460

    /// Shared locks on hours and their days, in ascending order.
    package static func share(_ hours_ms: some Sequence<Int64>, _ connection: Connection) throws {
        var keys: Set<Int64> = []
        for hour in hours_ms { keys.formUnion(Self.keys(hour)) }
        if keys.isEmpty { return }
        try connection.query(
            "SELECT count(pg_advisory_xact_lock_shared($1::int, k)) FROM (SELECT unnest($2::int[]) AS k) AS u",
            [.integer(space), .integers(keys.sorted())])
    }

    /// Exclusive locks on hours and their days, in ascending order: for an adder whose rows are not in one order.
    package static func takeAll(_ hours_ms: some Sequence<Int64>, _ connection: Connection) throws {
        var keys: Set<Int64> = []
        for hour in hours_ms { keys.formUnion(Self.keys(hour)) }
        if keys.isEmpty { return }
        try connection.query(
            "SELECT count(pg_advisory_xact_lock($1::int, k)) FROM (SELECT unnest($2::int[]) AS k) AS u",
            [.integer(space), .integers(keys.sorted())])
    }

    /// Exclusive locks on one hour and its day.
    package static func take(_ hour_ms: Int64, _ connection: Connection) throws {
        try takeAll([hour_ms], connection)
    }

    /// Exclusive locks on the outcome rows of models, ascending, before them a shared one on the numbers of outcomes.
    package static func takeOutcomes(models: some Sequence<Int64>, _ connection: Connection) throws {
        try connection.query("SELECT pg_advisory_xact_lock_shared($1::int, 0)", [.integer(outcomeSpace)])
        try connection.query(
            "SELECT count(pg_advisory_xact_lock($1::int, k)) FROM (SELECT unnest($2::int[]) AS k) AS u",
            [.integer(outcomeSpace), .integers(Set(models).sorted())])
    }

    /// The greatest outcome number up to which every row is committed, or will never be.
    ///
    /// Whoever draws numbers holds the lock on them, shared, until he commits.
    static func settledOutcomeNumber(_ connection: Connection) throws -> Int64 {
        try connection.transaction {
            try connection.query("SELECT pg_advisory_xact_lock($1::int, 0)", [.integer(outcomeSpace)])
            // One number more, which nobody gets: reading the last one takes a right that loaders do not have.
            return try connection.query("SELECT nextval('nadi_store.outcome_number')")[0].integer(0)
        }
    }

    /// The hour's key below 1,024 and the day's from 1,024 on.
    private static func keys(_ hour_ms: Int64) -> [Int64] {
        func modulo(_ value: Int64) -> Int64 { (value % 1024 + 1024) % 1024 }
        return [
            modulo(LoadClock.hour(hour_ms) / LoadClock.hour_ms),
            1024 + modulo(LoadClock.day(hour_ms) / LoadClock.day_ms),
        ]
    }
}
