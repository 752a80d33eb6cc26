import DurableIO
import Glibc
import ObjectStorage
import TestSupport
import Testing

/// A SeaweedFS for one suite, with what the tests' common one lacks: names below `s3.localhost`, a token service with a
/// role, a key service.
struct OwnServer: Sendable {
    let admin: TestServers.S3
    /// May write and list, and not read.
    let shipper: TestServers.S3
    let folder: String
    /// Whose tokens the token service believes.
    let identityProvider: IdentityProvider

    /// The server of the suite that runs.
    @TaskLocal static var current: OwnServer?

    static let role = "arn:aws:iam::000000000000:role/Nadi"

    static func required() throws -> OwnServer { try #require(current, "the suite has the trait .ownServer") }
}

extension Trait where Self == OwnServerTrait {
    /// Starts a server of its own for a suite, through `deploy/servers`.
    static var ownServer: Self { OwnServerTrait() }
}

struct OwnServerTrait: SuiteTrait, TestScoping {
    func provideScope(
        for test: Test, testCase: Test.Case?, performing function: @Sendable () async throws -> Void
    ) async throws {
        let folder = try ScratchFolder()
        let provider = try IdentityProvider()
        try DurableFile.replace(path: folder["iam.json"], bytes: Array(Self.roles(provider.endpoint).utf8))
        let values = try await Self.run(
            ["start", "seaweedfs", folder.path, "0", "own"], in: folder,
            [
                "SEAWEEDFS_OPTIONS": "-s3.domainName=s3.localhost -s3.iam.config=\(folder["iam.json"])",
                "SEAWEEDFS_KMS": "1",
            ])
        func server(_ name: String) throws -> TestServers.S3 {
            TestServers.S3(
                endpoint: try #require(values["S3_ENDPOINT"]), accessKey: try #require(values["\(name)ACCESS_KEY"]),
                secretKey: try #require(values["\(name)SECRET_KEY"]), bucket: "own")
        }
        let own = OwnServer(
            admin: try server("S3_"), shipper: try server("S3_SHIPPER_"), folder: folder.path,
            identityProvider: provider)
        do {
            try await OwnServer.$current.withValue(own) { try await function() }
        } catch {
            _ = try await Self.run(["stop", folder.path], in: folder, [:])
            throw error
        }
        _ = try await Self.run(["stop", folder.path], in: folder, [:])
    }

    /// Runs `deploy/servers` and gives the values that it printed.
    private static func run(
        _ arguments: [String], in folder: ScratchFolder, _ added: [String: String]
    ) async throws -> [String: String] {
        let root = DurableFile.folder(of: DurableFile.folder(of: DurableFile.folder(of: #filePath)))
        let output = folder[TestServers.randomName("answer")]
        var environment = added
        if let venv = TestServers.variable("NADI_VENV") { environment["NADI_VENV"] = venv }
        let child = try ChildProcess("\(root)/deploy/servers", arguments, environment: environment, output: output)
        let status = try await child.end()
        let text = String(decoding: try DurableFile.read(path: output), as: UTF8.self)
        try #require(status == 0, "deploy/servers: \(text)")
        var values: [String: String] = [:]
        for line in text.split(separator: "\n") {
            let parts = line.split(separator: "=", maxSplits: 1)
            if parts.count == 2 { values[String(parts[0])] = String(parts[1]) }
        }
        return values
    }

    private static func roles(_ issuer: String) -> String {
        """
        {"sts": {"tokenDuration": "1h", "maxSessionLength": "12h", "issuer": "nadi-tests",
                 "signingKey": "dGVzdC1zaWduaW5nLWtleS0zMi1jaGFyYWN0ZXJzLWxvbmc="},
         "providers": [{"name": "tests", "type": "oidc", "enabled": true,
                        "config": {"issuer": "\(issuer)", "clientId": "sts.amazonaws.com", "jwksUri": "\(issuer)/keys"}}],
         "policy": {"defaultEffect": "Deny", "storeType": "memory"},
         "roles": [{"roleName": "Nadi", "roleArn": "\(OwnServer.role)",
           "trustPolicy": {"Version": "2012-10-17", "Statement": [
              {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": ["sts:AssumeRole"]},
              {"Effect": "Allow", "Principal": {"Federated": "*"}, "Action": ["sts:AssumeRoleWithWebIdentity"]}]},
           "attachedPolicies": ["All"]}],
         "policies": [{"name": "All", "document": {"Version": "2012-10-17", "Statement": [
           {"Effect": "Allow", "Action": ["s3:*", "sts:ValidateSession"], "Resource": "*"}]}}]}
        """
    }
}

/// An issuer of identity tokens (OpenID Connect) on the loopback: its key by the openssl program.
final class IdentityProvider: Sendable {
    let endpoint: String
    private let folder: ScratchFolder
    private let server: ScriptedServer

    init() throws {
        folder = try ScratchFolder()
        try Self.openssl(["genrsa", "-out", folder["key.pem"], "2048"])
        try Self.openssl(["rsa", "-in", folder["key.pem"], "-noout", "-modulus"], output: folder["modulus"])
        let text = String(decoding: try DurableFile.read(path: folder["modulus"]), as: UTF8.self)
        let line = try #require(text.split(separator: "\n").last { $0.hasPrefix("Modulus=") })
        let modulus = try #require(bytes(hex: line.dropFirst(8).lowercased()))
        let keys = """
            {"keys": [{"kty": "RSA", "alg": "RS256", "use": "sig", "kid": "1", "e": "AQAB", "n": "\(Self.base64URL(modulus))"}]}
            """
        server = try ScriptedServer([
            .route { request in
                request.target == "/keys"
                    ? .answer(200, ["content-type": "application/json"], keys)
                    : .answer(
                        200, ["content-type": "application/json"],
                        """
                        {"issuer": "http://\(request.headers["host"] ?? "")", "jwks_uri": "http://\(request.headers["host"] ?? "")/keys"}
                        """)
            }
        ])
        endpoint = server.endpoint
    }

    /// A signed token that is good for `life_s` seconds from now.
    func token(life_s: Int) throws -> String {
        let now = time(nil)
        let header = Self.base64URL(Array(#"{"alg":"RS256","typ":"JWT","kid":"1"}"#.utf8))
        let claims = Self.base64URL(
            Array(
                """
                {"iss":"\(endpoint)","sub":"system:serviceaccount:tests:nadi","aud":"sts.amazonaws.com",\
                "iat":\(now - 60),"exp":\(now + life_s)}
                """.utf8))
        let name = TestServers.randomName("token")
        try DurableFile.replace(path: folder[name], bytes: Array("\(header).\(claims)".utf8))
        try Self.openssl(["dgst", "-sha256", "-sign", folder["key.pem"], "-out", folder["\(name).sig"], folder[name]])
        return "\(header).\(claims).\(Self.base64URL(try DurableFile.read(path: folder["\(name).sig"])))"
    }

    private static func base64URL(_ bytes: [UInt8]) -> String {
        base64(bytes).replacing("+", with: "-").replacing("/", with: "_").replacing("=", with: "")
    }

    private static func openssl(_ arguments: [String], output: String? = nil) throws {
        let status = try ChildProcess("openssl", arguments, output: output).wait()
        try #require(status == 0, "openssl \(arguments[0])")
    }
}
