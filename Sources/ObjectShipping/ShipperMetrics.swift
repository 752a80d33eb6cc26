import EventModel
import EventSegments
import ObjectStorage
import ServiceSupport
import Synchronization

/// What the shipper counts, under the names of `nadi_shipper_*`.
final class ShipperMetrics: Sendable {
    let filesTracked: Gauge
    let pendingBytes: Gauge
    let oldestPending: Gauge
    let spoolBytes: Gauge
    let spoolReadable: Gauge
    let held: Gauge
    let quarantined: Gauge
    let spoolFree: Gauge
    let writersOpen: Gauge
    let writersAdopted: Counter
    let foreignRefused: Gauge
    let readLines: Counter
    let readBytes: Counter
    let objectsUploaded: Counter
    let uploadedBytes: Counter
    let uploadFailures: Counter
    let uploadRetries: Counter
    let abandoned: Counter
    let uploadSeconds: Histogram
    let lastUpload: Gauge
    let proofs: Counter
    let reportFailures: Counter
    let faults: Gauge
    let dropped: Counter
    private let lastDropped = Mutex<[String: [Int]]>([:])

    init(_ registry: MetricsRegistry, version: String, streams: [String]) {
        registry.gauge("nadi_shipper_build_info", "The program's version; always 1.", labels: ["version"]).set(
            1, version)
        filesTracked = registry.gauge("nadi_shipper_files_tracked", "Segments that wait to be stored and proven.")
        pendingBytes = registry.gauge(
            "nadi_shipper_pending_bytes", "Size of the segments that wait, before compression.")
        oldestPending = registry.gauge(
            "nadi_shipper_oldest_pending_timestamp_seconds",
            "When the oldest segment that waits was sealed; absent while none waits.")
        spoolBytes = registry.gauge(
            "nadi_shipper_spool_bytes", "Size of all segments in the spool, open ones included.")
        spoolReadable = registry.gauge("nadi_shipper_spool_readable", "Whether the spool could be read last time.")
        held = registry.gauge(
            "nadi_shipper_segments_held",
            "Segments that had their turn and wait because they cannot be read or are not taken.")
        quarantined = registry.gauge(
            "nadi_shipper_segments_quarantined", "Damaged segments that were put aside in the spool.")
        spoolFree = registry.gauge(
            "nadi_shipper_spool_free_bytes", "Space that writers may still use on the spool's file system.",
            labels: ["spool"], limit: 20)
        writersOpen = registry.gauge("nadi_shipper_writers_open", "Writers that have not ended.")
        writersAdopted = registry.counter(
            "nadi_shipper_writers_adopted_total", "Writers whose process died and that were ended by the shipper.")
        foreignRefused = registry.gauge(
            "nadi_shipper_foreign_files_refused", "Live files of foreign logs that were cut in place.")
        readLines = registry.counter(
            "nadi_shipper_read_lines_total", "Lines of segments that were stored and proven.", labels: ["stream"],
            limit: 33)
        readBytes = registry.counter(
            "nadi_shipper_read_bytes_total", "Bytes, before compression, that were stored and proven.",
            labels: ["stream"],
            limit: 33)
        objectsUploaded = registry.counter(
            "nadi_shipper_objects_uploaded_total", "Objects that were stored and proven.")
        uploadedBytes = registry.counter("nadi_shipper_uploaded_bytes_total", "Size of the objects that were proven.")
        uploadFailures = registry.counter(
            "nadi_shipper_upload_failures_total", "Requests to the store that failed.", labels: ["reason"], limit: 25)
        uploadRetries = registry.counter(
            "nadi_shipper_upload_retries_total", "Requests that were repeated after a failure.")
        abandoned = registry.counter(
            "nadi_shipper_objects_abandoned_total",
            "Objects that were not taken and whose segments are tried again one by one.")
        uploadSeconds = registry.histogram(
            "nadi_shipper_upload_duration_seconds", "From the first PUT of an object to its proof.")
        lastUpload = registry.gauge(
            "nadi_shipper_last_upload_success_timestamp_seconds",
            "When an object was last proven; absent before the first.")
        proofs = registry.counter("nadi_shipper_proofs_total", "Objects by how they were proven.", labels: ["method"])
        reportFailures = registry.counter(
            "nadi_shipper_report_failures_total", "Host reports that could not be written.")
        faults = registry.gauge(
            "nadi_shipper_faults", "Things of the spool and the foreign logs that need a person now.")
        dropped = registry.counter(
            "nadi_shipper_dropped_events_total", "Events that this host's writers dropped, as their lock files say.",
            labels: ["reason"])
        for stream in [Candidate.nativeStream] + streams {
            readLines.add(0, stream)
            readBytes.add(0, stream)
        }
        for method in UploadProof.Method.allCases { proofs.add(0, method.rawValue) }
        for reason in DropCounts().entries { dropped.add(0, reason.name) }
    }

    /// Tells the free space of spools, read at each exposition.
    func watchSpace(_ registry: MetricsRegistry, of spools: [String]) {
        registry.beforeExposition { [spoolFree] in
            for spool in spools {
                if let space = FileSystemSpace(of: spool) {
                    spoolFree.set(Double(space.freeBytes), spool)
                } else {
                    spoolFree.unset(spool)
                }
            }
        }
    }

    /// Takes over what a scan found.
    func note(_ scan: SpoolScan, waiting: [Candidate], held: Int) {
        self.held.set(Double(held))
        quarantined.set(Double(scan.damaged))
        filesTracked.set(Double(waiting.count))
        pendingBytes.set(Double(waiting.reduce(0) { $0 + $1.rawBytes }))
        if let oldest = waiting.map(\.sealed_ms).min() {
            oldestPending.set(Double(oldest) / 1_000)
        } else {
            oldestPending.unset()
        }
        spoolBytes.set(Double(scan.spoolBytes))
        spoolReadable.set(scan.isReadable ? 1 : 0)
        writersOpen.set(Double(scan.writers.count { $0.state == .open }))
        noteDrops(scan.writers)
    }

    /// Adds what was dropped since the last scan.
    private func noteDrops(_ writers: [HostReport.Writer]) {
        lastDropped.withLock { last in
            var seen: [String: [Int]] = [:]
            for writer in writers {
                let entries = writer.counts.dropped.entries
                let before = last[writer.writer] ?? entries.map { _ in 0 }
                for (entry, old) in zip(entries, before) where entry.count > old {
                    dropped.add(Double(entry.count - old), entry.name)
                }
                seen[writer.writer] = zip(entries, before).map { max($0.count, $1) }
            }
            last = seen
        }
    }
}
