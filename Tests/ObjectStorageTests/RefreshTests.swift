import DurableIO
import ObjectStorage
import Synchronization
import TestSupport
import Testing

/// When temporary credentials are asked for again: by an injected clock.
@Suite struct RefreshTests {
    /// A source that counts, and gives what the test says.
    final class Source: CredentialsSource {
        let name = "the test's source"
        private struct State {
            var fetches = 0
            var life_s: Int64?
            var fails = false
            var now: Int64 = 1_000_000
        }
        private let state = Mutex(State())

        init(life_s: Int64?) { state.withLock { $0.life_s = life_s } }

        var fetches: Int { state.withLock { $0.fetches } }
        var now: Int64 {
            get { state.withLock { $0.now } }
            set { state.withLock { $0.now = newValue } }
        }
        func fail(_ fails: Bool) { state.withLock { $0.fails = fails } }

        func fetch() async throws(StorageError) -> TemporaryCredentials {
            let (number, life_s, fails, now) = state.withLock { state in
                state.fetches += 1
                return (state.fetches, state.life_s, state.fails, state.now)
            }
            if fails { throw StorageError(.server, operation: "fetch", message: "not now") }
            return TemporaryCredentials(
                try Credentials(accessKeyID: "K\(number)", secretAccessKey: "S", source: name),
                expires_s: life_s.map { now + $0 })
        }
    }

    static func make(life_s: Int64?) -> (Source, RefreshingCredentials) {
        let source = Source(life_s: life_s)
        return (source, RefreshingCredentials(source, clock: { source.now }))
    }

    @Test func fiveMinutesBeforeTheyEnd() async throws {
        let (source, provider) = Self.make(life_s: 3600)
        let start = source.now
        for (second, id) in [(0, "K1"), (1, "K1"), (3299, "K1"), (3300, "K2"), (3301, "K2"), (6600, "K3")] {
            source.now = start + Int64(second)
            #expect(try await provider.credentials().accessKeyID == id, "after \(second) s")
        }
    }

    @Test func shortLivesAreHalved() async throws {
        let (source, provider) = Self.make(life_s: 60)
        _ = try await provider.credentials()
        source.now += 29
        #expect(try await provider.credentials().accessKeyID == "K1")
        source.now += 1
        #expect(try await provider.credentials().accessKeyID == "K2")
    }

    @Test func withoutAnEndOnlyARefusalAsksAgain() async throws {
        let (source, provider) = Self.make(life_s: nil)
        let first = try await provider.credentials()
        source.now += 1_000_000
        #expect(try await provider.credentials() == first && source.fetches == 1)
        provider.refused(first, isCertain: true)
        #expect(try await provider.credentials().accessKeyID == "K2")
        // What is refused is old already: a late answer to a request that was signed with it changes nothing.
        provider.refused(first, isCertain: true)
        #expect(try await provider.credentials().accessKeyID == "K2" && source.fetches == 2)
    }

    @Test func aRefusalThatMayMeanSomethingElseCountsAfterFiveMinutes() async throws {
        let (source, provider) = Self.make(life_s: 3600)
        let first = try await provider.credentials()
        for _ in 0..<100 { provider.refused(first, isCertain: false) }
        #expect(try await provider.credentials().accessKeyID == "K1")
        source.now += 300
        provider.refused(first, isCertain: false)
        #expect(try await provider.credentials().accessKeyID == "K2")
    }

    @Test func whileTheSourceFailsTheOldOnesAreUsedAndItIsLeftAlone() async throws {
        let (source, provider) = Self.make(life_s: 3600)
        _ = try await provider.credentials()
        source.fail(true)
        source.now += 3400
        // Not ended yet: good. The failure is not repeated with each request.
        for _ in 0..<50 { #expect(try await provider.credentials().accessKeyID == "K1") }
        #expect(source.fetches == 2)
        // Ended: whether they still do is the store's to say.
        source.now += 1000
        for _ in 0..<50 { #expect(try await provider.credentials().accessKeyID == "K1") }
        #expect(source.fetches == 3)
        source.fail(false)
        source.now += 60
        #expect(try await provider.credentials().accessKeyID == "K4")
    }

    @Test func withoutAnyTheFailureIsToldAndGrowsRarer() async throws {
        let (source, provider) = Self.make(life_s: 3600)
        source.fail(true)
        var attempts: [Int64] = []
        let start = source.now
        for second in 0..<120 {
            source.now = start + Int64(second)
            let before = source.fetches
            let error = await storageError { _ = try await provider.credentials() }
            #expect(error?.kind == .server)
            if source.fetches > before { attempts.append(Int64(second)) }
        }
        #expect(attempts == [0, 1, 3, 7, 15, 31, 61, 91])
        // A clock that is set back does not hold it up.
        source.fail(false)
        source.now = start - 100_000
        #expect(try await provider.credentials().accessKeyID == "K9")
    }

    @Test func aClockThatIsFarAheadDoesNotAskWithEveryRequest() async throws {
        let (source, provider) = Self.make(life_s: -100)
        for _ in 0..<100 { _ = try await provider.credentials() }
        #expect(source.fetches == 1)
        source.now += 5
        _ = try await provider.credentials()
        #expect(source.fetches == 2)
    }

    @Test func manyWhoAskAtOnceShareOneAnswer() async throws {
        let (source, provider) = Self.make(life_s: 3600)
        let ids = try await withThrowingTaskGroup(of: String.self) { group in
            for _ in 0..<100 { group.addTask { try await provider.credentials().accessKeyID } }
            return try await group.reduce(into: Set()) { $0.insert($1) }
        }
        #expect(ids == ["K1"] && source.fetches == 1)
    }

    @Test func aStoreRepeatsWithTheNewOnesAndOnlyThen() async throws {
        let (source, provider) = Self.make(life_s: nil)
        let server = try ScriptedServer([
            .route { request in
                request.headers["authorization"]?.contains("=K2/") == true
                    ? .answer(200, ["etag": "\"1\""]) : .answer(400, [:], FaultTests.errorBody("ExpiredToken"))
            }
        ])
        let store = try FaultTests.store(server.endpoint, credentials: provider)
        _ = try await provider.credentials()
        source.now += 10
        let body = [UInt8](repeating: 3, count: 100_000)
        #expect(try await store.put("k", body, PutOptions()).etag == "1")
        #expect(server.requests.count == 2 && server.requests[1].body == body)
        // Fixed ones stay what they are: one attempt, and the caller decides.
        let fixed = try FaultTests.store(server.endpoint)
        let error = await storageError { _ = try await fixed.put("k", body, PutOptions()) }
        #expect(error?.kind == .credentials && error?.isRetryable == true && server.requests.count == 3)
        #expect(source.fetches == 2)
    }
}
