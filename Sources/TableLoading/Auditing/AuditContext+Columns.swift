internal import TableStorage

/// A column that is compared, and how rows of it add up.
struct AuditColumn {
    let name: String
    /// What one row says.
    let expression: String
    /// What a group of rows says.
    let sum: String

    private init(_ name: String, _ expression: String, _ sum: String) {
        self.name = name
        self.expression = expression
        self.sum = sum
    }

    init(_ name: String) { self.init(name, name, "sum(\(name))") }

    /// The sum of an array.
    init(totalOf array: String) {
        self.init("total of \(array)", Self.total(array), "sum(\(Self.total(array)))")
    }

    init(_ name: String, by sum: String) { self.init(name, name, "\(sum)(\(name))") }

    /// Edge sets and counts on them, which different edges take away.
    static let edges = [
        AuditColumn("edge_set_id", "edge_set_id", "CASE WHEN \(sameEdges) THEN min(edge_set_id) ELSE -1 END"),
        AuditColumn(
            "total of edge_counts", total("edge_counts"),
            "CASE WHEN \(sameEdges) THEN sum(\(total("edge_counts"))) ELSE 0 END"),
    ]
    private static let sameEdges = "min(edge_set_id) = max(edge_set_id)"

    static func total(_ array: String) -> String { "(SELECT coalesce(sum(n), 0) FROM unnest(\(array)) AS n)" }

    static let request =
        ["requests", "predictions", "errors", "failed_predictions", "latency_count"].map { AuditColumn($0) }
        + [AuditColumn(totalOf: "latency_counts")]
    static let feature =
        ["numeric_count", "categorical_count", "null_count", "wrong_type_count", "other_count"].map { AuditColumn($0) }
        + [
            AuditColumn(totalOf: "log_counts"), AuditColumn(totalOf: "category_counts"),
            AuditColumn("minimum", by: "min"), AuditColumn("maximum", by: "max"),
        ] + edges
    static let score = [AuditColumn(totalOf: "counts"), AuditColumn(totalOf: "positive_counts")]
    static let outcome =
        [
            "labelled", "failed_labelled", "classified", "correct", "binary_count", "label_positive_count",
            "predicted_positive_count", "true_positive_count", "log_loss_count", "error_count", "delay_count",
        ].map { AuditColumn($0) }
        + ["confusion_counts", "score_counts", "delay_counts"].map { AuditColumn(totalOf: $0) }
    static let namedOutcome = ["count", "positive_count", "negative_count", "value_count", "score_count"].map {
        AuditColumn($0)
    }
    static let resource = [AuditColumn("count"), AuditColumn("maximum", by: "max")]
}

/// Aggregates against aggregates, column by column, so that two changes cannot cancel each other.
extension AuditContext {
    /// Days against the sums of their hours.
    func days(_ report: inout AuditReport) throws {
        for (table, keys, columns) in [
            ("request", "series_id", AuditColumn.request), ("feature", "series_id, feature_id", AuditColumn.feature),
            ("score", "series_id, category_id", AuditColumn.score), ("outcome", "series_id", AuditColumn.outcome),
            ("named_outcome", "series_id, event_type, name, currency", AuditColumn.namedOutcome),
        ] {
            try compare(
                "day:\(table)_day", "\(table)_hour", keys, "date_trunc('day', hour, 'UTC')", "\(table)_day", "day",
                columns, names: Self.seriesNames, leftWhere: scope.sqlDays("hour"), rightWhere: scope.sqlDays("day"),
                &report)
        }
    }

    /// Minutes that are kept against their hours.
    func minutes(_ report: inout AuditReport) throws {
        // Minutes exist of events up to 35 days before their seal, of the days since which they are kept.
        let kept = try connection.query("SELECT at FROM nadi_store.loader_state WHERE name = 'minutes_kept'").first
        let first = max(
            kept?.time(0) ?? 0, Retention(settings.retention).firstMinuteDay(now_ms: now_ms),
            LoadClock.day(now_ms) - 34 * LoadClock.day_ms)
        let bound = ">= to_timestamp(\(first / 1000))"
        let (minutes, hours) = (
            "minute \(bound) AND \(scope.sql("minute"))", "hour \(bound) AND \(scope.sql("hour"))"
        )
        try compare(
            "minute:request_minute", "request_minute", "series_id", "date_trunc('hour', minute, 'UTC')", "request_hour",
            "hour", AuditColumn.request, names: Self.seriesNames, leftWhere: minutes,
            rightWhere: hours, &report)
        try compare(
            "minute:resource_minute", "resource_minute", "resource_id, measure", "date_trunc('hour', minute, 'UTC')",
            "resource_hour", "hour", AuditColumn.resource, names: Self.resourceNames, leftWhere: minutes,
            rightWhere: hours, &report)
    }

