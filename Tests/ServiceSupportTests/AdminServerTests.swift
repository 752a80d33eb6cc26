import ServiceSupport
import Testing

@Suite struct AdminServerTests {
    @Test(.timeLimit(.minutes(5))) func answersItsPages() async throws {
        let address = try #require(HostAddress("127.0.0.1:\(Int.random(in: 20_000..<32_000))"))
        let server = AdminServer(
            address: address,
            pages: [
                "/metrics": { .init(contentType: MetricsRegistry.contentType, body: "demo 1\n") },
                "/healthz": { .init(isGood: false, body: "upload fails\n") },
            ])
        let task = Task { try await server.run() }
        var metrics = await get(address, "/metrics")
        for _ in 0..<100 where metrics == nil {
            try await Task.sleep(for: .milliseconds(20))
            metrics = await get(address, "/metrics")
        }
        #expect(metrics?.status == 200)
        #expect(metrics?.body == "demo 1\n")
        let health = await get(address, "/healthz")
        #expect(health?.status == 503)
        let other = await get(address, "/other")
        #expect(other?.status == 404)
        task.cancel()
        _ = await task.result
        #expect(AdminClient.get(address, path: "/metrics", seconds: 1) == nil)
    }

    /// Asks on a thread of its own: the server needs those that tasks share.
    private func get(_ address: HostAddress, _ path: String) async -> (status: Int, body: String)? {
        await withCheckedContinuation { continuation in
            DetachedThread.start {
                let answer = AdminClient.get(address, path: path, seconds: 20)
                continuation.resume(returning: answer.map { ($0.status, $0.body) })
            }
        }
    }

    @Test func readsAddresses() {
        #expect(HostAddress("127.0.0.1:9464")?.isLoopback == true)
        #expect(HostAddress("[::1]:9464")?.host == "::1")
        #expect(HostAddress(":80")?.isLoopback == false)
        #expect(HostAddress("localhost:80")?.host == "127.0.0.1")
        for text in ["127.0.0.1", "example.com:80", "1.2.3:80", "::1:80", "127.0.0.1:99999"] {
            #expect(HostAddress(text) == nil)
        }
    }
}
