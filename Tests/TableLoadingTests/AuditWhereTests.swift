import EventModel
import EventSegments
import ObjectStorage
import RecordBatches
import TableLoading
import TableStorage
import TestSupport
import Testing

/// A prediction is found by its id: where its lines are, what became of them, and its labels.
@Suite(.enabled(if: TestServers.postgres != nil, "set NADI_TEST_POSTGRES, or use Tests/run"))
struct AuditWhereTests {
    private func find(
        _ pipeline: Pipeline, _ id: String, model: String? = nil, from_ms: Int64? = nil, to_ms: Int64? = nil,
        mappings: [Mapping] = []
    ) async throws -> WhereReport {
        let thread = DatabaseThread(pipeline.database.uri)
        let finder = Where(store: pipeline.store, database: thread, settings: pipeline.settings(), mappings: mappings)
        let report = try await finder.find(Where.Query(id: id, model: model, from_ms: from_ms, to_ms: to_ms))
        await thread.close()
        return report
    }

    private func id(at time_ms: Int64) -> String {
        var generator = SystemRandomNumberGenerator()
        return UUIDv7(time_ms: time_ms, using: &generator).description
    }

    @Test func countedRejectedJoinedAndAwaited() async throws {
        let pipeline = try Pipeline()
        let time = Pipeline.base_ms + 600_000
        let (joined, awaited, bad) = (id(at: time), id(at: time), id(at: time))
        var writer = TestWriter("one", 1)
        for line in 0..<30 { writer.append(TestEvents.prediction(time, id: id(at: time + Int64(line)))) }
        writer.append(TestEvents.prediction(time, id: joined))
        writer.append(TestEvents.prediction(time, id: awaited))
        writer.append(TestEvents.prediction(time, id: bad).replacing("\"model_version\":\"1\",", with: ""))
        let key = try await pipeline.put([writer.seal(at: time + 20_000)])
        writer.append(TestEvents.outcome(time + 60_000, prediction: joined, predictionTime_ms: time))
        writer.append(TestEvents.outcome(time + 60_000, prediction: awaited, predictionTime_ms: time - 3 * LoadClock.hour_ms))
        let labels = try await pipeline.put([writer.seal(at: time + 90_000, end: true)])
        try await pipeline.report(ended: true)
        _ = try await pipeline.load(joinNow: true)

        let first = try await find(pipeline, joined)
        #expect(first.isFound && first.matches.count == 2 && first.labels.count == 1)
        let line = try #require(first.matches.first { $0.line.type == .prediction })
        #expect(line.object == key && line.writer == writer.name && line.seq == 0 && line.line.line == 31)
        #expect(line.isCounted && line.fate == "counted, in hour \(LoadClock.hourText(LoadClock.hour(time))) UTC")
        #expect(first.labels[0].object == labels && first.labels[0].place == "\(writer.name)-1 line 1")
        #expect(first.labels[0].fate.hasPrefix("joined with hour "))
        #expect(first.json.contains("\"joined\":true") && first.json.contains("\"counted\":true"))

        let second = try await find(pipeline, awaited)
        #expect(second.labels[0].fate.hasPrefix("waiting: "), "\(second.text)")

        let third = try await find(pipeline, bad)
        let rejected = try #require(third.matches.first)
        #expect(third.matches.count == 1 && !rejected.isCounted && rejected.line.line == 33)
        #expect(rejected.fate == "rejected: missing_field: model_version is missing")
        #expect(third.text.contains("no label or feedback of it is kept"))

        // Not there: it says where it looked, and that everything is counted.
        let fourth = try await find(pipeline, id(at: time))
        #expect(!fourth.isFound && fourth.objects == 2)
        #expect(fourth.text.contains("No line with the id") && fourth.text.contains("it was never written"))
        // Of a time that is not counted yet.
        let fifth = try await find(pipeline, id(at: LoadClock.now_ms() + 1000))
        #expect(fifth.text.contains("may be on its way"))
    }

    @Test func objectsThatNobodyLoadedAndRepeatedIds() async throws {
        let pipeline = try Pipeline()
        let time = LoadClock.now_ms() - 120_000
        let id = id(at: time)
        var writer = TestWriter("one", 1)
        writer.append(TestEvents.prediction(time, id: id))
        writer.append(TestEvents.prediction(time, id: id, model: "fraud"))
        let segment = writer.seal(at: time + 10_000, end: true)
        try await pipeline.put([segment])
        let early = try await find(pipeline, id)
        #expect(early.matches.count == 2 && early.matches.allSatisfy { !$0.isCounted })
        #expect(early.matches[0].fate == "not counted yet: no loader has seen the object")
        _ = try await pipeline.load()
        // The same segment in a second object.
        var other = TestWriter("one", 2)
        other.append(TestEvents.prediction(time, id: "x"))
        try await pipeline.put([segment, other.seal(at: time + 11_000, end: true)])
        _ = try await pipeline.load()
        let all = try await find(pipeline, id)
        #expect(all.matches.count == 4 && all.matches.count(where: \.isCounted) == 2)
        #expect(all.matches.contains { $0.fate.hasPrefix("not counted here: the same segment") })
        #expect(all.text.hasPrefix("4 prediction lines bear this id, 2 of them counted"))
        let one = try await find(pipeline, id, model: "fraud")
        #expect(one.matches.count == 2 && one.matches.allSatisfy { $0.line.model == "fraud" })
    }

