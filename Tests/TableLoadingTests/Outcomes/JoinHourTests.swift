import EventSegments
import ObjectStorage
import Synchronization
import TableLoading
import TableStorage
import TestSupport
import Testing

/// Which hour an outcome is looked for in, when, and in how many parts.
@Suite(.enabled(if: TestServers.postgres != nil, "set NADI_TEST_POSTGRES, or use Tests/run"))
struct JoinHourTests {
    private static let base = Pipeline.base_ms

    private func predictions(_ number: Int, _ ids: [String], hour_ms: Int64 = base) -> TestSegment {
        var writer = TestWriter("one", number)
        for (line, id) in ids.enumerated() { writer.append(TestEvents.prediction(hour_ms + Int64(line), id: id)) }
        return writer.seal(at: hour_ms + LoadClock.hour_ms, end: true)
    }

    private func labels(_ number: Int, _ ids: [String], time_ms: Int64? = base, at sealed_ms: Int64 = base)
        -> TestSegment
    {
        var writer = TestWriter("two", number)
        for id in ids {
            writer.append(TestEvents.outcome(sealed_ms + 1_800_000, prediction: id, predictionTime_ms: time_ms))
        }
        return writer.seal(at: sealed_ms + 2 * LoadClock.hour_ms, end: true)
    }

    private func load(_ pipeline: Pipeline, _ change: (inout LoadSettings) -> Void) async throws -> LoadReport {
        let loader = pipeline.loader(change: change)
        let report = try await loader.load(reach: .all)
        await loader.close()
        return report
    }

    /// A time that is wrong by an hour's edge is looked for beside it, a date without its time by the sweep.
    @Test func aTimeThatIsNotThePredictionsIsAHint() async throws {
        let pipeline = try Pipeline()
        let midnight = LoadClock.day(Self.base) - LoadClock.day_ms
        let late = midnight + 10 * LoadClock.hour_ms
        try await pipeline.put([predictions(1, ["edge"], hour_ms: Self.base)])
        try await pipeline.put([predictions(2, ["date"], hour_ms: late)])
        try await pipeline.put([
            labels(1, ["edge"], time_ms: Self.base - 1), labels(2, ["date"], time_ms: midnight, at: late),
        ])
        _ = try await pipeline.load(joinNow: true)
        #expect(try pipeline.arrivals() == Arrivals(lines: 2, joined: 1, waiting: 1))
        try await pipeline.report(ended: true)
        _ = try await pipeline.load(joinNow: true, sweepNow: true)
        #expect(try pipeline.arrivals() == Arrivals(lines: 2, joined: 2))
        #expect(try pipeline.quality() == [2, 2])
        try pipeline.expectOutcomesBalance()
        expectClean(try await pipeline.audit())
    }

    /// An archive that is loaded again may show the labels first: their rows are not written to say so.
    @Test func labelsWaitForAnHourWithoutPredictions() async throws {
        let pipeline = try Pipeline()
        try await pipeline.put([labels(1, ["a", "b"])])
        func isPatient(_ settings: inout LoadSettings) { settings.join.age_s = 60 }
        _ = try await load(pipeline, isPatient)
        let connection = try pipeline.database.connect()
        func rows() throws -> [String] {
            try connection.query("SELECT t::text || xmin FROM nadi_store.outcome AS t ORDER BY 1").rows.map {
                $0.text(0)
            }
        }
        let before = try rows()
        try connection.query("UPDATE nadi_store.dirty_hour SET since = now() - interval '5 hours'")
        #expect(try await load(pipeline, isPatient).joinedHours == 0)
        #expect(try rows() == before)
        #expect(try pipeline.arrivals() == Arrivals(lines: 2, waiting: 2))
        try await pipeline.put([predictions(1, ["a"])])
        #expect(try await load(pipeline, isPatient).joinedHours == 1)
        #expect(try pipeline.arrivals() == Arrivals(lines: 2, joined: 1, waiting: 1))
        // None comes: the sweep looks for them after a while.
        try await pipeline.put([labels(2, ["c"], time_ms: Self.base - 5 * LoadClock.hour_ms)])
        _ = try await load(pipeline, isPatient)
        try connection.query("UPDATE nadi_store.dirty_hour SET since = now() - interval '7 hours'")
        #expect(try await load(pipeline, isPatient).joinedHours == 1)
        #expect(try connection.query("SELECT count(*) FROM nadi_store.outcome WHERE unmatched")[0].integer(0) == 2)
    }

    /// In parts of little memory, written a few at a time, or all at once: the same rows.
    @Test func anHourInPartsIsTheSameAsAtOnce() async throws {
        let pipeline = try Pipeline()
        let ids = (0..<3000).map { "p\($0)" }
        try await pipeline.put([predictions(1, Array(ids.prefix(1200)) + ids.prefix(300))])
        try await pipeline.put([labels(1, ids)])
        let downloads = Atomic(0)
        func join() async throws {
            let loader = pipeline.loader {
                $0.join.memoryBytes = 64 << 10
                $0.join.lostAtATime = 100
            } hook: { _, _ in
                downloads.wrappingAdd(1, ordering: .relaxed)
            }
            _ = try await loader.load(reach: .all, joinNow: true)
            await loader.close()
        }
        try await join()
        #expect(downloads.load(ordering: .relaxed) > 10)
        #expect(try pipeline.quality() == [1200, 1200])
        #expect(try pipeline.arrivals() == Arrivals(lines: 3000, joined: 1200, waiting: 1800))
        try await pipeline.put([predictions(2, Array(ids.suffix(2000)))])
        try await pipeline.report(ended: true)
        try await join()
        #expect(try pipeline.quality() == [3000, 3000])
        let state = try pipeline.database.connect().query("SELECT sum(repeated_id_count)::bigint FROM nadi.join_state")[
            0]
        #expect(state.integer(0) == 500)
        try pipeline.expectOutcomesBalance()
        expectClean(try await pipeline.audit())
        try await pipeline.expectSameAsFresh()
    }

    /// What is not found before midnight is looked for after it, though nobody knows of predictions there yet: they may be
    /// loaded at the same time, under the locks of the other day.
    @Test func whatIsLostAtMidnightMarksTheOtherDay() async throws {
        let pipeline = try Pipeline()
        let midnight = LoadClock.day(Self.base - LoadClock.day_ms)
        try await pipeline.put([predictions(1, ["a"], hour_ms: midnight - LoadClock.hour_ms)])
        try await pipeline.put([labels(1, [OutcomeEvents.id(midnight - 60_000)], time_ms: nil, at: midnight)])
        #expect(try await pipeline.load().joinedHours == 1)
        let connection = try pipeline.database.connect()
        let marked = try connection.query("SELECT hour FROM nadi_store.dirty_hour").rows.map { $0.time(0) }
        #expect(marked == [midnight])
        try await pipeline.report(ended: true)
        _ = try await pipeline.load(joinNow: true)
        #expect(try connection.query("SELECT count(*) FROM nadi_store.dirty_hour")[0].integer(0) == 0)
        #expect(try connection.query("SELECT count(*) FROM nadi_store.join_hour")[0].integer(0) == 1)
        try await pipeline.expectSameAsFresh()
    }
}