    private static let seriesNames = (
        join: """
        JOIN nadi_store.series AS s USING (series_id) JOIN nadi_store.model AS m USING (model_id)
        """, name: "m.model_name || ' ' || s.slice_key || '=' || s.slice_value"
    )
    private static let resourceNames = (
        join: "JOIN nadi_store.resource AS x USING (resource_id)",
        name: "x.service || ' ' || x.instance || ' ' || x.device || ' ' || measure"
    )

    /// Sums of `parts` by keys and period against the rows of `whole`.
    private func compare(
        _ id: String, _ parts: String, _ keys: String, _ period: String, _ whole: String, _ time: String,
        _ columns: [AuditColumn], names: (join: String, name: String), leftWhere: String = "true",
        rightWhere: String = "true", _ report: inout AuditReport
    ) throws {
        let sums = columns.enumerated().map { "\($1.sum) AS c\($0)" }.joined(separator: ", ")
        let plain = columns.enumerated().map { "\($1.expression) AS c\($0)" }.joined(separator: ", ")
        let differ = columns.indices.map { "coalesce(p.c\($0), 0) <> coalesce(w.c\($0), 0)" }
        let words = zip(columns, columns.indices).map { column, place in
            """
            CASE WHEN \(differ[place]) THEN '\(column.name) ' || coalesce(w.c\(place), 0) || ' against '
                || coalesce(p.c\(place), 0) END
            """
        }
        try each(
            """
            SELECT to_char(period AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI'), \(names.name),
                   string_agg(DISTINCT concat_ws(', ', \(words.joined(separator: ", "))), '; ')
            FROM (SELECT \(keys), \(period) AS period, \(sums) FROM nadi_store.\(parts) WHERE \(leftWhere)
                  GROUP BY \(keys), \(period)) AS p
            FULL JOIN (SELECT \(keys), \(time) AS period, \(plain) FROM nadi_store.\(whole)
                       WHERE \(rightWhere)) AS w USING (\(keys), period)
            \(names.join)
            WHERE \(differ.joined(separator: " OR ")) GROUP BY 1, 2
            """, &report
        ) { row in
            (
                "\(id) \(row.text(0)) \(row.text(1))",
                "\(row.text(1)), \(row.text(0)): \(whole) against \(parts): \(row.text(2))"
            )
        }
    }

