internal import EventSegments
internal import ObjectStorage
internal import RecordBatches
internal import Synchronization

/// Looks for prediction ids in an hour's objects by several readers at once, each object by one of them, piece by piece.
struct SweepReading: Sendable {
    let loader: Loader
    let hour_ms: Int64
    let ids: PredictionIDs
    /// Writes what was found.
    let record: @Sendable ([PredictionFinder.Found]) async throws -> Void

    /// So many are written at once: in few transactions, and in little memory.
    private static let foundAtATime = 20_000

    /// Reads all objects; what was found is written also where a later one cannot be read.
    ///
    /// - Returns: how many ids were found.
    /// - Throws: as `HourSources.read`; `DatabaseError`.
    func read(_ segments: [HourSources.Segment]) async throws -> Int {
        let state = Shared()
        let objects = Dictionary(grouping: segments) { $0.key }.sorted { $0.key < $1.key }
        let width = max(1, loader.settings.parallelism)
        do {
            try await withThrowingTaskGroup(of: Void.self) { group in
                for (number, object) in objects.enumerated() {
                    if number >= width { try await group.next() }
                    if ids.waiting == 0 { break }
                    group.addTask { try await read(object.key, object.value, state) }
                }
                try await group.waitForAll()
            }
        } catch {
            try await write(state.takeFound(atLeast: 1))
            throw error
        }
        try await write(state.takeFound(atLeast: 1))
        return state.count
    }

    private func write(_ found: [PredictionFinder.Found]) async throws {
        if !found.isEmpty { try await record(found) }
    }

    private func read(_ key: String, _ wanted: [HourSources.Segment], _ state: Shared) async throws {
        let finder = state.takeFinder() ?? PredictionFinder(ids, hour_s: hour_ms / 1000, mappings: loader.mappings)
        do {
            try await read(key, wanted, by: finder)
        } catch {
            finder.dropObject()
            throw error
        }
        state.give(finder, finder.endObject())
        try await write(state.takeFound(atLeast: Self.foundAtATime))
    }

    private func read(_ key: String, _ wanted: [HourSources.Segment], by finder: PredictionFinder) async throws {
        let source: ObjectSource
        do {
            source = try await ObjectSource(loader.store, key)
        } catch let error as StorageError where error.kind == .notFound {
            throw HourSources.gone(key)
        }
        let manifest = try await source.manifest()
        for (place, _) in try HourSources.places(of: wanted, in: manifest, key: key, formats: loader.formats) {
            let segment = manifest.segments[place]
            guard finder.begin(segment) else { continue }
            try await source.read(segment.offset..<(segment.offset + segment.compressedBytes)) { try finder.append($0) }
            try finder.endSegment()
        }
    }

    /// Finders that are not at work, one for each object that is read at the same time, and what they found.
    private final class Shared: Sendable {
        private struct State {
            var idle: [PredictionFinder] = []
            var found: [PredictionFinder.Found] = []
            var count = 0
        }

        private let state = Mutex(State())

        var count: Int { state.withLock { $0.count } }

        func takeFinder() -> PredictionFinder? { state.withLock { $0.idle.popLast() } }

        func give(_ finder: PredictionFinder, _ found: [PredictionFinder.Found]) {
            state.withLock {
                $0.idle.append(finder)
                $0.found += found
                $0.count += found.count
            }
        }

        func takeFound(atLeast count: Int) -> [PredictionFinder.Found] {
            state.withLock { state in
                if state.found.count < count { return [] }
                defer { state.found = [] }
                return state.found
            }
        }
    }
}
