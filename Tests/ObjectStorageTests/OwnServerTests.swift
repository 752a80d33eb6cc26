import DurableIO
import ObjectStorage
import TestSupport
import Testing

/// What needs a server that was started for it: its names, its token service, its key service, its narrow rights.
@Suite(.ownServer, .enabled(if: TestServers.s3 != nil, "needs SeaweedFS: use Tests/run"), .timeLimit(.minutes(5)))
struct OwnServerTests {
    /// A configuration as a program reads it, with the environment of a host.
    static func store(
        _ variables: [String: String], _ change: (inout StoreConfiguration) -> Void = { _ in }
    ) throws -> any ObjectStore {
        var configuration = StoreConfiguration(
            url: "s3://own/\(TestServers.randomName("t"))", endpoint: try OwnServer.required().admin.endpoint)
        change(&configuration)
        return try configuration.makeStore(environment: Environment(variables))
    }

    static func roundTrip(_ store: any ObjectStore, _ stem: String = "k") async throws {
        let key = TestServers.randomName(stem)
        _ = try await store.put(key, [1, 2, 3], PutOptions())
        #expect(try await store.get(key) == [1, 2, 3])
        #expect(try await store.list(prefix: key, startAfter: nil, limit: 2).objects.map(\.key) == [key])
        try await store.delete(key)
    }

    // MARK: Names

    @Test func theBucketInTheHostsName() async throws {
        let server = try OwnServer.required().admin
        let endpoint = server.endpoint.replacing("127.0.0.1", with: "s3.localhost")
        let named = try server.store(endpoint: endpoint, addressing: .virtual)
        let byPath = try server.store()
        for name in ["plain", "a b+c/ü=%"] {
            let key = TestServers.randomName("virtual") + "/" + name
            _ = try await named.put(key, [7, 8], PutOptions())
            // Both ways lead to the same object.
            #expect(try await byPath.get(key) == [7, 8])
            #expect(try await named.get(key, range: 1..<2) == [8])
            let listed = try await named.list(prefix: key, startAfter: nil, limit: 10)
            #expect(listed.objects.map(\.key) == [key])
            #expect(try await named.head(key)?.size == 2)
            try await named.delete(key)
            #expect(try await byPath.head(key) == nil)
        }
        // Another bucket's name is not found, rather than taken for a key's beginning.
        let stranger = try server.store(bucket: "no-such-bucket", endpoint: endpoint, addressing: .virtual)
        let error = await storageError { _ = try await stranger.list(prefix: "", startAfter: nil, limit: 1) }
        #expect(error?.kind == .noSuchBucket)
    }

    // MARK: Rights

    @Test func aKeyThatMayWriteAndListProvesByAListing() async throws {
        let server = try OwnServer.required()
        let store = try server.shipper.store()
        let key = TestServers.randomName("shipper")
        let body = Array("what a shipper sends".utf8)
        #expect(try await store.put(key, body, PutOptions(isTrial: true)).etag == hex(MD5.hash(body)))
        #expect(store.checksSHA256 == true)
        let head = await storageError { _ = try await store.head(key) }
        #expect(head?.kind == .accessDenied && head?.isRetryable == true)
        let get = await storageError { _ = try await store.get(key) }
        #expect(get?.kind == .accessDenied)
        let entry = try #require(try await store.list(prefix: key, startAfter: nil, limit: 1).objects.first)
        #expect(entry.key == key && entry.size == body.count && entry.etag == hex(MD5.hash(body)))
        #expect(try await store.put(key, [0], PutOptions(ifAbsent: true)).alreadyExisted)
    }

    // MARK: Roles

