import DurableIO
import ObjectStorage
import TestSupport

/// What a server was seen to do, by trying.
struct StoreAbilities: Equatable, Sendable {
    /// Keeps an existing object on `If-None-Match: *`.
    var conditions = true
    /// Refuses a wrong `x-amz-checksum-sha256`.
    var checksum = true
    /// Refuses a wrong `x-amz-content-sha256`.
    var payloadHash = true
    /// Refuses a wrong `Content-MD5`.
    var md5 = true
    /// Gives the SHA-256 that it checked with HEAD.
    var headGivesSHA256 = true
    /// The entity tag is the MD5.
    var etagIsMD5 = false
    /// Gives the part of an object that was asked for.
    var ranges = true
    /// Refuses requests of 20 minutes ago.
    var refusesPast = false
    /// Refuses requests of 20 minutes ahead.
    var refusesFuture = false
    /// Lists by the bytes of keys; else in another order, such as by their parts.
    var listsByBytes = true
    /// Answers to `bucket.host` too.
    var virtualHost = false

    private static let cache = Cache()

    private actor Cache {
        private var known: [StoreKind: Task<StoreAbilities, any Error>] = [:]

        func of(_ kind: StoreKind) async throws -> StoreAbilities {
            let task = known[kind] ?? Task { try await StoreAbilities(trying: kind) }
            known[kind] = task
            return try await task.value
        }
    }

    static func of(_ kind: StoreKind) async throws -> StoreAbilities { try await cache.of(kind) }

    init() {}

    /// Tries everything; the answers of a folder are those of the first lines.
    private init(trying kind: StoreKind) async throws {
        guard let server = kind.server else { return }
        let store = try server.store()
        let prefix = TestServers.randomName("abilities") + "/"
        let receipt = try await store.put(prefix + "a", [1, 2, 3], PutOptions(isTrial: true))
        etagIsMD5 = receipt.etag == hex(MD5.hash([1, 2, 3]))
        headGivesSHA256 = try await store.head(prefix + "a")?.sha256 == SHA256.hash([1, 2, 3])
        _ = try await store.put(prefix + "a", [9], PutOptions(ifAbsent: true))
        conditions = try await store.get(prefix + "a") == [1, 2, 3]
        checksum = try await store.refuses(.checksum, key: prefix + "b")
        payloadHash = try await store.refuses(.payloadHash, key: prefix + "b")
        md5 = try await store.refuses(.md5, key: prefix + "b")
        refusesPast = try await store.refuses(.past, key: prefix + "b")
        refusesFuture = try await store.refuses(.future, key: prefix + "b")
        _ = try await store.put(prefix + "c", [1, 2, 3], PutOptions())
        ranges = try await store.get(prefix + "c", range: 1..<2) == [2]
        for name in ["web/1", "web-1/1"] { _ = try await store.put("\(prefix)order/\(name)", [1], PutOptions()) }
        let page = try await store.list(prefix: prefix + "order/", startAfter: nil, limit: 10)
        listsByBytes = page.objects.map(\.key) == ["\(prefix)order/web-1/1", "\(prefix)order/web/1"]
        // An address has no names below it, and `*.localhost` is this machine.
        let named = try server.store(
            endpoint: server.endpoint.replacing("127.0.0.1", with: "localhost"), addressing: .virtual)
        virtualHost = (try? await named.get(prefix + "c")) == [1, 2, 3]
    }

    /// A line for each ability.
    var rows: [(ability: String, answer: String)] {
        func word(_ value: Bool) -> String { value ? "yes" : "no" }
        return [
            ("keeps an existing object on If-None-Match: *", word(conditions)),
            ("refuses a wrong x-amz-checksum-sha256", word(checksum)),
            ("refuses a wrong x-amz-content-sha256", word(payloadHash)),
            ("refuses a wrong Content-MD5", word(md5)),
            ("HEAD gives the SHA-256 that was checked", word(headGivesSHA256)),
            ("the entity tag is the MD5", word(etagIsMD5)),
            ("gives ranges", word(ranges)),
            ("refuses a clock 20 minutes behind", word(refusesPast)),
            ("refuses a clock 20 minutes ahead", word(refusesFuture)),
            ("lists by", listsByBytes ? "bytes" : "parts"),
            ("answers to bucket.host", word(virtualHost)),
        ]
    }
}
