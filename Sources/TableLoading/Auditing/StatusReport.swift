internal import EventModel
package import TableStorage

/// How the loader stands, from the database alone.
package struct StatusReport: Sendable {
    /// What the view `nadi.complete_until` says: everything before this is counted, silent hosts left out; nil when
    /// nothing is known.
    package let completeUntil_ms: Int64?
    package let lastSuccess_ms: Int64?
    /// Outcomes as far as they are joined.
    package let waiting: WaitingOutcomes
    /// Lines of the report, for people.
    package let text: String

    /// Reads it.
    ///
    /// - Parameter isRecent: whether ``waiting`` may be some minutes old.
    /// - Throws: ``DatabaseError``.
    package init(_ connection: Connection, now_ms: Int64, isRecent: Bool = false) throws {
        func time(_ ms: Int64?) -> String { ms.map { Timestamp.format($0) } ?? "never" }
        var out = ""
        let run = try connection.query(
            """
            SELECT started_at, state, objects, lines, rejected_lines, coalesce(error, ''),
                   (SELECT max(finished_at) FROM nadi_store.load_run WHERE state = 'succeeded')
            FROM nadi_store.load_run ORDER BY run_id DESC LIMIT 1
            """
        ).first
        lastSuccess_ms = run?.optionalTime(6)
        if let run {
            out += "last run      \(time(run.time(0))), \(run.text(1)): \(run.integer(2)) objects, "
            out += "\(run.integer(3)) lines, \(run.integer(4)) rejected\n"
            if !run.text(5).isEmpty { out += "              \(run.text(5))\n" }
        } else {
            out += "last run      never\n"
        }
        out += "last success  \(time(lastSuccess_ms))\n"
        let objects = try connection.query(
            "SELECT state, count(*), sum(lines)::bigint FROM nadi_store.object GROUP BY state ORDER BY state"
        ).rows
        for row in objects {
            out += "objects       \(row.text(0).padded(10)) \(row.integer(1)), \(row.integer(2)) lines\n"
        }
        let hosts = try connection.query(
            """
            SELECT host, reported_at, host_status, unshipped_line_count, is_silent, unshipped_segment_count, unshipped_bytes,
                   oldest_unshipped_at, open_writer_count, dropped_line_count, coalesce(last_error, '')
            FROM nadi.pipeline_host ORDER BY host
            """
        ).rows
        for row in hosts {
            out += "host          \(row.text(0)): \(row.boolean(4) ? "SILENT" : row.text(2)), "
            out += "reported \(time(row.optionalTime(1))), \(row.integer(8)) open writers"
            if row.integer(5) > 0 {
                out += ", holds \(row.integer(3)) lines in \(row.integer(5)) segments (\(row.integer(6)) bytes)"
                if let oldest = row.optionalTime(7) { out += ", the oldest since \(Timestamp.format(oldest))" }
            }
            if row.integer(9) > 0 { out += ", \(row.integer(9)) lines dropped by its writers" }
            out += row.text(10).isEmpty ? "\n" : "\n              it says: \(row.text(10))\n"
        }
        if let audit = try connection.query(
            "SELECT audited_at, failure_count, accepted_count FROM nadi.audit_run ORDER BY audited_at DESC LIMIT 1"
        ).first {
            let verdict = audit.integer(1) == 0 ? "clean" : "\(audit.integer(1)) failures"
            out += "last audit    \(time(audit.time(0))): \(verdict), \(audit.integer(2)) accepted\n"
        } else {
            out += "last audit    never\n"
        }
        let until = try connection.query("SELECT complete_until, silent_hosts FROM nadi.complete_until")[0]
        completeUntil_ms = until.optionalTime(0)
        out += "complete until \(completeUntil_ms.map { Timestamp.format($0) } ?? "unknown")"
        out += until.text(1).isEmpty ? "\n" : " (silent and left out: \(until.text(1)))\n"
        waiting = try isRecent ? WaitingOutcomes(recent: connection) : WaitingOutcomes(connection)
        out += "outcomes      \(waiting.lines) lines, joined \(waiting.joined), waiting \(waiting.waiting), "
        out += "unmatched \(waiting.unmatched)\n"
        out += "              \(waiting.dirtyHours) hours to be joined again"
        if let since = waiting.dirtySince_ms { out += ", the oldest marked \(Timestamp.format(since))" }
        if waiting.failedHours > 0 { out += "; \(waiting.failedHours) failed (see nadi.join_state)" }
        out += "\n"
        if let sweep = try connection.query(
            "SELECT begun_at, nullif(next_before, 'infinity'), failures, next_attempt_at, last_error FROM nadi_store.sweep"
        ).first {
            out += "sweep         since \(time(sweep.optionalTime(0)))"
            if let hour_ms = sweep.optionalTime(1) { out += ", down to hour \(LoadClock.hourText(hour_ms))" }
            if sweep.integer(2) > 0 { out += ", goes on at \(time(sweep.optionalTime(3))): \(sweep.text(4))" }
            out += "\n"
        }
        text = out
    }
}
