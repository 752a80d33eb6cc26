internal import TableStorage

/// The ledger against what is read back from the aggregates.
extension AuditContext {
    /// Objects against their segments, segments against their hours and rejects.
    func ledger(_ report: inout AuditReport) throws {
        let sums = try connection.query(
            """
            SELECT coalesce(sum(lines) FILTER (WHERE state = 'loaded'), 0)::bigint,
                   coalesce(sum(loaded_lines) FILTER (WHERE state = 'loaded'), 0)::bigint,
                   coalesce(sum(rejected_lines) FILTER (WHERE state = 'loaded'), 0)::bigint,
                   coalesce(sum(lines) FILTER (WHERE state = 'duplicate'), 0)::bigint,
                   coalesce(sum(lines) FILTER (WHERE state = 'conflict'), 0)::bigint,
                   (SELECT coalesce(sum(lines), 0)::bigint FROM nadi_store.object
                    WHERE state IN ('loaded', 'expired', 'lost'))
            FROM nadi_store.segment
            """)[0]
        balance(
            "objects = segments", ("lines of loaded objects (keys)", sums.integer(5)),
            (
                "loaded \(sums.integer(1)) + rejected \(sums.integer(2)) + duplicate \(sums.integer(3)) + conflict "
                    + "\(sums.integer(4))", sums.integer(1) + sums.integer(2) + sums.integer(3) + sums.integer(4)
            ), &report)
        try each(
            """
            SELECT o.object_key, o.lines, coalesce(sum(s.lines), 0)::bigint
            FROM nadi_store.object AS o LEFT JOIN nadi_store.segment AS s USING (object_id)
            WHERE o.state IN ('loaded', 'expired', 'lost') GROUP BY o.object_id, o.object_key, o.lines HAVING o.lines <> coalesce(sum(s.lines), 0)
            """, &report
        ) { row in
            (
                "object:\(row.text(0))",
                "object \(row.text(0)) has \(row.integer(1)) lines, its segments \(row.integer(2))"
            )
        }
        try each(
            """
            SELECT w.writer || '-' || s.seq, s.loaded_lines, s.rejected_lines,
                   coalesce((SELECT sum(h.lines) FROM nadi_store.segment_hour AS h
                             WHERE h.segment_id = s.segment_id), 0)::bigint,
                   coalesce((SELECT sum(r.lines) FROM nadi_store.segment_reject AS r
                             WHERE r.segment_id = s.segment_id), 0)::bigint
            FROM nadi_store.segment AS s JOIN nadi_store.writer AS w USING (writer_id)
            WHERE s.state = 'loaded'
              AND (s.loaded_lines <> coalesce((SELECT sum(h.lines) FROM nadi_store.segment_hour AS h
                                               WHERE h.segment_id = s.segment_id), 0)
                   OR s.rejected_lines <> coalesce((SELECT sum(r.lines) FROM nadi_store.segment_reject AS r
                                                    WHERE r.segment_id = s.segment_id), 0))
            """, &report
        ) { row in
            (
                "segment:\(row.text(0))",
                "segment \(row.text(0)): \(row.integer(1)) loaded and \(row.integer(2)) rejected, by hours "
                    + "\(row.integer(3)), by reasons \(row.integer(4))"
            )
        }
        try each(
            """
            SELECT w.writer || '-' || s.seq, o.object_key, s.lines
            FROM nadi_store.segment AS s JOIN nadi_store.writer AS w USING (writer_id)
            JOIN nadi_store.object AS o USING (object_id) WHERE s.state = 'conflict'
            """, &report,
            remedy: "Two different contents bear one name: keep the right one, accept the other's loss"
        ) { row in
            (
                "conflict:\(row.text(0))@\(row.text(1))",
                "segment \(row.text(0)) in \(row.text(1)) differs from the one that was loaded (\(row.integer(2)) lines)"
            )
        }
    }

