import EventSegments
import ObjectStorage
import TableLoading
import TableStorage
import TestSupport
import Testing

/// Hours that cannot be joined, or not as they were read, cost no other hour anything and no label its place.
@Suite(.enabled(if: TestServers.postgres != nil, "set NADI_TEST_POSTGRES, or use Tests/run"))
struct JoinFailureTests {
    private static let base = Pipeline.base_ms

    private func predictions(_ number: Int, _ ids: [String], hour_ms: Int64 = base, version: String = "1")
        -> TestSegment
    {
        var writer = TestWriter("one", number)
        for (line, id) in ids.enumerated() {
            writer.append(TestEvents.prediction(hour_ms + Int64(line) * 1000, id: id, version: version))
        }
        return writer.seal(at: hour_ms + LoadClock.hour_ms, end: true)
    }

    private func labels(_ number: Int, _ ids: [String], time_ms: Int64? = base, revision: Int = 0) -> TestSegment {
        var writer = TestWriter("two", number)
        for id in ids {
            writer.append(
                TestEvents.outcome(
                    Self.base + 1_800_000, prediction: id, predictionTime_ms: time_ms, revision: revision))
        }
        return writer.seal(at: Self.base + 2 * LoadClock.hour_ms, end: true)
    }

    /// Loads without joining.
    private func load(_ pipeline: Pipeline, change: (inout LoadSettings) -> Void = { _ in }) async throws {
        let loader = pipeline.loader {
            $0.join.hoursPerRun = 0
            change(&$0)
        }
        _ = try await loader.load(reach: .all)
        await loader.close()
    }

    /// A service sends a line twice, in two hours, and both hours look for its label at the same time.
    @Test func anOutcomeThatTwoHoursFindCountsOnce() async throws {
        let pipeline = try Pipeline()
        let id = OutcomeEvents.id(Self.base + 60_000)
        try await pipeline.put([predictions(1, [id], hour_ms: Self.base + LoadClock.hour_ms)])
        try await pipeline.put([labels(1, [id], time_ms: nil)])
        // Not found where the id says; the hour beside is marked.
        _ = try await pipeline.load()
        #expect(try pipeline.quality() == [0, 0])
        let connection = try pipeline.database.connect()
        // No sweep, which would place it.
        try connection.query("INSERT INTO nadi_store.loader_state (name, at, value) VALUES ('swept', now(), '0')")
        try await pipeline.put([predictions(2, [id])])
        try await load(pipeline)
        #expect(try connection.query("SELECT count(*) FROM nadi_store.dirty_hour")[0].integer(0) == 2)
        try await pipeline.report(ended: true)
        _ = try await pipeline.load(joinNow: true)
        #expect(try pipeline.quality() == [1, 1])
        #expect(try pipeline.arrivals() == Arrivals(lines: 1, joined: 1))
        try pipeline.expectOutcomesBalance()
        expectClean(try await pipeline.audit())
    }

    /// The rows of one hour are refused, those of the other are written, and the run goes on.
    @Test func anHourThatCannotBeWrittenHoldsUpNoOther() async throws {
        let pipeline = try Pipeline()
        let later = Self.base + LoadClock.hour_ms
        try await pipeline.put([predictions(1, ["a"])])
        try await pipeline.put([predictions(2, ["b"], hour_ms: later)])
        try await pipeline.put([labels(1, ["a"]), labels(2, ["b"], time_ms: later)])
        try await load(pipeline)
        let connection = try pipeline.database.connect()
        try connection.execute(
            """
            CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'refused'; END $$;
            CREATE TRIGGER refuse BEFORE INSERT ON nadi_store.outcome_hour FOR EACH ROW
                WHEN (NEW.hour = to_timestamp(\(Self.base / 1000))) EXECUTE FUNCTION refuse();
            """)
        let report = try await pipeline.load(joinNow: true)
        #expect(report.joinedHours == 1)
        #expect(report.failed.count == 1 && report.failed.allSatisfy { $0.reason.contains("refused") })
        #expect(try pipeline.quality() == [1, 1])
        let states = try connection.query(
            "SELECT last_error IS NOT NULL AND next_attempt_at > now() FROM nadi.join_state ORDER BY bucket_start"
        ).rows.map { $0.boolean(0) }
        #expect(states == [true, false])
        try connection.execute("DROP TRIGGER refuse ON nadi_store.outcome_hour")
        #expect(try await pipeline.load(joinNow: true).failed.isEmpty)
        #expect(try pipeline.quality() == [2, 2])
        try pipeline.expectOutcomesBalance()
    }