    @Test func idsWithoutATimeNeedARange() async throws {
        let pipeline = try Pipeline()
        try await pipeline.put(TestEvents.corpus(seed: 8, writers: 1, segments: 2, lines: 12))
        _ = try await pipeline.load()
        await #expect(throws: LoadError.self) { try await find(pipeline, "p1-0-1") }
        let found = try await find(
            pipeline, "p1-0-1", from_ms: Pipeline.base_ms, to_ms: Pipeline.base_ms + 6 * LoadClock.hour_ms)
        // p1-0-10 and p1-0-11 bear it as a part only.
        #expect(found.matches.count == 1 && found.matches[0].isCounted)
        // By its label's hour.
        let labelled = try await find(pipeline, "p1-0-4")
        #expect(labelled.matches.contains { $0.line.type == .prediction && $0.isCounted })
    }

    @Test func aForeignLine() async throws {
        let mapping = try Mapping(
            name: "web",
            [
                "time": .text("$.ts"), "model_name": .text("iris"), "model_version": .text("$.ver"),
                "prediction_id": .text("$.request"),
            ])
        let pipeline = try Pipeline()
        let time = Pipeline.base_ms + 60_000
        let id = id(at: time)
        let text = "{\"ts\":\"\(Timestamp.format(time))\",\"ver\":\"7\",\"request\":\"\(id)\"}\n"
        let digits = String(repeating: "a", count: 32)
        var segment = TestSegment(
            writer: "one-access-\(digits)", seq: 0, sealed_ms: time + 5000, end: false, bytes: Array(text.utf8))
        segment.format = "web"
        try await pipeline.put([segment])
        _ = try await pipeline.load(mappings: [mapping])
        let found = try await find(pipeline, id, mappings: [mapping])
        #expect(found.matches.count == 1 && found.matches[0].isCounted && found.matches[0].line.version == "7")
        let without = try await find(pipeline, id)
        #expect(!without.isFound && without.text.contains("its mapping 'web' is not in the configuration"))
    }

    @Test func writersAndSegments() async throws {
        let pipeline = try Pipeline()
        let segments = TestEvents.corpus(seed: 8, writers: 1, segments: 3, lines: 12)
        let key = try await pipeline.put(segments)
        _ = try await pipeline.load()
        let connection = try pipeline.database.connect()
        let story = try #require(try WriterStory(segments[0].writer, connection))
        #expect(story.text.contains("closed, host one") && story.text.contains(key))
        let one = try #require(try WriterStory("\(segments[0].writer)-1", connection))
        #expect(one.text.contains("segment 1, sealed") && !one.text.contains("segment 2, sealed"))
        #expect(one.json.contains("\"state\":\"loaded\""))
        #expect(try WriterStory("one-nobody", connection) == nil)
    }

    @Test func rejectsWithTheirTextPlaceAndReason() async throws {
        let pipeline = try Pipeline()
        let time = Pipeline.base_ms
        var writer = TestWriter("one", 1)
        for line in 0..<25 { writer.append("{ bad \(line) \u{1B}[31m") }
        writer.append("[1]")
        try await pipeline.put([writer.seal(at: time, end: true)])
        _ = try await pipeline.load()
        let connection = try pipeline.database.connect()
        let all = try RejectListing(RejectListing.Filter(), connection)
        #expect(all.lines.count == 21)
        #expect(all.totals.map { "\($0.reason) \($0.lines) \($0.kept)" } == ["invalid_json 25 20", "not_an_object 1 1"])
        #expect(all.text.contains("{ bad 0 \\x1b[31m") && all.text.contains("\(writer.name)-0 line 26"))
        var filter = RejectListing.Filter()
        filter.reason = "not_an_object"
        #expect(try RejectListing(filter, connection).lines.map(\.line) == [26])
        filter.host = "two"
        #expect(try RejectListing(filter, connection).text == "No line was rejected.\n")
        filter = RejectListing.Filter()
        filter.from_ms = time + 1
        #expect(try RejectListing(filter, connection).lines.isEmpty)
        // Dashboards' role sees the counts, not the texts.
        try connection.execute("SET ROLE nadi_reader")
        #expect(try connection.query("SELECT sum(reject_count)::bigint FROM nadi.reject")[0].integer(0) == 26)
        #expect(throws: DatabaseError.self) { try connection.query("SELECT * FROM nadi_store.reject_line") }
    }
}
