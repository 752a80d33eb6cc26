import ObjectStorage
import RecordBatches
import Synchronization
import TableLoading
import TestSupport

/// A store that calls a hook before each download, with how many there were before.
struct HookedStore: ObjectStore {
    private final class Count: Sendable {
        let value = Atomic(0)
    }

    private let store: any ObjectStore
    private let count = Count()
    private let hook: @Sendable (Int, String) async throws -> Void

    init(_ store: any ObjectStore, _ hook: @escaping @Sendable (_ before: Int, _ key: String) async throws -> Void) {
        self.store = store
        self.hook = hook
    }

    func get(_ key: String, range: Range<Int>?) async throws -> [UInt8] {
        try await hook(count.value.wrappingAdd(1, ordering: .relaxed).oldValue, key)
        return try await store.get(key, range: range)
    }

    func put(_ key: String, _ body: [UInt8], _ options: PutOptions) async throws -> PutReceipt {
        try await store.put(key, body, options)
    }

    func head(_ key: String) async throws -> ObjectInfo? { try await store.head(key) }

    func list(prefix: String, startAfter: String?, limit: Int) async throws -> ObjectPage {
        try await store.list(prefix: prefix, startAfter: startAfter, limit: limit)
    }

    func delete(_ key: String) async throws { try await store.delete(key) }
}

extension Pipeline {
    /// A loader whose downloads call a hook first.
    func loader(
        mappings: [Mapping] = [], change: (inout LoadSettings) -> Void = { _ in },
        progress: @escaping @Sendable (String) -> Void = { _ in },
        hook: @escaping @Sendable (Int, String) async throws -> Void
    ) -> Loader {
        var settings = settings()
        change(&settings)
        return Loader(
            store: HookedStore(store, hook), connectionString: database.uri, settings: settings, mappings: mappings,
            progress: progress)
    }
}

/// Sentences that a rebuild tells.
final class Notices: Sendable {
    private let list = Mutex<[String]>([])

    var texts: [String] { list.withLock { $0 } }

    func add(_ text: String) { list.withLock { $0.append(text) } }
}
