internal import RecordBatches
internal import TableStorage

/// Writes what a sweep has found: the hour of these predictions is known now, and the next pass joins their outcomes.
///
/// Those that came too late for it are counted as such.
struct SweepRecord: Sendable {
    let hour_ms: Int64
    let labelDays: Int64
    /// Days, beside those without an hour, on which outcomes wait.
    let days: [String]

    private static let createStage = """
        CREATE TEMP TABLE IF NOT EXISTS stage_found (model_id int, prediction_id text COLLATE "C") ON COMMIT DELETE ROWS
        """

    /// - Throws: ``DatabaseError``.
    func write(_ found: [PredictionFinder.Found], _ connection: Connection) throws {
        try connection.execute(OutcomeMerge.createStages)
        try connection.execute(Self.createStage)
        try connection.transaction {
            try HourLocks.takeOutcomes(models: Set(found.map(\.model)), connection)
            var writer = try connection.copy(into: "stage_found", columns: ["model_id", "prediction_id"])
            for one in found {
                writer.append(one.model)
                writer.append(one.predictionID)
                try writer.endRow()
            }
            try writer.finish()
            try connection.execute("ANALYZE stage_found")
            try OutcomeMoves.take(
                """
                DELETE FROM nadi_store.outcome AS o USING stage_found AS f
                WHERE o.prediction_day = ANY ($1::date[]) AND o.model_id = f.model_id AND o.prediction_id = f.prediction_id
                  AND (o.prediction_hour IS NULL OR (o.unmatched AND NOT o.hour_is_exact))
                """, to: hour_ms, connection, [.texts(days + ["0001-01-01"])])
            try connection.query(
                LateLabels.count("DELETE FROM stage_outcome AS o WHERE \(LateLabels.isLate("o", days: "$1"))"),
                [.integer(labelDays)])
            try OutcomeMerge(connection: connection).run(numbers: .new)
            try OutcomeWriting.markHours(connection)
        }
    }
}
