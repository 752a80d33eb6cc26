import Compression
import EventModel
import EventSegments
import ObjectStorage
import TableLoading
import TableStorage
import TestSupport
import Testing

/// Objects that are damaged, foreign, lying or refused, each under the key of a good one: they are set aside by name,
/// tried again later, hold nobody up, and load once they are mended.
@Suite(.enabled(if: TestServers.postgres != nil, "set NADI_TEST_POSTGRES, or use Tests/run"))
struct HostileObjectTests {
    /// An object of two segments of one writer.
    private func good(_ pipeline: Pipeline, number: Int) async throws -> String {
        var writer = TestWriter("one", number)
        var segments: [TestSegment] = []
        for half in 0..<2 {
            for line in 0..<15 {
                let time = Pipeline.base_ms + Int64(line) * 1000
                writer.append(TestEvents.prediction(time, id: "p\(number)-\(half)-\(line)", petal: Double(line) / 7))
            }
            segments.append(
                writer.seal(at: Pipeline.base_ms + 600_000 + Int64(number * 2 + half) * 1000, end: half == 1))
        }
        return try await pipeline.put(segments)
    }

    private func states(_ pipeline: Pipeline) throws -> [String: Int64] {
        let rows = try pipeline.database.connect().query("SELECT state, count(*) FROM nadi_store.object GROUP BY 1")
            .rows
        return Dictionary(uniqueKeysWithValues: rows.map { ($0.text(0), $0.integer(1)) })
    }

    private func damaged(_ pipeline: Pipeline) async throws {
        var keys: [(key: String, damage: Damage, whole: [UInt8])] = []
        for (number, damage) in Damage.all.enumerated() {
            let key = try await good(pipeline, number: number + 1)
            let whole = try await pipeline.store.get(key)
            keys.append((key, damage, whole))
            _ = try await pipeline.store.put(key, try damage.change(whole), PutOptions())
        }
        let neighbours = 7
        for number in 1...neighbours { _ = try await good(pipeline, number: 1000 + number) }

        let report = try await pipeline.load()
        #expect(report.objects == neighbours && report.failed.isEmpty)
        let reasons = Dictionary(report.poisoned.map { ($0.key, $0.reason) }, uniquingKeysWith: { first, _ in first })
        let audit = try await pipeline.audit()
        for (key, damage, _) in keys {
            let reason = try #require(reasons[key], "\(damage.name) was not set aside")
            #expect(reason.contains(damage.words), "\(damage.name): \(reason)")
            #expect(reason.utf8.count < 1000)
            #expect(audit.findings.contains { $0.id == "poisoned:\(key)" && $0.isFailure }, "\(damage.name)")
        }
        #expect(try states(pipeline) == ["loaded": Int64(neighbours), "poisoned": Int64(keys.count)])

        // Not again at once; when their time has come, and then after a longer pause.
        #expect(try await pipeline.load().poisoned.isEmpty)
        let connection = try pipeline.database.connect()
        let pauses = """
            SELECT min(next_attempt_at - claimed_at), min(attempts), max(attempts) FROM nadi_store.object
            WHERE state = 'poisoned' AND next_attempt_at - now() > $1::bigint * interval '1 second'
            """
        #expect(try connection.query(pauses, [.integer(0)])[0].integer(2) == 1)
        try connection.execute("UPDATE nadi_store.object SET next_attempt_at = now()")
        #expect(try await pipeline.load().poisoned.count == keys.count)
        #expect(try connection.query(pauses, [.integer(61)])[0].integer(1) == 2)

        // Mended, all of them load.
        for (key, _, whole) in keys { _ = try await pipeline.store.put(key, whole, PutOptions()) }
        try connection.execute("UPDATE nadi_store.object SET next_attempt_at = now()")
        try await pipeline.report(ended: true)
        let mended = try await pipeline.load()
        #expect(mended.objects == keys.count && mended.poisoned.isEmpty)
        expectClean(try await pipeline.audit())
    }

