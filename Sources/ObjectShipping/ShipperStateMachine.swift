package import ObjectStorage
package import ServiceSupport

/// What the shipper decides, without a clock, a file or a socket: events in, actions out.
///
/// Three objects at most are in work, one being made while others are on their way, and only as many as memory allows. A
/// segment's file goes only after its object is proven; until a scan no longer lists the file it counts as proven, so
/// that no scan that was under way makes it wait again. After a crash everything in the spool waits again: the same
/// segments give the same entries, which the ledger knows, so that what was stored before the crash is a harmless
/// duplicate.
///
/// A failure of the store as a whole closes a gate for all requests, which opens after the pause. A failure that may lie
/// in one object lets go of it after a few tries: its segments are tried again one by one, and all others go on.
package struct ShipperStateMachine: Sendable {
    /// The numbers that decide.
    package struct Configuration: Equatable, Sendable {
        /// An object is closed at this size, compressed, in bytes.
        package var bundleBytes = 8 << 20
        /// An object is closed at this age of its oldest segment, milliseconds.
        package var bundleAge_ms: Int64 = 20_000
        /// How much memory the objects in work may take together, bytes; one is always allowed.
        package var memoryBytes = 26 << 20
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
        /// What was shipped of foreign logs is not remembered: the bucket is to be asked before they are looked through.
        case unknownHistory
        /// What the bucket knows of foreign logs was taken over, or the bucket could not be asked.
        case recalled(StorageError?)
        /// An object was made of `included`; `failed` could not be read, and why. Nil when nothing could be.
        case built(Job, UploadProof?, included: [SegmentID], failed: [SegmentID: String])
        /// The store answered.
        case answered(Job, UploadProof.Answer)
        /// Files were removed, or could not be.
        case retired([SegmentID], failed: [SegmentID])
        /// The host's report was written or not.
        case reported
        /// The configuration was read again.
        case configured(Configuration)
        /// The service is to stop.
        case stop
    }

    /// What is to be done.
    package enum Action: Equatable, Sendable {
        /// Read the spool.
        case scan
        /// Ask the bucket what was shipped of foreign logs, where that is not remembered.
        case recall
        /// Look through the foreign logs.
        case scanForeign
        /// Make an object of these segments, in this order.
        case build(Job, [SegmentID])
        /// Send a request for the object.
        case request(Job, UploadProof.Request)
        /// The object is proven: drop its bytes.
        case proven(Job, UploadProof.Method, [SegmentID])
        /// The object is let go of, unproven: drop its bytes.
        case abandoned(Job)
        /// Remove the files of proven segments.
        case retire([SegmentID])
        /// An upload's request failed and is repeated after the pause.
        case failure(Job, StorageError, pause_ms: Int64, failures: Int)
        /// The bucket could not be asked about foreign logs and is asked again after the pause.
        case recallFailure(StorageError, pause_ms: Int64)
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

    /// A segment that waits although its turn was there, and why.
    package struct Held: Equatable, Sendable {
        /// The segment.
        package var id: SegmentID
        /// One sentence.
        package var reason: String
        /// When it is tried again, milliseconds of the steady clock.
        package var notBefore_ms: Int64
    }

    struct Known {
        var candidate: Candidate
        var firstSeen_ms: Int64
        var notBefore_ms: Int64 = 0
        var failures = 0
        /// Whether it is shipped in an object of its own, because one with others failed.
        var isAlone = false
        var reason: String?
        /// Whether it is in an object in work.
        var isBusy = false
        /// Whether an object that holds it is proven.
        var isProven = false
    }

    struct Work {
        var segments: [SegmentID]
        var isAlone = false
        var proof: UploadProof?
        var retryAt_ms: Int64?
        var failures = 0
    }

    enum Life: Equatable { case running, stopping(deadline_ms: Int64), lastReport, finished }

    var configuration: Configuration
    var native: [SegmentID: Known] = [:]
    var foreign: [SegmentID: Known] = [:]
    var work: [Job: Work] = [:]
    var proven: [SegmentID: Int64] = [:]
    var turns = BundleTurns()
    var nextJob: Job = 0
    var nextScan_ms: Int64? = .min
    var nextForeignScan_ms: Int64?
    var nextRecall_ms: Int64?
    var nextReport_ms: Int64? = .min
    var recallFailures = 0
    /// No request before this moment; the store failed as a whole.
    var gate_ms: Int64 = .min
    /// Failures of the store since its last good answer.
    var storeFailures = 0
    /// No new object before this moment; objects were let go of, and none was proven since.
    var buildGate_ms: Int64 = .min
    var abandonedInARow = 0
    var ratio = 0.25
    /// How many compressed bytes a raw byte gives at most, as far as seen lately.
    var ceiling = 1.05
    var largestRawBytes = 0
    var life = Life.running
    var retiring = 0
    var isReporting = false
    var hasScanned = false
    var isSpoolKnown = false
    var hasScannedForeign = false
    var scansSinceFlush = 0
    var foreignScansSinceFlush = 0
    static let slots = 3
    static let retireRetry_ms: Int64 = 10_000
    /// How often an object is tried before it is let go of, where the failure may lie in it.
    static let objectTries = 4
    /// The same for a segment that is tried alone: one try may find a damaged object in its place, the next replaces it.
    static let aloneTries = 3

    package init(_ configuration: Configuration) {
        self.configuration = configuration
        nextForeignScan_ms = configuration.foreignPoll_ms == nil ? nil : .min
    }

    var hasForeign: Bool { configuration.foreignPoll_ms != nil }

    /// Everything that waits and is not proven: the truth of the last scans.
    ///
    /// Cost: grows with what waits.
    package var waiting: [Candidate] {
        var all: [Candidate] = []
        all.reserveCapacity(native.count + foreign.count)
        for known in native.values where !known.isProven { all.append(known.candidate) }
        for known in foreign.values where !known.isProven { all.append(known.candidate) }
        return all
    }

    /// What waits although it had its turn, and why, by segment.
    package var held: [Held] {
        var held: [Held] = []
        func add(_ known: Known) {
            guard let reason = known.reason, !known.isProven else { return }
            held.append(Held(id: known.candidate.id, reason: reason, notBefore_ms: known.notBefore_ms))
        }
        for known in native.values { add(known) }
        for known in foreign.values { add(known) }
        return held.sorted { $0.id < $1.id }
    }

    /// How many objects are in work.
    package var jobs: Int { work.count }

    /// The size of a waiting segment before compression, bytes.
    package func rawBytes(of id: SegmentID) -> Int { (native[id] ?? foreign[id])?.candidate.rawBytes ?? 0 }

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
        case .unknownHistory: nextRecall_ms = now.steady_ms
        case .recalled(let error): actions += recalled(error, at: now)
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
        case .configured(let new): configure(new, at: now)
        case .stop: stop(at: now)
        }
        return actions + dueActions(at: now)
    }

    private mutating func stop(at now: Moment) {
        guard life == .running else { return }
        life = .stopping(deadline_ms: now.steady_ms + configuration.stop_ms)
        // What was sealed until this moment is to be seen by a whole new scan.
        scansSinceFlush = nextScan_ms == nil ? -1 : 0
        foreignScansSinceFlush = 0
        if nextScan_ms != nil { nextScan_ms = .min }
    }

    private mutating func configure(_ new: Configuration, at now: Moment) {
        let hadForeign = hasForeign
        configuration = new
        if !hasForeign {
            nextRecall_ms = nil
            nextForeignScan_ms = nil
            foreign = [:]
        } else if !hadForeign {
            nextForeignScan_ms = now.steady_ms
        } else if nextForeignScan_ms != nil {
            nextForeignScan_ms = now.steady_ms
        }
        if let due = nextScan_ms { nextScan_ms = min(due, now.steady_ms + new.poll_ms) }
        if let due = nextReport_ms { nextReport_ms = min(due, now.steady_ms + new.report_ms) }
    }
}

extension Duration {
    /// Whole milliseconds.
    package var milliseconds: Int64 { components.seconds * 1_000 + components.attoseconds / 1_000_000_000_000_000 }
}
