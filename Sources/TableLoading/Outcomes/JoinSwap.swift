internal import RecordBatches
internal import Sketches
internal import TableStorage

/// Replaces an hour's outcome rows of some models by those of a join, under the hour's and the day's exclusive locks.
struct JoinSwap {
    let hour: JoinPass.DirtyHour
    /// The hour's segments with predictions when it was read, ascending.
    let expected: [Int64]
    let outcomes: [JoinedOutcome]
    let result: JoinResult
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
        let rows = try JoinRows(result, caps: caps, connection)
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
            try connection.query(
                """
                DELETE FROM nadi_store.outcome_hour AS h USING nadi_store.series AS s
                WHERE h.series_id = s.series_id AND s.model_id = ANY ($1::int[]) AND h.hour = $2
                """, [.integers(models), .time(hour.hour_ms)])
            try copy(rows.counts, connection)
            try connection.query("SELECT nadi_store.derive_outcome_day($1)", [.time(LoadClock.day(hour.hour_ms))])
            try recordJoined(connection)
            try tryNeighbours(connection)
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

    private func copy(_ counts: [Int64: OutcomeCounts], _ connection: Connection) throws {
        if counts.isEmpty { return }
        var writer = try connection.copy(into: "stage_outcome_hour", columns: Self.columns)
        for (series, row) in counts.sorted(by: { $0.key < $1.key }) {
            let confusion = row.confusion.sorted {
                ($0.key.predicted, $0.key.label) < ($1.key.predicted, $1.key.label)
            }
            let scores = row.scores.sorted { $0.key < $1.key }
            writer.append(series)
            writer.append(time: hour.hour_ms)
            writer.append(row.labelled)
            writer.append(row.classified)
            writer.append(row.correct)
            // Of binary tasks: compared, positive labels, positive predictions, both.
            for _ in 0..<4 { writer.append(Int64(0)) }
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
            // Sums of the labels of regressions and their squares.
            for _ in 0..<2 { writer.append(0.0) }
            writer.append(row.delayCount)
            writer.append(row.delaySum)
            writer.append(row.delay.codes)
            writer.append(row.delay.counts)
            try writer.endRow()
        }
        try writer.finish()
        let names = Self.columns.joined(separator: ", ")
        try connection.query(
            """
            INSERT INTO nadi_store.outcome_hour (\(names), checksum)
            SELECT \(names), \(MergeStatements.checksum("outcome_hour", "hour")) FROM stage_outcome_hour ORDER BY series_id
            """)
    }

    /// Sets `joined_hour` of the rows that were read and joined, and clears it of those that no longer join.
    ///
    /// Rows that changed since keep their mark of dirt.
    private func recordJoined(_ connection: Connection) throws {
        let joined = result.joined.filter { $0.hour_s * 1000 == hour.hour_ms }.map { outcomes[$0.outcome] }
        try connection.query(
            """
            UPDATE nadi_store.outcome SET joined_hour = NULL
            WHERE model_id = ANY ($1::int[]) AND joined_hour = $2 AND event_type = 'outcome' AND name = 'label'
              AND NOT EXISTS (SELECT FROM unnest($3::int[], $4::text[]) AS u (model, id)
                              WHERE u.model = model_id AND u.id = prediction_id)
            """,
            [
                .integers(hour.models.map(\.id)), .time(hour.hour_ms), .integers(joined.map(\.model)),
                .texts(joined.map(\.predictionID)),
            ])
        try connection.query(
            """
            UPDATE nadi_store.outcome AS o SET joined_hour = $1
            FROM unnest($2::int[], $3::text[], $4::bigint[], $5::bigint[]) AS u (model, id, segment, line)
            WHERE o.model_id = u.model AND o.prediction_id = u.id AND o.segment_id = u.segment AND o.line = u.line
              AND o.event_type = 'outcome' AND o.name = 'label' AND o.joined_hour IS DISTINCT FROM $1
            """,
            [
                .time(hour.hour_ms), .integers(joined.map(\.model)), .texts(joined.map(\.predictionID)),
                .integers(joined.map(\.segment)), .integers(joined.map(\.line)),
            ])
    }

