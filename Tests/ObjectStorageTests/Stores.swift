import DurableIO
import ObjectStorage
import TestSupport
import Testing

/// The stores that the conformance suite runs on.
enum StoreKind: String, CaseIterable, CustomTestStringConvertible {
    /// A folder.
    case directory
    /// The tests' own server, SeaweedFS, or the one that `Tests/run --s3` names.
    case s3
    /// JuiceFS's gateway, whose handlers are MinIO's of 2021.
    case juicefs
    /// `rclone serve s3`.
    case rclone

    /// Those that can be reached: servers only where their variables are set.
    static var available: [StoreKind] { allCases.filter { $0 == .directory || $0.server != nil } }

    /// The available ones that are servers.
    static var servers: [StoreKind] { available.filter { $0 != .directory } }

    var testDescription: String { rawValue }

    var server: TestServers.S3? {
        switch self {
        case .directory: nil
        case .s3: TestServers.s3
        case .juicefs: TestServers.s3("JUICEFS")
        case .rclone: TestServers.s3("RCLONE")
        }
    }

    /// How many keys make a listing of more than one page: JuiceFS takes 4 ms a key.
    var longListing: Int { self == .directory || self == .s3 ? 2500 : 1205 }

    /// A store with an empty place in it, and the prefix of that place (with a slash at its end).
    func make() throws -> Fixture {
        guard let server else {
            let folder = try ScratchFolder()
            return Fixture(store: try DirectoryStore(folder.path), prefix: "t/", folder: folder)
        }
        return Fixture(store: try server.store(), prefix: TestServers.randomName("conformance") + "/", folder: nil)
    }

    /// What this store was seen to do; tried once.
    func abilities() async throws -> StoreAbilities {
        try await StoreAbilities.of(self)
    }

    struct Fixture {
        let store: any ObjectStore
        let prefix: String
        let folder: ScratchFolder?
    }

    /// The S3 server of the tests, or with something about it changed.
    static func s3(
        secret: String? = nil, accessKey: String? = nil, bucket: String? = nil, http: HTTPSettings = HTTPSettings(),
        maxObjectBytes: Int = 1 << 30
    ) throws -> S3Store {
        guard let server = TestServers.s3 else { throw NoServer() }
        return try server.store(
            secret: secret, accessKey: accessKey, bucket: bucket, http: http, maxObjectBytes: maxObjectBytes)
    }

    struct NoServer: Error {}
}

/// What an operation threw, if it was a storage error.
func storageError(_ body: () async throws -> Void) async -> StorageError? {
    do {
        try await body()
        return nil
    } catch {
        return error as? StorageError
    }
}

extension TestServers.S3 {
    /// A store on this server, or with something about it changed.
    func store(
        secret: String? = nil, accessKey: String? = nil, bucket: String? = nil, http: HTTPSettings = HTTPSettings(),
        maxObjectBytes: Int = 1 << 30, endpoint: String? = nil, addressing: S3Endpoint.Addressing? = nil,
        encryption: ServerSideEncryption = .bucketDefault, clock: (@Sendable () -> Int64)? = nil
    ) throws -> S3Store {
        var http = http
        http.caFile = http.caFile ?? TestServers.variable("AWS_CA_BUNDLE")
        return try S3Store(
            endpoint: S3Endpoint(
                bucket: bucket ?? self.bucket, region: region, endpoint: endpoint ?? self.endpoint,
                addressing: addressing ?? (isVirtual ? .virtual : .auto)),
            region: region,
            credentials: StaticCredentials(
                Credentials(
                    accessKeyID: accessKey ?? self.accessKey, secretAccessKey: secret ?? secretKey,
                    source: "the test")),
            http: http, maxObjectBytes: maxObjectBytes, encryption: encryption, clock: clock)
    }
}
