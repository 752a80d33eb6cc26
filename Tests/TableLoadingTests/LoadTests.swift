import EventModel
import EventSegments
import ObjectStorage
import RecordBatches
import TableLoading
import TableStorage
import TestSupport
import Testing

@Suite(.enabled(if: TestServers.postgres != nil, "set NADI_TEST_POSTGRES, or use Tests/run"))
struct LoadTests {
    @Test func everyLineIsCountedOnce() async throws {
        let pipeline = try Pipeline()
        let segments = TestEvents.corpus(seed: 1)
        for chunk in stride(from: 0, to: segments.count, by: 4) {
            try await pipeline.put(Array(segments[chunk..<min(chunk + 4, segments.count)]))
        }
        try await pipeline.report(ended: true)
        let first = try await pipeline.load()
        #expect(first.segments == segments.count)
        #expect(first.poisoned.isEmpty)
        #expect(first.failed.isEmpty)
        #expect(first.rejectedLines == Int64(segments.count))
        let again = try await pipeline.load()
        #expect(again.objects == 0)
        let connection = try pipeline.database.connect()
        let predictions = try connection.query(
            """
            SELECT sum(predictions), sum(requests), sum(failed_predictions) FROM nadi_store.request_hour
            JOIN nadi_store.series USING (series_id) WHERE slice_key = 'all'
            """)[0]
        #expect(predictions.integer(0) == Int64(segments.count * 40))
        let report = try await pipeline.audit()
        expectClean(report)
    }

    @Test func aSegmentInTwoObjectsCountsOnceAndOtherBytesAreAConflict() async throws {
        let pipeline = try Pipeline()
        let segments = TestEvents.corpus(seed: 2, writers: 1, segments: 3, lines: 10)
        try await pipeline.put([segments[0], segments[1]])
        try await pipeline.put([segments[1], segments[2]])
        try await pipeline.report(ended: true)
        let report = try await pipeline.load()
        #expect(report.segments == 3)
        #expect(report.duplicates == 1)
        let clean = try await pipeline.audit()
        expectClean(clean)

        var other = segments[0]
        other.bytes = Array(other.bytes.dropLast(2)) + Array(" }\n".utf8)
        let key = try await pipeline.put([other])
        let second = try await pipeline.load()
        #expect(second.conflicts == 1)
        #expect(second.segments == 0)
        let audit = try await pipeline.audit()
        #expect(!audit.isClean)
        #expect(audit.findings.contains { $0.id == "conflict:\(other.writer)-0@\(key)" })
    }

    @Test func aFlippedByteIsPoisonedAndHoldsNobodyUp() async throws {
        let pipeline = try Pipeline()
        let segments = TestEvents.corpus(seed: 2, writers: 3, segments: 1, lines: 10)
        var keys: [String] = []
        for segment in segments { keys.append(try await pipeline.put([segment])) }
        let good = try await pipeline.store.get(keys[1])
        var bad = good
        bad[bad.count / 3] ^= 0x40
        _ = try await pipeline.store.put(keys[1], bad, PutOptions())
        let report = try await pipeline.load()
        #expect(report.objects == 2)
        #expect(report.poisoned.map(\.key) == [keys[1]])
        let audit = try await pipeline.audit()
        #expect(audit.findings.contains { $0.id == "poisoned:\(keys[1])" && $0.isFailure })

        // Restored, it loads at its next turn.
        _ = try await pipeline.store.put(keys[1], good, PutOptions())
        try pipeline.database.connect().execute("UPDATE nadi_store.object SET next_attempt_at = now()")
        try await pipeline.report(ended: true)
        #expect(try await pipeline.load().objects == 1)
        let clean = try await pipeline.audit()
        expectClean(clean)
    }

