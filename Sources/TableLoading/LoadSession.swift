internal import ObjectStorage
internal import RecordBatches
internal import TableStorage

/// The batches of one run: parts come in from the workers, full batches go to the database.
///
/// While a batch commits, the workers fill the next one; when that is full too, each holds at most one finished part, which
/// bounds memory.
struct LoadSession {
    let loader: Loader
    let work: ObjectWork
    let leases: ObjectLeases
    var report = LoadReport()
    private var batch = LoadBatch()
    /// The batch on its way to the database.
    private var committing: (batch: LoadBatch, task: Task<BatchCommitting.Result, any Error>)?
    private var deferred: [ObjectClaims.Claim] = []
    private var refusals = 0
    /// How often each object's batch was overtaken.
    private var overtaken: [Int64: Int] = [:]

    init(_ loader: Loader) {
        self.loader = loader
        leases = ObjectLeases(loader.claims)
        work = ObjectWork(
            store: loader.store, side: loader.side, prefix: loader.settings.prefix, formats: loader.formats,
            places: SegmentPlaces(), configuration: Aggregation.configuration(loader.settings),
            references: loader.references, pool: loader.aggregators)
    }

    /// Downloads, parses and adds objects; commits whenever a batch is full.
    mutating func process(_ claims: [ObjectClaims.Claim]) async throws {
        if claims.isEmpty { return }
        try await loader.references.needRecent()
        let width = max(1, loader.settings.parallelism)
        var next = claims.makeIterator()
        var running = 0
        try await withThrowingTaskGroup(of: ObjectPart.self) { group in
            let work = work
            while running < width, let claim = next.next() {
                group.addTask { await work.part(of: claim) }
                running += 1
            }
            while let part = try await group.next() {
                if let claim = next.next() { group.addTask { await work.part(of: claim) } }
                try await take(part)
            }
        }
    }

    /// Commits what is left, then what had to wait for it.
    mutating func finish() async throws {
        try await commitNow()
        var rounds = 0
        while !deferred.isEmpty, rounds < 100 {
            rounds += 1
            let waiting = deferred
            deferred = []
            // One after the other: each sees what the one before has committed.
            for claim in waiting {
                try await take(await work.part(of: claim))
                try await commitNow()
            }
        }
    }

    /// Gives back what is claimed and not committed, as well as possible.
    func abandon() async {
        committing?.task.cancel()
        _ = await committing?.task.result
        await leases.end()
    }

    private mutating func take(_ part: ObjectPart) async throws {
        switch part {
        case .parsed(let object, let aggregates, let left, let overflow):
            if overflow != nil { try await commit() }
            batch.add(object, aggregates, left: left, overflow: overflow)
            let soFar = report.objects + batch.objects.count
            loader.progress("\(soFar) objects, \(report.lines + batch.aggregates.lines) lines")
            if batch.isFull(loader.settings.batch) { try await commit() }
        case .deferred(let claim):
            deferred.append(claim)
        case .poisoned(let claim, let reason):
            report.poisoned.append((claim.key, reason))
            try await loader.claims.setAside(claim, poisoned: reason)
            await leases.drop([claim.objectID])
        case .pending(let claim, let mapping, let lines):
            report.pending.append((claim.key, mapping))
            try await loader.claims.setAside(claim, pendingMapping: mapping, lines: lines)
            await leases.drop([claim.objectID])
        case .refused(let claim, let reason):
            // Rights that all objects need are soon given back, and these objects tried again within minutes.
            report.failed.append((claim.key, reason))
            try await loader.claims.setAside(claim, poisoned: reason, longest_s: 900)
            await leases.drop([claim.objectID])
            refusals += 1
            if refusals >= 100, report.objects == 0, batch.objects.isEmpty, committing == nil {
                throw LoadError(
                    .poisoned, "the store gives none of \(refusals) objects: \(reason)",
                    remedy: "Mend the loader's rights on the bucket, its prefix and its keys")
            }
        case .failed(let claim, let error):
            report.failed.append((claim.key, "\(error)"))
            try? await loader.claims.release([claim.objectID])
            await leases.drop([claim.objectID])
            // A store or database that fails for everybody: no use to go through the whole backlog.
            if report.failed.count >= 10, report.objects == 0 { throw error }
        }
    }

