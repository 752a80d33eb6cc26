internal import EventModel
internal import TableStorage

/// Hosts and writers against the ledger, and the ledger against the bucket.
extension AuditContext {
    /// Objects: the bucket's listing against the ledger; what is not loaded.
    func objects(_ bucket: AuditBucket, _ report: inout AuditReport) throws {
        for entry in bucket.unknown.prefix(1000) {
            if now_ms - entry.sealed_ms < Audit.grace_ms {
                note("arriving:\(entry.key)", "\(entry.lines) lines are in the bucket, not loaded yet", &report)
            } else {
                fail(
                    "unloaded:\(entry.key)", "object \(entry.key) (\(entry.lines) lines) is in the bucket, not loaded",
                    "Run `nadi load --all`", lines: Int64(entry.lines), &report)
            }
        }
        let rows = try connection.query(
            """
            SELECT object_key, state, lines, sealed_at, coalesce(last_error, ''), attempts,
                   coalesce(lease_until > now(), false)
            FROM nadi_store.object WHERE state <> 'loaded' ORDER BY object_id LIMIT 1000
            """
        ).rows
        for row in rows {
            let key = row.text(0)
            switch row.text(1) {
            case "poisoned":
                fail(
                    "poisoned:\(key)", "object \(key) cannot be read: \(row.text(4)) (\(row.integer(5)) attempts)",
                    "Restore it from a copy, or accept the loss; it is tried again by itself", lines: row.integer(2),
                    &report)
            case "pending":
                fail(
                    "pending:\(key)", "object \(key) needs the mapping \(row.text(4))",
                    "Add the mapping to the configuration", lines: row.integer(2), &report)
            case "claimed" where row.boolean(6):
                note("claimed:\(key)", "object \(key) is being loaded", lines: row.integer(2), &report)
            case "claimed":
                fail(
                    "unfinished:\(key)", "object \(key) was claimed by a loader that has gone", "Run `nadi load`",
                    lines: row.integer(2), &report)
            case "lost":
                fail(
                    "lost:\(key)", "object \(key) is gone from the bucket", "Restore it, or accept the loss",
                    lines: row.integer(2), &report)
            default: break
            }
        }
        for key in bucket.missing.prefix(1000) {
            let row = try connection.query(
                "SELECT lines, sealed_at FROM nadi_store.object WHERE object_key = $1", [.text(key)])[0]
            if now_ms - row.time(1) > settings.retention.archiveDays * LoadClock.day_ms {
                note("expired:\(key)", "object \(key) is past archive_days", lines: row.integer(0), &report)
            } else {
                fail(
                    "lost:\(key)", "object \(key) (\(row.integer(0)) lines) is in the ledger, not in the bucket",
                    "Restore it (versioning, a copy), or accept the loss; its hours can no longer be rebuilt",
                    lines: row.integer(0), &report)
            }
        }
    }