    @Test func objectsOfAnUnknownMappingWaitForIt() async throws {
        let pipeline = try Pipeline()
        let lines = (0..<5).map { #"{"t":\#(Pipeline.base_ms + Int64($0)),"v":"3","x":{"a":1.5},"c":"yes"}"# }
        let bytes = Array((lines.joined(separator: "\n") + "\n").utf8)
        let segment = TestSegment(
            writer: "one-log-" + String(repeating: "a", count: 32), seq: 0, sealed_ms: Pipeline.base_ms + 60_000,
            end: false, bytes: bytes, format: "shop")
        let key = try await pipeline.put([segment])
        let report = try await pipeline.load()
        #expect(report.pending.map(\.key) == [key])
        #expect(try await pipeline.audit().findings.contains { $0.id == "pending:\(key)" })
        let mapping = try Mapping(
            name: "shop",
            [
                "time": .text("$.t"), "model_version": .text("$.v"), "features": .text("$.x.*"),
                "prediction": .text("$.c"), "model_name": .text("shop"),
            ])
        try await pipeline.report(ended: true)
        let second = try await pipeline.load(mappings: [mapping])
        #expect(second.objects == 1)
        #expect(second.lines == 5)
        let clean = try await pipeline.audit()
        expectClean(clean)

        // A changed mapping takes effect by a rebuild.
        let changed = try Mapping(
            name: "shop",
            [
                "time": .text("$.t"), "model_version": .text("v4"), "features": .text("$.x.*"),
                "prediction": .text("$.c"), "model_name": .text("shop"),
            ])
        let rebuilt = try await Rebuild(pipeline.loader(mappings: [changed])).run(.mapping("shop"))
        #expect(rebuilt.hours == 1)
        let versions = try pipeline.database.connect().query(
            """
            SELECT DISTINCT model_version FROM nadi_store.request_hour JOIN nadi_store.series USING (series_id)
            """
        ).rows.map { $0.text(0) }
        #expect(versions == ["v4"])
        let after = try await pipeline.audit()
        expectClean(after)
    }

    @Test func namesBeyondTheirCapsAreCountedUnderOther() async throws {
        let pipeline = try Pipeline()
        var writer = TestWriter()
        for index in 0..<60 {
            writer.append(
                TestEvents.prediction(
                    Pipeline.base_ms + Int64(index) * 1000, id: "p\(index)", model: index < 30 ? "a" : "m\(index)",
                    prediction: "\"class \(index)\"", region: "r\(index)"))
        }
        try await pipeline.put([writer.seal(at: Pipeline.base_ms + 120_000, end: true)])
        try await pipeline.report(ended: true)
        let loader = pipeline.loader { settings in
            settings.caps.models = 5
            settings.caps.categoriesPerFeature = 4
            settings.caps.sliceValues = 3
            settings.caps.featuresPerModel = 3
        }
        let report = try await loader.load(reach: .all)
        #expect(report.lines == 61)
        #expect(report.refused["models"] ?? 0 > 0)
        #expect(report.refused["categories"] ?? 0 > 0)
        #expect(report.refused["slice values"] ?? 0 > 0)
        let audit = try await pipeline.audit()
        expectClean(audit)
        #expect(try pipeline.database.connect().query("SELECT count(*) FROM nadi_store.model")[0].integer(0) <= 6)
    }

    @Test func aTerminatedConnectionIsMadeGood() async throws {
        let pipeline = try Pipeline()
        let segments = TestEvents.corpus(seed: 9, writers: 4, segments: 6, lines: 20)
        for segment in segments { try await pipeline.put([segment]) }
        try await pipeline.report(ended: true)
        // The server ends the loader's connection in the middle of its transaction, three times: sequences do not roll back.
        try pipeline.database.connect().execute(
            """
            CREATE SEQUENCE public.merges;
            CREATE FUNCTION public.end_some() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
                IF nextval('public.merges') IN (2, 3, 7) THEN PERFORM pg_terminate_backend(pg_backend_pid()); END IF;
                RETURN NULL;
            END
            $$;
            CREATE TRIGGER end_some AFTER INSERT ON nadi_store.request_hour
                FOR EACH STATEMENT EXECUTE FUNCTION public.end_some();
            """)
        let report = try await pipeline.load(objects: 2)
        let merges = try pipeline.database.connect().query("SELECT last_value FROM public.merges")[0].integer(0)
        #expect(merges > 7)
        #expect(report.segments == segments.count)
        let audit = try await pipeline.audit()
        expectClean(audit)
        let fresh = try Pipeline(bucketOf: pipeline)
        _ = try await fresh.load()
        let left = try TableDump(pipeline.database.connect(), withOutcomes: false)
        let right = try TableDump(fresh.database.connect(), withOutcomes: false)
        #expect(left.differences(right).isEmpty, "\(left.differences(right))")
    }
}