    /// Sends the batch to the database, once the one before is there.
    private mutating func commit() async throws {
        try await settle()
        if batch.objects.isEmpty { return }
        let full = batch
        batch = LoadBatch()
        let committing = BatchCommitting(loader)
        self.committing = (full, Task { try await committing.run(full) })
    }

    /// Commits the batch and waits for it.
    private mutating func commitNow() async throws {
        try await commit()
        try await settle()
    }

    /// Waits for the batch on its way.
    ///
    /// What another loader did meanwhile is left out and the rest aggregated again; a batch that
    /// the database refuses for its content is taken apart, so that one object cannot block the others. Any other refusal
    /// (rights, space, a schema that is not ours) would meet every object: it ends the run.
    private mutating func settle() async throws {
        guard let (current, task) = committing else { return }
        committing = nil
        do {
            let result = try await withTaskCancellationHandler {
                try await task.value
            } onCancel: {
                task.cancel()
            }
            for (kind, count) in result.refused { report.refused[kind, default: 0] += count }
            report.add(result.counts)
            work.places.release(objects: current.objects.map(\.claim.objectID))
            await leases.drop(current.objects.map(\.claim.objectID))
        } catch let error as LoadError where error.code == .overtaken {
            work.places.release(objects: current.objects.map(\.claim.objectID))
            let ours = try await notTooOften(try await stillOurs(current), error)
            let kept = Set(ours.map(\.objectID))
            await leases.drop(current.objects.map(\.claim.objectID).filter { !kept.contains($0) })
            // It may have been a reference that was put in force.
            try await loader.references.read(thorough: true)
            try await again(ours)
        } catch let error as DatabaseError where error.isAboutData {
            work.places.release(objects: current.objects.map(\.claim.objectID))
            if current.objects.count == 1, let object = current.objects.first {
                report.poisoned.append((object.claim.key, error.description))
                try await loader.claims.setAside(object.claim, poisoned: error.description)
                await leases.drop([object.claim.objectID])
            } else {
                try await again(current.objects.map(\.claim))
            }
        }
    }

    /// Those of some objects that were overtaken fewer than twenty times; the others are left for the next run.
    private mutating func notTooOften(
        _ claims: [ObjectClaims.Claim], _ error: LoadError
    ) async throws -> [ObjectClaims.Claim] {
        var kept: [ObjectClaims.Claim] = []
        for claim in claims {
            overtaken[claim.objectID, default: 0] += 1
            if overtaken[claim.objectID, default: 0] < 20 {
                kept.append(claim)
            } else {
                report.failed.append((claim.key, "\(error)"))
                try await loader.claims.release([claim.objectID])
            }
        }
        return kept
    }

    /// Does objects one by one, each in a batch of its own, beside the one that is being filled.
    private mutating func again(_ claims: [ObjectClaims.Claim]) async throws {
        let others = batch
        batch = LoadBatch()
        for claim in claims {
            try await take(await work.part(of: claim))
            try await commitNow()
        }
        batch = others
    }

    /// The batch's objects that are neither loaded nor taken over.
    private func stillOurs(_ batch: LoadBatch) async throws -> [ObjectClaims.Claim] {
        let owner = loader.settings.owner
        let ids = batch.objects.map(\.claim.objectID)
        let ours = try await loader.side.run { connection in
            Set(
                try connection.query(
                    """
                    SELECT object_id FROM nadi_store.object
                    WHERE object_id = ANY ($1::bigint[]) AND state = 'claimed' AND lease_owner = $2
                    """, [.integers(ids), .text(owner)]
                ).rows.map { $0.integer(0) })
        }
        return batch.objects.map(\.claim).filter { ours.contains($0.objectID) }
    }
}

extension DatabaseError {
    /// A value of the batch is to blame: data exceptions (22), violated constraints (23), values over a limit such as the
    /// length of an index row (54).
    fileprivate var isAboutData: Bool {
        sqlState.hasPrefix("22") || sqlState.hasPrefix("23") || sqlState.hasPrefix("54")
    }
}
