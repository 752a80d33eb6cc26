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
