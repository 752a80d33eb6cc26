import ObjectStorage
import TestSupport
import Testing

/// What only a real server can show.
@Suite(.enabled(if: TestServers.s3 != nil, "set NADI_TEST_S3_ENDPOINT and its kin, or use Tests/run"))
struct RealServerTests {
    @Test func aWrongSecret() async throws {
        let store = try StoreKind.s3(secret: "wrong")
        let error = await storageError { _ = try await store.put("x", [1], PutOptions()) }
        #expect(error?.kind == .credentials && error?.status == 403 && error?.code == "SignatureDoesNotMatch")
        #expect(error?.isRetryable == true)
        #expect(error?.remedy == "check the access key, its secret and, for temporary ones, their expiry")
    }

    @Test func anUnknownKey() async throws {
        let store = try StoreKind.s3(accessKey: "nobody")
        let error = await storageError { _ = try await store.list(prefix: "", startAfter: nil, limit: 1) }
        #expect(error?.kind == .credentials && error?.code == "InvalidAccessKeyId")
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
