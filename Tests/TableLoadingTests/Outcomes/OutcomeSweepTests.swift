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
            writer.append(
                TestEvents.prediction(hour(number) + Int64(line) * 1000, id: "\(prefix)\(number)-\(line)", model: model)
            )
        }
        return writer.seal(at: hour(number) + LoadClock.hour_ms, end: true)
    }

    private func label(_ pipeline: Pipeline, _ number: Int, _ ids: [String], model: String = "iris") async throws {
        var writer = TestWriter("two", number)
        for id in ids {
            writer.append(TestEvents.outcome(hour(3), prediction: id, predictionTime_ms: nil, model: model))
        }
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

    /// An hour of which an object is lost is closed, and looked into once the object is there again.
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
        var report = try await sweep(pipeline)
        #expect(report.hours_ms == [hour(2), hour(1)])
        #expect(report.failed.isEmpty)
        // One that is there, and damaged: told, and passed over.
        var damaged = bytes
        damaged[bytes.count / 4] ^= 0xFF
        _ = try await pipeline.store.put(key, damaged, PutOptions())
        _ = try await pipeline.load()
        report = try await sweep(pipeline)
        #expect(report.hours_ms == [hour(0)])
        #expect(report.failed.map(\.what) == ["sweep of hour \(LoadClock.hourText(hour(0)))"])
        try await pipeline.store.delete(key)
        _ = try await pipeline.store.put(key, bytes, PutOptions())
        report = try await sweep(pipeline)
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

    private func run(
        _ pipeline: Pipeline, idsAtATime: Int64 = 8_000_000, change: (inout LoadSettings) -> Void = { _ in },
        hook: @escaping @Sendable (Int, String) async throws -> Void = { _, _ in }
    ) async throws -> OutcomeSweep.Report {
        let loader = pipeline.loader(change: change, hook: hook)
        let report = try await OutcomeSweep(loader, idsAtATime: idsAtATime).run(everything: false)
        await loader.close()
        return report
    }

    private func forgetTheLastSweep(_ connection: Connection) throws {
        try connection.execute("DELETE FROM nadi_store.loader_state WHERE name = 'swept'")
    }

    /// A run looks into some hours, and the next goes on below them, whatever comes above meanwhile, also with several parts.
    @Test(arguments: [Int64(100), 2]) func eachRunGoesOnWhereTheLastOneEnded(idsAtATime: Int64) async throws {
        let pipeline = try Pipeline()
        let connection = try pipeline.database.connect()
        try await threeHours(pipeline)
        try await label(pipeline, 1, ["0-1", "2-1", "nobody", "neither"])
        // A day has not passed yet.
        #expect(try await run(pipeline).hours_ms == [])
        try forgetTheLastSweep(connection)
        // With two parts an hour is read twice.
        func next() async throws -> Set<Int64> {
            Set(try await run(pipeline, idsAtATime: idsAtATime) { $0.sweep.hoursPerRun = 1 }.hours_ms)
        }
        #expect(try await next() == [hour(2)])
        let swept = try connection.query(
            "SELECT count(*), (SELECT next_before = $1 FROM nadi_store.sweep) FROM nadi_store.swept_hour", [.time(hour(2))])
        #expect(swept[0].integer(0) == 1)
        #expect(swept[0].boolean(1))
        // Neither a new segment nor a new outcome above calls this sweep back.
        try await pipeline.put([predictions(2, writer: 40, prefix: "new ")])
        try connection.execute("UPDATE nadi_store.sweep SET next_attempt_at = now() + interval '1 hour'")
        try await label(pipeline, 2, ["new 2-3"])
        try connection.execute("UPDATE nadi_store.sweep SET next_attempt_at = NULL")
        #expect(try await next() == [hour(1)])
        #expect(try await next() == [hour(0)])
        #expect(try await next() == [])
        #expect(try connection.query("SELECT count(*) FROM nadi_store.sweep")[0].integer(0) == 0)
        #expect(try pipeline.arrivals() == Arrivals(lines: 5, waiting: 3, unmatched: 2))
        // Not before a day has passed; then what came since.
        #expect(try await next() == [])
        try forgetTheLastSweep(connection)
        #expect(try await next() == [hour(2)])
        _ = try await pipeline.load(joinNow: true)
        #expect(try pipeline.quality() == [3, 3])
        try await pipeline.expectSameAsFresh()
    }

    /// Several objects of an hour are read at once, and what they hold is written at once.
    @Test func anHoursObjectsAreReadAtOnce() async throws {
        let pipeline = try Pipeline()
        for writer in 0..<4 { try await pipeline.put([predictions(0, writer: 10 + writer, prefix: "\(writer) ")]) }
        try await pipeline.report(ended: true)
        _ = try await pipeline.load()
        try await label(pipeline, 1, (0..<4).map { "\($0) 0-1" })
        let connection = try pipeline.database.connect()
        try forgetTheLastSweep(connection)
        let mark = try connection.query("SELECT nextval('nadi_store.dirty_mark')")[0].integer(0)
        let readers = Meeting(of: 2)
        let report = try await run(pipeline, hook: { _, _ in try await readers.come() })
        #expect(report.found == 4)
        #expect(await readers.haveMet)
        #expect(try connection.query("SELECT nextval('nadi_store.dirty_mark')")[0].integer(0) == mark + 2)
    }

    @Test func oneLoaderSweepsAtATime() async throws {
        let pipeline = try Pipeline()
        try await threeHours(pipeline)
        try await label(pipeline, 1, ["nobody"])
        try forgetTheLastSweep(try pipeline.database.connect())
        let other = pipeline.loader(owner: "test/2/b")
        let taken = Notices()
        let report = try await run(
            pipeline,
            hook: { before, _ in
                guard before == 0 else { return }
                if try await OutcomeSweep(other).run().isTaken { taken.add("taken") }
                // Its load goes on without.
                _ = try await other.load()
            })
        #expect(taken.texts == ["taken"])
        #expect(report.hours_ms.count == 3)
        // And it is given back.
        #expect(try await !OutcomeSweep(other).run().isTaken)
        await other.close()
    }

    /// A store that fails puts the sweep off and nothing else; it goes on from there.
    @Test func aStoreThatFailsPutsTheSweepOff() async throws {
        let pipeline = try Pipeline()
        let connection = try pipeline.database.connect()
        try await threeHours(pipeline)
        try await label(pipeline, 1, ["0-1"])
        try forgetTheLastSweep(connection)
        let failing = pipeline.loader { _, key in
            if !key.contains("hosts/") { throw StorageError(.unreachable, operation: "GET", message: "no answer") }
        }
        let load = try await failing.load()
        #expect(load.failed.count == 1)
        #expect(load.failed.first?.key == "the sweep")
        #expect(load.failed.first?.reason.contains("no answer") == true)
        let state = try connection.query(
            "SELECT failures, next_attempt_at > now(), last_error, next_before = 'infinity' FROM nadi_store.sweep")[0]
        #expect(state.integer(0) == 1 && state.boolean(1) && state.boolean(3))
        #expect(try StatusReport(connection, now_ms: LoadClock.now_ms()).text.contains("no answer"))
        // Not now.
        #expect(try await run(pipeline).hours_ms == [])
        try connection.execute("UPDATE nadi_store.sweep SET next_attempt_at = now()")
        let report = try await run(pipeline)
        #expect(report.hours_ms == [hour(2), hour(1), hour(0)])
        #expect(report.found == 1)
        // What one hour is refused for a day does not keep the sweep.
        try await label(pipeline, 2, ["nobody"])
        try connection.execute("DELETE FROM nadi_store.sweep")
        try forgetTheLastSweep(connection)
        let old = try connection.query("SELECT object_key FROM nadi_store.object ORDER BY sealed_at LIMIT 1")[0].text(0)
        for _ in 0...10 {
            _ = try await run(
                pipeline,
                hook: { _, key in
                    if key == old { throw StorageError(.accessDenied, operation: "GET", message: "denied") }
                })
            try connection.execute("UPDATE nadi_store.sweep SET next_attempt_at = now()")
        }
        #expect(try connection.query("SELECT count(*) FROM nadi_store.sweep WHERE failures = 0")[0].integer(0) == 1)
        #expect(try await run(pipeline).hours_ms == [])
        #expect(try connection.query("SELECT count(*) FROM nadi_store.sweep")[0].integer(0) == 0)
    }

    /// An id older than its prediction (an order's, a customer's) is no reason to throw its outcome away.
    @Test func anOldHintIsLookedForInOpenHours() async throws {
        let pipeline = try Pipeline()
        let order = OutcomeEvents.id(Self.base - 200 * LoadClock.day_ms)
        let session = OutcomeEvents.id(Self.base - 30 * LoadClock.hour_ms)
        var writer = TestWriter("one", 1)
        writer.append(TestEvents.prediction(hour(0) + 1000, id: order))
        writer.append(TestEvents.prediction(hour(1) + 1000, id: session))
        try await pipeline.put([writer.seal(at: hour(2), end: true)])
        try await pipeline.report(ended: true)
        _ = try await pipeline.load()
        // The session began in an hour whose outcomes have aged out.
        try pipeline.database.connect().query(
            """
            INSERT INTO nadi_store.join_hour (model_id, hour, joined_to, predictions, outcomes, repeated_ids, is_final)
            SELECT model_id, $1, 0, 0, 0, 0, true FROM nadi_store.model WHERE model_name = 'iris'
            """, [.time(Self.base - 30 * LoadClock.hour_ms)])
        try await label(pipeline, 1, [order, session])
        #expect(try pipeline.arrivals() == Arrivals(lines: 2, waiting: 2))
        #expect(try await sweep(pipeline).found == 2)
        _ = try await pipeline.load(joinNow: true)
        #expect(try pipeline.quality() == [2, 2])
        try pipeline.expectOutcomesBalance()
    }

    /// Those of models beyond the cap can join with nothing: no hour is read for them, and `check` says so.
    @Test func outcomesOfModelsBeyondTheCapAreNotLookedFor() async throws {
        let pipeline = try Pipeline()
        for (hour, model) in ["iris", "fraud"].enumerated() {
            try await pipeline.put([predictions(hour, writer: 10 + hour, model: model)])
        }
        var writer = TestWriter("two", 1)
        for line in 0..<2 {
            writer.append(TestEvents.outcome(hour(3), prediction: "0-\(line)", predictionTime_ms: nil))
        }
        try await pipeline.put([writer.seal(at: hour(4), end: true)])
        try await pipeline.report(ended: true)
        let loader = pipeline.loader { $0.caps.models = 1 }
        let report = try await loader.load(reach: .all, joinNow: true, sweepNow: true)
        await loader.close()
        #expect(report.sweptHours == 0)
        #expect(try pipeline.arrivals() == Arrivals(lines: 2, unmatched: 2))
        var check = Check()
        check.database(pipeline.database.uri, migrations: nil, now_ms: LoadClock.now_ms())
        #expect(
            check.items.contains {
                $0.verdict == .warning && $0.text.hasPrefix("2 outcomes of the last 7 days are of models beyond")
            })
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

/// Lets those who come first wait for the others, for a while.
private actor Meeting {
    private let size: Int
    private var count = 0
    private(set) var haveMet = false

    init(of size: Int) { self.size = size }

    func come() async throws {
        count += 1
        defer { count -= 1 }
        if count == size { haveMet = true }
        for _ in 0..<1000 where !haveMet { try await Task.sleep(for: .milliseconds(10)) }
    }
}
