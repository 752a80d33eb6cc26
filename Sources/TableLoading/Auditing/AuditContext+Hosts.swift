internal import EventModel
internal import TableStorage

/// Hosts: who is silent, what each holds.
extension AuditContext {
    /// Hosts that went silent, each one's account, and until when everything is complete: by the view that dashboards
    /// show.
    func hosts(_ report: inout AuditReport) throws {
        let rows = try connection.query(
            """
            SELECT h.host, h.reported_at, coalesce(h.state, ''), coalesce(h.last_error, ''),
                   coalesce(h.unshipped_lines, 0), coalesce(h.unshipped_segments, 0), count(a.writer),
                   count(a.writer) FILTER (WHERE a.end_seq IS NULL), coalesce(sum(a.appended), 0)::bigint,
                   coalesce(sum(a.written), 0)::bigint, coalesce(sum(a.dropped), 0)::bigint,
                   coalesce(sum(a.lines), 0)::bigint, coalesce(sum(a.lost_lines), 0)::bigint,
                   coalesce(bool_or(a.adopted), false)
            FROM nadi_store.host AS h
            LEFT JOIN nadi_store.writer_account AS a ON a.host_id = h.host_id AND a.format = 'native'
                AND coalesce(greatest(a.newest_at, a.reported_at) >= \(sqlFrom), true)
            WHERE $1::text IS NULL OR h.host = $1 GROUP BY h.host_id ORDER BY h.host
            """, [.optional(scope.host)]
        ).rows
        var unshipped: (lines: Int64, segments: Int64) = (0, 0)
        for row in rows {
            let host = row.text(0)
            let reported = row.optionalTime(1)
            let isSilent = row.text(2) != "ended" && (reported.map { now_ms - $0 >= Audit.grace_ms } ?? true)
            unshipped.lines += row.integer(4)
            unshipped.segments += row.integer(5)
            report.hosts.append(
                AuditReport.Host(
                    name: host, status: isSilent ? "silent" : row.text(2), reported_ms: reported,
                    writers: row.integer(6), openWriters: row.integer(7), appended: row.integer(8),
                    written: row.integer(9), dropped: row.integer(10), stored: row.integer(11),
                    unshipped: row.integer(4), unshippedSegments: row.integer(5), lost: row.integer(12),
                    isLowerBound: row.boolean(13)))
            if isSilent {
                report.silentHosts.append(host)
                fail(
                    "silent:\(host)",
                    "host \(host) is silent" + (reported.map { " since " + Timestamp.format($0) } ?? ": it never reported")
                        + "; then it held \(row.integer(4)) lines in \(row.integer(5)) segments, and "
                        + "\(row.integer(7)) of its writers had not ended",
                    "See whether the host is up; there, `systemctl status nadi-shipper`. A host that is gone for good: "
                        + "accept it", host: host, &report)
            } else if !row.text(3).isEmpty {
                note("shipping:\(host)", "host \(host) says: \(row.text(3))", host: host, &report)
            }
        }
        report.completeUntil_ms = try connection.query("SELECT complete_until FROM nadi.complete_until")[0]
            .optionalTime(0)
        if unshipped.segments > 0 {
            note(
                "spooled", "\(unshipped.lines) lines in \(unshipped.segments) segments are in spools",
                lines: unshipped.lines, &report)
        }
        let newest = try connection.query(
            "SELECT max(finished_at) FROM nadi_store.load_run WHERE state = 'succeeded'")[0].optionalTime(0)
        if let newest, now_ms - newest > Audit.grace_ms {
            note("loader", "no load has succeeded since \(Timestamp.format(newest))", &report)
        }
    }
}
