import ObjectStorage
import ServiceSupport

/// What follows from an event.
extension ShipperStateMachine {
    mutating func take(
        _ candidates: [Candidate], into place: WritableKeyPath<ShipperStateMachine, [SegmentID: Known]>, at now: Moment
    ) -> [Action] {
        var old: [SegmentID: Known] = [:]
        swap(&old, &self[keyPath: place])
        let busy = Set(work.values.flatMap(\.segments))
        var new: [SegmentID: Known] = [:]
        new.reserveCapacity(candidates.count)
        var largest = 0
        for candidate in candidates {
            let id = candidate.id
            var known =
                old[id]
                ?? Known(
                    candidate: candidate, firstSeen_ms: now.steady_ms, isBusy: busy.contains(id),
                    isProven: proven[id] != nil)
            known.candidate = candidate
            largest = max(largest, candidate.rawBytes)
            new[id] = known
        }
        self[keyPath: place] = new
        if place == \.native || candidates.count > 0 { largestRawBytes = max(largest, largestRawBytes / 2) }
        if !proven.isEmpty { proven = proven.filter { native[$0.key] != nil || foreign[$0.key] != nil } }
        return retirements(of: candidates.lazy.map(\.id), at: now)
    }

    /// Removes the files of those that are proven, may go, and are not being removed.
    private mutating func retirements(of ids: some Sequence<SegmentID>, at now: Moment) -> [Action] {
        guard !proven.isEmpty else { return [] }
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

    mutating func recalled(_ error: StorageError?, at now: Moment) -> [Action] {
        guard hasForeign else { return [] }
        guard let error else {
            recallFailures = 0
            nextForeignScan_ms = now.steady_ms
            return []
        }
        recallFailures += 1
        let pause = configuration.backoff.delay(
            failures: recallFailures, random: now.draw, retryAfter: ShipperStateMachine.retryAfter(error))
        nextRecall_ms = now.steady_ms + pause.milliseconds
        return [.recallFailure(error, pause_ms: pause.milliseconds)]
    }

    mutating func built(
        _ job: Job, _ proof: UploadProof?, _ included: [SegmentID], _ failed: [SegmentID: String], at now: Moment
    ) -> [Action] {
        guard let begun = work[job] else { return [] }
        for (id, reason) in failed { putOff(id, because: reason, at: now) }
        guard let proof, !included.isEmpty else {
            release(job)
            return []
        }
        let stays = Set(included)
        for id in begun.segments where !stays.contains(id) {
            mark(id) { $0.isBusy = false }
            // It was not its turn after all.
            if failed[id] == nil { turns.giveBack(id, (native[id] ?? foreign[id])?.candidate.stream) }
        }
        let raw = included.reduce(0) { $0 + rawBytes(of: $1) }
        if raw > 0 {
            let seen = Double(proof.size) / Double(raw)
            ratio = min(max(0.7 * ratio + 0.3 * seen, 0.01), 1.5)
            ceiling = max(seen * 1.1, ceiling * 0.8)
        }
        work[job]?.segments = included
        work[job]?.proof = proof
        if gate_ms > now.steady_ms {
            work[job]?.retryAt_ms = gate_ms
            return []
        }
        return [.request(job, proof.first)]
    }

    /// Leaves a segment aside for a while, ever longer; the others go on.
    private mutating func putOff(_ id: SegmentID, because reason: String, isAlone: Bool = false, at now: Moment) {
        var patient = configuration.backoff
        patient.cap = patient.cap * 10
        mark(id) { known in
            known.failures += 1
            known.reason = reason
            known.isBusy = false
            if isAlone { known.isAlone = true }
            let pause = patient.delay(failures: known.failures + 3, random: max(0.5, now.draw))
            known.notBefore_ms = now.steady_ms + pause.milliseconds
        }
    }

    private mutating func release(_ job: Job) {
        guard let done = work.removeValue(forKey: job) else { return }
        for id in done.segments { mark(id) { $0.isBusy = false } }
    }

    mutating func answered(_ job: Job, _ answer: UploadProof.Answer, at now: Moment) -> [Action] {
        guard let proof = work[job]?.proof else { return [] }
        var moved = proof
        let step = moved.handle(answer)
        work[job]?.proof = moved
        if case .failed = answer {} else { openGate(at: now) }
        switch step {
        case .request(let request):
            if gate_ms > now.steady_ms {
                work[job]?.retryAt_ms = gate_ms
                return []
            }
            return [.request(job, request)]
        case .later(_, let error): return failed(job, error, at: now)
        case .proven(let method):
            abandonedInARow = 0
            buildGate_ms = .min
            let segments = work[job]?.segments ?? []
            release(job)
            for id in segments {
                proven[id] = .min
                mark(id) { known in
                    known.isProven = true
                    known.reason = nil
                }
            }
            return [.proven(job, method, segments)] + retirements(of: segments, at: now)
        }
    }

    /// The store answers again: what waited for that goes on.
    private mutating func openGate(at now: Moment) {
        guard storeFailures > 0 || gate_ms > now.steady_ms else { return }
        let closed_ms = gate_ms
        storeFailures = 0
        gate_ms = .min
        for job in Array(work.keys) where work[job]?.retryAt_ms == closed_ms {
            work[job]?.retryAt_ms = now.steady_ms
        }
    }

    private mutating func failed(_ job: Job, _ error: StorageError, at now: Moment) -> [Action] {
        guard var one = work[job] else { return [] }
        one.failures += 1
        work[job] = one
        if ShipperStateMachine.mayLieInObject(error) {
            let tries = one.isAlone ? ShipperStateMachine.aloneTries : ShipperStateMachine.objectTries
            if one.failures >= tries || error.kind == .tooLarge {
                return abandon(job, one, error, at: now)
            }
            let pause = configuration.backoff.delay(
                failures: one.failures, random: now.draw, retryAfter: ShipperStateMachine.retryAfter(error))
            work[job]?.retryAt_ms = max(gate_ms, now.steady_ms + pause.milliseconds)
            return [.failure(job, error, pause_ms: pause.milliseconds, failures: one.failures)]
        }
        storeFailures += 1
        let pause = configuration.backoff.delay(
            failures: max(one.failures, storeFailures), random: now.draw,
            retryAfter: ShipperStateMachine.retryAfter(error))
        gate_ms = max(gate_ms, now.steady_ms + pause.milliseconds)
        work[job]?.retryAt_ms = gate_ms
        for other in Array(work.keys) {
            if let due = work[other]?.retryAt_ms { work[other]?.retryAt_ms = max(due, gate_ms) }
        }
        return [.failure(job, error, pause_ms: pause.milliseconds, failures: one.failures)]
    }

    /// Lets go of an object whose failure may lie in itself: its segments are tried one by one.
    private mutating func abandon(_ job: Job, _ one: Work, _ error: StorageError, at now: Moment) -> [Action] {
        abandonedInARow += 1
        release(job)
        let reason =
            one.segments.count == 1
            ? "its object is not taken: \(error)"
            : "an object of \(one.segments.count) segments with it was not taken, so it is tried alone: \(error)"
        for id in one.segments { putOff(id, because: reason, isAlone: true, at: now) }
        let pause = configuration.backoff.delay(failures: abandonedInARow + 2, random: max(0.5, now.draw))
        // Where nothing was proven since, it may be the store after all.
        if abandonedInARow > 1 { buildGate_ms = now.steady_ms + pause.milliseconds }
        return [.failure(job, error, pause_ms: pause.milliseconds, failures: one.failures), .abandoned(job)]
    }

    /// Whether another object may well be taken where this one was not.
    private static func mayLieInObject(_ error: StorageError) -> Bool {
        switch error.kind {
        case .badDigest, .tooLarge, .conflict, .preconditionFailed, .invalidKey, .notFound, .rangeNotSatisfiable,
            .unknown:
            true
        default: false
        }
    }

    private static func retryAfter(_ error: StorageError) -> Duration? {
        error.retryAfter_s.map { .milliseconds(Int64(min(max(0, $0), 86_400) * 1_000)) }
    }
}
