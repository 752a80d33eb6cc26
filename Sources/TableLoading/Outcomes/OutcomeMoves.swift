internal import TableStorage

/// Moves outcome rows to the hour in which their prediction was found.
enum OutcomeMoves {
    /// Takes the rows that a deletion from a table called `o` removes into `stage_outcome`, placed in an hour that is now known.
    ///
    /// ``OutcomeMerge`` then writes them. The caller holds the outcome locks of their models.
    /// - Returns: how many rows.
    @discardableResult
    static func take(
        _ deletion: String, to hour_ms: Int64, _ connection: Connection, _ parameters: [SQLValue] = []
    ) throws -> Int64 {
        try OutcomeWriting.ensureDays([LoadClock.day(hour_ms)], connection)
        let kept = OutcomeMerge.saidColumns + ["outcome_no"]
        let names = OutcomeMerge.list(kept)
        return try connection.query(
            """
            WITH gone AS (\(deletion) RETURNING \(OutcomeMerge.list(kept, of: "o")))
            INSERT INTO stage_outcome (prediction_day, prediction_hour, hour_is_exact, \(names))
            SELECT DATE '\(LoadClock.dayText(hour_ms))', to_timestamp(\(hour_ms / 1000)), true, \(names) FROM gone
            """, parameters
        ).changedRows
    }
}
