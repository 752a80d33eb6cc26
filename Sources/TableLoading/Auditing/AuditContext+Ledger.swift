internal import EventModel
internal import TableStorage

/// Hosts and writers against the ledger, and the ledger against the bucket.
extension AuditContext {
    /// The listing without what was loaded after it.
    func withoutLoaded(_ bucket: AuditBucket) throws -> AuditBucket {
        var bucket = bucket
        let keys = (bucket.unloaded + bucket.arriving).map(\.key)
        let known = Set(
            try connection.query(
                "SELECT object_key FROM nadi_store.object WHERE object_key = ANY ($1::text[])", [.texts(keys)]
            ).rows.map { $0.text(0) })
        bucket.unloaded.removeAll { known.contains($0.key) }
        bucket.arriving.removeAll { known.contains($0.key) }
        return bucket
    }

    /// Objects: the bucket's listing against the ledger; what is not loaded.
    func objects(_ bucket: AuditBucket, _ report: inout AuditReport) throws {
        for entry in bucket.arriving {
            note("arriving:\(entry.key)", "\(entry.lines) lines are in the bucket, not loaded yet", &report)
        }
        for entry in bucket.unloaded {
            fail(
                "unloaded:\(entry.key)", "object \(entry.key) (\(entry.lines) lines) is in the bucket, not loaded",
                "Run `nadi load --all`", lines: Int64(entry.lines), &report)
        }
        let back = Set(bucket.restored)
        let rows = try connection.query(
            """
            SELECT object_key, state, lines, sealed_at, coalesce(last_error, ''), attempts,
                   coalesce(lease_until > now(), false)
            FROM nadi_store.object WHERE state IN ('claimed', 'poisoned', 'pending', 'lost') ORDER BY object_id
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
            case "lost" where back.contains(key):
                note("restored:\(key)", "object \(key) was lost and is there again: run `nadi load --all`", &report)
            case "lost":
                fail(
                    "lost:\(key)", "object \(key) (\(row.integer(2)) lines) is gone from the bucket",
                    "Restore it (versioning, a copy), or accept the loss; its hours can no longer be rebuilt",
                    lines: row.integer(2), &report)
            default: break
            }
        }
        let missing = try connection.query(
            """
            SELECT object_key, lines, sealed_at FROM nadi_store.object
            WHERE object_key = ANY ($1::text[]) AND state = 'loaded' ORDER BY object_id
            """, [.texts(bucket.missing)]
        ).rows
        for row in missing {
            let key = row.text(0)
            if now_ms - row.time(2) > settings.retention.archiveDays * LoadClock.day_ms {
                note("expired:\(key)", "object \(key) is past archive_days", lines: row.integer(1), &report)
            } else {
                fail(
                    "lost:\(key)", "object \(key) (\(row.integer(1)) lines) is in the ledger, not in the bucket",
                    "Restore it (versioning, a copy), or accept the loss; its hours can no longer be rebuilt",
                    lines: row.integer(1), &report)
            }
        }
    }

    /// Seal times of each host's objects that are on their way within the grace, ascending.
    private func onTheirWay(_ bucket: AuditBucket) throws -> [String: [Int64]] {
        var seals: [String: [Int64]] = [:]
        for entry in bucket.arriving { seals[entry.host, default: []].append(entry.sealed_ms) }
        let rows = try connection.query(
            """
            SELECT h.host, o.sealed_at FROM nadi_store.object AS o JOIN nadi_store.host AS h USING (host_id)
            WHERE o.state IN ('claimed', 'poisoned', 'pending') AND o.claimed_at > $1
            """, [.time(now_ms - Audit.grace_ms)]
        ).rows
        for row in rows { seals[row.text(0), default: []].append(row.time(1)) }
        return seals.mapValues { $0.sorted() }
    }

    /// Writers' counts against the segments in the ledger.
    func writers(_ bucket: AuditBucket, _ report: inout AuditReport) throws {
        let rows = try connection.query(
            """
            SELECT w.writer, h.host, w.format, w.appended, w.written,
                   w.dropped_buffer_full + w.dropped_disk_full + w.dropped_io_error + w.dropped_too_large
                       + w.dropped_invalid AS dropped,
                   w.adopted, w.end_seq, w.reported_at, h.reported_at, w.reported_segments,
                   coalesce(s.lines, 0) + w.expired_lines, coalesce(s.segments, 0),
                   greatest(s.last_seq, w.expired_seq, -1), coalesce(s.gaps, '{}'),
                   s.newest, h.state
            FROM nadi_store.writer AS w JOIN nadi_store.host AS h USING (host_id)
            LEFT JOIN LATERAL (
                SELECT sum(g.lines)::bigint AS lines, count(*) AS segments, max(g.seq) AS last_seq,
                       max(g.sealed_at) AS newest,
                       array_agg(ARRAY[g.previous + 1, g.seq - 1, g.previous_ms,
                                       (extract(epoch FROM g.sealed_at) * 1000)::bigint])
                           FILTER (WHERE g.seq > g.previous + 1) AS gaps
                FROM (SELECT seq, lines, sealed_at,
                             greatest(lag(seq) OVER (ORDER BY seq), w.expired_seq, -1) AS previous,
                             coalesce((extract(epoch FROM lag(sealed_at) OVER (ORDER BY seq)) * 1000)::bigint,
                                      0) AS previous_ms
                      FROM nadi_store.segment WHERE writer_id = w.writer_id AND state = 'loaded') AS g
            ) AS s ON true
            ORDER BY w.writer
            """
        ).rows
        let underway = try onTheirWay(bucket)
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
            check(writer, underway[writer.host] ?? [], &report)
        }
        balance(
            "appended = written + dropped", ("appended (writers)", appended),
            ("written + dropped (writers)", accounted),
            mustBeEqual: false, &report)
        balance(
            "written = stored", ("written (writers)", written),
            ("lines of distinct segments (manifests); the rest is in spools", stored), mustBeEqual: false, &report)
    }

    /// What a writer lacks may stand in an object that is on its way: one of its host, sealed between the segments beside
    /// the gap, or shortly after (a bundle bears the time of its newest segment).
    private func check(_ writer: AuditWriter, _ underway: [Int64], _ report: inout AuditReport) {
        func mayCome(after first_ms: Int64, until last_ms: Int64) -> Bool {
            underway.contains { $0 >= first_ms && $0 <= last_ms + Audit.grace_ms }
        }
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
        if let end = writer.endSeq, end > writer.lastSeq {
            let newest = writer.newest_ms ?? 0
            missing.append(AuditWriter.Gap(numbers: (writer.lastSeq + 1)...end, after_ms: newest, before_ms: newest))
        }
        var unexplained: [AuditWriter.Gap] = []
        for gap in missing {
            for seq in gap.numbers where !writer.reportedSegments.contains(seq) {
                if let last = unexplained.last, last.numbers.upperBound + 1 == seq {
                    unexplained[unexplained.count - 1].numbers = last.numbers.lowerBound...seq
                } else {
                    unexplained.append(
                        AuditWriter.Gap(numbers: seq...seq, after_ms: gap.after_ms, before_ms: gap.before_ms))
                }
            }
        }
        for gap in unexplained {
            let first = gap.numbers.lowerBound
            let name = gap.numbers.count == 1 ? "\(first)" : "\(first)-\(gap.numbers.upperBound)"
            let text =
                "segment \(name) of writer \(writer.name) (host \(writer.host)) is neither stored nor in the spool"
            if mayCome(after: gap.after_ms, until: gap.before_ms) {
                note("gap:\(writer.name)-\(name)", text + " yet: objects of its host are on their way", &report)
            } else {
                fail(
                    "gap:\(writer.name)-\(name)", text,
                    "Look for \(writer.name)-\(first)-*.jsonl on the host, or accept the loss", &report)
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
        } else if let hostReport = writer.hostReported_ms, (writer.reported_ms ?? 0) < hostReport,
            !mayCome(after: writer.newest_ms ?? 0, until: max(writer.reported_ms ?? 0, writer.newest_ms ?? 0)),
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

    /// Hosts that went silent, and until when everything is complete: by the view that dashboards show.
    func hosts(_ report: inout AuditReport) throws {
        let rows = try connection.query(
            """
            SELECT host, reported_at, state, unshipped_lines, unshipped_segments, coalesce(last_error, '')
            FROM nadi_store.host AS h ORDER BY host
            """
        ).rows
        var unshipped: Int64 = 0
        for row in rows {
            let host = row.text(0)
            unshipped += row.optionalInteger(3) ?? 0
            let ended = row.optionalText(2) == "ended"
            guard let reported = row.optionalTime(1), ended || now_ms - reported < Audit.grace_ms else {
                report.silentHosts.append(host)
                let since = row.optionalTime(1).map { " since " + Timestamp.format($0) } ?? ": it never reported"
                fail(
                    "silent:\(host)", "host \(host) is silent\(since)",
                    "Look at nadi-shipper on the host; `systemctl status nadi-shipper`", &report)
                continue
            }
            if let error = row.optionalText(5), !error.isEmpty {
                note("shipping:\(host)", "host \(host) says: \(error)", &report)
            }
        }
        report.completeUntil_ms = try connection.query("SELECT complete_until FROM nadi.complete_until")[0]
            .optionalTime(0)
        let spool = try connection.query(
            "SELECT coalesce(sum(cardinality(reported_segments)), 0)::bigint FROM nadi_store.writer")[0].integer(0)
        if unshipped > 0 || spool > 0 {
            note("spooled", "\(unshipped) lines in \(spool) segments are in spools", lines: unshipped, &report)
        }
    }
}

/// One writer's row of the audit.
private struct AuditWriter {
    /// Numbers that are not stored, and when the segments beside them were sealed.
    struct Gap {
        var numbers: ClosedRange<Int64>
        let after_ms: Int64
        let before_ms: Int64
    }

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
    let gaps: [Gap]
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
        // Fours {{from,to,after,before},...}: read flat.
        let flat = row.text(14).split(whereSeparator: { "{},".contains($0) }).compactMap { Int64($0) }
        gaps = stride(from: 0, to: flat.count - 3, by: 4).map {
            Gap(
                numbers: flat[$0]...max(flat[$0], flat[$0 + 1]), after_ms: flat[$0 + 2], before_ms: flat[$0 + 3])
        }
        newest_ms = row.optionalTime(15)
        hostEnded = row.optionalText(16) == "ended"
    }
}
