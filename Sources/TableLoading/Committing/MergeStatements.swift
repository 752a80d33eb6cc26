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
        "numeric_count", "categorical_count", "null_count", "wrong_type_count", "mean_high", "mean_low", "m2",
        "minimum", "maximum", "log_bins", "log_counts", "category_ids", "category_counts", "other_count",
    ]
    /// Columns of score tables without series, category and time.
    static let scoreColumns = ["bins", "counts", "sums", "positive_counts", "positive_sums"]
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
        let marks = """
            CREATE TEMP TABLE IF NOT EXISTS stage_mark (model_id int, hour timestamptz, waiting bigint)
                ON COMMIT DELETE ROWS;
            """
        return (aggregates + [create("stage_outcome", like: "outcome"), marks]).joined(separator: "\n")
    }

    private static func create(_ name: String, like table: String) -> String {
        """
        CREATE TEMP TABLE IF NOT EXISTS \(name) (LIKE nadi_store.\(table) INCLUDING DEFAULTS) ON COMMIT DELETE ROWS;
        """
    }

    /// The key columns of a table.
    static func keys(_ table: String, _ time: String) -> [String] {
        switch table.prefix(while: { $0 != "_" }) {
        case "request": return ["series_id", time]
        case "feature": return ["series_id", "feature_id", time]
        case "score": return ["series_id", "category_id", time]
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
        default: values = resourceColumns
        }
        return keys(table, time) + values
    }

    /// The upsert of one table.
    static func merge(_ table: String, _ time: String) -> String {
        let keys = keys(table, time)
        let columns = columns(table, time).joined(separator: ", ")
        let key = keys.joined(separator: ", ")
        return """
            INSERT INTO nadi_store.\(table) AS t (\(columns))
            SELECT \(columns) FROM stage_\(table) ORDER BY \(key)
            ON CONFLICT (\(key)) DO UPDATE SET \(assignments(table))
            """
    }

    private static func assignments(_ table: String) -> String {
        switch table.prefix(while: { $0 != "_" }) {
        case "request":
            return sums(["requests", "predictions", "errors", "failed_predictions", "latency_count"]) + """
                , latency_sum = nadi_store.bounded_sum(t.latency_sum, EXCLUDED.latency_sum),
                (latency_bins, latency_counts) = (SELECT m.bins, m.counts FROM nadi_store.merge_counts(
                    t.latency_bins, t.latency_counts, EXCLUDED.latency_bins, EXCLUDED.latency_counts) AS m)
                """
        case "feature":
            return sums(["numeric_count", "categorical_count", "null_count", "wrong_type_count", "other_count"]) + """
                , (mean_high, mean_low, m2) = (SELECT m.mean_high, m.mean_low, m.m2 FROM nadi_store.merge_moments(
                    t.numeric_count, t.mean_high, t.mean_low, t.m2,
                    EXCLUDED.numeric_count, EXCLUDED.mean_high, EXCLUDED.mean_low, EXCLUDED.m2) AS m),
                minimum = least(t.minimum, EXCLUDED.minimum), maximum = greatest(t.maximum, EXCLUDED.maximum),
                (log_bins, log_counts) = (SELECT m.bins, m.counts FROM nadi_store.merge_counts(
                    t.log_bins, t.log_counts, EXCLUDED.log_bins, EXCLUDED.log_counts) AS m),
                (category_ids, category_counts) = (SELECT m.bins, m.counts FROM nadi_store.merge_counts(
                    t.category_ids, t.category_counts, EXCLUDED.category_ids, EXCLUDED.category_counts) AS m)
                """
        case "score":
            return """
                (bins, counts, sums, positive_counts, positive_sums) =
                (SELECT m.bins, m.counts, m.sums, m.positive_counts, m.positive_sums FROM nadi_store.merge_scores(
                    t.bins, t.counts, t.sums, t.positive_counts, t.positive_sums, EXCLUDED.bins, EXCLUDED.counts,
                    EXCLUDED.sums, EXCLUDED.positive_counts, EXCLUDED.positive_sums) AS m)
                """
        default:
            return """
                count = t.count + EXCLUDED.count, sum = nadi_store.bounded_sum(t.sum, EXCLUDED.sum),
                maximum = greatest(t.maximum, EXCLUDED.maximum)
                """
        }
    }

    private static func sums(_ columns: [String]) -> String {
        columns.map { "\($0) = t.\($0) + EXCLUDED.\($0)" }.joined(separator: ", ")
    }
}
