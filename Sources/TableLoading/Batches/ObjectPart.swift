internal import EventSegments
internal import ObjectStorage
package import RecordBatches
internal import TableStorage

/// Aggregates the named segments of an object; with `hours` (begins, seconds since the epoch) only these add rows.
package typealias AggregateObject =
    @Sendable (_ object: ObjectReader, _ segments: [Int], _ hours: Set<Int64>?) throws -> Aggregates

/// What came of downloading and parsing one object.
enum ObjectPart: Sendable {
    /// Ready for a batch.
    case parsed(LoadBatch.Object, Aggregates, left: [LoadBatch.Left], overflow: OverflowRows?)
    /// A segment of it is in another object that is not committed yet: to be done after that one.
    case deferred(ObjectClaims.Claim)
    /// It can never be read as it is.
    case poisoned(ObjectClaims.Claim, reason: String)
    /// The store does not give this one to us: rights, an encryption key, a storage class.
    case refused(ObjectClaims.Claim, reason: String)
    /// Its mapping is not known.
    case pending(ObjectClaims.Claim, mapping: String, lines: Int)
    /// The store or the database failed.
    case failed(ObjectClaims.Claim, any Error)
}

/// Downloads, checks and aggregates objects, outside any transaction.
struct ObjectWork: Sendable {
    let store: any ObjectStore
    /// The connection for questions, so that nobody waits for a commit.
    let side: DatabaseThread
    let prefix: String
    let formats: Set<String>
    let places: SegmentPlaces
    let configuration: AggregationConfiguration
    let references: ReferenceSource
    let pool: AggregatorPool
    /// Compressed bytes held at once: 48 MiB.
    let budget = ByteBudget(48 << 20)

    func part(of claim: ObjectClaims.Claim) async -> ObjectPart {
        let size = min(max(0, claim.size), ObjectSource.wholeBytes)
        await budget.take(size)
        let part = await attempt(claim)
        await budget.give(size)
        return part
    }

    /// What a person reads of a reason: a hostile name must not fill journals and tables.
    private static func brief(_ reason: some CustomStringConvertible) -> String { String("\(reason)".prefix(400)) }

    private func attempt(_ claim: ObjectClaims.Claim) async -> ObjectPart {
        do {
            return try await read(claim)
        } catch let error as ObjectError {
            return .poisoned(claim, reason: Self.brief(error))
        } catch let error as LoadError where error.code == .poisoned {
            return .poisoned(claim, reason: Self.brief(error))
        } catch let error as StorageError where error.kind == .notFound {
            return .poisoned(claim, reason: "it is gone from the bucket")
        } catch let error as StorageError where error.kind == .tooLarge {
            return .poisoned(claim, reason: Self.brief(error))
        } catch let error as StorageError where error.isAboutObject {
            return .refused(claim, reason: Self.brief(error))
        } catch {
            return .failed(claim, error)
        }
    }

    private func read(_ claim: ObjectClaims.Claim) async throws -> ObjectPart {
        let source = try await ObjectSource(store, claim.key)
        let manifest = try await source.manifest()
        guard ObjectKey(prefix: prefix, manifest: manifest).path == claim.key else {
            throw LoadError(
                .poisoned,
                "its key does not fit its manifest (expected \(ObjectKey(prefix: prefix, manifest: manifest).path))")
        }
        for segment in manifest.segments
        where segment.format != Manifest.nativeFormat && !formats.contains(segment.format) {
            return .pending(claim, mapping: segment.format, lines: manifest.lines)
        }
        let (known, begin_ms) = try await knownSegments(manifest)
        var fresh: [Int] = []
        var left: [LoadBatch.Left] = []
        var taken: [LoadBatch.Place: String] = [:]
        for (index, segment) in manifest.segments.enumerated() {
            let place = LoadBatch.Place(segment)
            if segment.sealed_ms < begin_ms {
                // Sealed before the ledger begins: whether it was loaded is no longer known, so that it adds nothing.
                left.append(LoadBatch.Left(object: claim.objectID, segment: segment, state: .duplicate))
            } else if let sha = known[place] ?? taken[place] {
                let state: LoadBatch.Left.State = sha == segment.rawSHA256 ? .duplicate : .conflict
                left.append(LoadBatch.Left(object: claim.objectID, segment: segment, state: state))
            } else {
                taken[place] = segment.rawSHA256
                fresh.append(index)
            }
        }
        guard places.take(Array(taken.keys), for: claim.objectID) else { return .deferred(claim) }
        do {
            let (aggregates, overflow) = try await aggregate(source, manifest, fresh)
            guard aggregates.segments.count == fresh.count else {
                throw LoadError(.poisoned, "\(aggregates.segments.count) of \(fresh.count) segments were read")
            }
            for result in aggregates.segments
            where result.loadedLines + result.rejectedLines != Int64(result.segment.lines) {
                throw LoadError(
                    .poisoned,
                    "segment \(result.segment.writer)-\(result.segment.seq): \(result.loadedLines) loaded and "
                        + "\(result.rejectedLines) rejected lines of \(result.segment.lines)")
            }
            return .parsed(
                LoadBatch.Object(claim: claim, manifest: manifest), aggregates, left: left, overflow: overflow)
        } catch {
            places.release(objects: [claim.objectID])
            throw error
        }
    }

