import EventSegments
import ObjectStorage
import TableLoading
import TableStorage
import TestSupport
import Testing

/// The sweep finds what carries no time, and reads no hour for nothing.
@Suite(.enabled(if: TestServers.postgres != nil, "set NADI_TEST_POSTGRES, or use Tests/run"))
struct OutcomeSweepTests {
    private static let base = Pipeline.base_ms - 48 * LoadClock.hour_ms

    /// Three hours with predictions of their own: `<hour>-<line>`.
    private func threeHours(_ pipeline: Pipeline) async throws {
        for hour in 0..<3 { try await pipeline.put([predictions(hour, writer: 10 + hour)]) }
        try await pipeline.report(ended: true)
        _ = try await pipeline.load()
    }

    private func hour(_ number: Int) -> Int64 { Self.base + Int64(number) * LoadClock.hour_ms }

    private func predictions(_ number: Int, writer: Int, prefix: String = "", model: String = "iris") -> TestSegment {
        var writer = TestWriter("one", writer)
        for line in 0..<5 {
            writer.append(TestEvents.prediction(hour(number) + Int64(line) * 1000, id: "\(prefix)\(number)-\(line)", model: model))
        }
        return writer.seal(at: hour(number) + LoadClock.hour_ms, end: true)
    }

    private func label(_ pipeline: Pipeline, _ number: Int, _ ids: [String], model: String = "iris") async throws {
        var writer = TestWriter("two", number)
        for id in ids { writer.append(TestEvents.outcome(hour(3), prediction: id, predictionTime_ms: nil, model: model)) }
        try await pipeline.put([writer.seal(at: hour(4), end: true)])
        let loader = pipeline.loader { $0.join.hoursPerRun = 0 }
        // Loading sweeps at most once a day: not now.
        try pipeline.database.connect().query(
            """
            INSERT INTO nadi_store.loader_state (name, at, value) VALUES ('swept', now(), '')
            ON CONFLICT (name) DO UPDATE SET at = now()
            """)
        _ = try await loader.load(reach: .all)
        await loader.close()
    }

    private func sweep(_ pipeline: Pipeline, idsAtATime: Int64 = 8_000_000) async throws -> OutcomeSweep.Report {
        let loader = pipeline.loader()
        let report = try await OutcomeSweep(loader, idsAtATime: idsAtATime).run()
        await loader.close()
        return report
    }

    @Test func hoursAreReadOnlyForWhatIsNew() async throws {
        let pipeline = try Pipeline()
        try await threeHours(pipeline)
        // Newest first, and no further than the last id that is waited for.
        try await label(pipeline, 1, ["1-3"])
        var report = try await sweep(pipeline)
        #expect(report.hours_ms == [hour(2), hour(1)])
        #expect(report.found == 1)
        #expect(try await sweep(pipeline).hours_ms == [])

        // One that nobody has made: all hours, once.
        try await label(pipeline, 2, ["nobody"])
        report = try await sweep(pipeline)
        #expect(report.hours_ms == [hour(2), hour(1), hour(0)])
        #expect(report.found == 0)
        #expect(try await sweep(pipeline).hours_ms == [])
        #expect(try pipeline.arrivals().unmatched == 1)

        // A segment that comes late: its hour alone, for all that wait.
        try await pipeline.put([predictions(0, writer: 20, prefix: "late ")])
        _ = try await pipeline.load()
        #expect(try await sweep(pipeline).hours_ms == [hour(0)])
        try await pipeline.put([predictions(1, writer: 21, prefix: "later ")])
        _ = try await pipeline.load()
        try await label(pipeline, 3, ["late 0-2", "later 1-1"])
        report = try await sweep(pipeline)
        #expect(report.found == 2)
        #expect(report.hours_ms == [hour(2), hour(1), hour(0)])

        // A model without predictions there: nothing is read for it.
        try await label(pipeline, 4, ["x"], model: "fraud")
        #expect(try await sweep(pipeline).hours_ms == [])

        // A rebuilt hour may hold other predictions.
        let rebuild = pipeline.loader()
        #expect(try await Rebuild(rebuild).run(.hours(from_ms: hour(2), to_ms: hour(2) + 1)).hours == 1)
        await rebuild.close()
        #expect(try await sweep(pipeline).hours_ms == [hour(2)])

        _ = try await pipeline.load(joinNow: true)
        #expect(try pipeline.arrivals() == Arrivals(lines: 5, joined: 3, unmatched: 2))
        try pipeline.expectOutcomesBalance()
        expectClean(try await pipeline.audit())
        try await pipeline.expectSameAsFresh()
    }

