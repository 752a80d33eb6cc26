import TableStorage

/// All tables by natural keys: what must be the same whatever the order, the batches and the loaders.
struct TableDump {
    /// Exact parts by table and key; floating sums apart.
    private(set) var exact: [String: String] = [:]
    private(set) var sums: [String: [Double]] = [:]

    init(_ connection: Connection, withOutcomes: Bool = true) throws {
        let series = """
            (SELECT m.model_name || '/' || s.model_version || '/' || s.model_variant || '/' || s.environment || '/'
             || s.slice_key || '=' || s.slice_value FROM nadi_store.series AS s JOIN nadi_store.model AS m USING (model_id)
             WHERE s.series_id = t.series_id)
            """
        for (table, time) in [("request_minute", "minute"), ("request_hour", "hour"), ("request_day", "day")] {
            try add(
                table,
                """
                SELECT \(series) || ' ' || \(time), concat_ws('|', requests, predictions, errors, failed_predictions,
                       latency_count, latency_bins, latency_counts), ARRAY[latency_sum]
                FROM nadi_store.\(table) AS t
                """, connection)
        }
        for (table, time) in [("feature_hour", "hour"), ("feature_day", "day")] {
            try add(
                table,
                """
                SELECT \(series) || ' ' || f.role || ' ' || f.feature_name || ' ' || \(time),
                       concat_ws('|', numeric_count, categorical_count, null_count, wrong_type_count, minimum, maximum,
                           log_bins, log_counts, other_count, \(Self.edgeSet), coalesce(edge_counts::text, 'none'),
                           (SELECT string_agg(c.value || '=' || u.n, ',' ORDER BY c.value COLLATE "C")
                            FROM unnest(category_ids, category_counts) AS u (id, n)
                            JOIN nadi_store.category AS c ON c.category_id = u.id)),
                       ARRAY[mean_high + mean_low, (mean_high - 1e9) + mean_low, m2]
                FROM nadi_store.\(table) AS t JOIN nadi_store.feature AS f USING (feature_id)
                """, connection)
        }
        for (table, time) in [("score_hour", "hour"), ("score_day", "day")] {
            try add(
                table,
                """
                SELECT \(series) || ' ' || coalesce((SELECT value FROM nadi_store.category AS c
                                                      WHERE c.category_id = t.category_id), '') || ' ' || \(time),
                       concat_ws('|', bins, counts, positive_counts), sums || positive_sums
                FROM nadi_store.\(table) AS t
                """, connection)
        }
        for (table, time) in [("resource_minute", "minute"), ("resource_hour", "hour")] {
            try add(
                table,
                """
                SELECT concat_ws('/', r.service, r.instance, r.environment, r.device, measure, \(time)),
                       concat_ws('|', count, maximum), ARRAY[sum]
                FROM nadi_store.\(table) AS t JOIN nadi_store.resource AS r USING (resource_id)
                """, connection)
        }
        try add(
            "segment",
            """
            SELECT w.writer || '-' || t.seq, concat_ws('|', t.lines, t.loaded_lines, t.rejected_lines,
                (SELECT string_agg(concat_ws(' ', h.hour, h.event_type, h.lines), ',' ORDER BY h.hour, h.event_type)
                 FROM nadi_store.segment_hour AS h WHERE h.segment_id = t.segment_id),
                (SELECT string_agg(concat_ws(' ', r.reason, r.lines), ',' ORDER BY r.reason)
                 FROM nadi_store.segment_reject AS r WHERE r.segment_id = t.segment_id)), ARRAY[0]
            FROM nadi_store.segment AS t JOIN nadi_store.writer AS w USING (writer_id) WHERE t.state = 'loaded'
            """, connection)
        try add(
            "segment apart",
            """
            SELECT w.writer || '-' || t.seq || ' ' || t.state || ' ' || encode(t.raw_sha256, 'hex'), count(*)::text, ARRAY[0]
            FROM nadi_store.segment AS t JOIN nadi_store.writer AS w USING (writer_id) WHERE t.state <> 'loaded' GROUP BY 1
            """, connection)
        try add(
            "reject_line",
            """
            SELECT w.writer || '-' || s.seq || ' ' || t.line, concat_ws('|', t.reason, t.detail, t.excerpt, t.sealed_at),
                   ARRAY[0]
            FROM nadi_store.reject_line AS t JOIN nadi_store.segment AS s USING (segment_id)
            JOIN nadi_store.writer AS w USING (writer_id)
            """, connection)
        try add(
            "writer",
            """
            SELECT writer, concat_ws('|', h.host, format, appended, written, dropped_buffer_full, dropped_disk_full,
                   dropped_io_error, dropped_too_large, dropped_invalid, adopted, end_seq), ARRAY[0]
            FROM nadi_store.writer AS t JOIN nadi_store.host AS h USING (host_id)
            """, connection)
        try add(
            "hour_edge_set",
            """
            SELECT m.model_name || ' ' || t.hour, \(Self.edgeSet), ARRAY[0]
            FROM nadi_store.hour_edge_set AS t JOIN nadi_store.model AS m USING (model_id)
            """, connection)
        for (table, time) in [("drift_hour", "hour"), ("drift_day", "day")] {
            try add(
                table,
                """
                SELECT concat_ws('/', m.model_name, coalesce(f.role, 'score'), f.feature_name, \(time)),
                       concat_ws('|', e.reference_name, value_kind, baseline_count, current_count, bin_count, drift_state),
                       ARRAY[coalesce(psi, -1), coalesce(ks, -1), coalesce(current_missing_rate, -1)]
                FROM nadi_store.\(table) AS t JOIN nadi_store.model AS m USING (model_id)
                LEFT JOIN nadi_store.feature AS f USING (feature_id)
                LEFT JOIN nadi_store.reference AS e USING (reference_id)
                """, connection)
        }
        try add(
            "outcome",
            """
            SELECT concat_ws('/', m.model_name, event_type, name, prediction_id),
                   concat_ws('|', revision, event_time, event_id, label_text, label_number, value, score,
                             prediction_hour, is_joined, arrival_day), ARRAY[0]
            FROM nadi_store.outcome_state AS t JOIN nadi_store.model AS m USING (model_id)
            """, connection)
        try add(
            "outcome_arrival",
            """
            SELECT concat_ws('/', arrival_day, event_type, m.model_name),
                   concat_ws('|', lines, superseded, too_late, aged_out, untimed), ARRAY[0]
            FROM nadi_store.outcome_arrival AS t JOIN nadi_store.model AS m USING (model_id)
            """, connection)
        try add(
            "join_hour",
            """
            SELECT m.model_name || '/' || hour, concat_ws('|', predictions, outcomes, repeated_ids, is_final), ARRAY[0]
            FROM nadi_store.join_hour AS t JOIN nadi_store.model AS m USING (model_id)
            """, connection)
        try add(
            "deployment",
            """
            SELECT w.writer || '-' || s.seq || '-' || t.line, concat_ws('|', deployed_at, model_version,
                   previous_version, action), ARRAY[0]
            FROM nadi_store.deployment AS t JOIN nadi_store.segment AS s USING (segment_id)
            JOIN nadi_store.writer AS w USING (writer_id)
            """, connection)
        if withOutcomes {
            for (table, time) in [("outcome_hour", "hour"), ("outcome_day", "day")] {
                try add(
                    table,
                    """
                    SELECT \(series) || ' ' || \(time),
                           concat_ws('|', labelled, classified, correct, binary_count, label_positive_count,
                               predicted_positive_count, true_positive_count, score_bins, score_counts, log_loss_count,
                               error_count, delay_count, delay_bins, delay_counts,
                               (SELECT string_agg(coalesce(p.value, '?') || '>' || coalesce(l.value, '?') || '=' || u.n,
                                                  ',' ORDER BY p.value COLLATE "C", l.value COLLATE "C")
                                FROM unnest(confusion_predicted, confusion_labels, confusion_counts) AS u (p, l, n)
                                LEFT JOIN nadi_store.category AS p ON p.category_id = u.p
                                LEFT JOIN nadi_store.category AS l ON l.category_id = u.l)),
                           ARRAY[log_loss_sum, error_sum, error_abs_sum, error_square_sum, error_label_sum,
                               error_label_square_sum, delay_sum] || score_sum_y
                               || score_sum_p || score_sum_p2 || score_sum_py
                    FROM nadi_store.\(table) AS t
                    """, connection)
                try add(
                    "named_\(table)",
                    """
                    SELECT \(series) || concat_ws(' ', '', \(time), event_type, name, currency),
                           concat_ws('|', count, positive_count, negative_count, value_count, score_count),
                           ARRAY[value_sum, value_square_sum, score_sum, score_square_sum]
                    FROM nadi_store.named_\(table) AS t
                    """, connection)
            }
        }
    }

