package import DurableIO
import EventSegments
package import Logging
package import ObjectStorage
package import ServiceSupport
import Synchronization

/// The shell around ``ShipperStateMachine``: it has the clock, the files and the store, and decides nothing.
package final class Shipper: Sendable {
    /// The program's version, as reports and metrics tell it.
    package static let version = "0.1.0"

    private typealias Machine = ShipperStateMachine

    private let current: Mutex<ShipperConfiguration>
    private let currentStore: Mutex<any ObjectStore>
    private let logger: Logger
    private let notify: NotifySocket
    private let source: BundleSource
    private let spool: Mutex<SpoolReader>
    private let metrics: ShipperMetrics
    private let state: Mutex<ShipperStatus>
    private let bundles = Mutex<[Machine.Job: BundleSource.Made]>([:])
    private let begun = Mutex<[Machine.Job: Int64]>([:])
    private let events: AsyncStream<Machine.Event>
    private let sink: AsyncStream<Machine.Event>.Continuation

    /// - Parameters:
    ///   - configuration: what to ship and how.
    ///   - store: where to.
    ///   - registry: takes the metrics.
    ///   - notify: the service manager.
    ///   - logger: takes what happens.
    ///   - locks: the locks of spool directories that are held already, by directory.
    package init(
        _ configuration: ShipperConfiguration, store: any ObjectStore, registry: MetricsRegistry, notify: NotifySocket,
        logger: Logger, locks: [String: FileLock] = [:]
    ) {
        current = Mutex(configuration)
        currentStore = Mutex(store)
        self.logger = logger
        self.notify = notify
        source = BundleSource(
            host: configuration.host, prefix: configuration.prefix,
            streams: configuration.streams, stateDirectory: configuration.stateDirectory)
        spool = Mutex(
            SpoolReader(directories: configuration.spools, deadAfter_ms: configuration.deadAfter_ms, locks: locks))
        metrics = ShipperMetrics(registry, version: Shipper.version, streams: configuration.streams.map(\.name))
        metrics.watchSpace(registry, of: configuration.spools)
        var status = ShipperStatus()
        status.host = configuration.host
        status.started_ms = SystemTime.now_ms()
        state = Mutex(status)
        (events, sink) = AsyncStream.makeStream()
    }

    /// What the shipper knows of itself now.
    package var status: ShipperStatus {
        var status = state.withLock { $0 }
        status.foreignStalled_ms = source.stalled_ms
        return status
    }

    private var configuration: ShipperConfiguration { current.withLock { $0 } }
    private var store: any ObjectStore { currentStore.withLock { $0 } }

    /// Takes another configuration over from now on; requests under way end as they began.
    ///
    /// - Parameters:
    ///   - new: what it is told. Host, spools, folder of the state, the store's URL, the admin address and the age of
    ///     death stay as they were.
    ///   - store: the store it means.
    /// - Returns: the keys that differ and take effect with a restart only.
    package func reload(_ new: ShipperConfiguration, store: any ObjectStore) -> [String] {
        let (merged, late, hasNewStreams) = current.withLock { current in
            let (merged, late) = current.merged(with: new)
            let hasNewStreams = merged.streams != current.streams
            current = merged
            return (merged, late, hasNewStreams)
        }
        if !late.contains("store.url") { currentStore.withLock { $0 = store } }
        if hasNewStreams { source.configure(streams: merged.streams, stateDirectory: merged.stateDirectory) }
        sink.yield(.configured(merged.machine))
        return late
    }

    /// Asks the shipper to end: what is sealed is shipped within the configured time, and the last report is written.
    ///
    /// Of foreign logs what is planned is shipped; hashing what is new gets a quarter of that time.
    package func stop() {
        source.stopLooking(within_ms: configuration.machine.stop_ms / 4)
        sink.yield(.stop)
    }

    /// Ships until it is stopped, or once through with `isOnce`.
    ///
    /// - Returns: whether nothing was left waiting.
    package func run() async -> Bool {
        var machine = Machine(configuration.machine)
        var isComplete = false
        var isReady = false
        var alive_ms: Int64 = 0
        var told_ms: Int64 = 0
        await withDiscardingTaskGroup { group in
            var timer: Task<Void, Never>?
            var event: Machine.Event? = .timer
            var iterator = events.makeAsyncIterator()
            while let current = event {
                if case .stop = current { notify.stopping(status: "shipping what is sealed") }
                let now = moment()
                let actions = machine.handle(current, at: now)
                if isScan(current) {
                    note(machine, now)
                    if !isReady, case .scanned = current {
                        isReady = true
                        notify.ready(status: status.line(now_ms: now.wall_ms))
                    }
                    if let watchdog = notify.watchdog, !status.isStalled,
                        now.steady_ms - alive_ms >= watchdog.milliseconds / 4
                    {
                        alive_ms = now.steady_ms
                        notify.alive()
                    }
                    if notify.isPresent, now.steady_ms - told_ms >= 10_000 {
                        told_ms = now.steady_ms
                        notify.status(status.line(now_ms: now.wall_ms))
                    }
                }
                for action in actions {
                    if case .finish(let complete) = action {
                        isComplete = complete
                        event = nil
                    } else {
                        perform(action, &group, machine)
                    }
                }
                if event == nil { break }
                timer?.cancel()
                timer = machine.nextWake_ms(at: now).map { wake in
                    Task { [sink] in
                        try? await Task.sleep(for: .milliseconds(max(1, wake - now.steady_ms)))
                        if !Task.isCancelled { sink.yield(.timer) }
                    }
                }
                event = await iterator.next()
            }
            timer?.cancel()
            // Threads that read files are waited for.
            source.abandon()
            group.cancelAll()
        }
        return isComplete
    }

    // MARK: - Actions

    private func perform(_ action: Machine.Action, _ group: inout DiscardingTaskGroup, _ machine: Machine) {
        switch action {
        case .scan:
            group.addTask { [self] in
                let scan = await readSpool()
                tell(scan)
                sink.yield(.scanned(scan.isPartlyReadable ? scan.candidates : nil, isWhole: scan.isReadable))
            }
        case .scanForeign:
            group.addTask { [self] in
                if await Blocking.run({ [source] in source.history() }) != nil {
                    sink.yield(.unknownHistory)
                    return
                }
                let scan = await Blocking.run { [source] in source.scanForeign() }
                tell(scan)
                sink.yield(.scannedForeign(scan?.candidates ?? []))
            }
        case .recall:
            group.addTask { [self] in
                let failure = await recall()
                if !Task.isCancelled { sink.yield(.recalled(failure)) }
            }
        case .recallFailure(let error, _):
            let reason =
                "the bucket cannot be asked what was shipped of foreign logs, so none is shipped yet: \(error)"
            logger.error("\(reason)")
            state.withLock { $0.foreignFaults = [reason] }
        case .build(let job, let ids):
            let segments = ids.map { (id: $0, rawBytes: machine.rawBytes(of: $0)) }
            group.addTask { [self] in await build(job, segments) }
        case .request(let job, let request):
            group.addTask { [self] in
                let answer = await send(request, job)
                sink.yield(.answered(job, answer))
            }
        case .proven(let job, let method, let segments): proven(job, method, segments)
        case .abandoned(let job):
            bundles.withLock { $0[job] = nil }
            begun.withLock { $0[job] = nil }
            metrics.abandoned.add()
        case .retire(let ids):
            group.addTask { [self] in await retire(ids) }
        case .failure(_, let error, let pause_ms, let failures): failed(error, pause_ms: pause_ms, failures: failures)
        case .report(let isLast):
            group.addTask { [self] in
                await report(isLast: isLast)
                sink.yield(.reported)
            }
        case .finish: break
        }
    }

    private func build(_ job: Machine.Job, _ segments: [(id: SegmentID, rawBytes: Int)]) async {
        let limit = configuration.machine.bundleBytes
        let outcome = await Blocking.run { [source] in source.make(segments, limit: limit) }
        for (id, reason) in outcome.failed.sorted(by: { $0.key < $1.key }).prefix(10) {
            logger.error("segment \(id.seq) of \(id.writer): \(reason)")
        }
        for damage in outcome.damaged { logger.error("\(damage)") }
        if let made = outcome.made {
            bundles.withLock { $0[job] = made }
            begun.withLock { $0[job] = SystemTime.monotonic_ns() }
        }
        sink.yield(.built(job, outcome.made?.proof, included: outcome.included, failed: outcome.failed))
    }

    private func send(_ request: UploadProof.Request, _ job: Machine.Job) async -> UploadProof.Answer {
        guard let made = bundles.withLock({ $0[job] }) else {
            return .failed(StorageError(.unknown, operation: "send", message: "the object is no longer in memory"))
        }
        do {
            switch request {
            case .put(let ifAbsent):
                let options = PutOptions(
                    contentType: Bundle.contentType, ifAbsent: ifAbsent, sha256: made.bundle.sha256)
                let receipt = try await store.put(made.key, made.bundle.object, options)
                return receipt.alreadyExisted ? .existed : .stored
            case .head:
                guard let info = try await store.head(made.key) else { return .absent }
                return .info(size: info.size, etag: info.etag, sha256: info.sha256)
            case .list:
                let page = try await store.list(prefix: made.key, startAfter: nil, limit: 1)
                guard let info = page.objects.first, info.key == made.key else { return .absent }
                return .info(size: info.size, etag: info.etag, sha256: nil)
            case .fetch: return try await fetch(made)
            }
        } catch let error as StorageError where error.kind == .notFound {
            return .absent
        } catch let error as StorageError {
            return .failed(error)
        } catch {
            return .failed(StorageError(.unknown, operation: "\(request) \(made.key)", message: "\(error)"))
        }
    }

    /// Hashes the stored object in pieces, so that it is never in memory twice.
    private func fetch(_ made: BundleSource.Made) async throws -> UploadProof.Answer {
        let size = made.bundle.object.count
        var hash = SHA256()
        var done = 0
        while done < size {
            let piece = try await store.get(made.key, range: done..<min(size, done + Shipper.fetchBytes))
            guard !piece.isEmpty else { break }
            hash.update(piece)
            done += piece.count
        }
        // Nothing may follow.
        do {
            let more = try await store.get(made.key, range: size..<(size + 1))
            if !more.isEmpty { return .content(sha256: []) }
        } catch let error as StorageError where error.kind == .rangeNotSatisfiable {}
        return .content(sha256: hash.finalize())
    }

    private static let fetchBytes = 1 << 20

    private func proven(_ job: Machine.Job, _ method: UploadProof.Method, _ segments: [SegmentID]) {
        guard let made = bundles.withLock({ $0.removeValue(forKey: job) }) else { return }
        let now_ms = SystemTime.now_ms()
        if let start = begun.withLock({ $0.removeValue(forKey: job) }) {
            metrics.uploadSeconds.observe(Double(SystemTime.monotonic_ns() - start) / 1e9)
        }
        metrics.objectsUploaded.add()
        metrics.uploadedBytes.add(Double(made.bundle.object.count))
        metrics.lastUpload.set(Double(now_ms) / 1_000)
        metrics.proofs.add(1, method.rawValue)
        for segment in made.bundle.manifest.segments {
            let isNative = segment.format == Manifest.nativeFormat
            let stream = isNative ? Candidate.nativeStream : streamName(segment.format)
            metrics.readLines.add(Double(segment.lines), stream)
            metrics.readBytes.add(Double(segment.rawBytes), stream)
        }
        let wasFailing = state.withLock { state in
            state.lastUpload_ms = now_ms
            let wasFailing = state.uploadError != nil
            state.uploadError = nil
            return wasFailing
        }
        logger.log(
            level: wasFailing ? .notice : .info,
            wasFailing ? "stored and proven; uploads work again" : "stored and proven",
            metadata: [
                "key": "\(made.key)", "segments": "\(segments.count)", "lines": "\(made.bundle.manifest.lines)",
                "bytes": "\(made.bundle.object.count)", "proof": "\(method.rawValue)",
            ])
    }

    private func streamName(_ format: String) -> String {
        configuration.streams.first { $0.format == format }?.name ?? format
    }

    private func failed(_ error: StorageError, pause_ms: Int64, failures: Int) {
        metrics.uploadFailures.add(1, error.kind.rawValue)
        metrics.uploadRetries.add()
        state.withLock { $0.uploadError = "\(error)" }
        let isAlarm = failures >= 5 || error.kind.retry != .soon
        logger.log(
            level: isAlarm ? .error : .warning, "upload failed; everything stays in the spool and it is tried again",
            metadata: ["reason": "\(error)"])
        logger.debug("pause before the next try", metadata: ["ms": "\(pause_ms)", "failures": "\(failures)"])
    }

    private func retire(_ ids: [SegmentID]) async {
        let (gone, faults) = await Blocking.run { [source] in
            var gone: [SegmentID] = []
            var faults: [String] = []
            let foreign = ids.filter { ForeignLogs.owns($0) }
            if !foreign.isEmpty {
                faults += source.shippedForeign(foreign)
                gone += foreign
            }
            let native = ids.filter { !ForeignLogs.owns($0) }
            let (removed, failure) = FileRemoval.remove(native.map(\.path))
            let paths = Set(removed)
            gone += native.filter { paths.contains($0.path) }
            if let failure { faults.append("a shipped segment cannot be removed: \(failure)") }
            return (gone, faults)
        }
        for fault in faults { logger.error("\(fault)") }
        let removed = Set(gone)
        sink.yield(.retired(gone, failed: ids.filter { !removed.contains($0) }))
    }

    /// Asks the bucket what was shipped of foreign logs where that is not remembered.
    ///
    /// - Returns: why it could not be asked; nil once that is settled.
    private func recall() async -> StorageError? {
        guard let span = await Blocking.run({ [source] in source.history() }) else { return nil }
        let history = StoredHistory(store: store, prefix: configuration.prefix, host: configuration.host)
        var stored: [Manifest.Segment]?
        do {
            stored = try await history.segments(from_ms: span.lowerBound, to_ms: span.upperBound)
        } catch let error as StorageError where error.kind == .accessDenied {
            logger.error("the bucket may not be asked what was shipped", metadata: ["reason": "\(error)"])
        } catch let error as StorageError {
            return error
        } catch {
            return StorageError(.unknown, operation: "list what was shipped", message: "\(error)")
        }
        let fault = await Blocking.run { [source, stored] in source.recall(stored) }
        if let fault { logger.error("\(fault)") }
        logger.notice(
            "what was shipped of foreign logs was not remembered and is looked up in the bucket",
            metadata: ["segments": "\(stored?.count ?? 0)"])
        return nil
    }

    private func readSpool() async -> SpoolScan {
        await Blocking.run { [self] in
            spool.withLock {
                $0.scan(now_ms: SystemTime.now_ms(), steady_ms: SystemTime.monotonic_ns() / 1_000_000)
            }
        }
    }

    private func report(isLast: Bool) async {
        if isLast {
            let scan = await readSpool()
            state.withLock { $0.scan = scan }
        }
        let report = status.report(now_ms: SystemTime.now_ms(), isStopped: isLast)
        let key = ObjectKey.hostReport(prefix: configuration.prefix, host: configuration.host)
        let fault = await Blocking.within(.seconds(isLast ? 5 : 10)) { [store] () -> String? in
            do {
                _ = try await store.put(
                    key, report.encoded(), PutOptions(contentType: "application/json", isTrial: true))
                return nil
            } catch {
                return "\(error)"
            }
        }
        let reason = fault ?? "it took too long"
        if let reason {
            metrics.reportFailures.add()
            logger.warning("the host's report cannot be written", metadata: ["reason": "\(reason)"])
        }
        state.withLock { $0.reportError = reason.map { "the host's report cannot be written: \($0)" } }
    }

    // MARK: - What is told

    private func tell(_ scan: SpoolScan) {
        metrics.writersAdopted.add(Double(scan.adopted.count))
        for writer in scan.adopted {
            logger.warning(
                "a writer's process died; its segments are sealed and it is ended", metadata: ["writer": "\(writer)"])
        }
        for fault in scan.faults { logger.error("\(fault)") }
        state.withLock { state in
            state.scan = scan
            state.scanned_ms = SystemTime.now_ms()
        }
    }

    private func tell(_ scan: ForeignLogs.Scan?) {
        guard let scan else { return }
        for fault in scan.faults { logger.error("\(fault)") }
        metrics.foreignRefused.set(Double(scan.refused.count))
        state.withLock { $0.foreignFaults = scan.faults }
    }

    private func note(_ machine: Machine, _ now: Machine.Moment) {
        let waiting = machine.waiting
        let held = machine.held
        let (scan, faults) = state.withLock { state in
            state.waiting = waiting
            state.held = held
            return (state.scan, state.faults.count)
        }
        metrics.note(scan, waiting: waiting, held: held.count)
        metrics.faults.set(Double(faults))
    }

    private func isScan(_ event: Machine.Event) -> Bool {
        switch event {
        case .scanned, .scannedForeign, .retired: true
        default: false
        }
    }

    private func moment() -> Machine.Moment {
        Machine.Moment(
            steady_ms: SystemTime.monotonic_ns() / 1_000_000, wall_ms: SystemTime.now_ms(),
            draw: Double.random(in: 0..<1))
    }
}
