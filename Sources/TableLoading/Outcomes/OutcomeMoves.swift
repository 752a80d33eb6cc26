internal import TableStorage

/// Moves outcome rows to the hour in which their prediction was found.
enum OutcomeMoves {
    /// Takes the rows that a deletion from a table called `o` removes into `stage_outcome`, placed in an hour that is now known.
    ///
    /// ``OutcomeMerge`` then writes them. The caller holds the outcome locks of their models.
    static func take(
        _ deletion: String, to hour_ms: Int64, _ connection: Connection, _ parameters: [SQLValue] = []
    ) throws {
        try OutcomeWriting.ensureDays([LoadClock.day(hour_ms)], connection)
        let placing: Set = ["prediction_day", "prediction_hour", "hour_is_exact"]
        let kept = OutcomeMerge.columns.filter { !placing.contains($0) } + ["outcome_no"]
        let names = kept.joined(separator: ", ")
        try connection.query(
            """
            WITH gone AS (\(deletion) RETURNING \(kept.map { "o.\($0)" }.joined(separator: ", ")))
            INSERT INTO stage_outcome (prediction_day, prediction_hour, hour_is_exact, \(names))
            SELECT DATE '\(LoadClock.dayText(hour_ms))', to_timestamp(\(hour_ms / 1000)), true, \(names) FROM gone
            """, parameters)
    }
}
