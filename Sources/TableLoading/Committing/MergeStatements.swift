/// The upserts that merge staged rows into the aggregate tables: sorted by key, so that two loaders never wait for each
/// other in a circle.
enum MergeStatements {
    /// Columns of request tables without the series and the time.
    static let requestColumns = [
        "requests", "predictions", "errors", "failed_predictions", "latency_count", "latency_sum", "latency_bins",
        "latency_counts",
    ]
    /// Columns of feature tables without series, feature and time.
    static let featureColumns = [
        "edge_set_id", "numeric_count", "categorical_count", "null_count", "wrong_type_count", "mean_high", "mean_low",
        "m2", "minimum", "maximum", "log_bins", "log_counts", "category_ids", "category_counts", "other_count",
        "edge_counts",
    ]
    /// Columns of score tables without series, category and time.
    static let scoreColumns = ["bins", "counts", "sums", "positive_counts", "positive_sums"]
    /// Columns of the tables of named outcomes without series, time, type, name and currency.
    static let namedOutcomeColumns = [
        "count", "positive_count", "negative_count", "value_count", "value_sum", "value_square_sum", "score_count",
        "score_sum", "score_square_sum",
    ]
    /// Columns of resource tables without resource, measure and time.
    static let resourceColumns = ["count", "sum", "maximum"]

    /// Stage tables and the tables they merge into, with their time columns, in the order they are merged.
    static let tables: [(table: String, time: String)] = [
        ("request_minute", "minute"), ("request_hour", "hour"), ("request_day", "day"), ("feature_hour", "hour"),
        ("feature_day", "day"), ("score_hour", "hour"), ("score_day", "day"), ("resource_minute", "minute"),
        ("resource_hour", "hour"),
    ]

    /// Makes the session's temporary tables; harmless when repeated.
    static var createStages: String {
        let aggregates = tables.map { Self.create("stage_\($0.table)", like: $0.table) }
        let outcomes = ["outcome_hour", "named_outcome_hour"].map { create("stage_\($0)", like: $0) }
        return (aggregates + outcomes + [OutcomeMerge.createStages]).joined(separator: "\n")
    }

    /// Empties those of rows, between the chunks of one transaction; marks gather until its end.
    static var emptyStages: String {
        "TRUNCATE " + (tables.map { "stage_\($0.table)" } + ["stage_outcome"]).joined(separator: ", ")
    }

    private static func create(_ name: String, like table: String) -> String {
        """
        CREATE TEMP TABLE IF NOT EXISTS \(name) (LIKE nadi_store.\(table) INCLUDING DEFAULTS) ON COMMIT DELETE ROWS;
        """
    }

    /// The key columns of a table.
    static func keys(_ table: String, _ time: String) -> [String] {
        switch table.prefix(while: { $0 != "_" }) {
        case "request", "outcome": return ["series_id", time]
        case "feature": return ["series_id", "feature_id", time]
        case "score": return ["series_id", "category_id", time]
        case "named": return ["series_id", time, "event_type", "name", "currency"]
        default: return ["resource_id", "measure", time]
        }
    }

    /// All columns of a table that a loader fills, keys first.
    static func columns(_ table: String, _ time: String) -> [String] {
        let values: [String]
        switch table.prefix(while: { $0 != "_" }) {
        case "request": values = requestColumns
        case "feature": values = featureColumns
        case "score": values = scoreColumns
        case "named": values = namedOutcomeColumns
        case "outcome": return [keys(table, time)[0], time] + JoinSwap.columns.dropFirst(2)
        default: values = resourceColumns
        }
        return keys(table, time) + values
    }

    /// The checksum of a row: over all its other columns, in the table's order.
    ///
    /// - Parameters:
    ///   - key: an expression for a key column by its name.
    ///   - value: an expression for any other column.
    static func checksum(
        _ table: String, _ time: String, key: (String) -> String = { $0 }, value: (String) -> String = { $0 }
    ) -> String {
        let keys = keys(table, time)
        let parts = columns(table, time).map { keys.contains($0) ? key($0) : value($0) }
        return "hash_record_extended(ROW(\(parts.joined(separator: ", "))), 0)"
    }