    /// What the columns of one row must say of each other.
    func rows(_ report: inout AuditReport) throws {
        func check(_ table: String, _ bad: String, join: String = "", _ words: String) throws {
            let total = "\(table)_hour"
            try each(
                """
                SELECT DISTINCT m.model_name || ' ' || s.slice_key || '=' || s.slice_value,
                       to_char(t.hour AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI')
                FROM nadi_store.\(total) AS t JOIN nadi_store.series AS s USING (series_id)
                JOIN nadi_store.model AS m USING (model_id) \(join)
                WHERE \(scope.sql("t.hour")) AND (\(bad))
                """, &report
            ) { row in
                ("inside:\(total) \(row.text(1)) \(row.text(0))", "\(row.text(0)), hour \(row.text(1)): \(words)")
            }
        }
        func total(_ array: String) -> String { AuditColumn.total("t.\(array)") }
        try check(
            "request",
            "\(total("latency_counts")) <> t.latency_count OR t.errors > t.requests "
                + "OR t.failed_predictions > t.predictions OR t.latency_count > t.requests",
            "latencies in bins are not latency_count, or a part is more than its whole")
        try check(
            "outcome",
            "\(total("confusion_counts")) <> t.classified - t.binary_count OR t.correct > t.classified "
                + "OR \(total("delay_counts")) <> t.delay_count OR t.delay_count > t.labelled "
                + "OR \(total("score_counts")) <> t.log_loss_count OR t.classified + t.error_count > t.labelled "
                + "OR t.binary_count > t.classified OR t.label_positive_count > t.binary_count "
                + "OR t.predicted_positive_count > t.binary_count OR t.true_positive_count > t.label_positive_count "
                + "OR t.true_positive_count > t.predicted_positive_count",
            "confusion, scores, delays or positives are not what classified, log_loss_count or delay_count say")
        let request = "LEFT JOIN nadi_store.request_hour AS r ON r.series_id = t.series_id AND r.hour = t.hour"
        let successes = "coalesce(r.predictions - r.failed_predictions, 0)"
        try check(
            "score", "\(total("counts")) > \(successes) OR \(total("positive_counts")) > \(total("counts"))",
            join: request, "more scores than successful predictions, or more positive ones than all")
        // Features beyond the cap share a row.
        try check(
            "feature",
            "f.feature_name <> 'other' "
                + "AND t.numeric_count + t.categorical_count + t.null_count + t.wrong_type_count > \(successes)",
            join: request + " JOIN nadi_store.feature AS f ON f.feature_id = t.feature_id",
            "a feature has more values than there are successful predictions")
        try check(
            "feature",
            "t.edge_set_id <> coalesce(e.edge_set_id, 0) OR (t.edge_counts IS NULL) <> (r.reference_id IS NULL) "
                + "OR cardinality(t.edge_counts) <> cardinality(r.edges) + 1 "
                + "OR (t.edge_counts IS NOT NULL AND \(total("edge_counts")) <> t.numeric_count)",
            join: "LEFT JOIN nadi_store.hour_edge_set AS e ON e.model_id = s.model_id AND e.hour = t.hour "
                + "LEFT JOIN nadi_store.reference_feature AS r ON r.reference_id = t.edge_set_id "
                + "AND r.feature_id = t.feature_id AND \(HourEdgeSets.hasEdges("r"))",
            "counts on edges are not all numbers of the feature, or not on the edges that the hour is on")
        // Hours that are to be joined again, that are closed, and those whose outcome rows have aged out, are not whole.
        try each(
            """
            SELECT m.model_name, to_char(hour AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI'), coalesce(h.n, 0)::bigint,
                   coalesce(o.labels, 0), coalesce(j.outcomes, 0), coalesce(o.joined, 0), coalesce(o.waiting, 0)
            FROM (SELECT s.model_id, h.hour, sum(h.labelled + h.failed_labelled) AS n FROM nadi_store.outcome_hour AS h
                  JOIN nadi_store.series AS s USING (series_id) WHERE s.slice_key = 'all' GROUP BY 1, 2) AS h
            FULL JOIN (SELECT model_id, prediction_hour AS hour, count(*) FILTER (WHERE is_joined) AS joined,
                              count(*) FILTER (WHERE is_joined AND event_type = 'outcome' AND name = 'label'
                                               AND coalesce(label_text, label_number::text) IS NOT NULL) AS labels,
                              count(*) FILTER (WHERE NOT is_joined AND NOT unmatched) AS waiting
                       FROM nadi_store.outcome_state WHERE prediction_hour IS NOT NULL GROUP BY 1, 2) AS o
                USING (model_id, hour)
            LEFT JOIN nadi_store.join_hour AS j USING (model_id, hour)
            JOIN nadi_store.model AS m USING (model_id)
            WHERE (coalesce(h.n, 0) <> coalesce(o.labels, 0) OR coalesce(j.outcomes, 0) <> coalesce(o.joined, 0)
                   OR o.waiting > 0)
              AND \(scope.sql("hour")) AND NOT coalesce(j.is_final, false)
              AND NOT EXISTS (SELECT FROM nadi_store.dirty_hour AS d
                              WHERE d.model_id = m.model_id AND d.hour = coalesce(h.hour, o.hour))
              AND NOT EXISTS (SELECT FROM nadi_store.segment_hour AS c JOIN nadi_store.segment AS s USING (segment_id)
                              JOIN nadi_store.object AS b USING (object_id)
                              WHERE c.hour = coalesce(h.hour, o.hour) AND b.state IN ('lost', 'expired'))
              AND NOT EXISTS (SELECT FROM nadi_store.expired_hour AS e WHERE e.hour = coalesce(h.hour, o.hour))
            """, &report, remedy: "Mark the hour for a new join: `nadi rebuild` of it does"
        ) { row in
            (
                "labels:\(row.text(0)) \(row.text(1))",
                "model \(row.text(0)), hour \(row.text(1)): outcome_hour counts \(row.integer(2)) labels, "
                    + "\(row.integer(3)) outcome rows joined it; join_hour counts \(row.integer(4)) outcomes, "
                    + "\(row.integer(5)) rows joined it, and \(row.integer(6)) wait although the hour is not marked"
            )
        }
    }

