internal import DurableIO
internal import Glibc
internal import TableStorage

/// Metrics of the last run for node_exporter's textfile collector: gauges, written whole and renamed into place.
package enum LoadMetrics {
    /// Writes the file.
    /// - Parameters:
    ///   - report: what the run did, nil if it failed before it had done anything.
    ///   - lastSuccess_ms: when a run last succeeded, this one included.
    /// - Throws: `SystemError`.
    package static func write(
        path: String, report: LoadReport?, exitCode: Int32, now_ms: Int64, lastSuccess_ms: Int64?,
        completeUntil_ms: Int64?, outcomes: WaitingOutcomes? = nil
    ) throws {
        try DurableFile.replace(
            path: path,
            bytes: Array(
                text(
                    report: report, exitCode: exitCode, now_ms: now_ms, lastSuccess_ms: lastSuccess_ms,
                    completeUntil_ms: completeUntil_ms, outcomes: outcomes
                ).utf8))
        // The collector runs as another user.
        _ = chmod(path, 0o644)
    }

    static func text(
        report: LoadReport?, exitCode: Int32, now_ms: Int64, lastSuccess_ms: Int64?, completeUntil_ms: Int64?,
        outcomes: WaitingOutcomes? = nil
    ) -> String {
        var out = ""
        func gauge(_ name: String, _ help: String, _ value: Double, labels: String = "") {
            if !out.contains("# HELP nadi_load_\(name) ") {
                out += "# HELP nadi_load_\(name) \(help)\n# TYPE nadi_load_\(name) gauge\n"
            }
            let text = value == value.rounded() && abs(value) < 9e15 ? String(Int64(value)) : "\(value)"
            out += "nadi_load_\(name)\(labels) \(text)\n"
        }
        gauge("last_run_timestamp_seconds", "When the loader last ran.", Double(now_ms) / 1000)
        gauge("last_exit_code", "Exit status of the last run.", Double(exitCode))
        if let lastSuccess_ms {
            gauge(
                "last_success_timestamp_seconds", "When a run of the loader last succeeded.",
                Double(lastSuccess_ms) / 1000)
        }
        if let completeUntil_ms {
            gauge(
                "watermark_timestamp_seconds", "Everything sealed before this is loaded, silent hosts left out.",
                Double(completeUntil_ms) / 1000)
        }
        if let outcomes {
            gauge("outcomes_waiting", "Outcomes whose hour is still to be joined, or whose hour is not known yet.", Double(outcomes.waiting))
            gauge("outcomes_unmatched", "Outcomes whose prediction was looked for and not found.", Double(outcomes.unmatched))
            gauge("hours_to_join", "Hours that wait for a join.", Double(outcomes.dirtyHours))
            gauge("hours_failed_to_join", "Those of them whose last join failed.", Double(outcomes.failedHours))
            gauge(
                "oldest_hour_to_join_seconds", "How long the oldest mark of an hour has waited for its join.",
                outcomes.dirtySince_ms.map { Double(max(0, now_ms - $0)) / 1000 } ?? 0)
        }
        if let report {
            gauge("last_duration_seconds", "How long the last run took.", report.seconds)
            gauge("last_objects", "Objects that the last run loaded.", Double(report.objects))
            gauge("last_rows", "Lines that the last run counted.", Double(report.lines), labels: "{table=\"lines\"}")
            gauge("last_rejected", "Lines that the last run rejected.", Double(report.rejectedLines))
            gauge("last_poisoned_objects", "Objects that the last run could not read.", Double(report.poisoned.count))
            gauge("last_pending_objects", "Objects whose mapping is not known.", Double(report.pending.count))
            gauge("last_conflicts", "Segments whose number was taken by other bytes.", Double(report.conflicts))
            gauge("last_joined_hours", "Hours whose outcomes the last run joined.", Double(report.joinedHours))
        }
        return out
    }
}
