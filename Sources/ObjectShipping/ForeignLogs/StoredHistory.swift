import EventSegments
import ObjectStorage

/// What the bucket knows of a host's foreign logs: the manifests of its objects.
struct StoredHistory: Sendable {
    /// How far back it is looked at most, milliseconds: 45 days, one listing for each hour.
    static let longest_ms: Int64 = 45 * 86_400_000
    private static let hour_ms: Int64 = 3_600_000
    /// Hours that are looked at at once.
    private static let width = 8
    /// How much of an object's end is read at first: the manifest of some hundred segments.
    private static let tailBytes = 64 << 10

    let store: any ObjectStore
    let prefix: String
    let host: String

    /// The foreign segments in the host's objects whose newest segment was sealed in a span of time.
    ///
    /// Objects that another program wrote, or that went meanwhile, are left out.
    ///
    /// Cost: a listing for each hour and a range of each object's end.
    ///
    /// - Throws: `StorageError` when the store cannot be asked or does not allow it; `CancellationError`.
    func segments(from_ms: Int64, to_ms: Int64) async throws -> [Manifest.Segment] {
        try await withThrowingTaskGroup(of: [Manifest.Segment].self) { group in
            var found: [Manifest.Segment] = []
            var started = 0
            let first = max(from_ms, to_ms - StoredHistory.longest_ms) / StoredHistory.hour_ms
            for hour in first...max(first, to_ms / StoredHistory.hour_ms) {
                if started >= StoredHistory.width { found += try await group.next() ?? [] }
                started += 1
                group.addTask { try await segments(hourContaining_ms: hour * StoredHistory.hour_ms) }
            }
            for try await part in group { found += part }
            return found
        }
    }

    private func segments(hourContaining_ms: Int64) async throws -> [Manifest.Segment] {
        var found: [Manifest.Segment] = []
        let folder = ObjectKey.hourFolder(prefix: prefix, hourContaining_ms: hourContaining_ms) + "\(host)/"
        var objects: [ObjectInfo] = []
        try await store.forEachObject(prefix: folder) { objects.append($0) }
        for object in objects where ObjectKey(parsing: object.key, prefix: prefix) != nil {
            do {
                found += try await manifest(of: object).segments.filter { $0.format != Manifest.nativeFormat }
            } catch is ObjectFormatError {
                continue
            } catch let error as StorageError where error.kind == .notFound || error.kind == .rangeNotSatisfiable {
                continue
            }
        }
        return found
    }

    private func manifest(of object: ObjectInfo) async throws -> Manifest {
        var tail = try await end(of: object, StoredHistory.tailBytes)
        let size = try ObjectTrailer.size(tail: tail)
        if size > tail.count { tail = try await end(of: object, size) }
        return try ObjectTrailer.find(in: tail).manifest
    }

    private func end(of object: ObjectInfo, _ bytes: Int) async throws -> [UInt8] {
        try await store.get(object.key, range: max(0, object.size - bytes)..<object.size)
    }
}
