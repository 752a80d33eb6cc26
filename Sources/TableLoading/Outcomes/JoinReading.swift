internal import EventSegments
internal import ObjectStorage
internal import RecordBatches
internal import Synchronization

/// Reads an hour's objects by several readers at once, each object by one of them.
struct JoinReading: Sendable {
    let loader: Loader
    let hour_ms: Int64
    let table: OutcomeTable
    let dictionary: JoinDictionary

    /// Reads all objects.
    ///
    /// - Returns: the readers, at least one, of which each has a share of what was found.
    /// - Throws: as `HourSources.read`, but ``LoadError`` with ``LoadError/Code/missing`` for an object that is gone and of which the
    ///   ledger does not know it.
    func read(_ segments: [HourSources.Segment]) async throws -> [JoinReader] {
        let pool = Pool { makeReader() }
        let objects = Dictionary(grouping: segments) { $0.key }.sorted { $0.key < $1.key }
        let width = max(1, loader.settings.parallelism)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for (number, object) in objects.enumerated() {
                if number >= width { try await group.next() }
                group.addTask { try await read(object.key, object.value, pool) }
            }
            try await group.waitForAll()
        }
        return pool.readers
    }

    private func makeReader() -> JoinReader {
        JoinReader(
            table, dictionary, hours: [hour_ms / 1000], slices: loader.settings.sliceTags, mappings: loader.mappings)
    }

    /// Reads one object piece by piece.
    private func read(_ key: String, _ wanted: [HourSources.Segment], _ pool: Pool) async throws {
        let source: ObjectSource
        do {
            source = try await ObjectSource(loader.store, key)
        } catch let error as StorageError where error.kind == .notFound {
            throw try await loader.side.runWithRetries { try HourSources.notFound(key, $0) }
        }
        let manifest = try await source.manifest()
        let places = try HourSources.places(of: wanted, in: manifest, key: key, formats: loader.formats)
        let reader = pool.take()
        for (place, _) in places {
            let segment = manifest.segments[place]
            guard reader.begin(segment) else { continue }
            try await source.read(segment.offset..<(segment.offset + segment.compressedBytes)) { try reader.append($0) }
            try reader.endSegment()
        }
        pool.give(reader)
    }

    /// Readers that are not at work: one for each object that is read at the same time.
    private final class Pool: Sendable {
        private struct State {
            var idle: [JoinReader] = []
            var all: [JoinReader] = []
        }

        private let state = Mutex(State())
        private let make: @Sendable () -> JoinReader

        init(_ make: @escaping @Sendable () -> JoinReader) { self.make = make }

        func take() -> JoinReader {
            if let reader = state.withLock({ $0.idle.popLast() }) { return reader }
            let reader = make()
            state.withLock { $0.all.append(reader) }
            return reader
        }

        func give(_ reader: JoinReader) { state.withLock { $0.idle.append(reader) } }

        /// All of them; a first one where nothing was read.
        var readers: [JoinReader] {
            let all = state.withLock { $0.all }
            return all.isEmpty ? [make()] : all
        }
    }
}
