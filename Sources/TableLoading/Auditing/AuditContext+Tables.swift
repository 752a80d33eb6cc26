internal import TableStorage

/// The ledger against what is read back from the aggregates.
extension AuditContext {
    /// Lines per hour against the aggregates of the hour, over slice `all` and over each tag.
    func hours(_ report: inout AuditReport) throws {
        try each(
            """
            SELECT to_char(bucket_start AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI'), event_type, ledger_line_count,
                   counted_line_count, period_length
            FROM nadi.audit_periods(\(sqlBounds)) WHERE ledger_line_count <> counted_line_count
            """, &report
        ) { row in
            let type = row.text(1)
            if row.text(4) == "day" {
                return (
                    "arrival:\(type) \(row.text(0).prefix(10))",
                    "day of arrival \(row.text(0).prefix(10)): the ledger has \(row.integer(2)) lines of type \(type), "
                        + "outcome_arrival \(row.integer(3))"
                )
            }
            let table = ["prediction": "request_hour", "resource": "resource_hour"][type] ?? type
            return (
                "hour:\(table) \(row.text(0))",
                "hour \(row.text(0)): the ledger has \(row.integer(2)) \(type) lines, \(table) \(row.integer(3))"
            )
        }
        try slices(&report)
        try each(
            """
            SELECT m.model_name, f.feature_name, to_char(h.hour AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI'),
                   h.numeric_count, (SELECT coalesce(sum(n), 0) FROM unnest(h.log_counts) AS n)::bigint,
                   h.categorical_count, (SELECT coalesce(sum(n), 0) FROM unnest(h.category_counts) AS n)::bigint,
                   h.other_count
            FROM nadi_store.feature_hour AS h JOIN nadi_store.series AS s USING (series_id)
            JOIN nadi_store.feature AS f USING (feature_id) JOIN nadi_store.model AS m ON m.model_id = s.model_id
            WHERE \(scope.sql("h.hour")) AND ((s.slice_key = 'all' AND h.numeric_count
                       <> (SELECT coalesce(sum(n), 0) FROM unnest(h.log_counts) AS n))
               OR h.categorical_count
                   <> h.other_count + (SELECT coalesce(sum(n), 0) FROM unnest(h.category_counts) AS n))
            """, &report
        ) { row in
            (
                "feature:\(row.text(0))/\(row.text(1)) \(row.text(2))",
                "feature \(row.text(1)) of model \(row.text(0)), hour \(row.text(2)): \(row.integer(3)) numbers against "
                    + "\(row.integer(4)) in bins, \(row.integer(5)) texts against \(row.integer(6)) in categories and "
                    + "\(row.integer(7)) other"
            )
        }
        try rows(&report)
        try minutes(&report)
    }

    /// Outcome and feedback rows against their counters, deployments against their rows.
    func outcomes(_ report: inout AuditReport) throws {
        try each(
            """
            SELECT a.arrival_day::text, a.event_type, m.model_name, a.lines,
                   coalesce(o.n, 0), a.superseded, a.too_late, a.aged_out
            FROM nadi_store.outcome_arrival AS a JOIN nadi_store.model AS m USING (model_id)
            LEFT JOIN (SELECT arrival_day, event_type, model_id, count(*) AS n FROM nadi_store.outcome
                       GROUP BY 1, 2, 3) AS o USING (arrival_day, event_type, model_id)
            WHERE a.lines <> coalesce(o.n, 0) + a.superseded + a.too_late + a.aged_out
              AND \(scope.sqlDates("a.arrival_day"))
            """, &report
        ) { row in
            (
                "rows:\(row.text(1)) \(row.text(0)) \(row.text(2))",
                "day of arrival \(row.text(0)), model \(row.text(2)): \(row.integer(3)) lines of type \(row.text(1)), "
                    + "but \(row.integer(4)) rows + \(row.integer(5)) superseded + \(row.integer(6)) too late + "
                    + "\(row.integer(7)) aged out"
            )
        }
        try each(
            """
            SELECT w.writer || '-' || s.seq, l.lines, coalesce(d.rows, 0)
            FROM (SELECT segment_id, sum(lines)::bigint AS lines FROM nadi_store.segment_hour
                  WHERE event_type = 'deployment' GROUP BY 1) AS l
            LEFT JOIN (SELECT segment_id, count(*) AS rows FROM nadi_store.deployment GROUP BY 1) AS d USING (segment_id)
            JOIN nadi_store.segment AS s USING (segment_id) JOIN nadi_store.writer AS w USING (writer_id)
            WHERE l.lines <> coalesce(d.rows, 0)
            """, &report
        ) { row in
            (
                "deployment:\(row.text(0))",
                "segment \(row.text(0)) has \(row.integer(1)) deployment lines, \(row.integer(2)) rows"
            )
        }
    }
}
