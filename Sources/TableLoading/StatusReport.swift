internal import EventModel
package import TableStorage

/// How the loader stands, from the database alone.
package struct StatusReport: Sendable {
    /// Everything sealed before this is loaded, silent hosts left out; nil when no host has reported.
    package let completeUntil_ms: Int64?
    package let lastSuccess_ms: Int64?
    /// Lines of the report, for people.
    package let text: String

    /// Reads it.
    /// - Throws: ``DatabaseError``.
    package init(_ connection: Connection, now_ms: Int64) throws {
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
            SELECT host, reported_at, coalesce(state, 'unknown'), coalesce(unshipped_lines, 0),
                   coalesce(oldest_unshipped_at, reported_at)
            FROM nadi_store.host ORDER BY host
            """
        ).rows
        var until: Int64?
        var silent: [String] = []
        for row in hosts {
            let reported = row.optionalTime(1)
            let isSilent = row.text(2) != "ended" && now_ms - (reported ?? 0) > Audit.grace_ms
            out += "host          \(row.text(0)): \(isSilent ? "silent" : row.text(2)), reported \(time(reported)), "
            out += "\(row.integer(3)) lines in its spool\n"
            if isSilent { silent.append(row.text(0)) }
            if !isSilent, row.text(2) != "ended", let held = row.optionalTime(4) { until = min(until ?? held, held) }
        }
        let unfinished = try connection.query(
            "SELECT min(sealed_at) FROM nadi_store.object WHERE state IN ('claimed', 'poisoned', 'pending')")[0]
        if let oldest = unfinished.optionalTime(0) { until = min(until ?? oldest, oldest) }
        completeUntil_ms = hosts.isEmpty ? nil : until ?? now_ms
        out += "complete until \(time(completeUntil_ms))"
        out += silent.isEmpty ? "\n" : " (silent and left out: \(silent.joined(separator: ", ")))\n"
        let outcomes = try connection.query(
            """
            SELECT count(*), count(*) FILTER (WHERE joined_hour IS NOT NULL),
                   (SELECT count(*) FROM nadi_store.dirty_hour)
            FROM nadi_store.outcome WHERE event_type = 'outcome' AND name = 'label'
            """)[0]
        out += "labels        \(outcomes.integer(0)), joined \(outcomes.integer(1)); "
        out += "\(outcomes.integer(2)) hours to be joined again\n"
        text = out
    }
}