    /// Writers' counts against the segments in the ledger.
    func writers(_ bucket: AuditBucket, _ report: inout AuditReport) throws {
        let rows = try connection.query(
            """
            SELECT w.writer, h.host, w.format, w.appended, w.written,
                   w.dropped_buffer_full + w.dropped_disk_full + w.dropped_io_error + w.dropped_too_large
                       + w.dropped_invalid AS dropped,
                   w.adopted, w.end_seq, w.reported_at, h.reported_at, w.reported_segments,
                   coalesce(s.lines, 0), coalesce(s.segments, 0), coalesce(s.last_seq, -1), coalesce(s.gaps, '{}'),
                   s.newest, h.state, EXISTS (SELECT FROM nadi_store.object AS o
                                              WHERE o.host_id = h.host_id AND o.state <> 'loaded') AS unfinished
            FROM nadi_store.writer AS w JOIN nadi_store.host AS h USING (host_id)
            LEFT JOIN LATERAL (
                SELECT sum(g.lines)::bigint AS lines, count(*) AS segments, max(g.seq) AS last_seq,
                       max(g.sealed_at) AS newest,
                       array_agg(ARRAY[g.previous + 1, g.seq - 1]) FILTER (WHERE g.seq > g.previous + 1) AS gaps
                FROM (SELECT seq, lines, sealed_at, coalesce(lag(seq) OVER (ORDER BY seq), -1) AS previous
                      FROM nadi_store.segment WHERE writer_id = w.writer_id AND state = 'loaded') AS g
            ) AS s ON true
            ORDER BY w.writer
            """
        ).rows
        var appended: Int64 = 0
        var accounted: Int64 = 0
        var written: Int64 = 0
        var stored: Int64 = 0
        for row in rows where row.text(2) == "native" {
            let writer = AuditWriter(row)
            appended += writer.appended
            accounted += writer.written + writer.dropped
            written += writer.written
            stored += writer.lines
            check(writer, hasUnloaded: bucket.hosts.contains(writer.host) || row.boolean(17), &report)
        }
        balance(
            "appended = written + dropped", ("appended (writers)", appended),
            ("written + dropped (writers)", accounted),
            mustBeEqual: false, &report)
        balance(
            "written = stored", ("written (writers)", written),
            ("lines of distinct segments (manifests); the rest is in spools", stored), mustBeEqual: false, &report)
    }

    private func check(_ writer: AuditWriter, hasUnloaded: Bool, _ report: inout AuditReport) {
        if !writer.adopted, writer.appended != writer.written + writer.dropped {
            fail(
                "counts:\(writer.name)",
                "writer \(writer.name) appended \(writer.appended), but wrote \(writer.written) and dropped "
                    + "\(writer.dropped)", "The writer's records disagree: report it", &report)
        }
        if writer.dropped > 0 {
            note("dropped:\(writer.name)", "writer \(writer.name) dropped \(writer.dropped) events", &report)
        }
        var missing = writer.gaps
        if let end = writer.endSeq, end > writer.lastSeq { missing.append((writer.lastSeq + 1)...end) }
        var unexplained: [ClosedRange<Int64>] = []
        for gap in missing {
            for seq in gap where !writer.reportedSegments.contains(seq) {
                if let last = unexplained.last, last.upperBound + 1 == seq {
                    unexplained[unexplained.count - 1] = last.lowerBound...seq
                } else {
                    unexplained.append(seq...seq)
                }
            }
        }
        for gap in unexplained {
            let name = gap.count == 1 ? "\(gap.lowerBound)" : "\(gap.lowerBound)-\(gap.upperBound)"
            let text =
                "segment \(name) of writer \(writer.name) (host \(writer.host)) is neither stored nor in the spool"
            if hasUnloaded {
                note("gap:\(writer.name)-\(name)", text + " yet: objects of its host are not loaded", &report)
            } else {
                fail(
                    "gap:\(writer.name)-\(name)", text,
                    "Look for \(writer.name)-\(gap.lowerBound)-*.jsonl on the host, or accept the loss", &report)
            }
        }
        let isWhole = unexplained.isEmpty && missing.isEmpty
        if writer.endSeq != nil {
            if isWhole, writer.lines != writer.written {
                fail(
                    "lines:\(writer.name)",
                    "writer \(writer.name) wrote \(writer.written) lines, \(writer.lines) are in its segments",
                    "A segment changed between writer and bucket: compare its lines with its name", &report)
            }
        } else if let hostReport = writer.hostReported_ms, (writer.reported_ms ?? 0) < hostReport, !hasUnloaded,
            hostReport - (writer.newest_ms ?? writer.reported_ms ?? 0) > Audit.grace_ms || writer.hostEnded
        {
            fail(
                "vanished:\(writer.name)",
                "writer \(writer.name) vanished from the report of host \(writer.host) without a proven end; "
                    + "it had written \(writer.written) lines, \(writer.lines) are stored",
                "Look into the host's spool and /lost+found, or accept the loss",
                lines: max(0, writer.written - writer.lines), &report)
        }
    }