    /// Each tag's slices against `all`.
    ///
    /// An hour with objects that were loaded while the tag was not configured is whole only after a rebuild: there a tag
    /// may have less than `all`, not more.
    func slices(_ report: inout AuditReport) throws {
        for (table, extra, columns) in [
            ("request", "0", AuditColumn.request),
            (
                "feature", "t.feature_id",
                Array(AuditColumn.feature.prefix(5))
                    + [AuditColumn(totalOf: "category_counts"), AuditColumn(totalOf: "edge_counts")]
            ),
            ("score", "t.category_id", AuditColumn.score),
        ] {
            let sums = columns.enumerated().map { "sum(\($1.expression)) AS c\($0)" }.joined(separator: ", ")
            let differ = columns.indices.map { "coalesce(t.c\($0), 0) <> coalesce(a.c\($0), 0)" }
            let more = columns.indices.map { "coalesce(t.c\($0), 0) > coalesce(a.c\($0), 0)" }
            let words = zip(columns, columns.indices).map { column, place in
                "CASE WHEN \(differ[place]) THEN '\(column.name) ' || coalesce(t.c\(place), 0) || ' against ' "
                    + "|| coalesce(a.c\(place), 0) END"
            }
            try each(
                """
                WITH sums AS (
                    SELECT s.model_id, s.slice_key, t.hour, \(extra) AS part, \(sums)
                    FROM nadi_store.\(table)_hour AS t JOIN nadi_store.series AS s USING (series_id)
                    WHERE \(scope.sql("t.hour")) GROUP BY 1, 2, 3, 4
                ), tagged AS (
                    SELECT DISTINCT s.model_id, s.slice_key, r.hour
                    FROM nadi_store.request_hour AS r JOIN nadi_store.series AS s USING (series_id)
                    WHERE s.slice_key <> 'all' AND \(scope.sql("r.hour"))
                ), loads AS (
                    SELECT hour, min(first) AS first, max(last) AS last FROM (
                        SELECT h.hour, o.loaded_at AS first, o.loaded_at AS last
                        FROM nadi_store.segment_hour AS h JOIN nadi_store.segment AS g USING (segment_id)
                        JOIN nadi_store.object AS o USING (object_id)
                        WHERE h.event_type = 'prediction' AND g.state = 'loaded' AND \(scope.sql("h.hour"))
                        UNION ALL SELECT hour, first_loaded_at, last_loaded_at FROM nadi_store.expired_hour
                        WHERE event_type = 'prediction') AS l GROUP BY 1
                ), pairs AS (
                    SELECT g.model_id, g.slice_key, g.hour, a.part FROM tagged AS g
                    JOIN sums AS a ON a.model_id = g.model_id AND a.hour = g.hour AND a.slice_key = 'all'
                    UNION SELECT model_id, slice_key, hour, part FROM sums WHERE slice_key <> 'all'
                )
                SELECT m.model_name, p.slice_key, to_char(p.hour AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI'),
                       string_agg(DISTINCT concat_ws(', ', \(words.joined(separator: ", "))), '; ')
                FROM pairs AS p JOIN nadi_store.model AS m USING (model_id)
                LEFT JOIN sums AS t USING (model_id, slice_key, hour, part)
                LEFT JOIN sums AS a ON a.model_id = p.model_id AND a.hour = p.hour AND a.part = p.part
                    AND a.slice_key = 'all'
                LEFT JOIN loads AS l ON l.hour = p.hour
                LEFT JOIN nadi_store.loader_state AS b ON b.name = 'slice:' || p.slice_key
                LEFT JOIN nadi_store.loader_state AS e ON e.name = 'slice_end:' || p.slice_key
                WHERE (\(differ.joined(separator: " OR ")))
                  AND (\(more.joined(separator: " OR ")) OR NOT coalesce(l.first < b.at OR l.last >= e.at, false))
                GROUP BY 1, 2, 3
                """, &report
            ) { row in
                (
                    "slice:\(row.text(0))/\(row.text(1)) \(row.text(2))",
                    "model \(row.text(0)), hour \(row.text(2)): tag \(row.text(1)) against all in \(table)_hour: "
                        + row.text(3)
                )
            }
        }
    }
}
