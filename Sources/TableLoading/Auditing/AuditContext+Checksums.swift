internal import TableStorage

/// Each row of an aggregate against the checksum that the statement which wrote it left there: what was changed from
/// outside, by whatever little, in whatever column.
extension AuditContext {
    /// Aggregate tables, their time, and how a row is named.
    private static let tables: [(table: String, time: String, names: String)] = [
        ("request_minute", "minute", series), ("request_hour", "hour", series), ("request_day", "day", series),
        ("feature_hour", "hour", feature), ("feature_day", "day", feature), ("score_hour", "hour", score),
        ("score_day", "day", score), ("outcome_hour", "hour", series), ("outcome_day", "day", series),
        ("named_outcome_hour", "hour", named), ("named_outcome_day", "day", named),
        ("resource_minute", "minute", resource), ("resource_hour", "hour", resource),
    ]
    private static let series = """
        (SELECT concat_ws(' ', m.model_name, s.model_version, s.model_variant, s.environment, s.slice_key || '=' || s.slice_value)
         FROM nadi_store.series AS s JOIN nadi_store.model AS m USING (model_id) WHERE s.series_id = t.series_id)
        """
    private static let feature =
        series + " || ' ' || (SELECT feature_name FROM nadi_store.feature AS f WHERE f.feature_id = t.feature_id)"
    private static let score =
        series
        + " || coalesce(' ' || (SELECT value FROM nadi_store.category AS c WHERE c.category_id = t.category_id), '')"
    private static let named = series + " || concat_ws(' ', '', t.event_type, t.name, nullif(t.currency, ''))"
    private static let resource = """
        (SELECT concat_ws(' ', r.service, r.instance, r.device) FROM nadi_store.resource AS r
         WHERE r.resource_id = t.resource_id) || ' ' || measure
        """

    func checksums(_ report: inout AuditReport) throws {
        for (table, time, names) in Self.tables {
            let condition = time == "day" ? scope.sqlDays(time) : scope.sql(time)
            try each(
                """
                SELECT to_char(\(time) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI'), coalesce(\(names), 'an unknown series')
                FROM nadi_store.\(table) AS t
                WHERE \(condition) AND checksum IS DISTINCT FROM \(MergeStatements.checksum(table, time))
                ORDER BY 1, 2
                """, &report
            ) { row in
                (
                    "row:\(table) \(row.text(0)) \(row.text(1))",
                    "\(table), \(time) \(row.text(0)), \(row.text(1)): the row was altered"
                )
            }
        }
        try each(
            """
            SELECT m.model_name, t.event_type, t.name, t.prediction_id, t.arrival_day::text
            FROM nadi_store.outcome AS t JOIN nadi_store.model AS m USING (model_id)
            WHERE \(scope.sqlDates("arrival_day")) AND checksum IS DISTINCT FROM \(OutcomeMerge.checksum)
            ORDER BY 1, 2, 3, 4
            """, &report,
            remedy: "Find the label's line (`nadi where`) and set the row right, or load the bucket into an empty database"
        ) { row in
            let name = "\(row.text(0)) \(row.text(1)) \(row.text(2)) \(row.text(3))"
            return ("row:outcome \(name)", "outcome \(name), arrived on \(row.text(4)): the row was altered")
        }
    }
}
