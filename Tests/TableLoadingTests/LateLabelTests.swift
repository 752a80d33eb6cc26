import EventSegments
import ObjectStorage
import TableLoading
import TableStorage
import TestSupport
import Testing

/// Labels that come late, are corrected, age out, or wait for their turn.
@Suite(.enabled(if: TestServers.postgres != nil, "set NADI_TEST_POSTGRES, or use Tests/run"))
struct LateLabelTests {
    private struct Counts: Equatable {
        var labelled: Int64
        var correct: Int64
        var tooLate: Int64
        var agedOut: Int64
        var rows: Int64
    }

    private func counts(_ pipeline: Pipeline) throws -> Counts {
        let connection = try pipeline.database.connect()
        let quality = try connection.query(
            """
            SELECT coalesce(sum(labelled), 0)::bigint, coalesce(sum(correct), 0)::bigint
            FROM nadi_store.outcome_hour JOIN nadi_store.series USING (series_id) WHERE slice_key = 'all'
            """)[0]
        let arrival = try connection.query(
            """
            SELECT coalesce(sum(too_late), 0)::bigint, coalesce(sum(aged_out), 0)::bigint,
                   (SELECT count(*) FROM nadi_store.outcome) FROM nadi_store.outcome_arrival
            """)[0]
        return Counts(
            labelled: quality.integer(0), correct: quality.integer(1), tooLate: arrival.integer(0),
            agedOut: arrival.integer(1), rows: arrival.integer(2))
    }

    private func predictions(_ base: Int64, _ count: Int) -> TestSegment {
        var writer = TestWriter("one", 1)
        for index in 0..<count { writer.append(TestEvents.prediction(base + Int64(index) * 1000, id: "p\(index)")) }
        return writer.seal(at: base + 600_000, end: true)
    }

    @Test func aLabelLongAfterItsPredictionIsTooLate() async throws {
        let pipeline = try Pipeline()
        let base = Pipeline.base_ms - 90 * LoadClock.day_ms
        try await pipeline.put([predictions(base, 20)])
        var labels = TestWriter("one", 2)
        for index in 0..<10 {
            labels.append(
                TestEvents.outcome(base + 3_600_000, prediction: "p\(index)", predictionTime_ms: base))
        }
        try await pipeline.put([labels.seal(at: base + 7_200_000)])
        _ = try await pipeline.load(joinNow: true)
        #expect(try counts(pipeline) == Counts(labelled: 10, correct: 10, tooLate: 0, agedOut: 0, rows: 10))

        // Ten days later its own arrival is in time, this one's is not: sealed 101 days after the prediction.
        labels.append(TestEvents.outcome(base, prediction: "p11", predictionTime_ms: base))
        try await pipeline.put([labels.seal(at: base + 99 * LoadClock.day_ms)])
        labels.append(TestEvents.outcome(base, prediction: "p12", predictionTime_ms: base))
        try await pipeline.put([labels.seal(at: base + 102 * LoadClock.day_ms, end: true)])
        try await pipeline.report(ended: true)
        _ = try await pipeline.load(joinNow: true)
        #expect(try counts(pipeline) == Counts(labelled: 11, correct: 11, tooLate: 1, agedOut: 0, rows: 11))
        expectClean(try await pipeline.audit())
    }

