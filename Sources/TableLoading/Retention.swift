package import TableStorage

/// Keeps every table to its retention, as `nadi_store.retention` lists it: partitions are dropped, days of outcomes go
/// into their counters, a dropped month of the ledger leaves its sums.
package struct Retention: Sendable {
    /// How long an old month of the ledger is left alone after an object of it was claimed or loaded: an archive that is
    /// loaded anew is loaded whole before its ledger expires.
    package static let untouched_ms = 7 * LoadClock.day_ms
    /// Most rows deleted in one transaction.
    static let rowsAtATime: Int64 = 50_000

    let settings: LoadSettings.Retention

    package init(_ settings: LoadSettings.Retention) { self.settings = settings }

    /// The first day whose minute rows and rejected lines are kept, milliseconds since the epoch.
    package func firstMinuteDay(now_ms: Int64) -> Int64 {
        LoadClock.day(now_ms) - settings.minuteDays * LoadClock.day_ms
    }

    /// Makes the partitions of the days that are not past retention; returns nothing when all exist.
    package func ensurePartitions(
        of parent: String, days_ms: some Sequence<Int64>, _ connection: Connection
    ) throws {
        for day in Set(days_ms).sorted() {
            try connection.query(
                "SELECT nadi_store.ensure_partition($1, $2::date)", [.text(parent), .text(LoadClock.dayText(day))])
        }
    }

    /// Drops what is too old.
    ///
    /// A partition that somebody reads is left for the next run.
    /// - Parameter now_ms: the database's time.
    /// - Throws: ``DatabaseError``.
    package func apply(now_ms: Int64, _ connection: Connection) throws {
        try record(connection)
        let first = LoadClock.dayText(firstMinuteDay(now_ms: now_ms))
        // Where minutes begin: a longer retention does not bring back what is gone.
        try connection.query(
            """
            INSERT INTO nadi_store.loader_state AS s (name, at) VALUES ('minutes_kept', $1)
            ON CONFLICT (name) DO UPDATE SET at = greatest(s.at, EXCLUDED.at)
            """, [.time(firstMinuteDay(now_ms: now_ms))])
        try connection.query(
            """
            DELETE FROM nadi_store.load_run WHERE run_id IN (
                SELECT run_id FROM nadi_store.load_run WHERE started_at < $1
                  AND run_id IS DISTINCT FROM (SELECT run_id FROM nadi_store.load_run WHERE state = 'succeeded'
                                               ORDER BY finished_at DESC LIMIT 1)
                ORDER BY started_at LIMIT $2)
            """, [.time(now_ms - settings.minuteDays * LoadClock.day_ms), .integer(Self.rowsAtATime)])
        for parent in ["request_minute", "resource_minute", "reject_line"] {
            try unlessInUse {
                try connection.query("SELECT nadi_store.drop_partitions($1, $2::date)", [.text(parent), .text(first)])
            }
        }
        try ageOutcomes(now_ms: now_ms, connection)
        try dropLedger(now_ms: now_ms, connection)
    }

    /// Writes what is in force into the table of retentions.
    private func record(_ connection: Connection) throws {
        try connection.query(
            """
            UPDATE nadi_store.retention AS r SET days = u.days
            FROM unnest($1::text[], $2::int[]) AS u (setting, days)
            WHERE r.setting = u.setting AND r.days <> u.days
            """,
            [
                .texts(["minute_days", "label_days", "archive_days"]),
                .integers([settings.minuteDays, settings.labelDays, settings.archiveDays]),
            ])
    }

    /// A day at a time, and some rows without a day, so that loaders wait for their models' locks only briefly.
    private func ageOutcomes(now_ms: Int64, _ connection: Connection) throws {
        let first = LoadClock.dayText(LoadClock.day(now_ms) - settings.labelDays * LoadClock.day_ms)
        func locked(_ statement: String, _ parameters: [SQLValue]) throws -> Int64? {
            try connection.transaction {
                let models = try connection.query("SELECT model_id FROM nadi_store.model").rows.map { $0.integer(0) }
                try HourLocks.takeOutcomes(models: models, connection)
                return try connection.query(statement, parameters)[0].optionalInteger(0)
            }
        }
        // The locks of all models only where something is past its time.
        let due = try connection.query(
            """
            SELECT EXISTS (SELECT FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid
                           WHERE i.inhparent = 'nadi_store.outcome'::regclass
                             AND c.relname < 'outcome_' || to_char($1::date, 'YYYYMMDD')),
                   EXISTS (SELECT FROM nadi_store.outcome_unplaced WHERE arrival_day < $1::date)
            """, [.text(first)])[0]
        if due.boolean(0) {
            for _ in 0..<400 {
                var dropped: Int64?
                try unlessInUse {
                    dropped = try locked(
                        "SELECT nadi_store.age_out_day($1::date, $2::int, $3)",
                        [.text(first), .integer(settings.labelDays), .time(now_ms)])
                }
                if dropped == nil { break }
            }
        }
        if due.boolean(1) {
            for _ in 0..<20 {
                let deleted = try locked(
                    "SELECT nadi_store.age_out_unplaced($1::date, $2, $3)",
                    [.text(first), .time(now_ms), .integer(Self.rowsAtATime)])
                if deleted ?? 0 < Self.rowsAtATime { return }
            }
        }
    }

    /// One month at a time, each in a transaction of its own.
    private func dropLedger(now_ms: Int64, _ connection: Connection) throws {
        let first = now_ms - settings.archiveDays * LoadClock.day_ms
        for _ in 0..<24 {
            var dropped: Int64 = 0
            try unlessInUse {
                dropped = try connection.transaction {
                    // A month of a large fleet has millions of rows to sum up.
                    try connection.execute("SET LOCAL statement_timeout = '1h'")
                    return try connection.query(
                        "SELECT nadi_store.drop_ledger($1, $2)", [.time(first), .time(now_ms - Self.untouched_ms)])[0]
                        .integer(0)
                }
            }
            if dropped == 0 { return }
        }
    }

    /// Leaves to the next run what somebody uses now: a lock that does not come, or a circle of waiting.
    private func unlessInUse(_ body: () throws -> Void) throws {
        do {
            try body()
        } catch let error as DatabaseError where error.sqlState == "55P03" || error.sqlState == "40P01" {
            return
        }
    }
}