    /// An edge set's name, whatever its number.
    private static let edgeSet = """
        coalesce((SELECT reference_name FROM nadi_store.reference AS e WHERE e.reference_id = t.edge_set_id),
                 t.edge_set_id::text)
        """

    /// The sum of `labelled` over the rows of outcome_hour.
    var labelled: Int64 {
        exact.filter { $0.key.hasPrefix("outcome_hour") }.reduce(0) {
            $0 + (Int64($1.value.prefix { $0 != "|" }) ?? 0)
        }
    }

    /// The rows of tables whose names begin so.
    func only(_ prefixes: [String]) -> TableDump {
        var out = self
        out.exact = exact.filter { row in prefixes.contains { row.key.hasPrefix($0) } }
        out.sums = sums.filter { out.exact[$0.key] != nil }
        return out
    }

    private mutating func add(_ table: String, _ statement: String, _ connection: Connection) throws {
        for row in try connection.query(statement).rows {
            // By scalars: names that look alike are different rows.
            let name = row.text(0).unicodeScalars.map { $0.isASCII ? "\($0)" : "\\u{\(String($0.value, radix: 16))}" }
            let key = "\(table): \(name.joined())"
            precondition(exact[key] == nil, "two rows \(key)")
            exact[key] = row.text(1)
            sums[key] = row.texts(2).compactMap(Double.init)
        }
    }

    /// The first differences to another dump, in words; empty when they are the same (sums and moments to 1e-9).
    func differences(_ other: TableDump) -> [String] {
        var out: [String] = []
        for key in Set(exact.keys).union(other.exact.keys).sorted() {
            guard exact[key] == other.exact[key] else {
                out.append("\(key): \(exact[key] ?? "nothing") against \(other.exact[key] ?? "nothing")")
                continue
            }
            let (left, right) = (sums[key] ?? [], other.sums[key] ?? [])
            let isSame =
                left.count == right.count
                && zip(left, right).allSatisfy { one, two in
                    abs(one - two) <= 1e-9 * max(1, abs(one), abs(two))
                }
            if !isSame { out.append("\(key): \(left) against \(right)") }
        }
        return Array(out.prefix(5))
    }
}
