import ObjectShipping
import ObjectStorage
import TestSupport

/// A spool and a store as values, driven by the real state machine, with failures and crashes at any step.
struct ShipperWorld {
    /// What is stored under a key.
    struct Object: Equatable {
        var segments: [SegmentID]
        var isIntact: Bool
    }

    var machine: ShipperStateMachine
    var configuration: ShipperStateMachine.Configuration
    var files: [SegmentID: Candidate] = [:]
    var store: [String: Object] = [:]
    var inFlight: [ShipperStateMachine.Action] = []
    var jobs: [Int: [SegmentID]] = [:]
    var steady_ms: Int64 = 0
    var removedUnproven: [SegmentID] = []
    var everWritten: Set<SegmentID> = []
    var puts = 0
    var finished: Bool?
    /// What the store answers instead, by the time since the start; nil for nothing.
    var outage: (@Sendable (Int64) -> StorageError?)?
    /// How far the wall clock is off.
    var wallOffset_ms: Int64 = 0
    /// When requests were sent, milliseconds since the start, reports not among them.
    var requests_ms: [Int64] = []
    var drawsRandomly = false
    var foreign: [Candidate] = []
    /// Whether what was shipped of foreign logs is remembered.
    var isHistoryKnown = true
    var recalls_ms: [Int64] = []
    var reports = 0
    /// How many segments an object takes before it is full.
    var fits = Int.max
    /// A segment whose objects are never taken.
    var poison: SegmentID?
    /// Requests for objects that hold it.
    var poisoned = 0
    /// The bytes of an object of these segments.
    var objectBytes: @Sendable ([SegmentID]) -> Int = { _ in 9 }
    var random: SeededGenerator
    /// How likely each step fails, from 0 to 1.
    var faults: Double

    init(seed: UInt64, faults: Double, configuration: ShipperStateMachine.Configuration = .init()) {
        self.configuration = configuration
        self.faults = faults
        machine = ShipperStateMachine(configuration)
        random = SeededGenerator(seed: seed)
        feed(.timer)
    }

    var draw = 0.5

    var now: ShipperStateMachine.Moment {
        .init(steady_ms: steady_ms, wall_ms: 1_700_000_000_000 + steady_ms + wallOffset_ms, draw: draw)
    }

    mutating func write(_ writer: String, seq: Int, rawBytes: Int = 1_000, isRetirable: Bool = true) {
        let id = SegmentID(writer: writer, seq: seq, path: "/spool/\(writer)-\(seq)")
        files[id] = Candidate(
            id: id, rawBytes: rawBytes, lines: 10, sealed_ms: now.wall_ms, isRetirable: isRetirable)
        everWritten.insert(id)
    }

    mutating func feed(_ event: ShipperStateMachine.Event) {
        if drawsRandomly { draw = Double.random(in: 0..<1, using: &random) }
        for action in machine.handle(event, at: now) {
            switch action {
            case .finish(let isComplete): finished = isComplete
            case .failure, .proven, .abandoned, .recallFailure: break
            default: inFlight.append(action)
            }
        }
    }

    /// The process dies: what was under way is forgotten, what it did remains.
    mutating func crash() {
        inFlight = []
        jobs = [:]
        machine = ShipperStateMachine(configuration)
        feed(.timer)
    }

    /// Completes one action that is under way, or lets time pass.
    mutating func step() {
        guard !inFlight.isEmpty else {
            let wake = machine.nextWake_ms(at: now) ?? steady_ms + 1_000
            steady_ms = max(steady_ms + 1, wake)
            return feed(.timer)
        }
        let action = inFlight.remove(at: Int.random(in: 0..<inFlight.count, using: &random))
        let fails = Double.random(in: 0..<1, using: &random) < faults
        steady_ms += Int64.random(in: 0..<50, using: &random)
        switch action {
        case .scan: feed(.scanned(fails ? nil : Array(files.values)))
        case .scanForeign: feed(isHistoryKnown ? .scannedForeign(foreign) : .unknownHistory)
        case .build(let job, let ids): build(job, ids, fails: fails)
        case .request(let job, let request): answer(job, request, fails: fails)
        case .retire(let ids): retire(ids, fails: fails)
        case .report:
            reports += 1
            feed(.reported)
        case .recall:
            recalls_ms.append(steady_ms)
            let fault = outage?(steady_ms)
            if fault == nil { isHistoryKnown = true }
            feed(.recalled(fault))
        case .failure, .proven, .abandoned, .recallFailure, .finish: break
        }
    }

    private mutating func build(_ job: Int, _ ids: [SegmentID], fails: Bool) {
        var there = ids.filter { id in
            (files[id] != nil || foreign.contains { $0.id == id }) && (!fails || id.seq % 3 != 0)
        }
        let unread = ids.filter { !there.contains($0) }
        there = Array(there.prefix(fits))
        jobs[job] = there
        let proof = there.isEmpty ? nil : UploadProof(key: key(there), size: objectBytes(there), sha256: [1], md5: "m")
        let failed = Dictionary(uniqueKeysWithValues: unread.map { ($0, "unreadable") })
        feed(.built(job, proof, included: there, failed: failed))
    }

    private func key(_ ids: [SegmentID]) -> String { ids.map { "\($0.writer)-\($0.seq)" }.joined(separator: "+") }

    private mutating func answer(_ job: Int, _ request: UploadProof.Request, fails: Bool) {
        let ids = jobs[job] ?? []
        let key = key(ids)
        let failure = StorageError(
            [.unreachable, .timeout, .server, .credentials, .unknown].randomElement(using: &random) ?? .unknown,
            operation: "x", message: "m")
        requests_ms.append(steady_ms)
        if let fault = outage?(steady_ms) { return feed(.answered(job, .failed(fault))) }
        if let poison, ids.contains(poison) {
            poisoned += 1
            let error = StorageError(.conflict, operation: "PUT \(key)", status: 409, code: "Odd", message: "no")
            return feed(.answered(job, .failed(error)))
        }
        switch request {
        case .put(let ifAbsent):
            puts += 1
            if fails, Bool.random(using: &random) { return feed(.answered(job, .failed(failure))) }
            if ifAbsent, store[key] != nil { return feed(.answered(job, .existed)) }
            // A store that takes the bytes and loses or damages them now and then.
            let isIntact = !(fails && Bool.random(using: &random))
            store[key] = Object(segments: ids, isIntact: isIntact)
            // The answer may be lost although the object is stored.
            feed(.answered(job, fails ? .failed(failure) : .stored))
        case .head, .list:
            if fails { return feed(.answered(job, .failed(failure))) }
            guard let object = store[key] else { return feed(.answered(job, .absent)) }
            feed(.answered(job, .info(size: objectBytes(ids), etag: nil, sha256: object.isIntact ? [1] : [2])))
        case .fetch:
            guard let object = store[key] else { return feed(.answered(job, .absent)) }
            feed(.answered(job, .content(sha256: object.isIntact ? [1] : [2])))
        }
    }

    private mutating func retire(_ ids: [SegmentID], fails: Bool) {
        let proven = Set(store.values.filter(\.isIntact).flatMap(\.segments))
        var removed: [SegmentID] = []
        for id in ids where !(fails && Bool.random(using: &random)) {
            if !proven.contains(id) || files[id]?.isRetirable == false { removedUnproven.append(id) }
            files[id] = nil
            foreign.removeAll { $0.id == id }
            removed.append(id)
        }
        feed(.retired(removed, failed: ids.filter { !removed.contains($0) }))
    }

    /// What is in intact objects.
    var stored: Set<SegmentID> { Set(store.values.filter(\.isIntact).flatMap(\.segments)) }
}
