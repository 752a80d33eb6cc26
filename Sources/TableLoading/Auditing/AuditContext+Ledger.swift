internal import TableStorage

/// The ledger against itself: objects, their names, their segments, lines by hour and reason.
extension AuditContext {
    /// Which segments the scope holds, as a condition on `g` and `h` with the host as its parameter.
    private var segmentScope: String { "\(scope.sql("g.object_sealed_at")) AND ($1::text IS NULL OR h.host = $1)" }
    private var parameters: [SQLValue] { [.optional(scope.host)] }

    private static let remedy =
        "The ledger was changed from outside: restore the row from a backup, or load the bucket into an empty database"

    /// Objects against their names and segments, segments against their checksums, hours and rejects.
    func ledger(_ report: inout AuditReport) throws {
        // The name holds seal time, segments, lines and a hash over the segments: it is the shipper's record.
        try each(
            """
            WITH named AS (
                SELECT o.object_id, o.object_key, o.lines, (extract(epoch FROM o.sealed_at) * 1000)::bigint AS sealed_ms,
                       coalesce(h.host, '') AS host, split_part(o.object_key, '/', -2) AS key_host,
                       string_to_array(split_part(o.object_key, '/', -1), '-') AS part
                FROM nadi_store.object AS o LEFT JOIN nadi_store.host AS h USING (host_id)
                WHERE o.loaded_at IS NOT NULL AND \(scope.sql("o.sealed_at")) AND ($1::text IS NULL OR h.host = $1)
            ), held AS MATERIALIZED (
                SELECT g.object_id, sum(g.lines)::bigint AS lines, count(*) AS segments,
                       (extract(epoch FROM max(g.sealed_at)) * 1000)::bigint AS newest_ms,
                       left(encode(sha256(convert_to(string_agg(w.writer || E'\\t' || g.seq || E'\\t' || g.lines || E'\\t'
                           || encode(g.raw_sha256, 'hex') || E'\\n', '' ORDER BY w.writer COLLATE "C", g.seq, g.segment_id), 'UTF8')), 'hex'), 16) AS hash
                FROM nadi_store.segment AS g JOIN nadi_store.writer AS w USING (writer_id)
                WHERE \(scope.sql("g.object_sealed_at")) GROUP BY 1
            )
            SELECT n.object_key, concat_ws('; ',
                CASE WHEN n.lines <> coalesce(s.lines, 0) THEN n.lines || ' lines, its segments ' || coalesce(s.lines, 0) END,
                CASE WHEN n.key_host <> n.host THEN 'its host is ' || n.host END,
                CASE WHEN n.part[1] IS DISTINCT FROM n.sealed_ms::text THEN 'its seal time is ' || n.sealed_ms || ' ms' END,
                CASE WHEN n.sealed_ms IS DISTINCT FROM s.newest_ms THEN 'its newest segment was sealed at ' || coalesce(s.newest_ms::text, 'no') || ' ms' END,
                CASE WHEN n.part[2] IS DISTINCT FROM s.segments::text THEN coalesce(s.segments, 0) || ' segments, its key says ' || coalesce(n.part[2], 'nothing') END,
                CASE WHEN n.part[3] IS DISTINCT FROM n.lines::text THEN n.lines || ' lines, its key says ' || coalesce(n.part[3], 'nothing') END,
                CASE WHEN n.part[4] IS DISTINCT FROM s.hash || '.jsonl.zst' THEN 'its segments do not have the hash that its key bears' END)
            FROM named AS n LEFT JOIN held AS s USING (object_id)
            WHERE n.lines <> coalesce(s.lines, 0) OR n.key_host <> n.host OR n.part[1] IS DISTINCT FROM n.sealed_ms::text
               OR n.sealed_ms IS DISTINCT FROM s.newest_ms OR n.part[2] IS DISTINCT FROM s.segments::text
               OR n.part[3] IS DISTINCT FROM n.lines::text OR n.part[4] IS DISTINCT FROM s.hash || '.jsonl.zst'
            """, &report, parameters: parameters, remedy: Self.remedy
        ) { row in
            (
                "object:\(row.text(0))", "the ledger's row of object \(row.text(0)) does not fit: \(row.text(1))"
            )
        }
        try each(
            """
            SELECT w.writer || '-' || g.seq, g.loaded_lines, g.rejected_lines, coalesce(l.lines, 0)::bigint,
                   coalesce(r.lines, 0)::bigint
            FROM nadi_store.segment AS g JOIN nadi_store.writer AS w USING (writer_id)
            JOIN nadi_store.host AS h ON h.host_id = w.host_id
            LEFT JOIN (SELECT segment_id, sum(lines) AS lines FROM nadi_store.segment_hour GROUP BY 1) AS l USING (segment_id)
            LEFT JOIN (SELECT segment_id, sum(lines) AS lines FROM nadi_store.segment_reject GROUP BY 1) AS r USING (segment_id)
            WHERE g.state = 'loaded' AND \(segmentScope)
              AND (g.loaded_lines <> coalesce(l.lines, 0) OR g.rejected_lines <> coalesce(r.lines, 0))
            """, &report, parameters: parameters
        ) { row in
            (
                "segment:\(row.text(0))",
                "segment \(row.text(0)): \(row.integer(1)) loaded and \(row.integer(2)) rejected, by hours "
                    + "\(row.integer(3)), by reasons \(row.integer(4))"
            )
        }
        // A writer line is written as its segment is sealed.
        try each(
            """
            SELECT w.writer || '-' || g.seq, to_char(l.hour AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI')
            FROM nadi_store.segment_hour AS l JOIN nadi_store.segment AS g USING (segment_id)
            JOIN nadi_store.writer AS w USING (writer_id)
            JOIN nadi_store.host AS h ON h.host_id = w.host_id
            WHERE l.event_type = 'writer' AND w.format = 'native' AND \(segmentScope)
              AND (l.hour > g.sealed_at + interval '10 minutes' OR l.hour < g.sealed_at - interval '2 hours')
            """, &report, parameters: parameters, remedy: Self.remedy
        ) { row in
            (
                "segment:\(row.text(0)) writer",
                "segment \(row.text(0)): its writer line is recorded for hour \(row.text(1)), far from its seal"
            )
        }
        try each(
            """
            SELECT w.writer || '-' || g.seq, o.object_key
            FROM nadi_store.segment AS g JOIN nadi_store.writer AS w USING (writer_id)
            JOIN nadi_store.object AS o USING (object_id) JOIN nadi_store.host AS h ON h.host_id = w.host_id
            WHERE \(segmentScope) AND g.checksum IS DISTINCT FROM hash_record_extended(
                ROW(g.object_id, g.writer_id, g.seq, g.sealed_at, g.lines, g.raw_bytes, g.raw_sha256), 0)
            """, &report, parameters: parameters, remedy: Self.remedy
        ) { row in
            ("ledger:\(row.text(0))", "the ledger's row of segment \(row.text(0)) in \(row.text(1)) was altered")
        }
        let conflicts = try connection.query(
            """
            SELECT w.writer || '-' || g.seq, o.object_key, g.lines, coalesce(h.host, '')
            FROM nadi_store.segment AS g JOIN nadi_store.writer AS w USING (writer_id)
            JOIN nadi_store.object AS o USING (object_id) JOIN nadi_store.host AS h ON h.host_id = w.host_id
            WHERE g.state = 'conflict' AND \(segmentScope) ORDER BY 1, 2
            """, parameters
        ).rows
        for row in conflicts {
            fail(
                "conflict:\(row.text(0))@\(row.text(1))",
                "segment \(row.text(0)) in \(row.text(1)) differs from the one that was loaded (\(row.integer(2)) lines)",
                "Two different contents bear one name: keep the right one, accept the other's loss",
                lines: row.integer(2), host: row.text(3), &report)
        }
    }

