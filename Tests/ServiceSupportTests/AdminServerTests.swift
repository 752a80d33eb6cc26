import ServiceSupport
import Testing

@Suite struct AdminServerTests {
    @Test(.timeLimit(.minutes(1))) func answersItsPages() async throws {
        let address = try #require(HostAddress("127.0.0.1:\(Int.random(in: 20_000..<32_000))"))
        let server = AdminServer(
            address: address,
            pages: [
                "/metrics": { .init(contentType: MetricsRegistry.contentType, body: "demo 1\n") },
                "/healthz": { .init(isGood: false, body: "upload fails\n") },
            ])
        let task = Task { try await server.run() }
        var metrics = AdminClient.get(address, path: "/metrics")
        for _ in 0..<100 where metrics == nil {
            try await Task.sleep(for: .milliseconds(20))
            metrics = AdminClient.get(address, path: "/metrics")
        }
        #expect(metrics?.status == 200)
        #expect(metrics?.body == "demo 1\n")
        #expect(AdminClient.get(address, path: "/healthz")?.status == 503)
        #expect(AdminClient.get(address, path: "/other")?.status == 404)
        task.cancel()
        _ = await task.result
        #expect(AdminClient.get(address, path: "/metrics", seconds: 1) == nil)
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
