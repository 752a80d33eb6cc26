import DurableIO
import ObjectStorage
import TestSupport
import Testing

@Suite struct CredentialsTests {
    static func write(_ path: String, _ text: String) throws {
        try DurableFile.replace(path: path, bytes: Array(text.utf8))
    }

    @Test func secretsAreTrimmedCheckedAndHidden() throws {
        let credentials = try Credentials(
            accessKeyID: " id\n", secretAccessKey: "\tse/cr+et=\r\n", sessionToken: " ", source: "the test")
        #expect(credentials.accessKeyID == "id" && credentials.secretAccessKey == "se/cr+et=")
        #expect(credentials.sessionToken == nil)
        var dumped = ""
        dump(credentials, to: &dumped)
        for text in ["\(credentials)", String(reflecting: credentials), dumped, "\([credentials])"] {
            #expect(!text.contains("se/cr") && !text.contains("id\""))
        }
        for bad in ["", "a b", "a\nb", "ü"] {
            let error = #expect(throws: StorageError.self) {
                try Credentials(accessKeyID: "id", secretAccessKey: bad, source: "file x")
            }
            #expect(error?.kind == .configuration && error?.message.contains("secret access key from file x") == true)
            #expect(bad.isEmpty || error?.description.contains(bad) == false)
        }
    }

    @Test func theEnvironmentComesFirst() async throws {
        let folder = try ScratchFolder()
        try Self.write(folder["credentials"], "[default]\naws_access_key_id = F\naws_secret_access_key = G\n")
        let both = Environment([
            "AWS_ACCESS_KEY_ID": "E", "AWS_SECRET_ACCESS_KEY": "S", "AWS_SESSION_TOKEN": "T",
            "AWS_SHARED_CREDENTIALS_FILE": folder["credentials"],
        ])
        let first = try CredentialsChain.provider(environment: both, files: SharedFiles(environment: both))
        #expect(try await first.credentials().accessKeyID == "E")
        #expect(try await first.credentials().sessionToken == "T")
        let named = SharedFiles(environment: both, credentialsPath: folder["credentials"])
        let second = try CredentialsChain.provider(environment: both, files: named)
        #expect(try await second.credentials().accessKeyID == "F")
        let half = Environment(["AWS_ACCESS_KEY_ID": "E"])
        #expect(throws: StorageError.self) {
            try CredentialsChain.provider(environment: half, files: SharedFiles(environment: half))
        }
        let none = Environment(["HOME": folder["nobody"], "AWS_EC2_METADATA_DISABLED": "true"])
        let error = #expect(throws: StorageError.self) {
            try CredentialsChain.provider(environment: none, files: SharedFiles(environment: none))
        }
        #expect(error?.kind == .configuration && error?.message.contains(".aws/credentials") == true)
    }

    @Test func profiles() async throws {
        let folder = try ScratchFolder()
        try Self.write(
            folder["credentials"],
            """
            # a comment
            [default]
            aws_access_key_id=D
            aws_secret_access_key=DS

            [ other ]
            aws_access_key_id = O
            aws_secret_access_key = OS=/+
            aws_session_token = OT
            """)
        try Self.write(
            folder["config"],
            """
            [profile other]
            region = eu-west-2
            s3 =
              addressing_style = path
              endpoint_url = http://127.0.0.1:9
            [profile role]
            role_arn = arn:aws:iam::1:role/x
            [profile person]
            sso_session = x
            """)
        let variables = ["AWS_SHARED_CREDENTIALS_FILE": folder["credentials"], "AWS_CONFIG_FILE": folder["config"]]
        func provider(_ profile: String) throws -> any CredentialsProvider {
            var variables = variables
            variables["AWS_PROFILE"] = profile
            let environment = Environment(variables)
            return try CredentialsChain.provider(
                environment: environment, files: SharedFiles(environment: environment))
        }
        #expect(try await provider("default").credentials().accessKeyID == "D")
        let other = try await provider("other").credentials()
        #expect(other.accessKeyID == "O" && other.secretAccessKey == "OS=/+" && other.sessionToken == "OT")
        let role = #expect(throws: StorageError.self) { try provider("role") }
        #expect(role?.message.contains("nothing to take the role on with") == true)
        let person = #expect(throws: StorageError.self) { try provider("person") }
        #expect(person?.message.contains("sso_session") == true)
        let missing = #expect(throws: StorageError.self) { try provider("missing") }
        #expect(missing?.message.contains("profile missing") == true)
    }

    @Test func filesAreReadAgainWhenTheyChange() async throws {
        let folder = try ScratchFolder()
        let path = folder["credentials"]
        try Self.write(path, "[default]\naws_access_key_id=A\naws_secret_access_key=one\n")
        let files = SharedFiles(environment: Environment([:]), credentialsPath: path)
        let provider = try CredentialsChain.provider(environment: Environment([:]), files: files)
        let first = try await provider.credentials()
        #expect(first.secretAccessKey == "one")
        try Self.write(path, "[default]\naws_access_key_id=A\naws_secret_access_key=other\n")
        #expect(try await provider.credentials().secretAccessKey == "other")
        provider.refused(first, isCertain: true)
        #expect(try await provider.credentials().secretAccessKey == "other")
        try DurableFile.remove(path: path)
        await #expect(throws: StorageError.self) { try await provider.credentials() }
    }

    @Test func aHomeThatCannotBeReadIsNoFaultUnlessItIsNamed() async throws {
        // A file where the folder should be: this cannot be read by anybody, not even by root.
        let folder = try ScratchFolder()
        try Self.write(folder["home"], "")
        let variables = Environment(["HOME": folder["home"], "AWS_ACCESS_KEY_ID": "A", "AWS_SECRET_ACCESS_KEY": "B"])
        _ = try StoreConfiguration(url: "s3://b", endpoint: "http://127.0.0.1:1").makeStore(environment: variables)
        let named = StoreConfiguration(
            url: "s3://b", endpoint: "http://127.0.0.1:1", credentialsFile: folder["home/credentials"])
        let error = #expect(throws: StorageError.self) { try named.makeStore(environment: variables) }
        #expect(error?.kind == .configuration && error?.code == "errno 20")
    }

    @Test func aRefusalMakesTheStoreReadThemAgain() async throws {
        final class Provider: CredentialsProvider {
            let name = "the test"
            let calls: AsyncStream<String>.Continuation
            init(_ calls: AsyncStream<String>.Continuation) { self.calls = calls }
            func credentials() async throws(StorageError) -> Credentials {
                try Credentials(accessKeyID: "A", secretAccessKey: "B", sessionToken: "T", source: name)
            }
            func refused(_ credentials: Credentials, isCertain: Bool) {
                calls.yield("\(credentials.accessKeyID) \(isCertain)")
            }
        }
        let (stream, continuation) = AsyncStream<String>.makeStream()
        let server = try ScriptedServer([
            .answer(400, [:], FaultTests.errorBody("ExpiredToken")), .answer(400), .answer(403), .answer(404),
        ])
        let store = try FaultTests.store(server.endpoint, credentials: Provider(continuation))
        let error = await storageError { _ = try await store.put("k", [1], PutOptions()) }
        // The answer to a HEAD cannot say why: 400 is most likely the token, 403 may be the role's rights.
        _ = await storageError { _ = try await store.head("k") }
        _ = await storageError { _ = try await store.head("k") }
        _ = await storageError { _ = try await store.get("k") }
        continuation.finish()
        #expect(error?.kind == .credentials && error?.isRetryable == true)
        #expect(await stream.reduce(into: []) { $0.append($1) } == ["A true", "A true", "A false"])
        #expect(server.requests[0].headers["x-amz-security-token"] == "T")
        #expect(server.requests[0].headers["authorization"]?.contains("x-amz-security-token") == true)
    }
}
