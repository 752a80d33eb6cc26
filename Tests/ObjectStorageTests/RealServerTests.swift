import DurableIO
import Glibc
import ObjectStorage
import TestSupport
import Testing

/// What only a real server can show.
@Suite(.enabled(if: TestServers.s3 != nil, "set NADI_TEST_S3_ENDPOINT and its kin, or use Tests/run"))
struct RealServerTests {
    @Test(arguments: StoreKind.servers) func aWrongSecret(kind: StoreKind) async throws {
        let store = try #require(kind.server).store(secret: "wrong")
        let error = await storageError { _ = try await store.put("x", [1], PutOptions()) }
        #expect(error?.kind == .credentials && error?.status == 403 && error?.code == "SignatureDoesNotMatch")
        #expect(error?.isRetryable == true)
        #expect(error?.remedy == "check the access key, its secret and, for temporary ones, their expiry")
    }

    @Test(arguments: StoreKind.servers) func anUnknownKey(kind: StoreKind) async throws {
        let store = try #require(kind.server).store(accessKey: "nobody")
        let error = await storageError { _ = try await store.list(prefix: "", startAfter: nil, limit: 1) }
        #expect(error?.kind == .credentials && error?.code == "InvalidAccessKeyId")
    }

    /// A host's clock that is off by more than the 15 minutes which stores allow: every kind of call works at once.
    @Test(arguments: StoreKind.servers, [-1300, 1300, -90_000, 400_000_000])
    func aClockThatIsOff(kind: StoreKind, offset_s: Int64) async throws {
        let server = try #require(kind.server)
        func store() throws -> S3Store {
            try server.store(clock: { Int64(time(nil)) + offset_s })
        }
        let key = TestServers.randomName("skew")
        let body = [UInt8](repeating: 5, count: 70_000)
        _ = try await store().put(key, body, PutOptions())
        #expect(try await store().head(key)?.size == body.count)
        #expect(try await store().get(key) == body)
        #expect(try await store().list(prefix: key, startAfter: nil, limit: 1).objects.count == 1)
        let last = try store()
        try await last.delete(key)
        #expect(try await last.head(key) == nil)
        #expect(abs(last.clockOffset_s + offset_s) < 60)
    }

    /// A key that is replaced in its file while the program runs, without its size or time changing.
    @Test func aKeyThatIsSwappedInItsFile() async throws {
        let server = try #require(TestServers.s3)
        let folder = try ScratchFolder()
        func write(_ secret: String) throws {
            try CredentialsTests.write(
                folder["first/credentials"],
                "[default]\naws_access_key_id=\(server.accessKey)\naws_secret_access_key=\(secret)\n")
            var times = [timespec(tv_sec: 1_700_000_000, tv_nsec: 0), timespec(tv_sec: 1_700_000_000, tv_nsec: 0)]
            #expect(utimensat(AT_FDCWD, folder["first/credentials"], &times, 0) == 0)
        }
        try DurableFile.makeDirectory(folder["first"])
        try write(String(server.secretKey.reversed()))
        // As Kubernetes mounts a secret: the file is a link into a folder that is a link.
        #expect(symlink(folder["first"], folder["..data"]) == 0)
        #expect(symlink("..data/credentials", folder["credentials"]) == 0)
        let store = try StoreConfiguration(
            url: "s3://\(server.bucket)", endpoint: server.endpoint, credentialsFile: folder["credentials"]
        ).makeStore(environment: Environment([:]))
        let key = TestServers.randomName("swapped")
        let error = await storageError { _ = try await store.put(key, [1], PutOptions()) }
        #expect(error?.kind == .credentials)
        // Nothing shows the change but the store's refusal, and one call mends it.
        try write(server.secretKey)
        _ = try await store.put(key, [1], PutOptions())
        // The middle link is moved to another folder: noticed before the next request.
        try DurableFile.makeDirectory(folder["second"])
        try CredentialsTests.write(
            folder["second/credentials"], "[default]\naws_access_key_id=nobody\naws_secret_access_key=other\n")
        #expect(symlink(folder["second"], folder["..new"]) == 0)
        #expect(rename(folder["..new"], folder["..data"]) == 0)
        let swapped = await storageError { _ = try await store.put(key, [2], PutOptions()) }
        #expect(swapped?.code == "InvalidAccessKeyId")
        try await StoreKind.s3().delete(key)
    }

    @Test func aMissingBucket() async throws {
        let store = try StoreKind.s3(bucket: TestServers.randomName("no-bucket"))
        let listing = await storageError { _ = try await store.list(prefix: "", startAfter: nil, limit: 1) }
        #expect(listing?.kind == .noSuchBucket && listing?.isRetryable == true)
        let getting = await storageError { _ = try await store.get("x") }
        #expect(getting?.kind == .noSuchBucket)
        // A PUT is not tried: to an administrator SeaweedFS makes the missing bucket.
    }

    @Test func anObjectOverTheLimit() async throws {
        let store = try StoreKind.s3(maxObjectBytes: 1000)
        let key = TestServers.randomName("limit")
        _ = try await store.put(key, [UInt8](repeating: 1, count: 1001), PutOptions())
        let error = await storageError { _ = try await store.get(key) }
        #expect(error?.kind == .tooLarge && error?.isRetryable == false)
        #expect(try await store.get(key, range: 0..<1000).count == 1000)
        try await store.delete(key)
    }

    @Test func manyAtOnce() async throws {
        let store = try StoreKind.s3()
        let prefix = TestServers.randomName("many")
        try await withThrowingTaskGroup(of: Void.self) { group in
            for number in 0..<64 {
                group.addTask {
                    let body = [UInt8](repeating: UInt8(number), count: 1 + number * 4000)
                    _ = try await store.put("\(prefix)/\(number)", body, PutOptions())
                    #expect(try await store.get("\(prefix)/\(number)") == body)
                    try await store.delete("\(prefix)/\(number)")
                }
            }
            try await group.waitForAll()
        }
    }
}
