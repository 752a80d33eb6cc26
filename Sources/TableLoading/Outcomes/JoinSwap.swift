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
        "series_id", "hour", "labelled", "failed_labelled", "classified", "correct", "binary_count",
        "label_positive_count", "predicted_positive_count", "true_positive_count", "confusion_predicted",
        "confusion_labels", "confusion_counts", "score_bins", "score_counts", "score_sum_y", "score_sum_p",
        "score_sum_p2", "score_sum_py",
        "log_loss_count", "log_loss_sum", "error_count", "error_sum", "error_abs_sum", "error_square_sum",
        "error_label_sum", "error_label_square_sum", "delay_count", "delay_sum", "delay_bins", "delay_counts",
    ]

    /// How many rows it writes.
    var rows: Int { result.outcomes.count + result.named.count }

    /// Runs several swaps, those that write rows of outcomes one by one, the others in one transaction.
    ///
    /// - Returns: hours that are to be joined again: their segments changed since they were read, or another loader has
    ///   joined them meanwhile, perhaps with outcomes that this join has not seen.
    /// - Throws: ``DatabaseError``; a swap that was run before is kept, and runs as overtaken if it is run again.
    static func run(_ swaps: [JoinSwap], _ connection: Connection) throws -> [JoinPass.DirtyHour] {
        let plain = swaps.filter { !$0.record.hasChanges }
        var overtaken: [JoinPass.DirtyHour] = []
        for group in [plain] + swaps.filter(\.record.hasChanges).map({ [$0] }) where !group.isEmpty {
            do {
                overtaken += try swap(group.sorted { $0.hour.hour_ms < $1.hour.hour_ms }, connection)
            } catch let error as LoadError where error.code == .overtaken {
                overtaken += group.map(\.hour)
            }
        }
        return overtaken
    }

    private static func swap(_ swaps: [JoinSwap], _ connection: Connection) throws -> [JoinPass.DirtyHour] {
        let rows = try swaps.map { try JoinRows($0.result, $0.dictionary, caps: $0.caps, connection) }
        let stages = ["outcome_hour", "named_outcome_hour"].map { MergeStatements.create("stage_\($0)", like: $0) }
        // Moving outcomes takes more of them.
        let moves = swaps.contains(where: \.record.hasChanges)
        try connection.execute(moves ? MergeStatements.createStages : stages.joined(separator: "\n"))
        return try connection.transaction {
            try HourLocks.takeAll(swaps.map(\.hour.hour_ms), connection)
            try HourLocks.takeOutcomes(models: swaps.flatMap { $0.hour.models.map(\.id) }, connection)
            var current: [(swap: JoinSwap, rows: JoinRows)] = []
            var overtaken: [JoinPass.DirtyHour] = []
            for (swap, rows) in zip(swaps, rows) {
                if try swap.isCurrent(connection) {
                    current.append((swap, rows))
                } else {
                    overtaken.append(swap.hour)
                }
            }
            for (swap, _) in current { try swap.delete(connection) }
            try copyCounts(current, connection)
            try copyNamed(current, connection)
            for day in Set(current.map { LoadClock.day($0.swap.hour.hour_ms) }).sorted() {
                try connection.query("SELECT nadi_store.derive_outcome_day($1)", [.time(day)])
            }
            for (swap, _) in current { try swap.record(connection) }
            return overtaken
        }
    }

    /// Whether the hour still is as it was read, and nobody else has joined it.
    private func isCurrent(_ connection: Connection) throws -> Bool {
        let now = try HourSources.segments(hour_ms: hour.hour_ms, type: "prediction", connection).map(\.id)
        guard now == expected else { return false }
        let models = hour.models.map(\.id)
        let dirty = try connection.query(
            "SELECT model_id FROM nadi_store.dirty_hour WHERE hour = $1 AND model_id = ANY ($2::int[])",
            [.time(hour.hour_ms), .integers(models)])
        return dirty.count == models.count
    }

    private func delete(_ connection: Connection) throws {
        for table in ["outcome_hour", "named_outcome_hour"] {
            try connection.query(
                """
                DELETE FROM nadi_store.\(table) AS h USING nadi_store.series AS s
                WHERE h.series_id = s.series_id AND s.model_id = ANY ($1::int[]) AND h.hour = $2
                """, [.integers(hour.models.map(\.id)), .time(hour.hour_ms)])
        }
    }

    /// Writes what became of the outcomes, and takes the marks away.
    private func record(_ connection: Connection) throws {
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

    /// Lines whose prediction id an earlier line has, by model.
    private var repeated: [Int64: Int64] {
        Dictionary(zip(hour.models.map(\.id), result.repeated), uniquingKeysWith: +)
    }

    private static func copyCounts(
        _ swaps: [(swap: JoinSwap, rows: JoinRows)], _ connection: Connection
    ) throws {
        if swaps.allSatisfy(\.rows.counts.isEmpty) { return }
        var writer = try connection.copy(into: "stage_outcome_hour", columns: Self.columns)
        for (hour_ms, series, row) in swaps.flatMap({ one in
            one.rows.counts.map { (one.swap.hour.hour_ms, $0.series, $0.row) }
        }) {
            let confusion = row.confusion.sorted {
                ($0.key.predicted, $0.key.label) < ($1.key.predicted, $1.key.label)
            }
            let scores = row.scores.sorted { $0.key < $1.key }
            writer.append(series)
            writer.append(time: hour_ms)
            writer.append(row.labelled)
            writer.append(row.failedLabelled)
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
        try insert("outcome_hour", Self.columns, order: "series_id, hour", connection)
    }

    private static func copyNamed(
        _ swaps: [(swap: JoinSwap, rows: JoinRows)], _ connection: Connection
    ) throws {
        if swaps.allSatisfy(\.rows.named.isEmpty) { return }
        let columns = MergeStatements.columns("named_outcome_hour", "hour")
        var writer = try connection.copy(into: "stage_named_outcome_hour", columns: columns)
        for (hour_ms, row) in swaps.flatMap({ one in one.rows.named.map { (one.swap.hour.hour_ms, $0) } }) {
            writer.append(row.series)
            writer.append(time: hour_ms)
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
        try insert("named_outcome_hour", columns, order: "series_id, hour, event_type, name, currency", connection)
    }

    private static func insert(_ table: String, _ columns: [String], order: String, _ connection: Connection) throws {
        let names = columns.joined(separator: ", ")
        try connection.query(
            """
            INSERT INTO nadi_store.\(table) (\(names), checksum)
            SELECT \(names), \(MergeStatements.checksum(table, "hour")) FROM stage_\(table) ORDER BY \(order)
            """)
    }
}
