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

    var now: ShipperStateMachine.Moment {
        .init(steady_ms: steady_ms, wall_ms: 1_700_000_000_000 + steady_ms, draw: 0.5)
    }

    mutating func write(_ writer: String, seq: Int, rawBytes: Int = 1_000, isRetirable: Bool = true) {
        let id = SegmentID(writer: writer, seq: seq, path: "/spool/\(writer)-\(seq)")
        files[id] = Candidate(
            id: id, rawBytes: rawBytes, lines: 10, sealed_ms: now.wall_ms, isRetirable: isRetirable)
        everWritten.insert(id)
    }

    mutating func feed(_ event: ShipperStateMachine.Event) {
        for action in machine.handle(event, at: now) {
            switch action {
            case .finish(let isComplete): finished = isComplete
            case .failure, .proven: break
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
        case .scanForeign: feed(.scannedForeign([]))
        case .build(let job, let ids): build(job, ids, fails: fails)
        case .request(let job, let request): answer(job, request, fails: fails)
        case .retire(let ids): retire(ids, fails: fails)
        case .report: feed(.reported)
        case .failure, .proven, .finish: break
        }
    }

    private mutating func build(_ job: Int, _ ids: [SegmentID], fails: Bool) {
        let there = ids.filter { files[$0] != nil && (!fails || $0.seq % 3 != 0) }
        jobs[job] = there
        let proof = there.isEmpty ? nil : UploadProof(key: key(there), size: 9, sha256: [1], md5: "m")
        feed(.built(job, proof, included: there, failed: ids.filter { !there.contains($0) }))
    }

    private func key(_ ids: [SegmentID]) -> String { ids.map { "\($0.writer)-\($0.seq)" }.joined(separator: "+") }

    private mutating func answer(_ job: Int, _ request: UploadProof.Request, fails: Bool) {
        let ids = jobs[job] ?? []
        let key = key(ids)
        let failure = StorageError(
            [.unreachable, .timeout, .server, .credentials, .unknown].randomElement(using: &random) ?? .unknown,
            operation: "x", message: "m")
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
            feed(.answered(job, .info(size: 9, etag: nil, sha256: object.isIntact ? [1] : [2])))
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
            removed.append(id)
        }
        feed(.retired(removed, failed: ids.filter { !removed.contains($0) }))
    }

    /// What is in intact objects.
    var stored: Set<SegmentID> { Set(store.values.filter(\.isIntact).flatMap(\.segments)) }
}
