package import TableStorage

/// Keeps every table to its retention: daily partitions are dropped, outcome rows age out into their counters.
package struct Retention: Sendable {
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
    package func apply(now_ms: Int64, _ connection: Connection) throws {
        let first = LoadClock.dayText(firstMinuteDay(now_ms: now_ms))
        // Where minutes begin: a longer retention does not bring back what is gone.
        try connection.query(
            """
            INSERT INTO nadi_store.loader_state AS s (name, at) VALUES ('minutes_kept', $1)
            ON CONFLICT (name) DO UPDATE SET at = greatest(s.at, EXCLUDED.at)
            """, [.time(firstMinuteDay(now_ms: now_ms))])
        try connection.query(
            """
            DELETE FROM nadi_store.load_run WHERE started_at < $1
              AND run_id IS DISTINCT FROM (SELECT run_id FROM nadi_store.load_run WHERE state = 'succeeded'
                                           ORDER BY finished_at DESC LIMIT 1)
            """, [.time(now_ms - 35 * LoadClock.day_ms)])
        for parent in ["request_minute", "resource_minute", "reject_line"] {
            try connection.query("SELECT nadi_store.drop_partitions($1, $2::date)", [.text(parent), .text(first)])
        }
        let firstLabelDay = LoadClock.dayText(LoadClock.day(now_ms) - settings.labelDays * LoadClock.day_ms)
        try connection.transaction {
            let models = try connection.query("SELECT model_id FROM nadi_store.model").rows.map { $0.integer(0) }
            try HourLocks.takeOutcomes(models: models, connection)
            try connection.query(
                "SELECT nadi_store.age_out_outcomes($1::date, $2)", [.text(firstLabelDay), .time(now_ms)])
        }
    }
}