    /// The upsert of one table.
    ///
    /// The row's new values are computed once; its checksum follows from them, so that it is right whoever
    /// merges in whatever order.
    static func merge(_ table: String, _ time: String) -> String {
        let keys = keys(table, time)
        let columns = columns(table, time)
        let names = columns.joined(separator: ", ")
        let values = columns.dropFirst(keys.count)
        let key = keys.joined(separator: ", ")
        let merged = merged(table)
        let list = values.map { "\(merged.values[$0] ?? "t.\($0) + EXCLUDED.\($0)") AS \($0)" }
        let from = merged.from.isEmpty ? "" : "FROM " + merged.from.joined(separator: ", ")
        return """
            INSERT INTO nadi_store.\(table) AS t (\(names), checksum)
            SELECT \(names), \(checksum(table, time)) FROM stage_\(table) ORDER BY \(key)
            ON CONFLICT (\(key)) DO UPDATE SET (\(values.joined(separator: ", ")), checksum) = (
                SELECT \(values.map { "v.\($0)" }.joined(separator: ", ")),
                       \(checksum(table, time, key: { "t.\($0)" }, value: { "v.\($0)" }))
                FROM (SELECT \(list.joined(separator: ", ")) \(from)) AS v)
            """
    }

    /// How columns merge that are not plain sums, and from what functions.
    private static func merged(_ table: String) -> (values: [String: String], from: [String]) {
        func counts(_ name: String, _ bins: String, _ counts: String) -> String {
            """
            nadi_store.merge_counts(t.\(bins), t.\(counts), EXCLUDED.\(bins), EXCLUDED.\(counts)) AS \(name) (bins, counts)
            """
        }
        switch table.prefix(while: { $0 != "_" }) {
        case "request":
            return (
                [
                    "latency_sum": "nadi_store.bounded_sum(t.latency_sum, EXCLUDED.latency_sum)",
                    "latency_bins": "l.bins", "latency_counts": "l.counts",
                ], [counts("l", "latency_bins", "latency_counts")]
            )
        case "feature":
            return (
                [
                    "mean_high": "m.mean_high", "mean_low": "m.mean_low", "m2": "m.m2",
                    "minimum": "least(t.minimum, EXCLUDED.minimum)",
                    "maximum": "greatest(t.maximum, EXCLUDED.maximum)", "log_bins": "l.bins",
                    "log_counts": "l.counts", "category_ids": "c.bins", "category_counts": "c.counts",
                    "edge_set_id": "e.edge_set_id", "edge_counts": "e.edge_counts",
                ],
                [
                    """
                    nadi_store.merge_moments(t.numeric_count, t.mean_high, t.mean_low, t.m2, EXCLUDED.numeric_count,
                        EXCLUDED.mean_high, EXCLUDED.mean_low, EXCLUDED.m2) AS m
                    """, counts("l", "log_bins", "log_counts"), counts("c", "category_ids", "category_counts"),
                    """
                    nadi_store.merge_edges(t.edge_set_id, t.edge_counts, EXCLUDED.edge_set_id, EXCLUDED.edge_counts) AS e
                    """,
                ]
            )
        case "score":
            return (
                Dictionary(uniqueKeysWithValues: scoreColumns.map { ($0, "m.\($0)") }),
                [
                    """
                    nadi_store.merge_scores(
                        t.bins, t.counts, t.sums, t.positive_counts, t.positive_sums, EXCLUDED.bins, EXCLUDED.counts,
                        EXCLUDED.sums, EXCLUDED.positive_counts, EXCLUDED.positive_sums) AS m
                    """
                ]
            )
        default:
            return (
                [
                    "sum": "nadi_store.bounded_sum(t.sum, EXCLUDED.sum)",
                    "maximum": "greatest(t.maximum, EXCLUDED.maximum)",
                ], []
            )
        }
    }
}
