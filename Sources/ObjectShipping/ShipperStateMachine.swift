package import ObjectStorage
package import ServiceSupport

/// What the shipper decides, without a clock, a file or a socket: events in, actions out.
///
/// Two objects at most are in work, one being made while another is on its way. A segment's file goes only after its
/// object is proven; until a scan no longer lists the file it counts as proven, so that no scan that was under way
/// makes it wait again. After a crash everything in the spool waits again: the same segments give the same entries,
/// which the ledger knows, so that what was stored before the crash is a harmless duplicate.
package struct ShipperStateMachine: Sendable {
    /// The numbers that decide.
    package struct Configuration: Equatable, Sendable {
        /// An object is closed at this size, compressed, in bytes.
        package var bundleBytes = 8 << 20
        /// An object is closed at this age of its oldest segment, milliseconds.
        package var bundleAge_ms: Int64 = 20_000
        /// How often the spool is read, milliseconds.
        package var poll_ms: Int64 = 1_000
        /// How often foreign logs are looked for, milliseconds; nil for never.
        package var foreignPoll_ms: Int64?
        /// How often the host's report is written, milliseconds.
        package var report_ms: Int64 = 30_000
        /// How long the last uploads may take after the stop, milliseconds.
        package var stop_ms: Int64 = 20_000
        /// The waits after failures.
        package var backoff = Backoff()
        /// Whether to ship what is there now, and end.
        package var isOnce = false

        package init() {}
    }

    /// A number for an object in work.
    package typealias Job = Int

    /// What happened.
    package enum Event: Sendable {
        /// Time has passed.
        case timer
        /// The spool was read; nil when nothing of it could be. Not whole when some of its directories could not be read
        /// and count as what they held before.
        case scanned([Candidate]?, isWhole: Bool = true)
        /// The foreign logs were looked through.
        case scannedForeign([Candidate])
        /// An object was made of `included`; `failed` could not be read. Nil when nothing could be.
        case built(Job, UploadProof?, included: [SegmentID], failed: [SegmentID])
        /// The store answered.
        case answered(Job, UploadProof.Answer)
        /// Files were removed, or could not be.
        case retired([SegmentID], failed: [SegmentID])
        /// The host's report was written or not.
        case reported
        /// The service is to stop.
        case stop
    }

    /// What is to be done.
    package enum Action: Equatable, Sendable {
        /// Read the spool.
        case scan
        /// Look through the foreign logs.
        case scanForeign
        /// Make an object of these segments, in this order.
        case build(Job, [SegmentID])
        /// Send a request for the object.
        case request(Job, UploadProof.Request)
        /// The object is proven: drop its bytes.
        case proven(Job, UploadProof.Method, [SegmentID])
        /// Remove the files of proven segments.
        case retire([SegmentID])
        /// An upload's request failed and is repeated after the pause.
        case failure(Job, StorageError, pause_ms: Int64, failures: Int)
        /// Write the host's report; the last one says so.
        case report(isLast: Bool)
        /// Nothing is left to do.
        case finish(isComplete: Bool)
    }

    /// The time, as the shell measures it.
    package struct Moment: Sendable {
        /// A clock that only goes forward, milliseconds.
        package var steady_ms: Int64
        /// The wall clock, milliseconds since the epoch.
        package var wall_ms: Int64
        /// A draw from 0 up to 1, for the jitter.
        package var draw: Double

        package init(steady_ms: Int64, wall_ms: Int64, draw: Double) {
            self.steady_ms = steady_ms
            self.wall_ms = wall_ms
            self.draw = draw
        }
    }

    private struct Known {
        var candidate: Candidate
        var firstSeen_ms: Int64
        var notBefore_ms: Int64 = 0
        var failures = 0
    }

    private struct Work {
        var segments: [SegmentID]
        var proof: UploadProof?
        var retryAt_ms: Int64?
        var failures = 0
    }

    private enum Life: Equatable { case running, stopping(deadline_ms: Int64), lastReport, finished }

    private let configuration: Configuration
    private var native: [SegmentID: Known] = [:]
    private var foreign: [SegmentID: Known] = [:]
    private var work: [Job: Work] = [:]
    private var proven: [SegmentID: Int64] = [:]
    private var nextJob: Job = 0
    private var nextScan_ms: Int64? = .min
    private var nextForeignScan_ms: Int64?
    private var nextReport_ms: Int64? = .min
    private var isScanning: Bool { nextScan_ms == nil }
    private var ratio = 0.25
    private var life = Life.running
    private var retiring = 0
    private var isReporting = false
    private var hasScanned = false
    private var isSpoolKnown = false
    private var hasScannedForeign = false
    private var scansSinceFlush = 0
    private var foreignScansSinceFlush = 0
    private static let slots = 2
    private static let retireRetry_ms: Int64 = 10_000

    package init(_ configuration: Configuration) {
        self.configuration = configuration
        nextForeignScan_ms = configuration.foreignPoll_ms == nil ? nil : .min
        hasForeign = configuration.foreignPoll_ms != nil
    }

    private let hasForeign: Bool

    /// Everything that waits and is not proven: the truth of the last scans.
    package var waiting: [Candidate] {
        (native.values.map(\.candidate) + foreign.values.map(\.candidate)).filter { proven[$0.id] == nil }
    }

    /// How many objects are in work.
    package var jobs: Int { work.count }

    /// Whether a request is waiting for its repetition.
    package var isFailing: Bool { work.values.contains { $0.failures > 0 } }

    /// The earliest moment at which a timer event would do something, by the steady clock; nil for none.
    package func nextWake_ms(at now: Moment) -> Int64? {
        guard life != .finished, life != .lastReport else { return nil }
        var wakes = [nextScan_ms, nextForeignScan_ms, hasScanned && !configuration.isOnce ? nextReport_ms : nil]
            .compactMap { $0 }
        wakes += work.values.compactMap(\.retryAt_ms)
        if case .stopping(let deadline_ms) = life, !isReporting { wakes.append(deadline_ms) }
        if work.count < ShipperStateMachine.slots, let due = bundleDue_ms(at: now) { wakes.append(due) }
        return wakes.min()
    }

    /// Takes an event and says what to do.
    package mutating func handle(_ event: Event, at now: Moment) -> [Action] {
        guard life != .finished else { return [] }
        var actions: [Action] = []
        switch event {
        case .timer: break
        case .scanned(let candidates, let isWhole):
            nextScan_ms = now.steady_ms + configuration.poll_ms
            hasScanned = true
            isSpoolKnown = candidates != nil && isWhole
            // A scan that was under way at the stop may have missed what was sealed just before.
            if candidates != nil || scansSinceFlush < 0 { scansSinceFlush += 1 }
            if let candidates { actions += take(candidates, into: \.native, at: now) }
        case .scannedForeign(let candidates):
            nextForeignScan_ms = now.steady_ms + (configuration.foreignPoll_ms ?? configuration.poll_ms)
            foreignScansSinceFlush += 1
            hasScannedForeign = true
            actions += take(candidates, into: \.foreign, at: now)
        case .built(let job, let proof, let included, let failed):
            actions += built(job, proof, included, failed, at: now)
        case .answered(let job, let answer): actions += answered(job, answer, at: now)
        case .retired(let removed, let failed):
            retiring -= 1
            for id in removed { proven[id] = .max }
            for id in failed { proven[id] = now.steady_ms + ShipperStateMachine.retireRetry_ms }
        case .reported:
            isReporting = false
            if life == .lastReport {
                life = .finished
                return [.finish(isComplete: isSpoolKnown && (!hasForeign || hasScannedForeign) && waiting.isEmpty)]
            }
            nextReport_ms = now.steady_ms + configuration.report_ms
        case .stop:
            if life == .running {
                life = .stopping(deadline_ms: now.steady_ms + configuration.stop_ms)
                // What was sealed until this moment is to be seen by a whole new scan.
                scansSinceFlush = isScanning ? -1 : 0
                foreignScansSinceFlush = 0
                if !isScanning { nextScan_ms = .min }
            }
        }
        return actions + dueActions(at: now)
    }

    // MARK: - What is due

    private mutating func dueActions(at now: Moment) -> [Action] {
        var actions: [Action] = []
        if life == .lastReport { return actions }
        if let due = nextScan_ms, due <= now.steady_ms {
            nextScan_ms = nil
            actions.append(.scan)
        }
        if let due = nextForeignScan_ms, due <= now.steady_ms {
            nextForeignScan_ms = nil
            actions.append(.scanForeign)
        }
        for job in work.keys.sorted() {
            guard let due = work[job]?.retryAt_ms, due <= now.steady_ms, let proof = work[job]?.proof else { continue }
            work[job]?.retryAt_ms = nil
            actions.append(.request(job, proof.first))
        }
        while work.count < ShipperStateMachine.slots, let due = bundleDue_ms(at: now), due <= now.steady_ms {
            let selection = BundleSelection(
                from: ready(at: now), target: configuration.bundleBytes, ratio: ratio)
            nextJob += 1
            work[nextJob] = Work(segments: selection.segments)
            actions.append(.build(nextJob, selection.segments))
        }
        // Two reports under way could arrive in the wrong order.
        if isFlushed(at: now), !isReporting {
            life = .lastReport
            nextReport_ms = nil
            actions.append(.report(isLast: true))
        } else if let due = nextReport_ms, due <= now.steady_ms, hasScanned, !configuration.isOnce {
            nextReport_ms = nil
            isReporting = true
            actions.append(.report(isLast: false))
        }
        return actions
    }

    /// Whether the service may end now.
    private func isFlushed(at now: Moment) -> Bool {
        let hasLooked = scansSinceFlush > 0 && (!hasForeign || foreignScansSinceFlush > 0)
        let isDone = hasLooked && work.isEmpty && retiring == 0 && ready(at: now).isEmpty
        switch life {
        case .running: return configuration.isOnce && isDone
        case .stopping(let deadline_ms): return isDone || now.steady_ms >= deadline_ms
        case .lastReport, .finished: return false
        }
    }

    private var isFlushing: Bool { life != .running || configuration.isOnce }

    /// What waits and is in no object.
    private func ready(at now: Moment) -> [Candidate] {
        let busy = Set(work.values.flatMap(\.segments))
        return (Array(native.values) + Array(foreign.values)).filter {
            proven[$0.candidate.id] == nil && !busy.contains($0.candidate.id) && $0.notBefore_ms <= now.steady_ms
        }.map(\.candidate)
    }

    /// When the next object is to be made, by the steady clock; nil while nothing waits.
    private func bundleDue_ms(at now: Moment) -> Int64? {
        let ready = ready(at: now)
        guard !ready.isEmpty else {
            let later = (Array(native.values) + Array(foreign.values)).map(\.notBefore_ms).filter { $0 > now.steady_ms }
            return later.min()
        }
        if isFlushing { return now.steady_ms }
        let expected = ready.reduce(0.0) { $0 + Double($1.rawBytes) * ratio }
        if expected >= Double(configuration.bundleBytes) { return now.steady_ms }
        var due = Int64.max
        for candidate in ready {
            let seen = (native[candidate.id] ?? foreign[candidate.id])?.firstSeen_ms ?? now.steady_ms
            // Seals of the future (a clock that was set back) count from when they were seen.
            let age = min(max(0, now.wall_ms - candidate.sealed_ms), configuration.bundleAge_ms)
            due = min(due, seen + configuration.bundleAge_ms, now.steady_ms + configuration.bundleAge_ms - age)
        }
        return due
    }

    // MARK: - Events

    private mutating func take(
        _ candidates: [Candidate], into place: WritableKeyPath<ShipperStateMachine, [SegmentID: Known]>, at now: Moment
    ) -> [Action] {
        let old = self[keyPath: place]
        var new: [SegmentID: Known] = [:]
        for candidate in candidates {
            var known = old[candidate.id] ?? Known(candidate: candidate, firstSeen_ms: now.steady_ms)
            known.candidate = candidate
            new[candidate.id] = known
        }
        self[keyPath: place] = new
        proven = proven.filter { native[$0.key] != nil || foreign[$0.key] != nil }
        return retirements(of: candidates.map(\.id), at: now)
    }

    /// Removes the files of those that are proven, may go, and are not being removed.
    private mutating func retirements(of ids: [SegmentID], at now: Moment) -> [Action] {
        let due = ids.filter { id in
            guard let at = proven[id], at <= now.steady_ms else { return false }
            // A foreign file that is just being renamed is in no scan, and its segments are proven all the same.
            return (native[id] ?? foreign[id])?.candidate.isRetirable ?? ForeignLogs.owns(id)
        }
        guard !due.isEmpty else { return [] }
        for id in due { proven[id] = .max }
        retiring += 1
        return [.retire(due.sorted())]
    }

    private mutating func built(
        _ job: Job, _ proof: UploadProof?, _ included: [SegmentID], _ failed: [SegmentID], at now: Moment
    ) -> [Action] {
        guard work[job] != nil else { return [] }
        for id in failed { putOff(id, at: now) }
        guard let proof, !included.isEmpty else {
            work[job] = nil
            return []
        }
        let raw = included.reduce(0) { $0 + ((native[$1] ?? foreign[$1])?.candidate.rawBytes ?? 0) }
        if raw > 0 { ratio = min(max(0.7 * ratio + 0.3 * Double(proof.size) / Double(raw), 0.01), 1.5) }
        work[job]?.segments = included
        work[job]?.proof = proof
        return [.request(job, proof.first)]
    }

    /// Leaves a segment that cannot be read aside for a while; the others go on.
    private mutating func putOff(_ id: SegmentID, at now: Moment) {
        guard let failures = (native[id] ?? foreign[id])?.failures else { return }
        let pause = configuration.backoff.delay(failures: failures + 4, random: max(0.5, now.draw))
        native[id]?.failures = failures + 1
        foreign[id]?.failures = failures + 1
        native[id]?.notBefore_ms = now.steady_ms + pause.milliseconds
        foreign[id]?.notBefore_ms = now.steady_ms + pause.milliseconds
    }

    private mutating func answered(_ job: Job, _ answer: UploadProof.Answer, at now: Moment) -> [Action] {
        guard let proof = work[job]?.proof else { return [] }
        var moved = proof
        let step = moved.handle(answer)
        work[job]?.proof = moved
        switch step {
        case .request(let request): return [.request(job, request)]
        case .later(_, let error):
            work[job]?.failures += 1
            let failures = work[job]?.failures ?? 1
            let pause = configuration.backoff.delay(
                failures: failures, random: now.draw,
                retryAfter: error.retryAfter_s.map { .milliseconds(Int64(min(max(0, $0), 86_400) * 1_000)) })
            work[job]?.retryAt_ms = now.steady_ms + pause.milliseconds
            return [.failure(job, error, pause_ms: pause.milliseconds, failures: failures)]
        case .proven(let method):
            let segments = work[job]?.segments ?? []
            work[job] = nil
            for id in segments { proven[id] = .min }
            return [.proven(job, method, segments)] + retirements(of: segments, at: now)
        }
    }
}

extension Duration {
    /// Whole milliseconds.
    package var milliseconds: Int64 { components.seconds * 1_000 + components.attoseconds / 1_000_000_000_000_000 }
}
