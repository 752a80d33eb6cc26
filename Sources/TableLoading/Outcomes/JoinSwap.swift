internal import RecordBatches
internal import Sketches
internal import TableStorage

/// Replaces an hour's outcome rows of some models by those of a join, under the hour's and the day's exclusive locks.
struct JoinSwap {
    let hour: JoinPass.DirtyHour
    /// The hour's segments with predictions when it was read, ascending.
    let expected: [Int64]
    let record: JoinRecord
    let result: JoinResult
    let dictionary: JoinDictionary
    let caps: LoadSettings.Caps

    static let columns = [
        "series_id", "hour", "labelled", "classified", "correct", "binary_count", "label_positive_count",
        "predicted_positive_count", "true_positive_count", "confusion_predicted", "confusion_labels", "confusion_counts",
        "score_bins", "score_counts", "score_sum_y", "score_sum_p", "score_sum_p2", "score_sum_py",
        "log_loss_count", "log_loss_sum", "error_count", "error_sum", "error_abs_sum", "error_square_sum",
        "error_label_sum", "error_label_square_sum", "delay_count", "delay_sum", "delay_bins", "delay_counts",
    ]

    /// Runs the swap.
    /// - Throws: ``LoadError`` with ``LoadError/Code/overtaken`` if the hour's segments changed since they were read, or if
    ///   another loader has joined it meanwhile, perhaps with labels that this join has not seen.
    func run(_ connection: Connection) throws {
        let rows = try JoinRows(result, dictionary, caps: caps, connection)
        let models = hour.models.map(\.id)
        try connection.execute(MergeStatements.createStages)
        try connection.transaction {
            try HourLocks.take(hour.hour_ms, connection)
            try HourLocks.takeOutcomes(models: models, connection)
            let now = try HourSources.segments(hour_ms: hour.hour_ms, type: "prediction", connection).map(\.id)
            guard now == expected else {
                throw LoadError(.overtaken, "the hour's segments changed while they were read")
            }
            let dirty = try connection.query(
                "SELECT model_id FROM nadi_store.dirty_hour WHERE hour = $1 AND model_id = ANY ($2::int[])",
                [.time(hour.hour_ms), .integers(models)])
            guard dirty.count == models.count else {
                throw LoadError(.overtaken, "another loader has joined the hour")
            }
            for table in ["outcome_hour", "named_outcome_hour"] {
                try connection.query(
                    """
                    DELETE FROM nadi_store.\(table) AS h USING nadi_store.series AS s
                    WHERE h.series_id = s.series_id AND s.model_id = ANY ($1::int[]) AND h.hour = $2
                    """, [.integers(models), .time(hour.hour_ms)])
            }
            try copy(rows.counts, connection)
            try copy(rows.named, connection)
            try connection.query("SELECT nadi_store.derive_outcome_day($1)", [.time(LoadClock.day(hour.hour_ms))])
            try record.write(repeated: repeated, connection)
            for model in hour.models {
                let row: [SQLValue] = [.integer(model.id), .time(hour.hour_ms), .integer(model.marks)]
                try connection.query(
                    "DELETE FROM nadi_store.dirty_hour WHERE model_id = $1 AND hour = $2 AND marks = $3", row)
                // Marked again since it was read: what is left waits from now on.
                try connection.query(
                    """
                    UPDATE nadi_store.dirty_hour SET since = now(), waiting = greatest(1, waiting - $4), failures = 0,
                        next_attempt_at = NULL, last_error = NULL
                    WHERE model_id = $1 AND hour = $2 AND marks <> $3
                    """, row + [.integer(model.waiting)])
            }
        }
    }

    /// Lines whose prediction id an earlier line has, by model.
    private var repeated: [Int64: Int64] {
        Dictionary(zip(hour.models.map(\.id), result.repeated), uniquingKeysWith: +)
    }

    private func copy(_ counts: [(series: Int64, row: OutcomeCounts)], _ connection: Connection) throws {
        if counts.isEmpty { return }
        var writer = try connection.copy(into: "stage_outcome_hour", columns: Self.columns)
        for (series, row) in counts {
            let confusion = row.confusion.sorted {
                ($0.key.predicted, $0.key.label) < ($1.key.predicted, $1.key.label)
            }
            let scores = row.scores.sorted { $0.key < $1.key }
            writer.append(series)
            writer.append(time: hour.hour_ms)
            writer.append(row.labelled)
            writer.append(row.classified)
            writer.append(row.correct)
            writer.append(row.binary)
            writer.append(row.labelPositive)
            writer.append(row.predictedPositive)
            writer.append(row.truePositive)
            writer.append(confusion.map(\.key.predicted))
            writer.append(confusion.map(\.key.label))
            writer.append(confusion.map(\.value))
            writer.append(scores.map(\.key))
            writer.append(scores.map(\.value.count))
            writer.append(scores.map(\.value.sumY))
            writer.append(scores.map(\.value.sumP))
            writer.append(scores.map(\.value.sumPP))
            writer.append(scores.map(\.value.sumPY))
            writer.append(row.logLossCount)
            writer.append(row.logLossSum)
            writer.append(row.errorCount)
            writer.append(row.errorSum)
            writer.append(row.errorAbsSum)
            writer.append(row.errorSquareSum)
            writer.append(row.errorLabelSum)
            writer.append(row.errorLabelSquareSum)
            writer.append(row.delayCount)
            writer.append(row.delaySum)
            writer.append(row.delay.codes)
            writer.append(row.delay.counts)
            try writer.endRow()
        }
        try writer.finish()
        try insert("outcome_hour", Self.columns, order: "series_id", connection)
    }

    private func copy(_ rows: [JoinRows.Named], _ connection: Connection) throws {
        if rows.isEmpty { return }
        let columns = MergeStatements.columns("named_outcome_hour", "hour")
        var writer = try connection.copy(into: "stage_named_outcome_hour", columns: columns)
        for row in rows {
            writer.append(row.series)
            writer.append(time: hour.hour_ms)
            writer.append(row.name.type.rawValue)
            writer.append(row.name.name)
            writer.append(row.name.currency)
            writer.append(row.counts.count)
            writer.append(row.counts.positive)
            writer.append(row.counts.negative)
            writer.append(row.counts.valueCount)
            writer.append(row.counts.valueSum)
            writer.append(row.counts.valueSquareSum)
            writer.append(row.counts.scoreCount)
            writer.append(row.counts.scoreSum)
            writer.append(row.counts.scoreSquareSum)
            try writer.endRow()
        }
        try writer.finish()
        try insert("named_outcome_hour", columns, order: "series_id, event_type, name, currency", connection)
    }

    private func insert(_ table: String, _ columns: [String], order: String, _ connection: Connection) throws {
        let names = columns.joined(separator: ", ")
        try connection.query(
            """
            INSERT INTO nadi_store.\(table) (\(names), checksum)
            SELECT \(names), \(MergeStatements.checksum(table, "hour")) FROM stage_\(table) ORDER BY \(order)
            """)
    }
}
