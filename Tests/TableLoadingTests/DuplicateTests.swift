import EventModel
import EventSegments
import ObjectStorage
import TableLoading
import TableStorage
import TestSupport
import Testing

/// The same segment in several objects, and other bytes under the same number.
@Suite(.enabled(if: TestServers.postgres != nil, "set NADI_TEST_POSTGRES, or use Tests/run"))
struct DuplicateTests {
    /// Predictions whose times lie in one hour, sealed when told.
    private func segments(_ number: Int, _ count: Int, sealed_ms: Int64 = Pipeline.base_ms) -> [TestSegment] {
        var writer = TestWriter("one", number)
        return (0..<count).map { place in
            for line in 0..<3 {
                let time = sealed_ms - 60_000 + Int64(place) * 1000
                writer.append(TestEvents.prediction(time, id: "p\(number)-\(place)-\(line)"))
            }
            return writer.seal(at: sealed_ms + Int64(place) * 1000, end: place == count - 1)
        }
    }

    private func expectSame(_ pipeline: Pipeline, _ segments: [TestSegment]) async throws {
        let plain = try Pipeline()
        try await plain.put(segments)
        _ = try await plain.load()
        let left = try TableDump(plain.database.connect())
        let right = try TableDump(pipeline.database.connect())
        let differences = left.differences(right).filter { !$0.hasPrefix("segment apart") }
        #expect(differences.isEmpty, "\(differences)")
    }

    /// A shipper that crashed between uploads bundles what it still has anew: any combinations, any loaders.
    @Test(arguments: [UInt64(1), 2, 3]) func recomposedBundlesCountEachSegmentOnce(seed: UInt64) async throws {
        let pipeline = try Pipeline()
        var generator = SeededGenerator(seed: seed)
        let all = segments(1, 8) + segments(2, 8)
        var bundles: Set<String> = []
        for _ in 0..<12 {
            let some = all.shuffled(using: &generator).prefix(Int.random(in: 1...5, using: &generator))
            bundles.insert(try await pipeline.put(Array(some)))
        }
        // The whole, in two ways.
        try await pipeline.put(Array(all.prefix(9)))
        try await pipeline.put(Array(all.suffix(9)))
        try await pipeline.report(ended: true)
        async let one = pipeline.load(owner: "test/1/a", objects: 1)
        async let two = pipeline.load(owner: "test/1/b", objects: 2)
        async let three = pipeline.load(owner: "test/1/c", objects: 3)
        let reports = try await [one, two, three]
        let rest = try await pipeline.load()
        #expect((reports + [rest]).reduce(0) { $0 + $1.segments } == all.count, "seed \(seed)")
        #expect((reports + [rest]).allSatisfy { $0.poisoned.isEmpty && $0.failed.isEmpty && $0.conflicts == 0 })
        try await expectSame(pipeline, all)
        expectClean(try await pipeline.audit())
    }

    /// Two loaders commit objects of two months (two partitions of the ledger, so that no index sees both) with a segment in
    /// common, at the same moment: the writer's row decides.
    @Test func oneSegmentInTwoMonthsIsLoadedOnce() async throws {
        let pipeline = try Pipeline()
        // The second object's newest segment is sealed in the next month.
        let month = try #require(Timestamp.parse("2026-10-01T00:00:00Z"))
        var writer = TestWriter("one", 1)
        writer.append(TestEvents.prediction(month - 120_000, id: "p0"))
        let common = writer.seal(at: month - 60_000)
        writer.append(TestEvents.prediction(month - 30_000, id: "p1"))
        let newer = writer.seal(at: month + 60_000, end: true)
        // Names and the writer are known, so that the loaders meet only at the writer's row.
        var first = TestWriter("one", 2)
        first.append(TestEvents.prediction(month - 120_000, id: "p2"))
        try await pipeline.put([first.seal(at: month - 60_000, end: true)])
        try await pipeline.report(ended: true)
        _ = try await pipeline.load()
        let third = try pipeline.database.connect()
        try third.query(
            """
            INSERT INTO nadi_store.writer (writer, host_id) SELECT $1, host_id FROM nadi_store.host
            """, [.text(writer.name)])
        try third.execute("BEGIN; SELECT FROM nadi_store.writer FOR UPDATE")
        let watch = try LoaderWatch(pipeline)
        try await pipeline.put([common])
        async let one = pipeline.load(owner: "test/1/a")
        #expect(try await watch.wait(for: 1).count == 1)
        try await pipeline.put([common, newer])
        async let two = pipeline.load(owner: "test/1/b")
        #expect(try await watch.wait(for: 2).count == 2)
        try third.execute("COMMIT")
        let reports = try await (one, two)
        #expect(reports.0.segments + reports.1.segments == 2)
        #expect(reports.0.duplicates + reports.1.duplicates == 1)
        let months = try third.query("SELECT count(*) FROM pg_inherits WHERE inhparent = 'nadi_store.segment'::regclass")
        #expect(months[0].integer(0) >= 2)
        expectClean(try await pipeline.audit())
    }

    /// Another loader commits a bundle with a segment that this one has aggregated already: it is aggregated again without.
    @Test func aSegmentThatBecameADuplicateIsTakenOutOfTheBatch() async throws {
        let pipeline = try Pipeline()
        let all = segments(1, 3)
        try await pipeline.report(ended: true)
        let last = try await pipeline.put(segments(2, 1))
        try await pipeline.put(Array(all.prefix(2)))
        let (downloaded, batched) = (Counter(), Counter())
        let loader = pipeline.loader(change: { $0.parallelism = 2 }, progress: { _ in batched.add() }) { _, key in
            downloaded.add()
            // The other object waits in the batch until this one is there too.
            guard key == last, downloaded.value <= 2 else { return }
            while batched.value == 0 { try await Task.sleep(for: .milliseconds(10)) }
            try await pipeline.put(Array(all.suffix(2)))
            #expect(try await pipeline.load(owner: "test/1/b").segments == 2)
        }
        let report = try await loader.load(reach: .all)
        #expect(report.segments == 2)
        #expect(report.duplicates == 1)
        try await expectSame(pipeline, all + segments(2, 1))
        expectClean(try await pipeline.audit())
    }

    @Test func otherBytesUnderTheSameNumberAreAConflict() async throws {
        let pipeline = try Pipeline()
        let all = segments(1, 2)
        try await pipeline.put(all)
        _ = try await pipeline.load()
        let connection = try pipeline.database.connect()
        let before = try TableDump(connection)
        var other = TestWriter("one", 1)
        other.append(TestEvents.prediction(Pipeline.base_ms, id: "other", model: "intruder"))
        let key = try await pipeline.put([other.seal(at: Pipeline.base_ms + 500)])
        let report = try await pipeline.load()
        #expect(report.conflicts == 1 && report.segments == 0)
        // Its numbers are nowhere, not even its model's name.
        #expect(try connection.query("SELECT count(*) FROM nadi_store.model")[0].integer(0) == 1)
        let differences = before.differences(try TableDump(connection)).filter { !$0.hasPrefix("segment apart") }
        #expect(differences.isEmpty, "\(differences)")
        try await pipeline.report(ended: true)
        let audit = try await pipeline.audit()
        #expect(!audit.isClean)
        #expect(audit.findings.contains { $0.id == "conflict:\(all[0].writer)-0@\(key)" && $0.isFailure })

        // Both in one run, in an empty database: one is loaded, the other a conflict, whichever comes first.
        let fresh = try Pipeline(bucketOf: pipeline)
        let anew = try await fresh.load(objects: 1)
        #expect(anew.conflicts == 1)
    }
}
