package import EventSegments
import ServiceSupport

/// What the shipper knows of itself at one moment; the source of its report, its pages and its status line.
package struct ShipperStatus: Sendable {
    /// The host's name.
    package var host = ""
    /// When the shipper began, milliseconds since the epoch.
    package var started_ms: Int64 = 0
    /// What waits and is not proven.
    package var waiting: [Candidate] = []
    /// The last look at the spool.
    package var scan = SpoolScan()
    /// When the last look ended, milliseconds since the epoch; nil before the first.
    package var scanned_ms: Int64?
    /// When an object was last proven, milliseconds since the epoch.
    package var lastUpload_ms: Int64?
    /// Why uploads fail now; nil when they do not.
    package var uploadError: String?
    /// Why the host's report could not be written; nil when it was.
    package var reportError: String?
    /// What is wrong with foreign logs now.
    package var foreignFaults: [String] = []
    /// For how long a look at foreign logs that is under way has made no progress, milliseconds.
    package var foreignStalled_ms: Int64 = 0

    /// Whether reading foreign logs hangs.
    package var isStalled: Bool { foreignStalled_ms > 60_000 }

    /// Things that need a person, one sentence each.
    package var faults: [String] {
        [uploadError, reportError].compactMap { $0 } + scan.faults + foreignFaults
    }

    /// What waits, the open segments included.
    package var unshipped: HostReport.Unshipped {
        HostReport.Unshipped(
            segments: waiting.count + scan.openSegments, lines: waiting.reduce(0) { $0 + $1.lines },
            bytes: waiting.reduce(0) { $0 + $1.rawBytes } + scan.openBytes,
            oldest_ms: [waiting.map(\.sealed_ms).min(), scan.oldestOpen_ms].compactMap { $0 }.min())
    }

    /// The report for the bucket.
    package func report(now_ms: Int64, isStopped: Bool) -> HostReport {
        let isEnded = isStopped && scan.isReadable && scan.isEmpty && waiting.isEmpty
        return HostReport(
            host: host, time_ms: now_ms, state: isEnded ? .ended : .running,
            shipperVersion: Shipper.version, started_ms: started_ms, unshipped: unshipped, lastUpload_ms: lastUpload_ms,
            lastError: faults.first, writers: scan.writers)
    }

    /// One line for the service manager and for people.
    package func line(now_ms: Int64) -> String {
        let bytes = waiting.reduce(0) { $0 + $1.rawBytes }
        var text = waiting.isEmpty ? "nothing waits" : "\(waiting.count) segments, \(Units.text(bytes: bytes)) wait"
        if let last = lastUpload_ms {
            text += ", last upload \(Units.text(.milliseconds(max(0, now_ms - last)))) ago"
        } else {
            text += ", no upload yet"
        }
        if let fault = faults.first { text += "; \(fault)" }
        return text
    }

    /// Whether the service does what it should: the spool is read, reading the foreign logs
    /// moves, and nothing waits for more than ten minutes.
    package func health(now_ms: Int64) -> (isGood: Bool, text: String) {
        guard let scanned_ms else { return (false, "the spool has not been read yet\n") }
        if now_ms - scanned_ms > 60_000 { return (false, "the spool was not read for a minute\n") }
        if !scan.isReadable { return (false, (scan.faults.first ?? "the spool cannot be read") + "\n") }
        if isStalled { return (false, "reading the foreign logs has made no progress for a minute\n") }
        if let oldest = waiting.map(\.sealed_ms).min(), now_ms - oldest > 600_000, let uploadError {
            return (false, "segments wait for more than ten minutes: \(uploadError)\n")
        }
        return (true, line(now_ms: now_ms) + "\n")
    }
}
