import DurableIO
import Glibc
import ObjectStorage
import Synchronization
import TestSupport
import Testing

/// Credentials from the endpoints of containers and machines and from programs, imitated on the loopback.
@Suite(.timeLimit(.minutes(5))) struct ServiceCredentialsTests {
    /// An answer of either endpoint; `end` is an ISO time.
    static func answer(_ id: String, end: String = "2099-01-01T00:00:00Z", secret: String = "S/+=") -> String {
        """
        {"Code": "Success", "Type": "AWS-HMAC", "AccessKeyId": "\(id)", "SecretAccessKey": "\(secret)",
         "Token": "T", "Expiration": "\(end)", "RoleArn": "r"}
        """
    }

    static func provider(
        _ variables: [String: String], endpoint: String? = nil
    ) throws -> any CredentialsProvider {
        let environment = Environment(variables)
        return try CredentialsChain.provider(
            environment: environment, files: SharedFiles(environment: environment), endpoint: endpoint)
    }

    // MARK: Containers

    @Test func aContainersEndpointWithItsTokensFile() async throws {
        let folder = try ScratchFolder()
        try CredentialsTests.write(folder["token"], " first\n")
        let server = try ScriptedServer([.answer(200, [:], Self.answer("C"))])
        let source = try #require(
            try ContainerCredentials(
                environment: Environment([
                    "AWS_CONTAINER_CREDENTIALS_FULL_URI": "\(server.endpoint)/v1/credentials?x=1",
                    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": folder["token"],
                    "AWS_CONTAINER_AUTHORIZATION_TOKEN": "not this one",
                ])))
        let fetched = try await source.fetch()
        #expect(fetched.credentials.accessKeyID == "C" && fetched.credentials.secretAccessKey == "S/+=")
        #expect(fetched.credentials.sessionToken == "T" && fetched.expires_s == 4_070_908_800)
        // The file is replaced while the program runs.
        try CredentialsTests.write(folder["token"], "second")
        _ = try await source.fetch()
        #expect(server.requests.map(\.target) == ["/v1/credentials?x=1", "/v1/credentials?x=1"])
        #expect(server.requests.map { $0.headers["authorization"] } == ["first", "second"])
        for bad in ["", "two\nlines", "a b", "ü"] {
            try CredentialsTests.write(folder["token"], bad)
            let error = await storageError { _ = try await source.fetch() }
            #expect(error?.kind == .configuration && error?.message.contains(folder["token"]) == true, "\(bad)")
        }
        #expect(server.requests.count == 2)
    }

    @Test func theRelativeForm() async throws {
        let server = try ScriptedServer([
            .answer(200, [:], Self.answer("R")), .answer(404, [:], "{\"code\": \"NoRole\"}"),
        ])
        let source = try #require(
            try ContainerCredentials(
                environment: Environment([
                    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/v2/credentials/1-2",
                    "AWS_CONTAINER_AUTHORIZATION_TOKEN": "token",
                ]), agent: server.endpoint))
        #expect(try await source.fetch().credentials.accessKeyID == "R")
        #expect(server.requests[0].target == "/v2/credentials/1-2")
        #expect(server.requests[0].headers["authorization"] == "token")
        let error = await storageError { _ = try await source.fetch() }
        #expect(error?.kind == .credentials && error?.message.contains("NoRole") == true && error?.isRetryable == true)
    }

    @Test(arguments: [
        "http://example.org/x", "http://127.evil.example/x", "http://127.0.0.1@evil.example/x", "ftp://127.0.0.1/x",
        "http://169.254.169.254/x", "http://localhost.evil.example/", "/x",
    ]) func addressesThatCredentialsAreNotFetchedFrom(url: String) {
        let error = #expect(throws: StorageError.self) {
            try ContainerCredentials(environment: Environment(["AWS_CONTAINER_CREDENTIALS_FULL_URI": url]))
        }
        #expect(error?.kind == .configuration)
    }

    @Test(arguments: ["https://example.org/x", "http://127.0.0.2:80/x", "http://[::1]:5/x", "http://169.254.170.23/v1"])
    func addressesThatCredentialsAreFetchedFrom(url: String) throws {
        #expect(try ContainerCredentials(environment: Environment(["AWS_CONTAINER_CREDENTIALS_FULL_URI": url])) != nil)
    }

    // MARK: Machines

    static func machine(_ endpoint: String, _ more: [String: String] = [:]) throws -> InstanceCredentials {
        try InstanceCredentials(
            environment: Environment(more.merging(["AWS_EC2_METADATA_SERVICE_ENDPOINT": endpoint]) { $1 }))
    }

    @Test func aMachinesRole() async throws {
        let server = try ScriptedServer([
            .route { request in
                if request.method == "PUT" { return .answer(200, [:], "the-token") }
                guard request.headers["x-aws-ec2-metadata-token"] == "the-token" else { return .answer(401) }
                let folder = "/latest/meta-data/iam/security-credentials/"
                if request.target == folder { return .answer(200, [:], "my role\nother\n") }
                return request.target == folder + "my%20role"
                    ? .answer(200, [:], Self.answer("I")) : .answer(404)
            }
        ])
        let fetched = try await Self.machine(server.endpoint).fetch()
        #expect(fetched.credentials.accessKeyID == "I" && fetched.expires_s == 4_070_908_800)
        #expect(server.requests.map(\.method) == ["PUT", "GET", "GET"])
        #expect(server.requests[0].target == "/latest/api/token")
        #expect(server.requests[0].headers["x-aws-ec2-metadata-token-ttl-seconds"] == "21600")
    }

    /// Version 1 hands credentials to whoever can make a program send a GET; it is never used.
    @Test(arguments: [403, 404, 405, 400, 500]) func withoutATokenNothingElseIsAsked(status: Int) async throws {
        let server = try ScriptedServer([
            .route { $0.method == "PUT" ? .answer(status) : .answer(200, [:], Self.answer("V1")) }
        ])
        let error = await storageError { _ = try await Self.machine(server.endpoint).fetch() }
        #expect(error?.kind == .credentials && error?.remedy.isEmpty == false)
        #expect(server.requests.map(\.method) == ["PUT"])
    }

    @Test func aTokenThatNeverArrivesBecauseOfTheHopLimit() async throws {
        let server = try ScriptedServer([.silence])
        let machine = try Self.machine(server.endpoint, ["AWS_METADATA_SERVICE_TIMEOUT": "0.3"])
        let error = await storageError { _ = try await machine.fetch() }
        #expect(error?.kind == .timeout && error?.remedy.contains("hop limit") == true)
        #expect(server.requests.map(\.method) == ["PUT"])
    }

    @Test func aMachineWithoutARole() async throws {
        let server = try ScriptedServer([.route { $0.method == "PUT" ? .answer(200, [:], "t") : .answer(404) }])
        let error = await storageError { _ = try await Self.machine(server.endpoint).fetch() }
        #expect(error?.remedy.contains("instance profile") == true)
        let empty = try ScriptedServer([
            .route { $0.method == "PUT" ? .answer(200, [:], "t") : .answer(200, [:], "\n") }
        ])
        let second = await storageError { _ = try await Self.machine(empty.endpoint).fetch() }
        #expect(second?.kind == .credentials && second?.message.contains("no role") == true)
    }

    /// Many requests at once: one question to a dead endpoint, bounded, and not one for each of them.
    @Test func aDeadEndpointCostsSecondsOnce() async throws {
        let server = try ScriptedServer([.silence])
        let provider = try Self.provider([
            "AWS_EC2_METADATA_SERVICE_ENDPOINT": server.endpoint, "AWS_METADATA_SERVICE_TIMEOUT": "0.5",
        ])
        let errors = await withTaskGroup(of: StorageError?.self) { group in
            for _ in 0..<20 { group.addTask { await storageError { _ = try await provider.credentials() } } }
            return await group.reduce(into: []) { $0.append($1) }
        }
        #expect(errors.allSatisfy { $0?.kind == .timeout && $0?.isRetryable == true })
        #expect(errors[0]?.message.contains("AWS_ACCESS_KEY_ID is not set") == true)
        #expect(server.requests.count <= 2)
    }

    @Test func aProxyIsNotAskedForAddressesOfThisHost() async throws {
        // libcurl reads the variable of the process: one of its own.
        await #expect(processExitsWith: .success) {
            let metadata = try ScriptedServer([
                .route { request in
                    if request.method == "PUT" { return .answer(200, [:], "t") }
                    return .answer(200, [:], request.target.hasSuffix("/") ? "r" : ServiceCredentialsTests.answer("P"))
                }
            ])
            // Nobody listens there: whatever went through the proxy would fail.
            setenv("http_proxy", "http://127.0.0.1:\(try ScriptedServer.freePort())", 1)
            let id = try await ServiceCredentialsTests.machine(metadata.endpoint).fetch().credentials.accessKeyID
            let viaProxy = await storageError { _ = try await FaultTests.store(metadata.endpoint).get("k") }
            exit(id == "P" && viaProxy?.kind == .unreachable ? 0 : 1)
        }
    }

    // MARK: Answers

    @Test(arguments: [
        "", "not json", "[]", "{}", #"{"AccessKeyId": "A"}"#, #"{"AccessKeyId": 1, "SecretAccessKey": "hunter2"}"#,
        #"{"AccessKeyId": "A", "SecretAccessKey": "hunter2\nx"}"#,
        #"{"AccessKeyId": "A", "SecretAccessKey": "hunter2", "Expiration": "soon"}"#,
    ]) func answersThatHoldNoCredentials(body: String) async throws {
        let server = try ScriptedServer([.answer(200, [:], body)])
        let source = try #require(
            try ContainerCredentials(
                environment: Environment(["AWS_CONTAINER_CREDENTIALS_FULL_URI": server.endpoint + "/"])))
        let error = await storageError { _ = try await source.fetch() }
        #expect(error?.isRetryable == true)
        #expect(error?.description.contains("hunter2") == false)
    }

    // MARK: Programs

    @Test func aProgramsOutput() async throws {
        let folder = try ScratchFolder()
        func provider(_ command: String) throws -> any CredentialsProvider {
            try CredentialsTests.write(folder["config"], "[default]\ncredential_process = \(command)\n")
            return try Self.provider(["AWS_CONFIG_FILE": folder["config"]])
        }
        try CredentialsTests.write(
            folder["out"],
            #"{"Version": 1, "AccessKeyId": "P", "SecretAccessKey": "S", "SessionToken": "T", "Expiration": "2099-01-01T00:00:00Z"}"#
        )
        let good = try await provider("cat '\(folder["out"])'; echo secret-on-stderr >&2").credentials()
        #expect(good.accessKeyID == "P" && good.sessionToken == "T")
        for (command, words) in [
            ("exit 3", "status 3"), ("echo hunter2", "no JSON"), ("kill -9 $$", "status 137"),
            ("head -c 70000 /dev/zero", "64 KiB"), ("/none/such", "status 127"),
        ] {
            let error = await storageError { _ = try await provider(command).credentials() }
            #expect(error?.message.contains(words) == true, "\(command): \(error?.description ?? "")")
            #expect(error?.description.contains("hunter2") == false && error?.isRetryable == true)
        }
    }

    // MARK: The chain

    /// Each source alone, then with all those that come before it.
    @Test func theOrderIsThatOfAWS() async throws {
        let folder = try ScratchFolder()
        try CredentialsTests.write(
            folder["credentials"], "[default]\naws_access_key_id = F\naws_secret_access_key = S\n")
        try CredentialsTests.write(folder["token"], "identity")
        let service = try ScriptedServer([
            .answer(
                200, [:],
                """
                <AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>W</AccessKeyId>
                <SecretAccessKey>S</SecretAccessKey><SessionToken>T</SessionToken><Expiration>2099-01-01T00:00:00Z</Expiration>
                </Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>
                """)
        ])
        let container = try ScriptedServer([.answer(200, [:], Self.answer("C"))])
        let machine = try ScriptedServer([
            .route {
                $0.method == "PUT"
                    ? .answer(200, [:], "t") : .answer(200, [:], $0.target.hasSuffix("/") ? "r" : Self.answer("I"))
            }
        ])
        let sources: [(id: String, variables: [String: String])] = [
            ("I", ["AWS_EC2_METADATA_SERVICE_ENDPOINT": machine.endpoint]),
            ("C", ["AWS_CONTAINER_CREDENTIALS_FULL_URI": container.endpoint + "/"]),
            ("F", ["AWS_SHARED_CREDENTIALS_FILE": folder["credentials"]]),
            (
                "W",
                [
                    "AWS_WEB_IDENTITY_TOKEN_FILE": folder["token"], "AWS_ROLE_ARN": "arn:role",
                    "AWS_ENDPOINT_URL_STS": service.endpoint,
                ]
            ),
            ("E", ["AWS_ACCESS_KEY_ID": "E", "AWS_SECRET_ACCESS_KEY": "S"]),
        ]
        var all: [String: String] = [:]
        for source in sources {
            #expect(try await Self.provider(source.variables).credentials().accessKeyID == source.id)
            all.merge(source.variables) { $1 }
            #expect(try await Self.provider(all).credentials().accessKeyID == source.id)
        }
        let form = String(decoding: service.requests[0].body, as: UTF8.self)
        #expect(form.contains("WebIdentityToken=identity") && form.contains("RoleArn=arn%3Arole"))
        #expect(service.requests[0].headers["authorization"] == nil)
        // A profile that is asked for and missing is an error, and not a reason to take another identity.
        all = all.filter { !["AWS_ACCESS_KEY_ID", "AWS_WEB_IDENTITY_TOKEN_FILE"].contains($0.key) }
        all["AWS_PROFILE"] = "missing"
        #expect(throws: StorageError.self) { try Self.provider(all) }
    }

    @Test func aMachinesRoleIsNotTriedOnAStoreOfYourOwn() throws {
        let error = #expect(throws: StorageError.self) {
            try Self.provider([:], endpoint: "http://127.0.0.1:9000")
        }
        #expect(error?.message.contains("machine's role") == true)
        #expect(throws: Never.self) { try Self.provider([:], endpoint: "https://s3.eu-west-1.amazonaws.com") }
    }

    // MARK: Roles of profiles

    @Test func chainsOfProfiles() async throws {
        let folder = try ScratchFolder()
        let service = try ScriptedServer([
            .route { request in
                let form = String(decoding: request.body, as: UTF8.self)
                let signer = request.headers["authorization"]?.split(separator: "=")[1].prefix { $0 != "/" } ?? ""
                let role = form.split(separator: "&").first { $0.hasPrefix("RoleArn=") }?.dropFirst(8) ?? ""
                return .answer(
                    200, [:],
                    """
                    <AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>\(signer)-\(role)</AccessKeyId>
                    <SecretAccessKey>S</SecretAccessKey><SessionToken>T</SessionToken></Credentials></AssumeRoleResult>
                    </AssumeRoleResponse>
                    """)
            }
        ])
        try CredentialsTests.write(
            folder["config"],
            """
            [default]
            aws_access_key_id = D
            aws_secret_access_key = S
            [profile one]
            role_arn = r1
            source_profile = default
            external_id = e/1
            [profile two]
            role_arn = r2
            source_profile = one
            [profile self]
            role_arn = r3
            source_profile = self
            aws_access_key_id = X
            aws_secret_access_key = S
            [profile variables]
            role_arn = r4
            credential_source = Environment
            [profile a]
            role_arn = r5
            source_profile = b
            [profile b]
            role_arn = r6
            source_profile = a
            [profile lost]
            role_arn = r7
            source_profile = nowhere
            [profile person]
            role_arn = r8
            source_profile = default
            mfa_serial = m
            """)
        func provider(_ profile: String) throws -> any CredentialsProvider {
            // A profile of the configuration beats keys in the environment.
            let environment = Environment([
                "AWS_CONFIG_FILE": folder["config"], "AWS_ACCESS_KEY_ID": "E", "AWS_SECRET_ACCESS_KEY": "S",
                "AWS_ENDPOINT_URL_STS": service.endpoint,
            ])
            return try CredentialsChain.provider(
                environment: environment, files: SharedFiles(environment: environment, profile: profile))
        }
        #expect(try await provider("one").credentials().accessKeyID == "D-r1")
        #expect(String(decoding: service.requests[0].body, as: UTF8.self).contains("ExternalId=e%2F1"))
        #expect(service.requests[0].headers["authorization"]?.contains("/us-east-1/sts/aws4_request") == true)
        #expect(try await provider("two").credentials().accessKeyID == "D-r1-r2")
        #expect(try await provider("self").credentials().accessKeyID == "X-r3")
        #expect(try await provider("variables").credentials().accessKeyID == "E-r4")
        for (profile, words) in [("a", "its own source_profile"), ("lost", "nowhere"), ("person", "mfa_serial")] {
            let error = #expect(throws: StorageError.self) { try provider(profile) }
            #expect(error?.kind == .configuration && error?.message.contains(words) == true, "\(profile)")
        }
    }
}
