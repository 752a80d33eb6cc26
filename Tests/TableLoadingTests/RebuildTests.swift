import EventModel
import EventSegments
import ObjectStorage
import RecordBatches
import TableLoading
import TableStorage
import TestSupport
import Testing

/// What a rebuild refuses, mends and resumes.
@Suite(.enabled(if: TestServers.postgres != nil, "set NADI_TEST_POSTGRES, or use Tests/run"))
struct RebuildTests {
    static let everything = Rebuild.Scope.hours(
        from_ms: Pipeline.base_ms - LoadClock.day_ms, to_ms: Pipeline.base_ms + LoadClock.day_ms)

    /// A foreign log's mapping; the time is read from `field`.
    static func mapping(_ name: String = "web", time field: String = "ts", type: String = "prediction") throws
        -> Mapping
    {
        try Mapping(
            name: name,
            [
                "type": .text(type), "model_name": .text("iris"), "model_version": .text("$.ver"),
                "time": .text("$.\(field)"), "features": .text("$.input.*"), "prediction": .text("$.out"),
                "id": .text("$.id"), "prediction_id": .text("$.id"), "label": .text("$.label"), "name": .text("label"),
            ].filter { type == "outcome" || ($0.key != "label" && $0.key != "name") })
    }

    /// A foreign log of predictions around an hour; `at` is two hours after `ts` for every third line.
    static func segment(_ number: Int, hour_ms: Int64, lines: Int = 12, format: String = "web") -> TestSegment {
        var text = ""
        for line in 0..<lines {
            let time = hour_ms + Int64(line) * 400_000
            let at = time + (line % 3 == 0 ? 2 * LoadClock.hour_ms : 0)
            text += """
                {"ts":"\(Timestamp.format(time))","at":"\(Timestamp.format(at))","ver":"1","id":"w\(number)-\(line)",\
                "out":"setosa","label":"setosa","input":{"x":\(Double(line) / 7)}}\n
                """
        }
        text += "no json\n"
        return TestSegment(
            writer: TestWriter("one-web", number).name, seq: 0, sealed_ms: hour_ms + 4 * LoadClock.hour_ms, end: false,
            bytes: Array(text.utf8), format: format)
    }

    /// The error of a closure that must fail with one of ours.
    private func failure(_ body: () async throws -> Void) async -> LoadError? {
        do {
            try await body()
            return nil
        } catch {
            return error as? LoadError
        }
    }

    @Test func aMappingThatIsMissingIsAnErrorAndDeletesNothing() async throws {
        let pipeline = try Pipeline()
        let base = Pipeline.base_ms - 2 * LoadClock.hour_ms
        try await pipeline.put([Self.segment(1, hour_ms: base)])
        var labels = TestWriter("one", 2)
        labels.append(TestEvents.outcome(base + 60_000, prediction: "w1-0", predictionTime_ms: base))
        try await pipeline.put([labels.seal(at: base + 3_600_000)])
        _ = try await pipeline.load(mappings: [try Self.mapping()], joinNow: true)
        let connection = try pipeline.database.connect()
        func labelled() throws -> Int64 {
            try connection.query("SELECT coalesce(sum(labelled), 0)::bigint FROM nadi_store.outcome_hour")[0].integer(0)
        }
        #expect(try labelled() > 0)
        let before = try TableDump(connection)

        let error = await failure { _ = try await Rebuild(pipeline.loader()).run(Self.everything) }
        #expect(error?.code == .configuration)
        #expect(error?.description.contains("mapping 'web'") == true)
        #expect(before.differences(try TableDump(connection)).isEmpty)

        // The join of a new label, too: the hour waits, its rows stay.
        labels.append(TestEvents.outcome(base + 70_000, prediction: "w1-1", predictionTime_ms: base))
        try await pipeline.put([labels.seal(at: base + 3_700_000, end: true)])
        let report = try await pipeline.load(joinNow: true)
        #expect(report.failed.count == 1)
        #expect(report.failed.first?.reason.contains("mapping 'web'") == true)
        #expect(try labelled() == before.labelled)
        // It waits before it is tried again.
        let next = try await pipeline.load()
        #expect(next.failed.isEmpty)
        #expect(try labelled() == before.labelled)
        let mended = try await pipeline.load(mappings: [try Self.mapping()], joinNow: true)
        #expect(mended.failed.isEmpty && mended.joinedHours > 0)
        #expect(try labelled() == before.labelled * 2)
    }