    /// The rejected lines' texts against how many of each reason were kept, as long as their partitions are.
    func rejects(_ report: inout AuditReport) throws {
        let kept = try connection.query("SELECT at FROM nadi_store.loader_state WHERE name = 'minutes_kept'").first
        let first = max(kept?.time(0) ?? 0, Retention(settings.retention).firstMinuteDay(now_ms: now_ms))
        try each(
            """
            SELECT w.writer || '-' || g.seq, reason, coalesce(r.kept_lines, 0), coalesce(k.lines, 0)
            FROM (SELECT segment_id, reason, kept_lines FROM nadi_store.segment_reject WHERE kept_lines > 0) AS r
            FULL JOIN (SELECT segment_id, reason, count(*) AS lines FROM nadi_store.reject_line
                       WHERE sealed_at >= to_timestamp(\(first / 1000)) GROUP BY 1, 2) AS k USING (segment_id, reason)
            JOIN nadi_store.segment AS g USING (segment_id) JOIN nadi_store.writer AS w USING (writer_id)
            JOIN nadi_store.host AS h ON h.host_id = w.host_id
            WHERE g.sealed_at >= to_timestamp(\(first / 1000)) AND \(segmentScope)
              AND coalesce(r.kept_lines, 0) <> coalesce(k.lines, 0)
            """, &report, parameters: parameters
        ) { row in
            (
                "reject:\(row.text(0)) \(row.text(1))",
                "segment \(row.text(0)): \(row.integer(2)) rejected lines of reason \(row.text(1)) were kept, "
                    + "\(row.integer(3)) are there"
            )
        }
    }
}