    @Test func damagedObjectsInAFolder() async throws { try await damaged(try Pipeline()) }

    @Test(.enabled(if: TestServers.s3 != nil, "set NADI_TEST_S3_*")) func damagedObjectsInABucket() async throws {
        try await damaged(try Pipeline(s3: try #require(TestServers.s3)))
    }

    /// Bytes under a key that is made for them: what a writer of objects other than ours could put there.
    @Test func lyingObjectsUnderKeysOfTheirOwn() async throws {
        let pipeline = try Pipeline()
        let neighbour = try await good(pipeline, number: 99)
        let lines = Array((TestEvents.prediction(Pipeline.base_ms, id: "a") + "\n").utf8)
        let frame = try Zstd.frame(lines)
        func segment(_ number: Int, _ change: (inout Manifest.Segment) -> Void = { _ in }) throws -> Manifest.Segment {
            var builder = BundleBuilder(host: "one")
            var segment = try #require(
                try builder.add(
                    BundleBuilder.Identity(
                        writer: TestWriter("one", number).name, seq: 0, sealed_ms: Pipeline.base_ms, file: "f"),
                    bytes: lines))
            change(&segment)
            return segment
        }
        func put(_ body: [UInt8], _ segments: [Manifest.Segment]) async throws -> String {
            let manifest = Manifest(host: "one", segments: segments)
            var object = body
            ObjectTrailer.append(manifest, to: &object)
            let key = ObjectKey(prefix: pipeline.prefix, manifest: manifest).path
            _ = try await pipeline.store.put(key, object, PutOptions())
            return key
        }
        var expected: [String: String] = [:]
        func refuse(_ words: String, _ body: [UInt8], _ segments: [Manifest.Segment]) async throws {
            let key = try await put(body, segments)
            expected[key] = words
        }
        try await refuse("its manifest says 2", frame, [try segment(1) { $0.lines = 2 }])
        try await refuse("has more than", frame, [try segment(2) { $0.rawBytes -= 1 }])
        try await refuse("SHA-256", frame, [try segment(3) { $0.rawSHA256 = String(repeating: "ab", count: 32) }])
        try await refuse(
            "begins at byte", frame + frame, [try segment(4), try segment(5) { $0.offset = frame.count / 2 }])
        try await refuse("the manifest begins", frame + [0, 1, 2, 3], [try segment(6)])
        // A bomb: 64 MiB of one byte, announced as one line.
        let bomb = try Zstd.frame([UInt8](repeating: 0x20, count: 64 << 20))
        try await refuse("has more than", bomb, [try segment(7) { $0.compressedBytes = bomb.count }])
        // A window that no decoder should take.
        let wide: [UInt8] = [0x28, 0xB5, 0x2F, 0xFD, 0x00, 0xA0, 0x01, 0x00, 0x00]
        try await refuse("window", wide, [try segment(8) { $0.compressedBytes = wide.count }])
        // A dictionary that nobody has.
        let dictionary: [UInt8] = [0x28, 0xB5, 0x2F, 0xFD, 0x01, 0x58, 0x2A, 0x01, 0x00, 0x00]
        try await refuse("dictionary", dictionary, [try segment(9) { $0.compressedBytes = dictionary.count }])
        // The same segment twice in one object: once is enough.
        let twice = try await put(frame + frame, [try segment(10), try segment(10) { $0.offset = frame.count }])
        // The same number with other bytes in one object.
        let other = Array((TestEvents.prediction(Pipeline.base_ms, id: "b") + "\n").utf8)
        let otherFrame = try Zstd.frame(other)
        let conflict = try await put(
            frame + otherFrame,
            [
                try segment(11),
                try segment(11) {
                    $0.offset = frame.count
                    $0.compressedBytes = otherFrame.count
                    $0.rawSHA256 = String(repeating: "cd", count: 32)
                },
            ])
        // Keys that no shipper makes, and one of another age: neither stops the others.
        for stranger in ["events/readme.txt", "events/dt=2026-11-23/hr=10/one/notes.csv", "events/dt=9999-12-31/x"] {
            _ = try await pipeline.store.put(stranger, [1], PutOptions())
        }
        let age = "events/dt=9999-12-31/hr=23/one/99999999999999999-1-1-0123456789abcdef.jsonl.zst"
        _ = try await pipeline.store.put(age, [1], PutOptions())

        let report = try await pipeline.load()
        let reasons = Dictionary(report.poisoned.map { ($0.key, $0.reason) }, uniquingKeysWith: { first, _ in first })
        for (key, words) in expected {
            #expect(reasons[key]?.contains(words) == true, "\(words): \(reasons[key] ?? "-")")
        }
        #expect(report.poisoned.count == expected.count && report.failed.isEmpty)
        #expect(report.objects == 3 && report.duplicates == 1 && report.conflicts == 1)
        #expect(report.strangers == 4 && report.strangerKeys.contains(age))
        let loaded = try pipeline.database.connect().query(
            "SELECT object_key FROM nadi_store.object WHERE state = 'loaded' ORDER BY 1"
        ).rows.map { $0.text(0) }
        #expect(Set(loaded) == [neighbour, twice, conflict])
        let audit = try await pipeline.audit()
        for key in expected.keys { #expect(audit.findings.contains { $0.id == "poisoned:\(key)" }) }
    }

    /// Objects that the store does not give: an encryption key that was withdrawn, another owner, an archive class.
    @Test func refusedObjectsHoldNobodyUp() async throws {
        let pipeline = try Pipeline()
        var keys: [String] = []
        for number in 1...14 { keys.append(try await good(pipeline, number: number)) }
        let denied = Set(keys[..<12])
        let codes = [("AccessDenied", 403), ("KMS.DisabledException", 400), ("InvalidObjectState", 403)]
        let loader = pipeline.loader { before, key in
            guard denied.contains(key) else { return }
            let (code, status) = codes[before % 3]
            throw StorageError(
                status == 403 ? .accessDenied : .unknown, operation: "GET \(key)", status: status, code: code,
                message: "no")
        }
        let report = try await loader.load(reach: .all)
        await loader.close()
        #expect(report.objects == 2 && Set(report.failed.map(\.key)) == denied)
        let connection = try pipeline.database.connect()
        let waiting = try connection.query(
            """
            SELECT count(*), max(extract(epoch FROM next_attempt_at - now()))::bigint FROM nadi_store.object
            WHERE state = 'poisoned' AND last_error LIKE '%failed: no%' AND next_attempt_at > now()
            """)[0]
        #expect(waiting.integer(0) == 12 && waiting.integer(1) <= 900)
        let audit = try await pipeline.audit()
        for key in denied { #expect(audit.findings.contains { $0.id == "poisoned:\(key)" && $0.isFailure }) }
        try connection.execute("UPDATE nadi_store.object SET next_attempt_at = now()")
        try await pipeline.report(ended: true)
        #expect(try await pipeline.load().objects == 12)
        expectClean(try await pipeline.audit())
    }

    /// Rights that are missing for everything end the run, before every object is set aside.
    @Test func rightsThatAreMissingForAllAreSaid() async throws {
        let pipeline = try Pipeline()
        for number in 1...130 { _ = try await good(pipeline, number: number) }
        let loader = pipeline.loader { _, key in
            throw StorageError(.accessDenied, operation: "GET \(key)", status: 403, message: "no")
        }
        let error = await #expect(throws: LoadError.self) { try await loader.load(reach: .all) }
        await loader.close()
        #expect(error?.description.contains("Mend the loader's rights") == true)
        #expect(try states(pipeline)["poisoned"] == 100)
        try pipeline.database.connect().execute("UPDATE nadi_store.object SET next_attempt_at = now()")
        #expect(try await pipeline.load().objects == 130)
    }
}