    @Test func anObjectReplacedUnderItsKeyIsNamed() async throws {
        let pipeline = try Pipeline()
        let base = Pipeline.base_ms
        var writer = TestWriter("one", 1)
        writer.append(TestEvents.prediction(base, id: "p0"))
        let segment = writer.seal(at: base + 60_000)
        let key = try await pipeline.put([segment])
        _ = try await pipeline.load()
        let connection = try pipeline.database.connect()
        let before = try TableDump(connection)
        var other = TestWriter("one", 1)
        other.append(TestEvents.prediction(base, id: "p1"))
        var builder = BundleBuilder(host: "one")
        let replaced = other.seal(at: base + 60_000)
        _ = try builder.add(replaced.identity, bytes: replaced.bytes)
        _ = try await pipeline.store.put(key, builder.finish().object, PutOptions())
        let report = try await Rebuild(pipeline.loader()).run(Self.everything)
        #expect(report.hours == 0)
        #expect(
            report.closed.contains { $0.reason.contains("was replaced under the same key") && $0.reason.contains(key) })
        #expect(before.differences(try TableDump(connection)).isEmpty)
    }

    @Test func aChangedMappingMovesLinesToOtherHours() async throws {
        let pipeline = try Pipeline()
        let base = Pipeline.base_ms - 3 * LoadClock.hour_ms
        for number in 1...3 {
            try await pipeline.put([Self.segment(number, hour_ms: base + Int64(number - 1) * LoadClock.hour_ms)])
        }
        try await pipeline.report(ended: true)
        _ = try await pipeline.load(mappings: [try Self.mapping()])
        let connection = try pipeline.database.connect()
        let before = try TableDump(connection)
        let changed = [try Self.mapping(time: "at")]

        // An hour range would leave lines behind at its edges.
        let error = await failure {
            _ = try await Rebuild(pipeline.loader(mappings: changed)).run(
                .hours(from_ms: base, to_ms: base + LoadClock.hour_ms))
        }
        #expect(error?.description.contains("nadi rebuild --mapping web") == true)
        #expect(before.differences(try TableDump(connection)).isEmpty)

        let report = try await Rebuild(pipeline.loader(mappings: changed)).run(.mapping("web"))
        #expect(report.closed.isEmpty && report.hours > 3)
        let fresh = try Pipeline(bucketOf: pipeline)
        _ = try await fresh.load(mappings: changed)
        let left = try TableDump(fresh.database.connect())
        let right = try TableDump(connection)
        #expect(left.differences(right).isEmpty, "\(left.differences(right))")
        #expect(!before.differences(right).isEmpty)
        #expect(left.exact.keys.contains { $0.hasPrefix("reject_line") })
        // Now ranges are in order again.
        let again = try await Rebuild(pipeline.loader(mappings: changed)).run(Self.everything)
        #expect(again.closed.isEmpty && again.hours > 3)
        #expect(left.differences(try TableDump(connection)).isEmpty)
        #expect(try connection.query("SELECT count(*) FROM nadi_store.mapping WHERE name = 'web'")[0].integer(0) == 2)
    }

    @Test func aChangedMappingThatYieldsOutcomesIsRefused() async throws {
        let pipeline = try Pipeline()
        try await pipeline.put([Self.segment(1, hour_ms: Pipeline.base_ms - LoadClock.hour_ms, format: "labels")])
        _ = try await pipeline.load(mappings: [try Self.mapping("labels", type: "outcome")])
        let before = try TableDump(pipeline.database.connect())
        #expect(before.exact.keys.contains { $0.hasPrefix("outcome:") })
        let error = await failure {
            let changed = [try Self.mapping("labels", time: "at", type: "outcome")]
            _ = try await Rebuild(pipeline.loader(mappings: changed)).run(.mapping("labels"))
        }
        #expect(error?.code == .configuration)
        #expect(error?.description.contains("yields outcomes") == true)
        #expect(before.differences(try TableDump(pipeline.database.connect())).isEmpty)
    }

    @Test func anInterruptedRebuildGoesOnOnlyWithTheSameArguments() async throws {
        let pipeline = try Pipeline()
        // So many keys in one argument list that no index could hold them.
        var keys: [String] = []
        for segment in TestEvents.corpus(seed: 8, writers: 20, segments: 6, lines: 2) {
            keys.append(try await pipeline.put([segment]))
        }
        #expect(keys.count == 120)
        _ = try await pipeline.load(joinNow: true, sweepNow: true)
        let connection = try pipeline.database.connect()
        let before = try TableDump(connection)
        let hours = try connection.query("SELECT count(DISTINCT hour) FROM nadi_store.request_hour")[0].integer(0)
        try connection.query("UPDATE nadi_store.request_hour SET errors = errors + 7")

        struct Stop: Error {}
        // The plan reads every object once, then each hour its own.
        await #expect(throws: Stop.self) {
            _ = try await Rebuild(pipeline.loader { before, _ in if before == 180 { throw Stop() } }).run(
                .objects(keys))
        }
        let remembered = try connection.query("SELECT name FROM nadi_store.loader_state WHERE name LIKE 'rebuild %'")
        #expect(remembered.count == 1)
        // Other slices: what was done is stale.
        let sliced = try await Rebuild(pipeline.loader(change: { $0.sliceTags = [] })).run(.hours(from_ms: 0, to_ms: 1))
        #expect(sliced.resumedAfter_ms == nil)
        let other = pipeline.loader(
            change: { $0.caps.featuresPerModel = 499 }, hook: { before, _ in if before == 130 { throw Stop() } })
        await #expect(throws: Stop.self) { _ = try await Rebuild(other).run(.objects(keys)) }

        let notices = Notices()
        let report = try await Rebuild(pipeline.loader(), notice: { notices.add($0) }).run(.objects(keys))
        #expect(report.resumedAfter_ms != nil)
        #expect(report.hours > 0 && report.hours < hours)
        #expect(notices.texts.contains { $0.hasPrefix("going on after hour") })
        _ = try await pipeline.load(joinNow: true, sweepNow: true)
        let mended = try TableDump(connection)
        // Days come from their hours at each swap.
        #expect(before.differences(mended).isEmpty, "\(before.differences(mended))")
        #expect(try await Rebuild(pipeline.loader()).run(.objects(keys), restart: true).hours == Int(hours))
    }

    @Test func rebuildingWhileLoadingAgrees() async throws {
        let pipeline = try Pipeline()
        let segments = TestEvents.corpus(seed: 9, writers: 3, segments: 8, lines: 20)
        for segment in segments.prefix(8) { try await pipeline.put([segment]) }
        _ = try await pipeline.load()
        for segment in segments.dropFirst(8) { try await pipeline.put([segment]) }
        async let loading: Void = {
            // One object a transaction, so that there are many.
            _ = try await pipeline.load(objects: 1)
        }()
        var rebuilt = 0
        for _ in 0..<4 {
            let report = try await Rebuild(pipeline.loader(owner: "test/1/r")).run(Self.everything)
            #expect(report.closed.isEmpty)
            rebuilt += report.hours
        }
        try await loading
        #expect(rebuilt > 0)
        _ = try await pipeline.load(joinNow: true, sweepNow: true)
        let fresh = try Pipeline(bucketOf: pipeline)
        _ = try await fresh.load(joinNow: true, sweepNow: true)
        let left = try TableDump(fresh.database.connect())
        let right = try TableDump(pipeline.database.connect())
        #expect(left.differences(right).isEmpty, "\(left.differences(right))")
    }
}
