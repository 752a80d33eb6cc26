import EventModel
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
    /// What of it had its turn and could not be shipped, and why.
    package var held: [ShipperStateMachine.Held] = []
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
        [uploadError, reportError].compactMap { $0 } + scan.faults + foreignFaults + heldFaults
    }

    /// One sentence for all that is held back.
    private var heldFaults: [String] {
        guard let first = held.first else { return [] }
        let others = held.count > 1 ? " (and \(held.count - 1) more segments wait apart)" : ""
        return ["segment \(first.id.seq) of \(first.id.writer): \(first.reason)\(others)"]
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
            lastError: faults.first, writers: scan.writers, isPartial: !scan.isKnown)
    }

    /// The report with what only this host needs to know: every fault, and what is held back, as JSON.
    package func page(now_ms: Int64) -> [UInt8] {
        var bytes = report(now_ms: now_ms, isStopped: false).encoded()
        while let last = bytes.last, last == UInt8(ascii: "\n") || last == UInt8(ascii: "}") { bytes.removeLast() }
        func list(_ name: String, _ items: [[UInt8]]) {
            bytes.append(contentsOf: ",\"\(name)\":[".utf8)
            bytes.append(contentsOf: items.joined(separator: [UInt8(ascii: ",")]))
            bytes.append(UInt8(ascii: "]"))
        }
        list(
            "faults",
            faults.map { fault in
                var text: [UInt8] = []
                JSONText.append(fault, to: &text)
                return text
            })
        list(
            "held",
            held.prefix(1_000).map { one in
                var json = JSONText()
                json.field("writer", one.id.writer)
                json.field("seq", one.id.seq)
                json.field("path", one.id.path)
                json.field("reason", one.reason)
                return json.closed
            })
        bytes.append(contentsOf: "}\n".utf8)
        return bytes
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
        if let oldest = waiting.map(\.sealed_ms).min(), now_ms - oldest > 600_000,
            let reason = uploadError ?? heldFaults.first
        {
            return (false, "segments wait for more than ten minutes: \(reason)\n")
        }
        return (true, line(now_ms: now_ms) + "\n")
    }
}
