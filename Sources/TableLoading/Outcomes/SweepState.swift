internal import TableStorage

/// How far the sweep that is under way has come: the row of `nadi_store.sweep`, which is there for as long as it is.
struct SweepState: Sendable {
    /// Outcomes up to this number are looked for: what comes later is for the next sweep.
    let to: Int64
    /// How often it failed since it last went on.
    let failures: Int64

    /// So often what the store refuses is tried again before it is passed over: for most of a day.
    static let patience: Int64 = 10

    /// Goes on with the sweep that is under way, or begins one if a day has passed since the last began; or begins one at once.
    ///
    /// - Returns: nil where nothing is to be done now.
    /// - Throws: ``DatabaseError``.
    static func begin(everything: Bool, _ connection: Connection) throws -> SweepState? {
        if !everything {
            let row = try connection.query(
                "SELECT outcome_to, failures, coalesce(next_attempt_at > now(), false) FROM nadi_store.sweep"
            ).first
            if let row { return row.boolean(2) ? nil : SweepState(to: row.integer(0), failures: row.integer(1)) }
            let wasSwept = try connection.query(
                """
                SELECT EXISTS (SELECT FROM nadi_store.loader_state WHERE name = 'swept' AND at > now() - interval '1 day')
                """)
            if wasSwept[0].boolean(0) { return nil }
        }
        guard try SweepHour.anyWaits(connection) else { return nil }
        // The number before the hours: what is written later is newer, and what is loaded later changes an hour's segments.
        let to = try HourLocks.settledOutcomeNumber(connection)
        try connection.transaction {
            try connection.execute("DELETE FROM nadi_store.sweep")
            try connection.query("INSERT INTO nadi_store.sweep (outcome_to) VALUES ($1)", [.integer(to)])
        }
        return SweepState(to: to, failures: 0)
    }

    /// All hours from this one on are done with: the sweep goes on below.
    static func move(below hour_ms: Int64, _ connection: Connection) throws {
        try connection.query(
            """
            UPDATE nadi_store.sweep SET next_before = least(next_before, $1), failures = 0, next_attempt_at = NULL, last_error = NULL
            """, [.time(hour_ms)])
    }

    /// The sweep goes on after a minute, doubling to a day.
    static func postpone(_ reason: String, _ connection: Connection) throws {
        try connection.query(
            """
            UPDATE nadi_store.sweep SET failures = failures + 1, last_error = left($1, 1000),
                next_attempt_at = now() + least(1440, 2 ^ least(failures, 11)) * interval '1 minute'
            """, [.text(reason)])
    }

    /// All hours were looked through: the next sweep begins a day after this one did.
    static func finish(_ connection: Connection) throws {
        try connection.query(
            """
            WITH done AS (DELETE FROM nadi_store.sweep RETURNING outcome_to, begun_at)
            INSERT INTO nadi_store.loader_state (name, at, value) SELECT 'swept', begun_at, outcome_to::text FROM done
            ON CONFLICT (name) DO UPDATE SET at = EXCLUDED.at, value = EXCLUDED.value
            """)
    }
}
