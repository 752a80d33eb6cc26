import ObjectStorage
import TestSupport
import Testing

/// The stores that the conformance suite runs on.
enum StoreKind: String, CaseIterable, CustomTestStringConvertible {
    case directory, s3

    /// Those that can be reached: the S3 server only where its variables are set.
    static var available: [StoreKind] { allCases.filter { $0 == .directory || TestServers.s3 != nil } }

    var testDescription: String { rawValue }

    /// A store with an empty place in it, and the prefix of that place (with a slash at its end).
    func make() throws -> Fixture {
        switch self {
        case .directory:
            let folder = try ScratchFolder()
            return Fixture(store: try DirectoryStore(folder.path), prefix: "t/", folder: folder)
        case .s3:
            return Fixture(
                store: try StoreKind.s3(), prefix: TestServers.randomName("conformance") + "/", folder: nil)
        }
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
        return try S3Store(
            endpoint: S3Endpoint(
                bucket: bucket ?? server.bucket, region: "us-east-1", endpoint: server.endpoint),
            region: "us-east-1",
            credentials: StaticCredentials(
                Credentials(
                    accessKeyID: accessKey ?? server.accessKey, secretAccessKey: secret ?? server.secretKey,
                    source: "the test")),
            http: http, maxObjectBytes: maxObjectBytes)
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
