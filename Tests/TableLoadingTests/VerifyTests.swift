import DurableIO
import EventModel
import EventSegments
import ObjectStorage
import TableLoading
import TableStorage
import TestSupport
import Testing

/// `nadi verify` on the real store, with seeded damage.
@Suite(
    .enabled(
        if: TestServers.postgres != nil && TestServers.s3 != nil && Program.path != nil,
        "set NADI_TEST_POSTGRES and _S3_*, and build nadi"))
struct VerifyTests {
    private func verification(_ pipeline: Pipeline, ledger: Bool = true) -> Verification {
        Verification(
            store: pipeline.store, database: ledger ? DatabaseThread(pipeline.database.uri) : nil,
            prefix: pipeline.prefix, parallelism: 2)
    }

    /// Objects of six hours, loaded.
    private func loaded() async throws -> (Pipeline, [String]) {
        let pipeline = try Pipeline(s3: try #require(TestServers.s3))
        var keys: [String] = []
        let segments = TestEvents.corpus(seed: 41, writers: 3, segments: 6, lines: 12)
        for start in stride(from: 0, to: segments.count, by: 2) {
            keys.append(try await pipeline.put(Array(segments[start..<(start + 2)])))
        }
        #expect(try await pipeline.load().objects == keys.count)
        return (pipeline, keys)
    }

    @Test func wholeObjectsPass() async throws {
        let (pipeline, keys) = try await loaded()
        let report = try await verification(pipeline).run(.init())
        #expect(report.isClean && report.findings.isEmpty && report.objects == keys.count, "\(report.text)")
        let rows = try pipeline.database.connect().query(
            "SELECT count(*), sum(lines), sum(raw_bytes) FROM nadi_store.segment")[0]
        #expect(report.segments == rows.integer(0))
        #expect(report.lines == rows.integer(1) && report.rawBytes == rows.integer(2))
        let alone = try await verification(pipeline, ledger: false).run(.init())
        #expect(alone.isClean && alone.lines == report.lines && alone.notLoaded == 0)
        // A new object is no fault: it is told.
        var writer = TestWriter("one", 77)
        writer.append(TestEvents.prediction(Pipeline.base_ms, id: "new"))
        try await pipeline.put([writer.seal(at: Pipeline.base_ms + 600_000)])
        let later = try await verification(pipeline).run(.init())
        #expect(later.isClean && later.notLoaded == 1 && later.objects == keys.count + 1)
    }

    @Test func hoursAndSharesBoundWhatIsRead() async throws {
        let (pipeline, keys) = try await loaded()
        let sealed = try keys.map { try #require(ObjectKey(parsing: $0, prefix: pipeline.prefix)).sealed_ms }
        for hours in [0, 1, 2, 4] {
            var scope = Verification.Scope()
            scope.from_ms = Pipeline.base_ms + Int64(hours) * LoadClock.hour_ms
            scope.to_ms = Pipeline.base_ms + Int64(hours + 2) * LoadClock.hour_ms
            let report = try await verification(pipeline).run(scope)
            let expected = sealed.count {
                $0 >= LoadClock.hour(scope.from_ms ?? 0) && $0 < LoadClock.hour(scope.to_ms ?? 0)
            }
            #expect(report.objects == expected && report.isClean, "\(report.text)")
            // Without an end, and without a begin: everything is listed, and the rest passed over.
            scope.to_ms = nil
            let later = try await verification(pipeline).run(scope)
            #expect(later.objects == sealed.count { $0 >= LoadClock.hour(scope.from_ms ?? 0) } && later.isClean)
            scope.to_ms = scope.from_ms
            scope.from_ms = nil
            let earlier = try await verification(pipeline).run(scope)
            #expect(earlier.objects == sealed.count { $0 < LoadClock.hour(scope.to_ms ?? 0) } && earlier.isClean)
        }
        var scope = Verification.Scope()
        scope.share = 0.4
        let report = try await verification(pipeline).run(scope)
        #expect(report.objects + report.leftOut == keys.count)
    }

    @Test func eachSeededDamageIsNamed() async throws {
        let (pipeline, _) = try await loaded()
        var expected: [String: String] = [:]
        for (number, damage) in Damage.all.enumerated() {
            var writer = TestWriter("two", number + 1)
            writer.append(TestEvents.prediction(Pipeline.base_ms, id: "p\(number)"))
            let key = try await pipeline.put(
                host: "two",
                [
                    writer.seal(at: Pipeline.base_ms + Int64(number + 1) * 120_000, end: true)
                ])
            expected[key] = damage.words == "key does not fit" ? "belongs under" : damage.words
        }
        _ = try await pipeline.load()
        for (number, key) in expected.keys.sorted(by: { Self.sealed($0) < Self.sealed($1) }).enumerated() {
            let whole = try await pipeline.store.get(key)
            _ = try await pipeline.store.put(key, try Damage.all[number].change(whole), PutOptions())
        }
        for ledger in [true, false] {
            let report = try await verification(pipeline, ledger: ledger).run(.init())
            #expect(report.failures >= expected.count)
            for (key, words) in expected {
                let found = report.findings.filter { $0.key == key }
                #expect(found.contains { $0.reason.contains(words) }, "\(words): \(found.map(\.reason))")
                #expect(found.allSatisfy { $0.isFailure && !$0.remedy.isEmpty })
            }
            #expect(Set(report.findings.map(\.key)) == Set(expected.keys))
        }
    }

    private static func sealed(_ key: String) -> Int {
        key.split(separator: "/").last.flatMap { $0.split(separator: "-").first }.flatMap { Int($0) } ?? 0
    }

    @Test func whatTheLedgerSaysOtherwiseIsNamed() async throws {
        let (pipeline, keys) = try await loaded()
        let connection = try pipeline.database.connect()
        try connection.query(
            """
            UPDATE nadi_store.segment SET lines = lines + 1, loaded_lines = loaded_lines + 1
            WHERE segment_id = (SELECT min(segment_id) FROM nadi_store.segment JOIN nadi_store.object USING (object_id)
                                WHERE object_key = $1)
            """, [.text(keys[0])])
        try connection.query(
            "UPDATE nadi_store.object SET lines = lines - 1 WHERE object_key = $1", [.text(keys[1])])
        try connection.query(
            """
            UPDATE nadi_store.segment SET raw_sha256 = sha256('x')
            WHERE segment_id = (SELECT max(segment_id) FROM nadi_store.segment JOIN nadi_store.object USING (object_id)
                                WHERE object_key = $1)
            """, [.text(keys[2])])
        try await pipeline.store.delete(keys[3])
        // Replaced by another whole object: only the ledger can tell.
        var writer = TestWriter("three", 5)
        writer.append(TestEvents.prediction(Pipeline.base_ms, id: "other"))
        let other = try await pipeline.put(host: "three", [writer.seal(at: Pipeline.base_ms + 60_000)])
        let copy = try await pipeline.store.get(other)
        _ = try await pipeline.store.put(keys[4], copy, PutOptions())
        _ = try await pipeline.store.put("\(pipeline.prefix)/events/notes.txt", [1, 2, 3], PutOptions())

        let report = try await verification(pipeline).run(.init())
        func reasons(_ key: String) -> [String] {
            report.findings.filter { $0.key == key && $0.isFailure }.map { "\($0.kind): \($0.reason)" }
        }
        #expect(reasons(keys[0]).count == 1 && reasons(keys[0])[0].contains("lines, the ledger says"))
        #expect(reasons(keys[1]).count == 1 && reasons(keys[1])[0].hasPrefix("ledger: it has"))
        #expect(reasons(keys[2]).count == 1 && reasons(keys[2])[0].contains("SHA-256"))
        #expect(reasons(keys[3]) == ["missing: it is in the ledger, not in the bucket"])
        #expect(reasons(keys[4]).contains { $0.hasPrefix("key: its manifest belongs under \(other)") })
        #expect(reasons(keys[4]).contains { $0.contains("was loaded from it, and is not in it") })
        #expect(report.findings.contains { $0.kind == "stranger" && !$0.isFailure })
        #expect(Set(report.findings.filter(\.isFailure).map(\.key)) == Set(keys[0...4]), "\(report.text)")
    }

    @Test func theProgramTellsByItsStatus() async throws {
        let (pipeline, keys) = try await loaded()
        let server = try #require(TestServers.s3)
        let path = pipeline.folder["loader.yaml"]
        let credentials = pipeline.folder["credentials"]
        let secrets =
            "[default]\naws_access_key_id = \(server.accessKey)\naws_secret_access_key = \(server.secretKey)\n"
        try DurableFile.replace(path: credentials, bytes: Array(secrets.utf8))
        func configure(_ database: String) throws {
            let text = """
                database: \(database)
                store:
                  url: s3://\(server.bucket)/\(pipeline.prefix)
                  endpoint: \(server.endpoint)
                  region: us-east-1
                  credentials_file: \(credentials)
                """
            try DurableFile.replace(path: path, bytes: Array(text.utf8))
        }
        try configure(pipeline.database.uri)
        func verify(_ arguments: [String]) async throws -> (status: Int32, text: String) {
            let output = pipeline.folder["output"]
            try? DurableFile.remove(path: output)
            let child = try ChildProcess(
                try #require(Program.path), ["verify", "--config", path] + arguments, output: output)
            let status = try await child.end()
            return (status, String(decoding: try DurableFile.read(path: output), as: UTF8.self))
        }
        var result = try await verify([])
        #expect(result.status == 0 && result.text.contains("verified \(keys.count) objects"), "\(result.text)")
        var bytes = try await pipeline.store.get(keys[2])
        bytes[bytes.count / 4] ^= 1
        _ = try await pipeline.store.put(keys[2], bytes, PutOptions())
        result = try await verify([])
        #expect(result.status == 1 && result.text.contains(keys[2]) && result.text.contains("restore it"))
        result = try await verify(["--json"])
        #expect(result.status == 1 && result.text.hasPrefix("{\"clean\":false,\"objects\":\(keys.count),"))
        #expect(try await verify(["--from", "2020-01-01T00:00:00Z", "--to", "2020-01-02T00:00:00Z"]).status == 0)
        #expect(try await verify(["--sample", "0%"]).status == 64)
        #expect(try await verify(["--from", "yesterday"]).status == 64)
        try configure("postgresql://127.0.0.1:9/none")
        #expect(try await verify([]).status == 1)
        result = try await verify(["--bucket-only"])
        #expect(result.status == 1 && result.text.contains("verified \(keys.count) objects"))
        _ = try await pipeline.store.put(
            keys[2], bytes.enumerated().map { $0 == bytes.count / 4 ? $1 ^ 1 : $1 }, PutOptions())
        #expect(try await verify(["--bucket-only"]).status == 0)
    }
}
