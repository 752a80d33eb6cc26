internal import EventSegments
internal import ObjectStorage
internal import RecordBatches

/// An object's bytes: in memory where they are few, else fetched range by range.
///
/// Memory: ``wholeBytes``, or one piece. What the listing said of the size may be old: the object may have been restored
/// since, so that the first answer decides.
struct ObjectSource: Sendable {
    /// What is fetched at once, and held: a shipper's object is rarely larger.
    static let wholeBytes = 24 << 20
    /// How much of a larger object is fetched at once.
    static let pieceBytes = 4 << 20
    /// A larger object is set aside by name: rebuilding and joining hold an object whole.
    static let largestObject = 256 << 20
    /// How much goes to the decompressor between two looks at what else has to be done.
    private static let stepBytes = 64 << 10
    /// Manifests are rarely larger: a second request is then not needed.
    private static let tailBytes = 128 << 10

    private let store: any ObjectStore
    private let key: String
    private let head: [UInt8]
    /// The object's size in bytes.
    let size: Int

    /// Fetches the object's first ``wholeBytes``.
    /// - Throws: `StorageError`; `ObjectError` for an empty object.
    init(_ store: any ObjectStore, _ key: String) async throws {
        self.store = store
        self.key = key
        do {
            head = try await store.get(key, range: 0..<Self.wholeBytes)
        } catch let error as StorageError where error.kind == .rangeNotSatisfiable {
            throw ObjectError(.manifest, "the object is empty: restore it from its source")
        }
        if head.isEmpty { throw ObjectError(.manifest, "the object is empty: restore it from its source") }
        guard head.count == Self.wholeBytes else {
            size = head.count
            return
        }
        guard let info = try await store.head(key) else {
            throw StorageError(.notFound, operation: "GET \(key)", message: "the object is gone")
        }
        size = info.size
        guard size <= Self.largestObject else {
            throw StorageError(
                .tooLarge, operation: "GET \(key)",
                message: "the object has \(size) bytes, over \(Self.largestObject >> 20) MiB",
                remedy: "ship its lines in smaller objects")
        }
    }

    /// The manifest, checked against the object's size.
    /// - Throws: `ObjectError` where there is none, or it cannot be this object's; `StorageError`.
    func manifest() async throws -> Manifest {
        var tail = try await bytes(max(0, size - Self.tailBytes)..<size)
        let manifest: Manifest
        let trailer: Int
        do {
            let announced = try ObjectTrailer.size(tail: tail)
            if announced > tail.count, announced <= size { tail = try await bytes((size - announced)..<size) }
            (manifest, trailer) = try ObjectTrailer.find(in: tail)
        } catch let error as ObjectFormatError {
            throw ObjectError(.manifest, error.message)
        }
        try ObjectLayout.check(manifest, frameBytes: size - trailer)
        return manifest
    }

    /// Hands a range to `body`, in pieces, and lets others work between them.
    /// - Throws: `StorageError`; what `body` throws.
    func read(_ range: Range<Int>, _ body: (UnsafeRawBufferPointer) throws -> Void) async throws {
        var place = range.lowerBound
        while place < range.upperBound {
            let end = head.count >= range.upperBound ? range.upperBound : min(range.upperBound, place + Self.pieceBytes)
            let piece = end <= head.count ? head[place..<end] : try await bytes(place..<end)[...]
            var step = piece.startIndex
            while step < piece.endIndex {
                let next = min(step + Self.stepBytes, piece.endIndex)
                try piece[step..<next].withUnsafeBytes(body)
                step = next
                await Task.yield()
            }
            place = end
        }
    }

    private func bytes(_ range: Range<Int>) async throws -> [UInt8] {
        if range.upperBound <= head.count { return Array(head[range]) }
        let bytes = try await store.get(key, range: range)
        guard bytes.count == range.count else {
            throw ObjectError(.layout, "the object became shorter while it was read")
        }
        return bytes
    }
}
