internal import RecordBatches
internal import Sketches
internal import TableStorage

/// Replaces an hour's outcome rows of some models by those of a join, under the hour's and the day's exclusive locks.
struct JoinSwap {
    let hour: JoinPass.DirtyHour
    /// The hour's segments with predictions when it was read.
    let expected: HourSources.Mark
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

    /// What it holds until it is run, and writes: rows of aggregates, and of outcomes by the hundred.
    var rows: Int { result.outcomes.count + result.named.count + record.changeCount / 100 }

    /// Runs several swaps in one transaction.
    ///
    /// - Returns: hours that are to be joined again: their segments changed since they were read, or another loader has
    ///   joined them meanwhile, perhaps with outcomes that this join has not seen.
    /// - Throws: ``DatabaseError``; ``LoadError`` with ``LoadError/Code/overtaken`` where two of the hours, or another loader,
    ///   found the same outcome. Nothing was changed then; where a commit's answer was lost, the swaps may be run again, and
    ///   are overtaken by themselves.
    static func run(_ swaps: [JoinSwap], _ connection: Connection) throws -> [JoinPass.DirtyHour] {
        let rows = try swaps.map { try JoinRows($0.result, $0.dictionary, caps: $0.caps, connection) }
        var stages = ["outcome_hour", "named_outcome_hour"].map { MergeStatements.create("stage_\($0)", like: $0) }
        // Writing outcomes takes more of them.
        if swaps.contains(where: \.record.hasChanges) { stages.append(JoinRecord.createStages) }
        try connection.execute(stages.joined(separator: "\n"))
        return try connection.transaction {
            try HourLocks.takeAll(swaps.map(\.hour.hour_ms), connection)
            try HourLocks.takeOutcomes(models: swaps.flatMap { $0.hour.models.map(\.id) }, connection)
            let isCurrent = try current(swaps, connection)
            let current = zip(swaps, rows).filter { isCurrent.contains($0.0.hour.hour_ms) }.map { (swap: $0.0, rows: $0.1) }
            if !current.isEmpty {
                try delete(current.map(\.swap), connection)
                try copyCounts(current, connection)
                try copyNamed(current, connection)
                for day in Set(current.map { LoadClock.day($0.swap.hour.hour_ms) }).sorted() {
                    try connection.query("SELECT nadi_store.derive_outcome_day($1)", [.time(day)])
                }
                try JoinRecord.write(current.map { ($0.swap.record, $0.swap.repeated) }, connection)
                try clearMarks(current.map(\.swap), connection)
            }
            return swaps.map(\.hour).filter { !isCurrent.contains($0.hour_ms) }
        }
    }

    /// Models and hours of swaps, as parallel arrays.
    private static func pairs(_ swaps: [JoinSwap]) -> [SQLValue] {
        [
            .integers(swaps.flatMap { $0.hour.models.map(\.id) }),
            .times(swaps.flatMap { swap in swap.hour.models.map { _ in swap.hour.hour_ms } }),
        ]
    }

    /// The hours that still are as they were read, and that nobody else has joined.
    private static func current(_ swaps: [JoinSwap], _ connection: Connection) throws -> Set<Int64> {
        let marks = try HourSources.marks(hours_ms: swaps.map(\.hour.hour_ms), type: "prediction", connection)
        var dirty: [Int64: Int] = [:]
        for row in try connection.query(
            """
            SELECT d.hour FROM nadi_store.dirty_hour AS d
            JOIN unnest($1::int[], $2::timestamptz[]) AS u (model_id, hour) USING (model_id, hour)
            """, pairs(swaps)
        ).rows { dirty[row.time(0), default: 0] += 1 }
        let current = swaps.filter {
            marks[$0.hour.hour_ms] ?? HourSources.Mark() == $0.expected && dirty[$0.hour.hour_ms] == $0.hour.models.count
        }
        return Set(current.map(\.hour.hour_ms))
    }

    private static func delete(_ swaps: [JoinSwap], _ connection: Connection) throws {
        for table in ["outcome_hour", "named_outcome_hour"] {
            try connection.query(
                """
                DELETE FROM nadi_store.\(table) AS h USING nadi_store.series AS s,
                    unnest($1::int[], $2::timestamptz[]) AS u (model_id, hour)
                WHERE h.series_id = s.series_id AND s.model_id = u.model_id AND h.hour = u.hour
                """, pairs(swaps))
        }
    }

    /// Takes the marks away.
    private static func clearMarks(_ swaps: [JoinSwap], _ connection: Connection) throws {
        let models = swaps.flatMap(\.hour.models)
        let marks = pairs(swaps) + [.integers(models.map(\.marks))]
        try connection.query(
            """
            DELETE FROM nadi_store.dirty_hour AS d
            USING unnest($1::int[], $2::timestamptz[], $3::bigint[]) AS u (model_id, hour, marks)
            WHERE d.model_id = u.model_id AND d.hour = u.hour AND d.marks = u.marks
            """, marks)
        // Marked again since it was read: what is left waits from now on.
        try connection.query(
            """
            UPDATE nadi_store.dirty_hour AS d SET since = now(), waiting = greatest(1, d.waiting - u.waiting), failures = 0,
                next_attempt_at = NULL, last_error = NULL
            FROM unnest($1::int[], $2::timestamptz[], $3::bigint[], $4::bigint[]) AS u (model_id, hour, marks, waiting)
            WHERE d.model_id = u.model_id AND d.hour = u.hour AND d.marks <> u.marks
            """, marks + [.integers(models.map(\.waiting))])
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