    /// More ids than fit are looked for part by part: each part reads what the others read.
    @Test func moreIdsThanFitAreLookedForInParts() async throws {
        let pipeline = try Pipeline()
        try await threeHours(pipeline)
        let ids = (0..<3).flatMap { hour in (0..<5).map { "\(hour)-\($0)" } }
        try await label(pipeline, 1, ids + ["nobody", "neither"])
        let report = try await sweep(pipeline, idsAtATime: 4)
        #expect(report.found == 15)
        #expect(report.hours_ms.count > 3)
        #expect(try await sweep(pipeline).hours_ms == [])
        _ = try await pipeline.load(joinNow: true)
        #expect(try pipeline.quality() == [15, 15])
        #expect(try pipeline.arrivals() == Arrivals(lines: 17, joined: 15, unmatched: 2))
        try pipeline.expectOutcomesBalance()
        try await pipeline.expectSameAsFresh()
    }

    /// An object that cannot be read is passed over, and looked into once it is there again.
    @Test func anHourThatCannotBeReadIsSweptLater() async throws {
        let pipeline = try Pipeline()
        try await threeHours(pipeline)
        let key = try #require(
            try pipeline.database.connect().query(
                "SELECT object_key FROM nadi_store.object ORDER BY sealed_at LIMIT 1"
            ).first?.text(0))
        let bytes = try await pipeline.store.get(key)
        try await pipeline.store.delete(key)
        try await label(pipeline, 1, ["0-1"])
        #expect(try await sweep(pipeline).hours_ms == [hour(2), hour(1), hour(0)])
        _ = try await pipeline.store.put(key, bytes, PutOptions())
        let report = try await sweep(pipeline)
        #expect(report.hours_ms == [hour(0)])
        #expect(report.found == 1)
    }

    /// An outcome whose number was drawn before the sweep began and that is committed after it is not passed over.
    @Test func aSweepWaitsForNumbersThatAreUnderWay() async throws {
        let pipeline = try Pipeline()
        try await threeHours(pipeline)
        try await label(pipeline, 1, ["nobody"])
        let other = try pipeline.database.connect()
        let model = try other.query("SELECT model_id FROM nadi_store.model")[0].integer(0)
        // A loader between the first of its numbers and its COMMIT.
        try other.execute("BEGIN")
        try HourLocks.takeOutcomes(models: [model], other)
        try other.execute(
            """
            INSERT INTO nadi_store.outcome
            SELECT prediction_day, model_id, event_type, name, '2-2', revision, event_time, event_id, label_text, label_number, value,
                   value_currency, score, prediction_hour, hour_is_exact, arrival_day, segment_id, line,
                   nextval('nadi_store.outcome_number'), false, 0
            FROM nadi_store.outcome WHERE prediction_id = 'nobody'
            """)
        async let first = sweep(pipeline)
        #expect(try await LoaderWatch(pipeline).wait(for: 1).count == 1)
        try other.execute("COMMIT")
        #expect(try await first.found == 1)
    }

    /// `check` counts lines as they came: what the sweep found since is no excuse.
    @Test(arguments: [false, true]) func checkWarnsOfOutcomesWithoutATime(timed: Bool) async throws {
        let pipeline = try Pipeline()
        try await threeHours(pipeline)
        var writer = TestWriter("two", 1)
        for line in 0..<5 {
            let time = hour(1) + Int64(line) * 1000
            writer.append(
                TestEvents.outcome(time + 60_000, prediction: "1-\(line)", predictionTime_ms: timed ? time : nil))
        }
        try await pipeline.put([writer.seal(at: hour(4), end: true)])
        _ = try await pipeline.load(joinNow: true, sweepNow: true)
        #expect(try pipeline.arrivals() == Arrivals(lines: 5, joined: 5))
        var check = Check()
        check.database(pipeline.database.uri, migrations: nil, now_ms: LoadClock.now_ms())
        let warned = check.items.contains {
            $0.verdict == .warning && $0.text.hasPrefix("5 of 5 outcomes of the last 7 days carry neither")
        }
        #expect(warned == !timed, "\(check.text)")
    }
}
