import EventSegments
import ObjectStorage
import TableLoading
import TableStorage
import TestSupport
import Testing

@Suite(.enabled(if: TestServers.postgres != nil, "set NADI_TEST_POSTGRES, or use Tests/run"))
struct JoinTests {
    private struct Quality: Equatable {
        var labelled: Int64
        var correct: Int64
    }

    private func quality(_ pipeline: Pipeline, table: String = "outcome_hour") throws -> Quality {
        let row = try pipeline.database.connect().query(
            """
            SELECT coalesce(sum(labelled), 0)::bigint, coalesce(sum(correct), 0)::bigint
            FROM nadi_store.\(table) JOIN nadi_store.series USING (series_id) WHERE slice_key = 'all'
            """)[0]
        return Quality(labelled: row.integer(0), correct: row.integer(1))
    }

    @Test func labelsReopenTheirHour() async throws {
        let pipeline = try Pipeline()
        let base = Pipeline.base_ms
        var predictions = TestWriter("one", 1)
        for index in 0..<20 { predictions.append(TestEvents.prediction(base + Int64(index) * 1000, id: "p\(index)")) }
        try await pipeline.put([predictions.seal(at: base + 60_000, end: true)])
        try await pipeline.report(ended: true)
        _ = try await pipeline.load(joinNow: true)
        #expect(try quality(pipeline) == Quality(labelled: 0, correct: 0))

        var labels = TestWriter("one", 2)
        for index in 0..<10 {
            labels.append(
                TestEvents.outcome(
                    base + 7_200_000, prediction: "p\(index)", label: index < 7 ? "\"setosa\"" : "\"virginica\"",
                    predictionTime_ms: base + Int64(index) * 1000))
        }
        labels.append(
            TestEvents.outcome(base + 7_200_000, prediction: "nobody", predictionTime_ms: base))
        try await pipeline.put([labels.seal(at: base + 7_300_000)])
        let joined = try await pipeline.load()
        #expect(joined.joinedHours == 1)
        #expect(try quality(pipeline) == Quality(labelled: 10, correct: 7))
        #expect(try quality(pipeline, table: "outcome_day") == Quality(labelled: 10, correct: 7))

        // One label is corrected by a revision (whose time may be earlier), another repeated; an older one changes nothing.
        labels.append(
            TestEvents.outcome(
                base + 7_100_000, prediction: "p9", label: "\"setosa\"", predictionTime_ms: base + 9000, revision: 1))
        labels.append(
            TestEvents.outcome(
                base + 7_200_000, prediction: "p1", label: "\"setosa\"", predictionTime_ms: base + 1000))
        labels.append(
            TestEvents.outcome(
                base + 7_000_000, prediction: "p2", label: "\"virginica\"", predictionTime_ms: base + 2000))
        try await pipeline.put([labels.seal(at: base + 7_500_000, end: true)])
        _ = try await pipeline.load()
        #expect(try quality(pipeline) == Quality(labelled: 10, correct: 8))
        let connection = try pipeline.database.connect()
        let arrival = try connection.query(
            "SELECT sum(lines)::bigint, sum(superseded)::bigint FROM nadi_store.outcome_arrival")[0]
        #expect(arrival.integer(0) == 14)
        #expect(arrival.integer(1) == 3)
        #expect(try connection.query("SELECT count(*) FROM nadi_store.dirty_hour")[0].integer(0) == 0)
        let audit = try await pipeline.audit()
        expectClean(audit)
    }

    @Test func labelsBeforeTheirPredictionsJoinOnceTheseArrive() async throws {
        let pipeline = try Pipeline()
        let base = Pipeline.base_ms
        var labels = TestWriter("one", 2)
        labels.append(TestEvents.outcome(base + 1000, prediction: "p0", predictionTime_ms: base))
        try await pipeline.put([labels.seal(at: base + 60_000, end: true)])
        _ = try await pipeline.load(joinNow: true)
        #expect(try quality(pipeline).labelled == 0)
        var predictions = TestWriter("one", 1)
        predictions.append(TestEvents.prediction(base, id: "p0"))
        try await pipeline.put([predictions.seal(at: base + 120_000, end: true)])
        _ = try await pipeline.load()
        #expect(try quality(pipeline) == Quality(labelled: 1, correct: 1))
    }

    @Test func idsWithATimeHintTheHourAndItsNeighbours() async throws {
        let pipeline = try Pipeline()
        let base = Pipeline.base_ms
        // The id is of the hour before the prediction's.
        let time = UInt64(base - 60_000)
        let digits = String(time, radix: 16)
        let head = String(repeating: "0", count: 12 - digits.count) + digits
        let id = "\(head.prefix(8))-\(head.suffix(4))-7abc-8abc-0123456789ab"
        var writer = TestWriter("one", 1)
        writer.append(TestEvents.prediction(base + 1000, id: id))
        writer.append(TestEvents.outcome(base + 5000, prediction: id, predictionTime_ms: nil))
        try await pipeline.put([writer.seal(at: base + 60_000, end: true)])
        _ = try await pipeline.load(joinNow: true)
        #expect(try quality(pipeline) == Quality(labelled: 1, correct: 1))
    }

    @Test func labelsWithoutAnyTimeAreFoundByASweep() async throws {
        let pipeline = try Pipeline()
        let base = Pipeline.base_ms
        var writer = TestWriter("one", 1)
        writer.append(TestEvents.prediction(base + 1000, id: "order 17"))
        writer.append(TestEvents.prediction(base + 2000, id: "order 18"))
        try await pipeline.put([writer.seal(at: base + 60_000)])
        _ = try await pipeline.load()
        writer.append(TestEvents.outcome(base + 5000, prediction: "order 17", predictionTime_ms: nil))
        try await pipeline.put([writer.seal(at: base + 120_000)])
        _ = try await pipeline.load(joinNow: true)
        #expect(try quality(pipeline) == Quality(labelled: 1, correct: 1))

        // A second sweep on the same day has to be asked for.
        writer.append(TestEvents.outcome(base + 6000, prediction: "order 18", predictionTime_ms: nil))
        try await pipeline.put([writer.seal(at: base + 180_000, end: true)])
        _ = try await pipeline.load(joinNow: true)
        #expect(try quality(pipeline).labelled == 1)
        _ = try await pipeline.load(joinNow: true, sweepNow: true)
        #expect(try quality(pipeline) == Quality(labelled: 2, correct: 2))
    }
}
