import DurableIO
import EventModel
import EventSegments
import Glibc
import ObjectStorage
import ServiceSupport
import TestSupport
import Testing

/// Faults that operators meet, each seeded on the real parts: `check` names each in one line with evidence and mend.
@Suite(.serialized, .timeLimit(.minutes(5)))
struct ShipperCheckTests {
    private static let s3Only = "set NADI_TEST_S3_ENDPOINT and its kin, or use Tests/run"

    /// The finding `name` as check tells it to programs, with the line it tells to people.
    private func check(
        _ program: ShipperProgram, as user: UInt32? = nil, environment: [String] = [], status: Int32 = 1
    ) throws -> [String: (verdict: String, text: String, mend: String)] {
        let before = program.log.utf8.count
        #expect(try program.start("check", as: user, environment: environment).wait() == status, "\(program.log)")
        let lines = program.log.utf8.dropFirst(before).split(separator: 10).map { String(decoding: $0, as: UTF8.self) }
        var findings: [String: (verdict: String, text: String, mend: String)] = [:]
        let start = program.log.utf8.count
        #expect(try program.start("check", "--json", as: user, environment: environment).wait() == status)
        for line in program.log.utf8.dropFirst(start).split(separator: 10) {
            let value = try #require(JSONValue.parse(prefixOf: Array(line)), "\(String(decoding: line, as: UTF8.self))")
            let name = try #require(value["name"]?.string)
            let verdict = try #require(value["verdict"]?.string)
            findings[name] = (verdict, value["text"]?.string ?? "", value["mend"]?.string ?? "")
            if verdict == "fault" {
                // One line, that begins with the fault and ends with the mend.
                #expect(
                    lines.contains {
                        $0.hasPrefix("FAULT  \(name): ") && $0.hasSuffix(value["mend"]?.string ?? "")
                    }, "\(name): \(lines)")
            }
        }
        return findings
    }

    private func expect(
        _ name: String, _ evidence: String, _ mend: String, verdict: String = "fault",
        in findings: [String: (verdict: String, text: String, mend: String)]
    ) {
        let found = findings[name]
        #expect(found?.verdict == verdict, "\(name) in \(findings)")
        #expect(found?.text.contains(evidence) == true, "\(String(describing: found))")
        #expect(found?.mend.contains(mend) == true, "\(String(describing: found))")
    }

    private func rewrite(_ program: ShipperProgram, _ old: String, _ new: String) throws {
        let text = String(decoding: try DurableFile.read(path: program.folder["shipper.yaml"]), as: UTF8.self)
        try #require(text.contains(old))
        try DurableFile.replace(path: program.folder["shipper.yaml"], bytes: Array(text.replacing(old, with: new).utf8))
    }

    @Test func aHealthyOneSaysThatAllIsWell() throws {
        let program = try ShipperProgram(more: "admin: off")
        try program.writeSegments(2)
        let findings = try check(program, status: 0)
        #expect(!findings.values.contains { $0.verdict == "fault" })
        #expect(program.log.contains("\nall is well"))
    }

    // MARK: This host

    @Test func anUnknownKeyOfTheConfiguration() throws {
        let program = try ShipperProgram(more: "admin: off\nspoool: /x")
        let findings = try check(program, status: EX_CONFIG)
        expect("configuration", "unknown key 'spoool' in 'shipper'; known keys: host, ", "", in: findings)
    }

    @Test(arguments: ["localhost", "unknown"]) func aHostNameThatOthersHaveToo(name: String) throws {
        let program = try ShipperProgram(more: "admin: off")
        try rewrite(program, "host: testhost", "host: \(name)")
        expect("host_name", "'\(name)'", "set 'host'", in: try check(program))
    }

    @Test func aSpoolThatIsMissing() throws {
        let program = try ShipperProgram(more: "admin: off")
        rmdir(program.folder["spool"])
        expect("spool_missing", program.folder["spool"], "install -d -m 2770", in: try check(program))
    }

    @Test(.enabled(if: geteuid() == 0, "only root can be another user"))
    func aSpoolThatMayNotBeWrittenTo() throws {
        let program = try ShipperProgram(more: "admin: off")
        chmod(program.folder["spool"], 0o755)
        let findings = try check(program, as: 65_534)
        expect("spool_not_writable", "its mode is 0755, its owner 0", "chmod 2770", in: findings)
    }

    @Test(.enabled(if: FullDisk.canMount, "needs the right to mount a tmpfs"))
    func aDiskThatIsNearlyFull() throws {
        let program = try ShipperProgram(more: "admin: off")
        let disk = try FullDisk(on: program.folder["spool"], options: "size=8m")
        defer { disk.remove() }
        try program.writeSegments(1)
        try disk.fill()
        let findings = try check(program)
        expect("disk_full", "free of 8", "free space there", in: findings)
        expect("spool_volatile", "tmpfs", "use a disk that stays", verdict: "note", in: findings)
    }

    @Test(.enabled(if: FullDisk.canMount, "needs the right to mount a tmpfs"))
    func inodesThatRunOut() throws {
        let program = try ShipperProgram(more: "admin: off")
        let disk = try FullDisk(on: program.folder["spool"], options: "size=100m,nr_inodes=30")
        defer { disk.remove() }
        expect("inodes", "free inodes of 30", "remove small files", in: try check(program))
    }

    @Test(.enabled(if: geteuid() == 0, "only root can be another user"))
    func aSegmentThatCannotBeRead() throws {
        let program = try ShipperProgram(more: "admin: off")
        try program.writeSegments(2)
        chmod(program.folder["spool"], 0o777)
        let name = try #require(try program.waiting().first)
        chmod(program.folder["spool/\(name)"], 0)
        expect("segment_unreadable", "such as \(name)", "share a group", in: try check(program, as: 65_534))
    }

    @Test func aLinkInTheSpool() throws {
        let program = try ShipperProgram(more: "admin: off")
        try program.writeSegments(1)
        let name = try #require(try program.waiting().first)
        try #require(rename(program.folder["spool/\(name)"], program.folder[name]) == 0)
        try #require(symlink(program.folder[name], program.folder["spool/\(name)"]) == 0)
        expect("spool_link", "such as \(name)", "move the file itself", in: try check(program))
    }

    @Test func aLockFileWithoutCounts() throws {
        let program = try ShipperProgram(more: "admin: off")
        let path = program.folder["spool/testhost-0192f0c1a2b37c4d8e9f00112233445a.lock"]
        try DurableFile.replace(path: path, bytes: [UInt8](repeating: 0, count: 4096))
        var times = [timespec(tv_sec: 1_700_000_000, tv_nsec: 0), timespec(tv_sec: 1_700_000_000, tv_nsec: 0)]
        utimensat(AT_FDCWD, path, &times, 0)
        let findings = try check(program)
        expect("lock_corrupt", "such as testhost-0192f0c1a2b37c4d", "leave the file", in: findings)
        expect("writers_dead", "died", "the shipper ends them", verdict: "note", in: findings)
    }

    @Test func anotherShipperOnTheSpool() async throws {
        let program = try ShipperProgram(more: "admin: off")
        let running = try program.start("run")
        #expect(try await eventually { program.log.contains("shipping") })
        try rewrite(program, "admin: off", "admin: 127.0.0.1:\(Int.random(in: 20_000..<32_000))")
        expect("spool_taken", "does not answer for host testhost", "stop the other one", in: try check(program))
        running.send(SIGKILL)
        _ = running.wait()
        #expect(try check(program, status: 0)["spool_taken"] == nil)
    }

    @Test(.enabled(if: geteuid() == 0, "only root can be another user"))
    func aStateThatCannotBeWritten() throws {
        let program = try ShipperProgram(more: "admin: off\nstreams: [{name: app, paths: [/var/log/none/app.log*]}]")
        chmod(program.folder["spool"], 0o777)
        chmod(program.folder["store"], 0o777)
        chmod(program.folder["state"], 0o755)
        expect("state_not_writable", "its mode is 0755", "chmod 2770", in: try check(program, as: 65_534))
    }

    @Test func aLiveLogThatWasCutInPlace() async throws {
        let logs = try ScratchFolder()
        let program = try ShipperProgram(
            more: "admin: off\nstreams: [{name: app, paths: [\"\(logs.path)/app.log*\"], quiet: 100ms}]")
        try DurableFile.replace(path: logs["app.log"], bytes: Array("{\"a\":1}\n{\"a\":2}\n".utf8))
        let found = try check(program, status: 0)
        expect("stream_live", "such as \(logs["app.log"])", "match the rotated files", verdict: "note", in: found)
        let running = try program.start("run")
        #expect(try await eventually { program.log.contains("shipping") })
        // As logrotate's copytruncate does: a copy, then the file is emptied.
        for round in 0..<40 where !program.log.contains("copytruncate is refused") {
            try await Task.sleep(for: .milliseconds(500))
            let descriptor = open(logs["app.log"], O_WRONLY | O_APPEND)
            if round % 2 == 0 { ftruncate(descriptor, 0) } else { _ = write(descriptor, "{\"a\":3}\n{\"a\":4}\n", 16) }
            close(descriptor)
        }
        running.send(SIGTERM)
        #expect(running.wait() == 0)
        expect("stream_truncated", "\(logs["app.log"]) was cut in place", "'create'", in: try check(program))
    }

    // MARK: The way to the store

    private func remote(_ endpoint: String? = nil, bucket: String? = nil, more: String = "") throws -> ShipperProgram {
        let s3 = try #require(TestServers.s3)
        let program = try ShipperProgram(s3: s3, endpoint: endpoint, more: "admin: off\n\(more)")
        if let bucket { try rewrite(program, "s3://\(s3.bucket)/", "s3://\(bucket)/") }
        return program
    }

    @Test(.enabled(if: TestServers.s3 != nil, Comment(rawValue: s3Only))) func anEndpointWhereNobodyListens() throws {
        let program = try remote("http://127.0.0.1:1")
        expect("unreachable", "curl 7", "check the endpoint, the network", in: try check(program))
    }

    @Test(.enabled(if: TestServers.s3 != nil, Comment(rawValue: s3Only))) func aNameThatNobodyKnows() throws {
        let program = try remote("http://store.invalid:9000")
        expect("dns", "curl 6", "resolv.conf", in: try check(program))
    }

    @Test(.enabled(if: TestServers.s3 != nil, Comment(rawValue: s3Only)))
    func aCertificateThatIsNotTrusted() async throws {
        let folder = try ScratchFolder()
        let made = try ChildProcess(
            "openssl",
            [
                "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", folder["key"], "-out", folder["pem"],
                "-days", "2", "-subj", "/CN=127.0.0.1",
            ])
        try #require(made.wait() == 0)
        let port = Int.random(in: 20_000..<32_000)
        let server = try ChildProcess(
            "openssl",
            [
                "s_server", "-accept", "127.0.0.1:\(port)", "-cert", folder["pem"], "-key", folder["key"], "-www",
                "-quiet",
            ])
        defer { server.send(SIGKILL) }
        let program = try remote("https://127.0.0.1:\(port)")
        #expect(
            try await eventually { try program.start("check").wait() == 1 && program.log.contains("FAULT  tls: ") },
            "\(program.log)")
        expect("tls", "certificate", "ca_bundle", in: try check(program))
    }

    @Test(.enabled(if: TestServers.s3 != nil, Comment(rawValue: s3Only))) func aKeyThatTheStoreDoesNotKnow() throws {
        let program = try remote()
        let findings = try check(program, environment: ["AWS_ACCESS_KEY_ID=nobody"])
        expect("wrong_key", "InvalidAccessKeyId", "access key's id", in: findings)
    }

    @Test(.enabled(if: TestServers.s3 != nil, Comment(rawValue: s3Only))) func aSecretThatIsWrong() throws {
        let program = try remote()
        let findings = try check(program, environment: ["AWS_SECRET_ACCESS_KEY=wrong"])
        expect("wrong_secret", "SignatureDoesNotMatch", "check the secret", in: findings)
        #expect(!program.log.contains("\"wrong\""))
    }

    @Test(.enabled(if: TestServers.s3 != nil, Comment(rawValue: s3Only))) func noCredentialsAtAll() throws {
        let program = try ShipperProgram(more: "admin: off")
        try rewrite(program, "file://\(program.folder["store"])", "s3://bucket/x")
        expect(
            "credentials_missing", "AWS_ACCESS_KEY_ID", "set the variables",
            in: try check(program, environment: ["AWS_REGION=us-east-1", "AWS_EC2_METADATA_DISABLED=true"]))
    }

    @Test func answersThatStoresGiveToMistakes() async throws {
        let cases: [(name: String, answer: String, evidence: String, mend: String)] = [
            (
                "wrong_region",
                "400 <Error><Code>AuthorizationHeaderMalformed</Code><Message>the region 'us-east-1' is wrong; "
                    + "expecting 'eu-west-3'</Message><Region>eu-west-3</Region></Error>",
                "AuthorizationHeaderMalformed",
                "eu-west-3"
            ),
            (
                "no_such_bucket", "404 <Error><Code>NoSuchBucket</Code><Message>no such bucket</Message></Error>",
                "NoSuchBucket", "create the bucket"
            ),
            (
                "put_denied", "403 <Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>",
                "AccessDenied", "allow s3:PutObject"
            ),
        ]
        for one in cases {
            let port = Int.random(in: 20_000..<32_000)
            let server = try ChildProcess("python3", ["-c", Self.answering, "\(port)", one.answer])
            defer { server.send(SIGKILL) }
            let program = try ShipperProgram(endpoint: "http://127.0.0.1:\(port)", more: "admin: off")
            try rewrite(program, "file://\(program.folder["store"])", "s3://bucket/x")
            let keys = ["AWS_ACCESS_KEY_ID=a", "AWS_SECRET_ACCESS_KEY=b"]
            _ = try await eventually {
                _ = try program.start("check", environment: keys).wait()
                return !program.log.hasSuffix("curl 7")
                    && program.log.split(separator: "\n").last { $0.hasPrefix("FAULT") }?.contains(one.evidence) == true
            }
            expect(one.name, one.evidence, one.mend, in: try check(program, environment: keys))
        }
    }

    /// Answers everything alike: `PORT 'STATUS BODY'`.
    private static let answering = """
        import http.server, sys
        status, body = sys.argv[2].split(' ', 1)
        class H(http.server.BaseHTTPRequestHandler):
            protocol_version = 'HTTP/1.1'
            def answer(self):
                self.rfile.read(int(self.headers.get('Content-Length') or 0))
                data = body.encode() if self.command != 'HEAD' else b''
                self.send_response(int(status))
                self.send_header('Content-Type', 'application/xml')
                self.send_header('Content-Length', str(len(data)))
                self.end_headers(); self.wfile.write(data)
            do_PUT = do_GET = do_HEAD = do_DELETE = answer
            def log_message(self, *a): pass
        http.server.HTTPServer(('127.0.0.1', int(sys.argv[1])), H).serve_forever()
        """

    /// A key that may write and nothing else, and one that may read only.
    @Test(.enabled(if: TestServers.s3 != nil, Comment(rawValue: s3Only))) func rightsThatAreMissing() async throws {
        let scratch = try ScratchFolder()
        let server = try RestrictedStore(in: scratch["s3"])
        defer { server.stop() }
        for (user, name, evidence, mend) in [
            ("WRITER", "proof_denied", "LIST (ListBucket)", "allow s3:ListBucket"),
            ("LOADER", "put_denied", "AccessDenied", "allow s3:PutObject"),
        ] {
            let program = try ShipperProgram(s3: server.store(user), more: "admin: off")
            expect(name, evidence, mend, in: try check(program))
        }
    }

    /// The store's and this host's clocks differ: by a library that shifts this program's clock.
    @Test(.enabled(if: TestServers.s3 != nil, Comment(rawValue: s3Only)), arguments: [-3_000, 3_000])
    func aClockThatIsWrong(seconds: Int) throws {
        let folder = try ScratchFolder()
        let source = """
            #define _GNU_SOURCE
            #include <dlfcn.h>
            #include <time.h>
            int clock_gettime(clockid_t id, struct timespec *t) {
                static int (*real)(clockid_t, struct timespec *);
                if (!real) real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
                int r = real(id, t);
                if (id == CLOCK_REALTIME) t->tv_sec += \(seconds);
                return r;
            }
            time_t time(time_t *out) {
                struct timespec t; clock_gettime(CLOCK_REALTIME, &t);
                if (out) *out = t.tv_sec;
                return t.tv_sec;
            }
            """
        try DurableFile.replace(path: folder["skew.c"], bytes: Array(source.utf8))
        let built = try ChildProcess("cc", ["-shared", "-fPIC", "-o", folder["skew.so"], folder["skew.c"], "-ldl"])
        try #require(built.wait() == 0, "a C compiler is needed")
        let program = try remote()
        let findings = try check(program, environment: ["LD_PRELOAD=\(folder["skew.so"])"])
        expect("clock_skew", "s \(seconds < 0 ? "behind" : "ahead of") the store's", "NTP", in: findings)
        // It works all the same: requests are signed by the store's clock.
        #expect(findings["store"]?.verdict == "ok" && findings["proof"]?.verdict == "ok")
    }

    /// rclone's S3 server ignores conditions and checksums.
    @Test(.enabled(if: TestServers.s3 != nil && ProgramPath.find("rclone") != nil, "needs rclone of deploy/install"))
    func aStoreThatIgnoresConditionsAndChecksums() async throws {
        let folder = try ScratchFolder()
        for name in ["data", "data/bucket", "cache"] { try DurableFile.makeDirectory(folder[name]) }
        try DurableFile.replace(path: folder["rclone.conf"], bytes: [])
        let port = Int.random(in: 20_000..<32_000)
        let server = try ChildProcess(
            try #require(ProgramPath.find("rclone")),
            [
                "serve", "s3", "--config", folder["rclone.conf"], "--cache-dir", folder["cache"], "--addr",
                "127.0.0.1:\(port)", "--auth-key", "access,secret", folder["data"],
            ], output: folder["log"])
        defer { server.send(SIGKILL) }
        let s3 = TestServers.S3(
            endpoint: "http://127.0.0.1:\(port)", accessKey: "access", secretKey: "secret", bucket: "bucket")
        let program = try ShipperProgram(s3: s3, more: "admin: off")
        #expect(try await eventually { try program.start("check").wait() == 0 }, "\(program.log)")
        let findings = try check(program, status: 0)
        expect("conditions_ignored", "If-None-Match", "nothing", verdict: "note", in: findings)
        expect("checksums_ignored", "wrong SHA-256", "nothing", verdict: "note", in: findings)
    }
}