    @Test func anArchiveOlderThanLabelDaysJoinsBeforeItAgesOut() async throws {
        let pipeline = try Pipeline()
        let base = Pipeline.base_ms - 130 * LoadClock.day_ms
        try await pipeline.put([predictions(base, 20)])
        var labels = TestWriter("one", 2)
        for index in 0..<10 {
            labels.append(
                TestEvents.outcome(base + 3_600_000, prediction: "p\(index)", predictionTime_ms: base))
        }
        try await pipeline.put([labels.seal(at: base + 7_200_000)])
        try await pipeline.report(ended: true)
        // Not joined in this run: it must wait, not age out.
        let first = pipeline.loader {
            $0.join.share = 1
            $0.join.age_s = 86_400
        }
        _ = try await first.load(reach: .all)
        #expect(try counts(pipeline) == Counts(labelled: 0, correct: 0, tooLate: 0, agedOut: 0, rows: 10))
        _ = try await pipeline.load(joinNow: true)
        #expect(try counts(pipeline) == Counts(labelled: 10, correct: 10, tooLate: 0, agedOut: 10, rows: 0))

        // One more label for that hour, in time by its own arrival: the hour's numbers are final.
        labels.append(TestEvents.outcome(base + 3_700_000, prediction: "p15", predictionTime_ms: base))
        try await pipeline.put([labels.seal(at: base + 8_000_000, end: true)])
        _ = try await pipeline.load(joinNow: true)
        #expect(try counts(pipeline) == Counts(labelled: 10, correct: 10, tooLate: 1, agedOut: 10, rows: 0))
        expectClean(try await pipeline.audit())

        // A rebuild of the predictions leaves them, too.
        let rebuilt = try await Rebuild(pipeline.loader()).run(
            .hours(from_ms: base, to_ms: base + LoadClock.hour_ms))
        #expect(rebuilt.hours == 1)
        _ = try await pipeline.load(joinNow: true)
        #expect(try counts(pipeline).labelled == 10)
        #expect(
            try pipeline.database.connect().query("SELECT count(*) FROM nadi_store.dirty_hour")[0].integer(0) == 0)
    }

    @Test func aSweptLabelThatIsCorrectedKeepsItsHour() async throws {
        let pipeline = try Pipeline()
        let base = Pipeline.base_ms
        var writer = TestWriter("one", 1)
        writer.append(TestEvents.prediction(base + 1000, id: "order 17"))
        writer.append(TestEvents.outcome(base + 5000, prediction: "order 17", predictionTime_ms: nil))
        try await pipeline.put([writer.seal(at: base + 60_000)])
        _ = try await pipeline.load(joinNow: true, sweepNow: true)
        #expect(try counts(pipeline).correct == 1)
        writer.append(
            TestEvents.outcome(
                base + 9000, prediction: "order 17", label: "\"virginica\"", predictionTime_ms: nil, revision: 1))
        try await pipeline.put([writer.seal(at: base + 120_000, end: true)])
        // Without another sweep.
        _ = try await pipeline.load(joinNow: true)
        let now = try counts(pipeline)
        #expect(now.labelled == 1 && now.correct == 0)
    }

    @Test func tricklesWaitAShareOfTheirHoursAge() async throws {
        let pipeline = try Pipeline()
        let base = Pipeline.base_ms - 40 * LoadClock.day_ms
        try await pipeline.put([predictions(base, 400)])
        var labels = TestWriter("one", 2)
        labels.append(TestEvents.outcome(base + 3_600_000, prediction: "p3", predictionTime_ms: base))
        try await pipeline.put([labels.seal(at: base + 7_200_000, end: true)])
        let patient = pipeline.loader { $0.join.age_s = 900 }
        _ = try await patient.load(reach: .all)
        let connection = try pipeline.database.connect()
        // 5 % of 40 days are two days.
        try connection.query("UPDATE nadi_store.dirty_hour SET since = now() - interval '1 day'")
        #expect(try await patient.load().joinedHours == 0)
        try connection.query("UPDATE nadi_store.dirty_hour SET since = now() - interval '3 days'")
        #expect(try await patient.load().joinedHours == 1)
        #expect(try counts(pipeline).labelled == 1)
    }

    @Test func theHourThatWaitsLongestIsFirst() async throws {
        let pipeline = try Pipeline()
        let base = Pipeline.base_ms
        var writer = TestWriter("one", 1)
        for hour in 0..<3 {
            let time = base + Int64(hour) * LoadClock.hour_ms
            writer.append(TestEvents.prediction(time, id: "p\(hour)"))
            writer.append(TestEvents.outcome(time + 1000, prediction: "p\(hour)", predictionTime_ms: time))
        }
        try await pipeline.put([writer.seal(at: base + 3 * LoadClock.hour_ms, end: true)])
        let none = pipeline.loader { $0.join.hoursPerRun = 0 }
        _ = try await none.load(reach: .all)
        let connection = try pipeline.database.connect()
        let wanted = base + LoadClock.hour_ms
        try connection.query(
            "UPDATE nadi_store.dirty_hour SET since = now() - interval '1 hour' WHERE hour = $1", [.time(wanted)])
        let one = pipeline.loader { $0.join.hoursPerRun = 1 }
        #expect(try await one.load().joinedHours == 1)
        let joined = try connection.query("SELECT DISTINCT hour FROM nadi_store.outcome_hour").rows.map { $0.time(0) }
        #expect(joined == [wanted])
    }

    @Test func anHourThatIsMarkedWhileItIsJoinedWaitsAnew() async throws {
        let pipeline = try Pipeline()
        let base = Pipeline.base_ms
        try await pipeline.put([predictions(base, 10)])
        var labels = TestWriter("one", 2)
        labels.append(TestEvents.outcome(base + 3_600_000, prediction: "p3", predictionTime_ms: base))
        try await pipeline.put([labels.seal(at: base + 7_200_000, end: true)])
        let none = pipeline.loader { $0.join.hoursPerRun = 0 }
        _ = try await none.load(reach: .all)
        let connection = try pipeline.database.connect()
        try connection.query(
            "UPDATE nadi_store.dirty_hour SET since = now() - interval '9 days', waiting = 500, marks = 500")
        let uri = pipeline.database.uri
        let loader = pipeline.loader { _, _ in
            _ = try Connection(uri, ConnectionOptions(applicationName: "nadi-test")).query(
                "UPDATE nadi_store.dirty_hour SET marks = marks + 1, waiting = waiting + 1")
        }
        #expect(try await loader.load().joinedHours == 1)
        #expect(try counts(pipeline).labelled == 1)
        let left = try connection.query(
            "SELECT waiting, since > now() - interval '1 minute' FROM nadi_store.dirty_hour")[0]
        #expect(left.integer(0) == 1)
        #expect(left.boolean(1))
    }
}
