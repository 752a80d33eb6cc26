internal import TableStorage

/// Gives up the outcomes that wait for an hour which cannot be joined: an object of it is gone, or its outcomes have aged out.
///
/// Those that know their hour are too late. A hint may mean an hour beside it: it is looked for there, and by the sweep.
struct HourClosing {
    let hour: JoinPass.DirtyHour

    /// - Returns: how many outcomes are too late.
    func run(_ connection: Connection) throws -> Int64 {
        let models = hour.models.map(\.id)
        let waiting = """
            o.prediction_day = DATE '\(LoadClock.dayText(hour.hour_ms))' AND o.model_id = ANY ($1::int[])
            AND o.prediction_hour = $2 AND (o.unmatched OR o.outcome_no > coalesce((
                SELECT j.joined_to FROM nadi_store.join_hour AS j
                WHERE j.model_id = o.model_id AND j.hour = o.prediction_hour), 0))
            """
        return try connection.transaction {
            try HourLocks.takeOutcomes(models: models, connection)
            let late = try connection.query(
                "SELECT count(*) FROM nadi_store.outcome AS o WHERE \(waiting) AND o.hour_is_exact",
                [.integers(models), .time(hour.hour_ms)])[0].integer(0)
            try connection.query(
                LateLabels.count("DELETE FROM nadi_store.outcome AS o WHERE \(waiting) AND o.hour_is_exact"),
                [.integers(models), .time(hour.hour_ms)])
            try connection.query(
                """
                WITH lost AS (
                    UPDATE nadi_store.outcome AS o SET unmatched = true, outcome_no = nextval('nadi_store.outcome_number')
                    WHERE \(waiting) AND NOT o.hour_is_exact AND NOT o.unmatched RETURNING o.model_id, o.prediction_hour AS hour
                )
                \(DirtyMarks.insert(JoinRecord.besideHint))
                """, [.integers(models), .time(hour.hour_ms)])
            for model in hour.models {
                try connection.query(
                    "DELETE FROM nadi_store.dirty_hour WHERE model_id = $1 AND hour = $2 AND marks = $3",
                    [.integer(model.id), .time(hour.hour_ms), .integer(model.marks)])
            }
            return late
        }
    }
}
