/// What is due, and when the next thing is.
extension ShipperStateMachine {
    /// The earliest moment at which a timer event would do something, by the steady clock; nil for none.
    package func nextWake_ms(at now: Moment) -> Int64? {
        guard life != .finished, life != .lastReport else { return nil }
        var wake = Int64.max
        func consider(_ due: Int64?) {
            if let due { wake = min(wake, due) }
        }
        consider(nextScan_ms)
        consider(nextForeignScan_ms)
        consider(nextRecall_ms)
        if hasScanned, !configuration.isOnce { consider(nextReport_ms) }
        for one in work.values { consider(one.retryAt_ms) }
        if case .stopping(let deadline_ms) = life, !isReporting { consider(deadline_ms) }
        if hasFreeSlot { consider(bundleDue_ms(at: now)) }
        return wake == .max ? nil : wake
    }

    mutating func dueActions(at now: Moment) -> [Action] {
        var actions: [Action] = []
        if life == .lastReport { return actions }
        if let due = nextScan_ms, due <= now.steady_ms {
            nextScan_ms = nil
            actions.append(.scan)
        }
        if let due = nextRecall_ms, due <= now.steady_ms {
            nextRecall_ms = nil
            actions.append(.recall)
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
        while hasFreeSlot, let due = bundleDue_ms(at: now), due <= now.steady_ms, let next = begin(at: now) {
            actions.append(next)
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

    /// Chooses the segments of the next object.
    private mutating func begin(at now: Moment) -> Action? {
        var together: [Candidate] = []
        var alone: Known?
        eachReady(at: now) { known in
            if !known.isAlone {
                together.append(known.candidate)
            } else if known.notBefore_ms < alone?.notBefore_ms ?? .max {
                alone = known
            }
        }
        let isAlonesTurn = turns.number % 4 == 3
        let chosen: [SegmentID]
        let isAlone: Bool
        if let alone, together.isEmpty || isAlonesTurn {
            (chosen, isAlone) = ([alone.candidate.id], true)
            turns.number += 1
        } else {
            let selection = BundleSelection(
                from: together, target: configuration.bundleBytes, ratio: ratio, turns: &turns)
            (chosen, isAlone) = (selection.segments, false)
        }
        guard !chosen.isEmpty else { return nil }
        nextJob += 1
        work[nextJob] = Work(segments: chosen, isAlone: isAlone)
        for id in chosen { mark(id) { $0.isBusy = true } }
        return .build(nextJob, chosen)
    }

    /// Whether another object may be begun: there is a slot, and memory for it.
    private var hasFreeSlot: Bool {
        guard work.count < ShipperStateMachine.slots else { return false }
        if work.isEmpty { return true }
        let expected = max(configuration.bundleBytes, Int(Double(largestRawBytes) * min(ceiling, 1.05)))
        let held = work.values.reduce(0) { $0 + ($1.proof?.size ?? expected) }
        return held + expected <= configuration.memoryBytes
    }

    /// Whether the service may end now.
    private func isFlushed(at now: Moment) -> Bool {
        let isDue: Bool
        switch life {
        case .running: isDue = configuration.isOnce
        case .stopping(let deadline_ms):
            if now.steady_ms >= deadline_ms { return true }
            isDue = true
        case .lastReport, .finished: isDue = false
        }
        guard isDue, work.isEmpty, retiring == 0, scansSinceFlush > 0 else { return false }
        // While the bucket cannot be asked about foreign logs, none of them can be shipped: a stop does not wait.
        let isRefused = recallFailures > 0 && life != .running
        guard !hasForeign || foreignScansSinceFlush > 0 || isRefused else { return false }
        var isDone = true
        eachReady(at: now) { _ in isDone = false }
        return isDone
    }

    private var isFlushing: Bool { life != .running || configuration.isOnce }

    /// Calls `body` with all that waits, is in no object, and may be tried now.
    private func eachReady(at now: Moment, _ body: (Known) -> Void) {
        let isAloneBusy = work.values.contains(where: \.isAlone)
        for known in native.values where isReady(known, isAloneBusy, at: now) { body(known) }
        for known in foreign.values where isReady(known, isAloneBusy, at: now) { body(known) }
    }

    private func isReady(_ known: Known, _ isAloneBusy: Bool, at now: Moment) -> Bool {
        !known.isBusy && !known.isProven && known.notBefore_ms <= now.steady_ms && !(known.isAlone && isAloneBusy)
    }

    /// When the next object is to be made, by the steady clock; nil while nothing waits.
    private func bundleDue_ms(at now: Moment) -> Int64? {
        var due = Int64.max
        var expected = 0.0
        var isAny = false
        eachReady(at: now) { known in
            isAny = true
            expected += Double(known.candidate.rawBytes) * ratio
            // Seals of the future (a clock that was set back) count from when they were seen.
            let age = min(max(0, now.wall_ms - known.candidate.sealed_ms), configuration.bundleAge_ms)
            due = min(
                due, known.firstSeen_ms + configuration.bundleAge_ms, now.steady_ms + configuration.bundleAge_ms - age)
        }
        guard isAny else { return laterDue_ms(at: now) }
        if isFlushing || expected >= Double(configuration.bundleBytes) { due = now.steady_ms }
        return max(due, buildGate_ms)
    }

    /// When the first of those that were put off is to be tried.
    private func laterDue_ms(at now: Moment) -> Int64? {
        var later = Int64.max
        for known in native.values where known.notBefore_ms > now.steady_ms { later = min(later, known.notBefore_ms) }
        for known in foreign.values where known.notBefore_ms > now.steady_ms { later = min(later, known.notBefore_ms) }
        return later == .max ? nil : max(later, buildGate_ms)
    }

    mutating func mark(_ id: SegmentID, _ change: (inout Known) -> Void) {
        if var known = native[id] {
            change(&known)
            native[id] = known
        } else if var known = foreign[id] {
            change(&known)
            foreign[id] = known
        }
    }
}
