/// Objects by key, in a bucket or a folder.
///
/// Every call is one attempt: repeating it is the caller's decision (`StorageError.isRetryable`,
/// `StorageError.retryAfter_s`).
///
/// Keys are `/`-separated, at most 1,024 bytes of UTF-8, never empty, never starting or ending with a slash, with no
/// empty, `.` or `..` part. All methods throw `StorageError`, or `CancellationError` if their task was cancelled.
package protocol ObjectStore: Sendable {
    /// Stores an object, whole or not at all. An existing one of the same key is replaced unless `ifAbsent` is set.
    ///
    /// - Returns: the store's receipt. With `ifAbsent` on an existing key nothing is stored and `alreadyExisted` is true;
    ///   some stores ignore the condition, so that `alreadyExisted == false` proves nothing.
    func put(_ key: String, _ body: [UInt8], _ options: PutOptions) async throws -> PutReceipt

    /// What is known of an object without reading it, or nil if there is none.
    func head(_ key: String) async throws -> ObjectInfo?

    /// An object's bytes, or those of `range` (clipped at the object's end).
    ///
    /// - Throws: `StorageError` of kind `notFound` if there is no such object, `rangeNotSatisfiable` if the range begins
    ///   at or after its end, `tooLarge` if it is over the store's limit on one answer.
    func get(_ key: String, range: Range<Int>?) async throws -> [UInt8]

    /// Objects whose keys begin with `prefix` and come after `startAfter`, in the store's order.
    ///
    /// The order is always the same, but not the same for all: AWS, MinIO and `DirectoryStore` sort by the keys' UTF-8
    /// bytes, SeaweedFS by their `/`-separated parts, which differs where a part is another's beginning (`web/x` comes
    /// before `web-1/x` there, and after it by bytes). Who merges listings must sort.
    /// - Parameter limit: how many at most. A page is short of it only where the listing ends.
    func list(prefix: String, startAfter: String?, limit: Int) async throws -> ObjectPage

    /// Removes an object; one that is not there is no error.
    func delete(_ key: String) async throws
}

/// How an object is to be stored.
package struct PutOptions: Hashable, Sendable {
    /// The media type.
    package var contentType: String
    /// Whether an existing object is to be left alone.
    package var ifAbsent: Bool
    /// The body's SHA-256 if the caller has it already; it is computed otherwise.
    ///
    /// A wrong one is refused.
    package var sha256: [UInt8]?
    /// Whether the store may use this PUT, once in its life, to find out what the server checks: it is then sent with a
    /// wrong checksum first.
    ///
    /// For small objects that may be overwritten.
    package var isTrial: Bool

    /// Makes options; by default a plain overwriting PUT.
    package init(
        contentType: String = "application/octet-stream", ifAbsent: Bool = false, sha256: [UInt8]? = nil,
        isTrial: Bool = false
    ) {
        self.contentType = contentType
        self.ifAbsent = ifAbsent
        self.sha256 = sha256
        self.isTrial = isTrial
    }
}

/// A store's answer to a PUT.
package struct PutReceipt: Hashable, Sendable {
    /// The entity tag without its quotes: for most stores the body's MD5 in hexadecimal.
    ///
    /// Nil if none was given.
    package var etag: String?
    /// Whether `ifAbsent` was asked for and an object was there.
    package var alreadyExisted: Bool

    /// Makes a receipt from its parts.
    package init(etag: String?, alreadyExisted: Bool) {
        self.etag = etag
        self.alreadyExisted = alreadyExisted
    }
}

/// What is known of an object without its bytes.
package struct ObjectInfo: Hashable, Sendable {
    /// The key.
    package var key: String
    /// Bytes.
    package var size: Int
    /// The entity tag without its quotes, if the store gives one.
    package var etag: String?
    /// When it was stored, milliseconds since the epoch, by the store's clock.
    package var modified_ms: Int64
    /// The SHA-256 that the store itself checked and kept, if it does so and was asked (`head` asks, `list` does not).
    ///
    /// Nil until a PUT with `isTrial` has shown that the server checks what it keeps.
    package var sha256: [UInt8]?

    /// Makes an entry from its parts.
    package init(key: String, size: Int, etag: String?, modified_ms: Int64, sha256: [UInt8]? = nil) {
        self.key = key
        self.size = size
        self.etag = etag
        self.modified_ms = modified_ms
        self.sha256 = sha256
    }
}

/// A part of a listing.
package struct ObjectPage: Hashable, Sendable {
    /// In the store's order.
    package var objects: [ObjectInfo]
    /// Whether there are more: list again with `startAfter` set to the last key.
    package var isTruncated: Bool

    /// Makes a page from its parts.
    package init(objects: [ObjectInfo], isTruncated: Bool) {
        self.objects = objects
        self.isTruncated = isTruncated
    }
}

extension ObjectStore {
    /// An object's bytes.
    package func get(_ key: String) async throws -> [UInt8] {
        try await get(key, range: nil)
    }

    /// Hands every object under a prefix to `body`, in the store's order, a page at a time: constant memory.
    package func forEachObject(
        prefix: String, startAfter: String? = nil, pageSize: Int = 1000, _ body: (ObjectInfo) async throws -> Void
    ) async throws {
        var last = startAfter
        var circle = ListingGuard()
        while true {
            let page = try await list(prefix: prefix, startAfter: last, limit: pageSize)
            guard page.objects.last.map({ circle.advance(to: $0.key) }) ?? true else {
                throw StorageError(
                    .invalidResponse, operation: "LIST \(prefix)",
                    message: "the listing goes round in circles: \(last ?? "") comes again after itself",
                    remedy: "the store ignores start-after: use another one")
            }
            for object in page.objects { try await body(object) }
            guard page.isTruncated, let key = page.objects.last?.key else { return }
            last = key
        }
    }

    /// Hands the objects under a prefix to `body` in groups, each group whole and sorted by the keys' UTF-8 bytes.
    ///
    /// This is how to compare a listing with something sorted, whatever the store's order: where groups are folders whose
    /// names all have the same length (`dt=2026-11-23/hr=04`), they come one after the other, ascending, from every store.
    /// Memory: one group and one page.
    /// - Parameter group: the group of a key. A group's keys must follow each other in the listing.
    package func forEachGroup<Group: Equatable>(
        prefix: String, startAfter: String? = nil, pageSize: Int = 1000, of group: (String) -> Group,
        _ body: (Group, [ObjectInfo]) async throws -> Void
    ) async throws {
        var current: Group?
        var members: [ObjectInfo] = []
        func sorted() -> [ObjectInfo] {
            members.sorted { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }
        }
        try await forEachObject(prefix: prefix, startAfter: startAfter, pageSize: pageSize) { object in
            let next = group(object.key)
            if let last = current, last != next {
                try await body(last, sorted())
                members = []
            }
            current = next
            members.append(object)
        }
        if let current { try await body(current, sorted()) }
    }
}
