import DurableIO
import Glibc
import ObjectStorage
import TestSupport
import Testing

/// A TLS server with a certificate of a home-made authority, by the openssl program.
final class TLSServer {
    let endpoint: String
    let authority: String
    let otherAuthority: String
    private let folder: ScratchFolder
    private let process: ChildProcess

    init() throws {
        folder = try ScratchFolder()
        authority = folder["ca.pem"]
        otherAuthority = folder["other.pem"]
        for name in ["ca", "other"] {
            try Self.openssl([
                "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", folder["\(name).key"], "-out",
                folder["\(name).pem"], "-days", "2", "-subj", "/CN=Test authority \(name)",
            ])
        }
        try Self.openssl([
            "req", "-newkey", "rsa:2048", "-nodes", "-keyout", folder["server.key"], "-out", folder["server.csr"],
            "-subj", "/CN=127.0.0.1",
        ])
        try DurableFile.replace(path: folder["names"], bytes: Array("subjectAltName=IP:127.0.0.1".utf8))
        try Self.openssl([
            "x509", "-req", "-in", folder["server.csr"], "-CA", authority, "-CAkey", folder["ca.key"], "-set_serial",
            "1", "-days", "2", "-extfile", folder["names"], "-out", folder["server.pem"],
        ])
        let port = try ScriptedServer.freePort()
        endpoint = "https://127.0.0.1:\(port)"
        process = try ChildProcess(
            "openssl",
            [
                "s_server", "-accept", "127.0.0.1:\(port)", "-cert", folder["server.pem"], "-key", folder["server.key"],
                "-www", "-quiet",
            ], output: folder["output"])
    }

    private static func openssl(_ arguments: [String]) throws {
        let status = try ChildProcess("openssl", arguments).wait()
        try #require(status == 0, "openssl \(arguments[0])")
    }
}

@Suite(.timeLimit(.minutes(5))) struct TLSTests {
    /// The error of a listing: `invalidResponse` once TLS stands, because the server sends a page of its own.
    static func kind(_ endpoint: String, _ change: (inout HTTPSettings) -> Void) async throws -> StorageError.Kind? {
        var http = HTTPSettings()
        change(&http)
        let store = try FaultTests.store(endpoint, http: http)
        for _ in 0..<100 {
            let error = await storageError { _ = try await store.list(prefix: "", startAfter: nil, limit: 1) }
            // Until the server listens.
            if error?.code != "curl 7" { return error?.kind }
            try await Task.sleep(for: .milliseconds(50))
        }
        return nil
    }

    @Test func certificatesAreCheckedUnlessToldOtherwise() async throws {
        let server = try TLSServer()
        #expect(try await Self.kind(server.endpoint) { _ in } == .tls)
        #expect(try await Self.kind(server.endpoint) { $0.caFile = server.otherAuthority } == .tls)
        #expect(try await Self.kind(server.endpoint) { $0.caFile = "/none/such.pem" } == .tls)
        #expect(try await Self.kind(server.endpoint) { $0.caFile = server.authority } == .invalidResponse)
        #expect(try await Self.kind(server.endpoint) { $0.verifyTLS = false } == .invalidResponse)
        // The authority as programs are given it.
        for (variables, file) in [(["AWS_CA_BUNDLE": server.authority], nil), ([:], server.authority)]
            as [(
                [String: String], String?
            )]
        {
            var http = HTTPSettings()
            http.caFile = file
            let store = try StoreConfiguration(url: "s3://b", endpoint: server.endpoint, http: http).makeStore(
                environment: Environment(
                    ["AWS_ACCESS_KEY_ID": "A", "AWS_SECRET_ACCESS_KEY": "B"].merging(variables) { $1 }))
            let error = await storageError { _ = try await store.list(prefix: "", startAfter: nil, limit: 1) }
            #expect(error?.kind == .invalidResponse)
        }
        let otherName = server.endpoint.replacing("127.0.0.1", with: "localhost")
        #expect(try await Self.kind(otherName) { $0.caFile = server.authority } == .tls)
    }
}
