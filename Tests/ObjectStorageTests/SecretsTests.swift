import DurableIO
import Glibc
import ObjectStorage
import TestSupport
import Testing

/// No secret in what the real program says or shows, at its most talkative, whatever the store answers.
@Suite(.timeLimit(.minutes(5))) struct SecretsTests {
    /// Everything that must not be seen holds this.
    static let mark = "hush"

    /// A store, a token service and a container's endpoint in one, which accepts nothing and repeats what it was given.
    static func server() throws -> ScriptedServer {
        try ScriptedServer([
            .route { request in
                if request.target == "/container" {
                    return .answer(200, [:], ServiceCredentialsTests.answer("C", secret: "hush-container"))
                }
                if request.method == "POST" {
                    return .answer(
                        200, [:],
                        """
                        <R><Credentials><AccessKeyId>W</AccessKeyId><SecretAccessKey>hush-role</SecretAccessKey>
                        <SessionToken>hush-session</SessionToken></Credentials></R>
                        """)
                }
                let token = request.headers["x-amz-security-token"] ?? ""
                return .answer(
                    403, [:],
                    """
                    <Error><Code>SignatureDoesNotMatch</Code><Message>No.</Message><Token-0>\(token)</Token-0>
                    <StringToSign>hush-\(request.headers["authorization"] ?? "")</StringToSign></Error>
                    """)
            }
        ])
    }

    enum Source: String, CaseIterable, Sendable {
        case environment, file, container, webIdentity, process

        func prepare(_ folder: ScratchFolder, _ endpoint: String) throws -> [String: String] {
            switch self {
            case .environment:
                return [
                    "AWS_ACCESS_KEY_ID": "E", "AWS_SECRET_ACCESS_KEY": "hush-secret",
                    "AWS_SESSION_TOKEN": "hush-token",
                ]
            case .file:
                try CredentialsTests.write(
                    folder["credentials"],
                    "[default]\naws_access_key_id=F\naws_secret_access_key=hush-file\naws_session_token=hush-token\n")
                return ["AWS_SHARED_CREDENTIALS_FILE": folder["credentials"]]
            case .container:
                return [
                    "AWS_CONTAINER_CREDENTIALS_FULL_URI": "\(endpoint)/container",
                    "AWS_CONTAINER_AUTHORIZATION_TOKEN": "hush-authorization",
                ]
            case .webIdentity:
                try CredentialsTests.write(folder["token"], "hush-identity")
                return ["AWS_WEB_IDENTITY_TOKEN_FILE": folder["token"], "AWS_ROLE_ARN": "arn:role"]
            case .process:
                try CredentialsTests.write(
                    folder["out"], #"{"Version": 1, "AccessKeyId": "P", "SecretAccessKey": "hush-process"}"#)
                try CredentialsTests.write(
                    folder["config"],
                    "[default]\ncredential_process = sh -c 'echo hush-stderr >&2; cat \"\(folder["out"])\"'\n")
                return ["AWS_CONFIG_FILE": folder["config"]]
            }
        }
    }

    @Test(arguments: Source.allCases) func nothingIsSeenOfThem(source: Source) async throws {
        let server = try Self.server()
        let folder = try ScratchFolder()
        try DurableFile.makeDirectory(folder["spool"])
        try DurableFile.makeDirectory(folder["state"])
        try CredentialsTests.write(
            folder["shipper.yaml"],
            """
            host: testhost
            spool: \(folder["spool"])
            state: \(folder["state"])
            store: {url: "s3://bucket/p", endpoint: "\(server.endpoint)"}
            report_every: 500ms
            stop_within: 2s
            streams: []
            admin: off
            log_level: trace
            """)
        var environment = try source.prepare(folder, server.endpoint)
        // Whatever the tests' host has of its own stays out of it.
        environment["HOME"] = folder["nobody"]
        let variables = environment.map { "\($0.key)=\($0.value)" }
        let program = BuiltPrograms.debug("nadi-shipper")
        let check = try ChildProcess(
            "env", variables + [program, "check", "--config", folder["shipper.yaml"]], output: folder["log"])
        #expect(try await check.end() != 0)
        let daemon = try ChildProcess(
            "env", variables + [program, "run", "--config", folder["shipper.yaml"]], output: folder["log"])
        let before = server.requests.count
        for _ in 0..<500 where server.requests.count < before + 6 { try await Task.sleep(for: .milliseconds(20)) }
        let arguments = String(decoding: try DurableFile.read(path: "/proc/\(daemon.processID)/cmdline"), as: UTF8.self)
        daemon.send(SIGTERM)
        _ = try await daemon.end()
        let log = String(decoding: try DurableFile.read(path: folder["log"]), as: UTF8.self)
        // It did sign with what must not be seen, and complained.
        let signed = server.requests.filter { $0.headers["authorization"]?.contains("AWS4-HMAC-SHA256") == true }
        #expect(signed.count >= 2)
        #expect(log.contains("SignatureDoesNotMatch"))
        #expect(!log.contains(Self.mark) && !log.contains("Signature=") && !log.contains("AWS4-HMAC"))
        #expect(arguments.contains("nadi-shipper") && !arguments.contains(Self.mark))
    }
}
