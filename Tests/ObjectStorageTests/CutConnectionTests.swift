import DurableIO
import Glibc
import ObjectStorage
import Synchronization
import TestSupport
import Testing

/// Carries bytes between clients and a real server, and cuts a connection after so many of them in one direction.
final class CuttingProxy: Sendable {
    enum Direction: Sendable, CaseIterable { case toServer, toClient }

    private struct State {
        /// The next connection that carries this many bytes that way is cut.
        var cut: (direction: Direction, bytes: Int)?
        var cuts = 0
    }

    let port: UInt16
    private let listener: Int32
    private let target: UInt16
    private let state = Mutex(State())

    /// How often a connection was cut.
    var cuts: Int { state.withLock { $0.cuts } }

    /// Listens on the loopback before a server on a port of the loopback.
    init(to target: UInt16) throws {
        (listener, port) = try ScriptedServer.listen()
        self.target = target
        let listener = listener
        startThread { [weak self] in
            while true {
                let client = accept(listener, nil, nil)
                guard client >= 0, let self else { break }
                self.carry(client)
            }
            close(listener)
        }
    }

    deinit { shutdown(listener, Int32(SHUT_RDWR)) }

    func cutNext(_ direction: Direction, after bytes: Int) {
        state.withLock { $0.cut = (direction, bytes) }
    }

    private func carry(_ client: Int32) {
        let server = ScriptedServer.connect(to: target)
        guard server >= 0 else {
            close(client)
            return
        }
        let left = Mutex(2)
        for (from, to, direction) in [(client, server, Direction.toServer), (server, client, .toClient)] {
            startThread { [self] in
                pump(from, to, direction)
                let isLast = left.withLock { count in
                    count -= 1
                    return count == 0
                }
                if isLast {
                    close(client)
                    close(server)
                }
            }
        }
    }

    private func pump(_ from: Int32, _ to: Int32, _ direction: Direction) {
        var buffer = [UInt8](repeating: 0, count: 16_384)
        var carried = 0
        while true {
            let count = recv(from, &buffer, buffer.count, 0)
            if count <= 0 { break }
            let allowed = state.withLock { state in
                guard let cut = state.cut, cut.direction == direction, carried + count >= cut.bytes else {
                    return count
                }
                state.cut = nil
                state.cuts += 1
                return cut.bytes - carried
            }
            var sent = 0
            while sent < allowed {
                let step = buffer.withUnsafeBytes {
                    send(to, $0.baseAddress.map { $0 + sent }, allowed - sent, Int32(MSG_NOSIGNAL))
                }
                if step <= 0 { break }
                sent += step
            }
            if sent < count { break }
            carried += count
        }
        // Both ends learn of it at once.
        shutdown(from, Int32(SHUT_RDWR))
        shutdown(to, Int32(SHUT_RDWR))
    }
}

/// Connections to a real server that break in the middle of a body.
@Suite(
    .enabled(if: TestServers.s3 != nil, "set NADI_TEST_S3_ENDPOINT and its kin, or use Tests/run"),
    .timeLimit(.minutes(5)))
struct CutConnectionTests {
    static func make() throws -> (proxy: CuttingProxy, store: S3Store, direct: S3Store) {
        let server = try #require(TestServers.s3)
        let port = try #require(server.endpoint.split(separator: ":").last.flatMap { UInt16($0) })
        let proxy = try CuttingProxy(to: port)
        // The host is signed: the server must see the name that the client used, which the proxy leaves alone.
        let store = try server.store(endpoint: "http://127.0.0.1:\(proxy.port)")
        return (proxy, store, try server.store())
    }

    @Test(arguments: [1, 300, 5000, 1_000_000]) func whileAnObjectIsSent(bytes: Int) async throws {
        let (proxy, store, direct) = try Self.make()
        let key = TestServers.randomName("cut")
        var generator = SeededGenerator(seed: UInt64(bytes))
        let body = generator.bytes(3_000_000)
        proxy.cutNext(.toServer, after: bytes)
        let error = await storageError { _ = try await store.put(key, body, PutOptions(ifAbsent: true)) }
        #expect(error?.isRetryable == true && error?.kind.retry == .soon, "\(error?.description ?? "no error")")
        #expect(proxy.cuts == 1)
        // Whole or not at all.
        #expect(try await direct.head(key) == nil)
        #expect(try await !store.put(key, body, PutOptions(ifAbsent: true)).alreadyExisted)
        #expect(try await direct.get(key) == body)
        try await direct.delete(key)
    }

    @Test(arguments: [1, 16, 20, 60, 100, 150]) func whileTheAnswerToAPutComes(bytes: Int) async throws {
        let (proxy, store, direct) = try Self.make()
        let key = TestServers.randomName("cut")
        proxy.cutNext(.toClient, after: bytes)
        let error = await storageError { _ = try await store.put(key, [1, 2, 3], PutOptions(ifAbsent: true)) }
        #expect(error?.kind.retry == .soon, "\(error?.description ?? "no error")")
        // It was stored, and nobody said so: doing it again changes nothing.
        #expect(try await store.put(key, [1, 2, 3], PutOptions(ifAbsent: true)).alreadyExisted)
        #expect(try await direct.get(key) == [1, 2, 3])
        try await direct.delete(key)
    }

    @Test(arguments: [1, 20, 60, 100, 200, 700, 100_000, 2_999_999]) func whileAnObjectIsRead(bytes: Int) async throws {
        let (proxy, store, direct) = try Self.make()
        let key = TestServers.randomName("cut")
        var generator = SeededGenerator(seed: UInt64(bytes))
        let body = generator.bytes(3_000_000)
        _ = try await direct.put(key, body, PutOptions())
        proxy.cutNext(.toClient, after: bytes)
        let error = await storageError { _ = try await store.get(key) }
        #expect(error?.kind.retry == .soon, "\(error?.description ?? "no error")")
        #expect(try await store.get(key) == body)
        try await direct.delete(key)
    }

    @Test(arguments: [20, 50, 100, 400, 3000]) func whileAListingIsRead(bytes: Int) async throws {
        let (proxy, store, direct) = try Self.make()
        let prefix = TestServers.randomName("cut") + "/"
        for number in 0..<20 { _ = try await direct.put("\(prefix)\(number)", [1], PutOptions()) }
        proxy.cutNext(.toClient, after: bytes)
        let error = await storageError { _ = try await store.list(prefix: prefix, startAfter: nil, limit: 100) }
        #expect(error?.kind.retry == .soon, "\(error?.description ?? "no error")")
        #expect(try await store.list(prefix: prefix, startAfter: nil, limit: 100).objects.count == 20)
        for number in 0..<20 { try await direct.delete("\(prefix)\(number)") }
    }
}