    private var neighbours: String {
        """
        SELECT f.model_id, n.hour, count(*)
        FROM failed AS f, (VALUES ($2::timestamptz - interval '1 hour'), ($2::timestamptz + interval '1 hour')) AS n (hour)
        GROUP BY 1, 2
        """
    }

    /// Hints for this hour that failed: the hours beside it are tried once.
    private func tryNeighbours(_ connection: Connection) throws {
        try connection.query(
            """
            WITH failed AS (
                UPDATE nadi_store.outcome SET hint_tried = true
                WHERE model_id = ANY ($1::int[]) AND prediction_hour = $2 AND NOT hour_is_exact AND NOT hint_tried
                  AND joined_hour IS NULL AND event_type = 'outcome' AND name = 'label'
                RETURNING model_id
            )
            \(DirtyMarks.insert(neighbours))
            """, [.integers(hour.models.map(\.id)), .time(hour.hour_ms)])
    }
}

/// A join's rows with the database's numbers: what was not admitted stands under `other`.
struct JoinRows {
    /// Rows by `series_id`; classes are `category_id`, 0 for other.
    private(set) var counts: [Int64: OutcomeCounts] = [:]

    init(_ result: JoinResult, caps: LoadSettings.Caps, _ connection: Connection) throws {
        if result.outcomeHours.isEmpty { return }
        // Labels may name classes that no prediction has shown yet.
        var names = Aggregates()
        names.models = result.models
        names.features = result.features
        names.categories = result.categories
        _ = try Admission(caps).admit(names, connection)

        let categories = try connection.query(
            """
            SELECT c.category_id
            FROM unnest($1::text[], $2::text[], $3::text[]) WITH ORDINALITY AS u (model, feature, value, place)
            LEFT JOIN nadi_store.model AS m ON m.model_name = u.model
            LEFT JOIN nadi_store.feature AS f
                ON f.model_id = m.model_id AND f.role = 'prediction' AND f.feature_name = u.feature
            LEFT JOIN nadi_store.category AS c ON c.feature_id = f.feature_id AND c.value = u.value
            ORDER BY u.place
            """,
            [
                .texts(result.categories.map { result.models[result.features[$0.feature].model] }),
                .texts(result.categories.map { result.features[$0.feature].name }),
                .texts(result.categories.map(\.value)),
            ]
        ).rows.map { Int($0.optionalInteger(0) ?? 0) }
        // The series as it is, else as admission renames what is beyond its caps.
        let series = try connection.query(
            """
            SELECT (SELECT s.series_id FROM nadi_store.series AS s JOIN nadi_store.model AS m USING (model_id)
                    WHERE m.model_name IN (u.model, 'other') AND s.slice_key = u.key
                      AND s.slice_value IN (u.value, 'other')
                      AND ((s.model_version = u.version AND s.model_variant = u.variant
                            AND s.environment = u.environment) OR s.model_version = 'other')
                    ORDER BY m.model_name = u.model DESC, s.model_version = u.version DESC, s.slice_value = u.value DESC
                    LIMIT 1)
            FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[]) WITH ORDINALITY
                AS u (model, version, variant, environment, key, value, place)
            ORDER BY u.place
            """,
            [
                .texts(result.series.map { result.models[$0.model] }), .texts(result.series.map(\.version)),
                .texts(result.series.map(\.variant)), .texts(result.series.map(\.environment)),
                .texts(result.series.map(\.sliceKey)), .texts(result.series.map(\.sliceValue)),
            ]
        ).rows.map { $0.optionalInteger(0) }
        for (key, row) in result.outcomeHours.sorted(by: { $0.key.series < $1.key.series }) {
            guard let id = series[key.series] else { continue }
            var row = row
            var confusion: [OutcomeCounts.Confusion: Int64] = [:]
            for (pair, count) in row.confusion {
                func id(_ place: Int) -> Int { categories.indices.contains(place) ? categories[place] : 0 }
                confusion[.init(predicted: id(pair.predicted), label: id(pair.label)), default: 0] += count
            }
            row.confusion = confusion
            counts[id, default: OutcomeCounts()].merge(row)
        }
    }
}