    /// One answer that an object is not there may be a gateway's without its store.
    @Test func anObjectThatIsNotFoundCostsNoLabels() async throws {
        let pipeline = try Pipeline()
        let key = try await pipeline.put([predictions(1, ["a", "b"])])
        try await pipeline.put([labels(1, ["a", "b"])])
        _ = try await pipeline.load(joinNow: true)
        try await pipeline.put([labels(2, ["a"], revision: 1)])
        try await load(pipeline)
        let bytes = try await pipeline.store.get(key)
        try await pipeline.store.delete(key)
        let loader = pipeline.loader()
        let report = try await loader.load(reach: .recent, joinNow: true)
        await loader.close()
        #expect(report.failed.count == 1 && report.failed.allSatisfy { $0.reason.contains(key) }, "\(report.failed)")
        #expect(try pipeline.arrivals() == Arrivals(lines: 3, joined: 1, waiting: 1, superseded: 1))
        _ = try await pipeline.store.put(key, bytes, PutOptions())
        try await pipeline.report(ended: true)
        _ = try await pipeline.load(joinNow: true)
        #expect(try pipeline.arrivals() == Arrivals(lines: 3, joined: 2, superseded: 1))
        #expect(try pipeline.quality() == [2, 2])
        expectClean(try await pipeline.audit())
    }

    /// An hour of which an object is lost is closed for labels that name it, not for ids whose time is of it.
    @Test func aClosedHourKeepsHints() async throws {
        let pipeline = try Pipeline()
        let ids = (0..<2).map { OutcomeEvents.id(Self.base + 60_000, $0) }
        let key = try await pipeline.put([predictions(1, ["a", ids[0]])])
        try await pipeline.put([predictions(2, [ids[1]], hour_ms: Self.base + LoadClock.hour_ms)])
        try await load(pipeline)
        try await pipeline.store.delete(key)
        try await load(pipeline)
        try await pipeline.put([labels(1, ["a"]), labels(2, ids, time_ms: nil)])
        _ = try await pipeline.load(joinNow: true)
        #expect(try pipeline.arrivals() == Arrivals(lines: 3, joined: 1, waiting: 1, tooLate: 1))
        #expect(try pipeline.quality() == [1, 1])
        try pipeline.expectOutcomesBalance()
    }

    /// Predictions of a model that was beyond the cap when they came have no series that a join of it may write.
    @Test func aModelThatIsAdmittedLaterIsJoinedTwice() async throws {
        let pipeline = try Pipeline()
        try await pipeline.put([predictions(1, ["a"])])
        try await load(pipeline) { $0.caps.models = 0 }
        try await pipeline.put([predictions(2, ["b"], version: "2")])
        try await pipeline.put([labels(1, ["a", "b"])])
        for number in 2...3 {
            #expect(try await pipeline.load(joinNow: true).failed.isEmpty)
            #expect(try pipeline.quality() == [1, 1])
            try await pipeline.put([labels(number, ["b"], revision: number)])
        }
    }

    /// So many names for one prediction that no part of the hour holds them.
    @Test func anHourThatNoPartHoldsIsPutOff() async throws {
        let pipeline = try Pipeline()
        try await pipeline.put([predictions(1, ["a"])])
        var writer = TestWriter("two", 1)
        for number in 0..<5000 {
            writer.append(
                OutcomeEvents.line(
                    Self.base + 60_000, name: "n\(number)", prediction: "a", "\"value\":1", predictionTime_ms: Self.base
                ))
        }
        try await pipeline.put([writer.seal(at: Self.base + LoadClock.hour_ms, end: true)])
        try await load(pipeline)
        let small = pipeline.loader { $0.join.memoryBytes = 64 << 10 }
        let report = try await small.load(joinNow: true)
        await small.close()
        #expect(
            report.failed.count == 1 && report.failed.allSatisfy { $0.reason.contains("one prediction") },
            "\(report.failed)")
        #expect(try await pipeline.load(joinNow: true).failed.isEmpty)
        #expect(try pipeline.arrivals().joined == 5000)
    }
}