    /// Aggregates an object on the references' edges, which are read where they are met for the first time.
    private func aggregate(
        _ source: ObjectSource, _ manifest: Manifest, _ places: [Int]
    ) async throws -> (Aggregates, OverflowRows?) {
        while true {
            var configuration = configuration
            configuration.references = references.current
            let (rows, overflow, missing) = try await aggregate(source, manifest, places, configuration)
            if missing.isEmpty { return (rows, overflow) }
            try await references.need(missing)
        }
    }

    /// Aggregates an object piece by piece; rows that are too many to hold go to a temporary file.
    private func aggregate(
        _ source: ObjectSource, _ manifest: Manifest, _ places: [Int], _ configuration: AggregationConfiguration
    ) async throws -> (Aggregates, OverflowRows?, missing: Set<Int32>) {
        let lent = pool.lend(configuration)
        defer { pool.take(back: lent) }
        var overflow: OverflowRows?
        lent.aggregator.overflow = { rows in
            let file = try overflow ?? OverflowRows()
            overflow = file
            try file.append(rows)
        }
        lent.aggregator.begin()
        for place in places {
            let segment = manifest.segments[place]
            guard lent.aggregator.begin(segment, at: place) else { continue }
            try await source.read(segment.offset..<(segment.offset + segment.compressedBytes)) {
                try lent.aggregator.append($0)
            }
            try lent.aggregator.endSegment()
        }
        let rows = try lent.aggregator.end()
        return (rows, overflow, lent.aggregator.missingEdgeSets)
    }

    /// SHA-256 of those of the manifest's segments that are loaded, and when the ledger begins.
    private func knownSegments(_ manifest: Manifest) async throws -> ([LoadBatch.Place: String], begin_ms: Int64) {
        let writers = manifest.segments.map(\.writer)
        let numbers = manifest.segments.map { Int64($0.seq) }
        return try await side.run { connection in
            var known: [LoadBatch.Place: String] = [:]
            let rows = try connection.query(
                """
                SELECT w.writer, s.seq, encode(s.raw_sha256, 'hex')
                FROM unnest($1::text[], $2::bigint[]) AS u (writer, seq)
                JOIN nadi_store.writer AS w ON w.writer = u.writer
                JOIN nadi_store.segment AS s ON s.writer_id = w.writer_id AND s.seq = u.seq AND s.state = 'loaded'
                """, [.texts(writers), .integers(numbers)]
            ).rows
            for row in rows {
                known[LoadBatch.Place(writer: row.text(0), seq: Int(row.integer(1)))] = row.text(2)
            }
            return (known, try ObjectListing.ledgerBegin(connection))
        }
    }
}

extension StorageError {
    /// Whether the store refuses this object rather than everything: its rights, its encryption key, its storage class.
    fileprivate var isAboutObject: Bool {
        switch kind {
        case .accessDenied, .invalidKey, .preconditionFailed, .rangeNotSatisfiable: true
        case .unknown: (400..<500).contains(status)
        default: false
        }
    }
}