    /// Lines per hour against the aggregates of the hour, over slice `all` and over each tag.
    func hours(_ report: inout AuditReport) throws {
        let ledger = try lines(of: "prediction")
        let counted = try connection.query(
            """
            SELECT coalesce(sum(r.predictions), 0)::bigint FROM nadi_store.request_hour AS r
            JOIN nadi_store.series AS s USING (series_id) WHERE s.slice_key = 'all'
            """)[0].integer(0)
        balance("predictions", ("lines (ledger)", ledger), ("predictions (request_hour)", counted), &report)
        try each(
            """
            SELECT to_char(coalesce(l.hour, t.hour) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI'), coalesce(l.lines, 0),
                   coalesce(t.lines, 0)
            FROM (SELECT hour, sum(lines)::bigint AS lines FROM nadi_store.ledger_hour
                  WHERE event_type = 'prediction' GROUP BY hour) AS l
            FULL JOIN (SELECT r.hour, sum(r.predictions)::bigint AS lines FROM nadi_store.request_hour AS r
                       JOIN nadi_store.series AS s USING (series_id) WHERE s.slice_key = 'all' GROUP BY r.hour) AS t
                USING (hour)
            WHERE coalesce(l.lines, 0) <> coalesce(t.lines, 0)
            """, &report
        ) { row in
            (
                "hour:request_hour \(row.text(0))",
                "hour \(row.text(0)): the ledger has \(row.integer(1)) predictions, request_hour \(row.integer(2))"
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
            WHERE (s.slice_key = 'all' AND h.numeric_count
                       <> (SELECT coalesce(sum(n), 0) FROM unnest(h.log_counts) AS n))
               OR h.categorical_count
                   <> h.other_count + (SELECT coalesce(sum(n), 0) FROM unnest(h.category_counts) AS n)
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

    /// Outcome and feedback lines per day of arrival against rows and counters.
    func outcomes(_ report: inout AuditReport) throws {
        let arrivals = try connection.query(
            "SELECT coalesce(sum(lines), 0)::bigint FROM nadi_store.outcome_arrival")[0].integer(0)
        balance(
            "outcomes, feedback", ("lines (ledger)", try lines(of: "outcome") + lines(of: "feedback")),
            ("lines (outcome_arrival)", arrivals), &report)
        try each(
            """
            SELECT coalesce(l.day, a.arrival_day)::text, coalesce(l.event_type, a.event_type), coalesce(l.lines, 0),
                   coalesce(a.lines, 0)
            FROM (SELECT arrival_day AS day, event_type, sum(lines)::bigint AS lines
                  FROM nadi_store.ledger_arrival GROUP BY 1, 2) AS l
            FULL JOIN (SELECT arrival_day, event_type, sum(lines)::bigint AS lines
                       FROM nadi_store.outcome_arrival GROUP BY 1, 2) AS a
                ON a.arrival_day = l.day AND a.event_type = l.event_type
            WHERE coalesce(l.lines, 0) <> coalesce(a.lines, 0)
            """, &report
        ) { row in
            (
                "arrival:\(row.text(1)) \(row.text(0))",
                "day of arrival \(row.text(0)): the ledger has \(row.integer(2)) lines of type \(row.text(1)), "
                    + "outcome_arrival \(row.integer(3))"
            )
        }
        try each(
            """
            SELECT a.arrival_day::text, a.event_type, m.model_name, a.lines,
                   coalesce(o.n, 0), a.superseded, a.too_late, a.aged_out
            FROM nadi_store.outcome_arrival AS a JOIN nadi_store.model AS m USING (model_id)
            LEFT JOIN (SELECT arrival_day, event_type, model_id, count(*) AS n FROM nadi_store.outcome
                       GROUP BY 1, 2, 3) AS o USING (arrival_day, event_type, model_id)
            WHERE a.lines <> coalesce(o.n, 0) + a.superseded + a.too_late + a.aged_out
            """, &report
        ) { row in
            (
                "rows:\(row.text(1)) \(row.text(0)) \(row.text(2))",
                "day of arrival \(row.text(0)), model \(row.text(2)): \(row.integer(3)) lines of type \(row.text(1)), "
                    + "but \(row.integer(4)) rows + \(row.integer(5)) superseded + \(row.integer(6)) too late + "
                    + "\(row.integer(7)) aged out"
            )
        }
    }

    /// Resource and deployment lines against their rows.
    func others(_ report: inout AuditReport) throws {
        let resources = try connection.query(
            """
            SELECT coalesce(sum(count), 0)::bigint FROM nadi_store.resource_hour JOIN nadi_store.resource
            USING (resource_id) WHERE measure = 'samples' AND device = ''
            """)[0]
        balance(
            "resources", ("lines (ledger)", try lines(of: "resource")),
            ("samples (resource_hour)", resources.integer(0)),
            &report)
        try each(
            """
            SELECT to_char(coalesce(l.hour, t.hour) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI'), coalesce(l.lines, 0),
                   coalesce(t.lines, 0)
            FROM (SELECT hour, sum(lines)::bigint AS lines FROM nadi_store.ledger_hour
                  WHERE event_type = 'resource' GROUP BY hour) AS l
            FULL JOIN (SELECT hour, sum(count)::bigint AS lines FROM nadi_store.resource_hour
                       JOIN nadi_store.resource USING (resource_id)
                       WHERE measure = 'samples' AND device = '' GROUP BY hour) AS t USING (hour)
            WHERE coalesce(l.lines, 0) <> coalesce(t.lines, 0)
            """, &report
        ) { row in
            (
                "hour:resource_hour \(row.text(0))",
                "hour \(row.text(0)): the ledger has \(row.integer(1)) resource lines, resource_hour \(row.integer(2))"
            )
        }
        let deployments = try connection.query("SELECT count(*) FROM nadi_store.deployment")[0].integer(0)
        balance(
            "deployments", ("lines (ledger)", try lines(of: "deployment")), ("rows (deployment)", deployments), &report)
        try each(
            """
            SELECT w.writer || '-' || s.seq, sum(h.lines)::bigint,
                   (SELECT count(*) FROM nadi_store.deployment AS d WHERE d.segment_id = s.segment_id)
            FROM nadi_store.segment_hour AS h JOIN nadi_store.segment AS s USING (segment_id)
            JOIN nadi_store.writer AS w USING (writer_id) WHERE h.event_type = 'deployment'
            GROUP BY s.segment_id, s.seq, w.writer
            HAVING sum(h.lines) <> (SELECT count(*) FROM nadi_store.deployment AS d WHERE d.segment_id = s.segment_id)
            """, &report
        ) { row in
            (
                "deployment:\(row.text(0))",
                "segment \(row.text(0)) has \(row.integer(1)) deployment lines, \(row.integer(2)) rows"
            )
        }
    }

    private func lines(of type: String) throws -> Int64 {
        try connection.query(
            "SELECT coalesce(sum(lines), 0)::bigint FROM nadi_store.ledger_hour WHERE event_type = $1", [.text(type)])[
                0
            ]
            .integer(0)
    }

    func each(
        _ statement: String, _ report: inout AuditReport,
        remedy: String = "A row was changed from outside: `nadi rebuild` derives it again from the bucket",
        _ describe: (QueryResult.Row) -> (id: String, text: String)
    ) throws {
        for row in try connection.query(statement).rows {
            let (id, text) = describe(row)
            fail(id, text, remedy, &report)
        }
    }
}