    /// Hosts that went silent, and until when everything is complete.
    func hosts(_ bucket: AuditBucket, _ report: inout AuditReport) throws {
        let rows = try connection.query(
            """
            SELECT host, reported_at, state, coalesce(oldest_unshipped_at, reported_at), unshipped_lines,
                   unshipped_segments, coalesce(last_error, ''),
                   (SELECT min(o.sealed_at) FROM nadi_store.object AS o WHERE o.host_id = h.host_id
                    AND o.state IN ('claimed', 'poisoned', 'pending'))
            FROM nadi_store.host AS h ORDER BY host
            """
        ).rows
        var oldest = bucket.unknown.map(\.sealed_ms).min()
        var unshipped: Int64 = 0
        for row in rows {
            let host = row.text(0)
            unshipped += row.optionalInteger(4) ?? 0
            let ended = row.optionalText(2) == "ended"
            guard let reported = row.optionalTime(1), ended || now_ms - reported < Audit.grace_ms else {
                report.silentHosts.append(host)
                let since = row.optionalTime(1).map { " since " + Timestamp.format($0) } ?? ": it never reported"
                fail(
                    "silent:\(host)", "host \(host) is silent\(since)",
                    "Look at nadi-shipper on the host; `systemctl status nadi-shipper`", &report)
                continue
            }
            if let error = row.optionalText(6), !error.isEmpty {
                note("shipping:\(host)", "host \(host) says: \(error)", &report)
            }
            var until = ended ? nil : row.optionalTime(3)
            if let unfinished = row.optionalTime(7) { until = min(until ?? unfinished, unfinished) }
            if let until { oldest = min(oldest ?? until, until) }
        }
        report.completeUntil_ms = rows.isEmpty ? nil : oldest ?? now_ms
        let spool = try connection.query(
            "SELECT coalesce(sum(cardinality(reported_segments)), 0)::bigint FROM nadi_store.writer")[0].integer(0)
        if unshipped > 0 || spool > 0 {
            note("spooled", "\(unshipped) lines in \(spool) segments are in spools", lines: unshipped, &report)
        }
    }
}

/// One writer's row of the audit.
private struct AuditWriter {
    let name: String
    let host: String
    let appended: Int64
    let written: Int64
    let dropped: Int64
    let adopted: Bool
    let endSeq: Int64?
    let reported_ms: Int64?
    let hostReported_ms: Int64?
    let reportedSegments: Set<Int64>
    let lines: Int64
    let lastSeq: Int64
    let gaps: [ClosedRange<Int64>]
    let newest_ms: Int64?
    let hostEnded: Bool

    init(_ row: QueryResult.Row) {
        name = row.text(0)
        host = row.text(1)
        dropped = row.integer(5)
        adopted = row.boolean(6)
        lines = row.integer(11)
        // A killed writer's own counts are up to a second old: a lower bound, raised to what is stored of it. Fewer
        // lines than it counted are a loss all the same.
        written = adopted ? max(row.integer(4), lines) : row.integer(4)
        appended = adopted ? max(row.integer(3), written + dropped) : row.integer(3)
        endSeq = row.optionalInteger(7)
        reported_ms = row.optionalTime(8)
        hostReported_ms = row.optionalTime(9)
        reportedSegments = Set(row.integers(10))
        lastSeq = row.integer(13)
        // Pairs {{from,to},{from,to}}: read flat.
        let flat = row.text(14).split(whereSeparator: { "{},".contains($0) }).compactMap { Int64($0) }
        gaps = stride(from: 0, to: flat.count - 1, by: 2).map { flat[$0]...max(flat[$0], flat[$0 + 1]) }
        newest_ms = row.optionalTime(15)
        hostEnded = row.optionalText(16) == "ended"
    }
}