    @Test func aRoleTakenOnWithAProfilesKeys() async throws {
        let server = try OwnServer.required()
        let folder = try ScratchFolder()
        try CredentialsTests.write(
            folder["credentials"],
            """
            [base]
            aws_access_key_id = \(server.shipper.accessKey)
            aws_secret_access_key = \(server.shipper.secretKey)
            """)
        try CredentialsTests.write(
            folder["config"],
            """
            [profile nadi]
            role_arn = \(OwnServer.role)
            source_profile = base
            role_session_name = nadi-tests
            duration_seconds = 900
            """)
        let variables = [
            "AWS_PROFILE": "nadi", "AWS_SHARED_CREDENTIALS_FILE": folder["credentials"],
            "AWS_CONFIG_FILE": folder["config"],
        ]
        // The key alone may not read, the role may: the round trip shows whose rights these are.
        try await Self.roundTrip(try Self.store(variables))
        let configuration = StoreConfiguration(url: "s3://own", endpoint: server.admin.endpoint)
        let provider = try configuration.makeCredentials(environment: Environment(variables))
        let role = try await provider.credentials()
        #expect(role.accessKeyID != server.shipper.accessKey && role.sessionToken != nil)
        // A wrong base key is the token service's to refuse.
        try CredentialsTests.write(
            folder["credentials"],
            "[base]\naws_access_key_id = \(server.shipper.accessKey)\naws_secret_access_key = other\n")
        let error = await storageError { try await Self.roundTrip(try Self.store(variables)) }
        #expect(error?.kind == .credentials && error?.operation.contains("AssumeRole") == true)
        #expect(error?.isRetryable == true)
    }

    @Test func aWebIdentityAndItsTokensFile() async throws {
        let server = try OwnServer.required()
        let folder = try ScratchFolder()
        let path = folder["token"]
        try CredentialsTests.write(path, try server.identityProvider.token(life_s: 600) + "\n")
        let variables = [
            "AWS_WEB_IDENTITY_TOKEN_FILE": path, "AWS_ROLE_ARN": OwnServer.role, "AWS_ROLE_SESSION_NAME": "nadi-tests",
        ]
        let store = try Self.store(variables)
        try await Self.roundTrip(store)
        // A token that has ended is refused; the store goes on with what it has, and a new store waits for a new token.
        try CredentialsTests.write(path, try server.identityProvider.token(life_s: -30))
        try await Self.roundTrip(store)
        let late = try Self.store(variables)
        let error = await storageError { try await Self.roundTrip(late) }
        #expect(error?.operation.contains("AssumeRoleWithWebIdentity") == true && error?.isRetryable == true)
        try CredentialsTests.write(path, try server.identityProvider.token(life_s: 600))
        // The token service is left alone for a second after a failure.
        var outcome = await storageError { try await Self.roundTrip(late) }
        for _ in 0..<100 where outcome != nil {
            try await Task.sleep(for: .milliseconds(50))
            outcome = await storageError { try await Self.roundTrip(late) }
        }
        #expect(outcome == nil)
    }

    // MARK: Encryption

    @Test func encryptionWithTheStoresKey() async throws {
        let server = try OwnServer.required().admin
        let store = try server.store(encryption: .store)
        let key = TestServers.randomName("sse")
        let body = Array("AES256".utf8)
        _ = try await store.put(key, body, PutOptions(isTrial: true))
        #expect(try await store.get(key) == body)
        #expect(try await store.head(key)?.size == body.count)
        try await store.delete(key)
    }

    @Test func encryptionByAKeyService() async throws {
        let server = try OwnServer.required().admin
        let store = try server.store(encryption: .keyService(keyID: "alias/seaweedfs-default", bucketKey: true))
        let key = TestServers.randomName("kms")
        let body = Array("aws:kms".utf8)
        _ = try await store.put(key, body, PutOptions(isTrial: true))
        // Read back through a client that knows nothing of it.
        #expect(try await server.store().get(key) == body)
        let unknown = try server.store(encryption: .keyService(keyID: "alias/none-such", bucketKey: false))
        let error = await storageError { _ = try await unknown.put(key, body, PutOptions()) }
        #expect(error != nil && error?.isRetryable == true)
        #expect(try await server.store().get(key) == body)
    }
}
