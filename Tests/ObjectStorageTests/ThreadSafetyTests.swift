import DurableIO
import ObjectStorage
import TestSupport
import Testing

/// Many tasks on one store, for the thread sanitizer.
@Suite(.timeLimit(.minutes(5))) struct StorageThreadSafetyTests {
    /// Requests of every kind at once, some of them cancelled, while the store is the only thing they share.
    @Test(arguments: StoreKind.available)
    func manyTasksShareAStore(kind: StoreKind) async throws {
        let place = try kind.make()
        let bodies = (0..<24).map { number in [UInt8](repeating: UInt8(number), count: 1 + number * 700) }
        let found = try await withThrowingTaskGroup(of: Int.self) { group in
            for (number, body) in bodies.enumerated() {
                group.addTask {
                    let key = "\(place.prefix)k\(number)"
                    _ = try await place.store.put(
                        key, body, PutOptions(ifAbsent: number % 2 == 0, sha256: SHA256.hash(body)))
                    let cancelled = Task { try await place.store.get(key) }
                    cancelled.cancel()
                    _ = await cancelled.result
                    let isSame = try await place.store.get(key) == body
                    let size = try await place.store.head(key)?.size
                    return isSame && size == body.count ? 1 : 0
                }
                group.addTask {
                    _ = try await place.store.list(prefix: place.prefix, startAfter: nil, limit: 7)
                    return 0
                }
            }
            return try await group.reduce(0, +)
        }
        #expect(found == bodies.count)
        let page = try await place.store.list(prefix: place.prefix, startAfter: nil, limit: 1000)
        #expect(page.objects.count == bodies.count)
    }

    /// Stores come and go while their requests are under way: the loop's thread ends after the last of them.
    @Test func storesEndWhileTheirRequestsRun() async throws {
        let server = try ScriptedServer([.delayed(0.02, 200)])
        for round in 0..<30 {
            let store = try FaultTests.store(server.endpoint)
            let requests = (0..<4).map { number in Task { try await store.get("k\(number)") } }
            if round % 2 == 0 { requests[0].cancel() }
            if round % 3 == 0 { for request in requests { request.cancel() } }
            for request in requests { _ = await request.result }
        }
    }

    /// A refused key is forgotten and read again while other requests are signed with it.
    @Test func credentialsChangeUnderRequests() async throws {
        let folder = try ScratchFolder()
        func write(_ secret: String) throws {
            try DurableFile.replace(
                path: folder["credentials"],
                bytes: Array("[default]\naws_access_key_id = A\naws_secret_access_key = \(secret)\n".utf8))
        }
        try write("one")
        let server = try ScriptedServer(
            (0..<10).flatMap { _ in
                [
                    ScriptedServer.Step.answer(200, ["etag": "\"1\""]),
                    .answer(403, [:], FaultTests.errorBody("ExpiredToken")), .answer(200, ["etag": "\"2\""]),
                ]
            })
        let configuration = StoreConfiguration(url: "s3://b", region: "us-east-1", endpoint: server.endpoint)
        let store = try configuration.makeStore(
            environment: Environment(["AWS_SHARED_CREDENTIALS_FILE": folder["credentials"]]))
        let answers = await withTaskGroup(of: Int.self) { group in
            for number in 0..<16 {
                group.addTask { (try? await store.get("k\(number)")) == nil ? 0 : 1 }
                if number % 4 == 0 { try? write("secret\(number)") }
            }
            return await group.reduce(0, +)
        }
        #expect(answers > 0)
    }
}
