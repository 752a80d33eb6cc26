import EventSegments
import TableLoading
import TableStorage
import TestSupport
import Testing

/// Outcomes are kept `label_days` after their prediction: days go whole, the size levels off, what they counted stays.
@Suite(.enabled(if: TestServers.postgres != nil, "set NADI_TEST_POSTGRES, or use Tests/run"))
struct OutcomeRetentionTests {
    private static let retention: LoadSettings.Retention = {
        var retention = LoadSettings.Retention()
        retention.minuteDays = 4000
        retention.labelDays = 30
        retention.archiveDays = 4000
        return retention
    }()
    private static let begin = LoadClock.day(LoadClock.now_ms()) - 200 * LoadClock.day_ms

    /// Five days of predictions with labels by every kind of hint, some of them corrected, some never matched.
    private func fiveDays(_ step: Int) -> TestSegment {
        var writer = TestWriter("one", 1 + step)
        let start = Self.begin + Int64(step) * 5 * LoadClock.day_ms
        for day in 0..<5 {
            let time = start + Int64(day) * LoadClock.day_ms + 3_600_000
            for line in 0..<6 {
                let at = time + Int64(line) * 1000
                let id = line % 2 == 0 ? "p\(step)-\(day)-\(line)" : OutcomeEvents.id(at, step * 100 + day * 10 + line)
                writer.append(TestEvents.prediction(at, id: id))
                writer.append(
                    TestEvents.outcome(at + 60_000, prediction: id, predictionTime_ms: line % 2 == 0 ? at : nil))
            }
            writer.append(
                TestEvents.outcome(
                    time + 90_000, prediction: "p\(step)-\(day)-0", label: "\"virginica\"", predictionTime_ms: time,
                    revision: 1))
            writer.append(TestEvents.outcome(time, prediction: "lost-\(step)-\(day)", predictionTime_ms: time))
            writer.append(TestEvents.outcome(time, prediction: "nobody-\(step)-\(day)", predictionTime_ms: nil))
        }
        return writer.seal(at: start + 5 * LoadClock.day_ms, end: true)
    }

    @Test func theSizeLevelsOff() async throws {
        let pipeline = try Pipeline()
        let connection = try pipeline.database.connect()
        try await pipeline.report(ended: true)
        var levels: [(rows: Int64, days: Int64, bytes: Int64)] = []
        for step in 0..<14 {
            try await pipeline.put([fiveDays(step)])
            let loader = pipeline.loader {
                $0.retention = Self.retention
                $0.retention.labelDays = 4000
            }
            _ = try await loader.load(reach: .all, joinNow: true, sweepNow: true)
            await loader.close()
            // Loading does not know that it is long ago: retention is applied as of then.
            try connection.query("UPDATE nadi_store.object SET claimed_at = sealed_at, loaded_at = sealed_at")
            let now_ms = Self.begin + Int64(step + 1) * 5 * LoadClock.day_ms
            try Retention(Self.retention).apply(now_ms: now_ms, connection)
            let row = try connection.query(
                """
                SELECT (SELECT count(*) FROM nadi_store.outcome),
                       (SELECT count(*) FROM pg_inherits WHERE inhparent = 'nadi_store.outcome'::regclass),
                       (SELECT sum(pg_total_relation_size(inhrelid))::bigint FROM pg_inherits
                        WHERE inhparent = 'nadi_store.outcome'::regclass)
                """)[0]
            levels.append((row.integer(0), row.integer(1), row.integer(2)))
        }
        // From the seventh step on as many days come as go.
        let plateau = levels.dropFirst(7)
        #expect(plateau.allSatisfy { $0.days <= 33 }, "\(levels)")
        #expect(Set(plateau.map(\.days)).count == 1, "\(levels)")
        #expect((plateau.map(\.rows).max() ?? 0) == (plateau.map(\.rows).min() ?? 1), "\(levels)")
        // Deleted rows without a day leave room that vacuum gives back; days leave none.
        #expect((levels.last?.bytes ?? 0) <= (levels[7].bytes) * 5 / 4, "\(levels)")

        // Nothing was lost of what was counted: 14 steps of 5 days with 6 labels, one of them corrected.
        #expect(try pipeline.quality() == [420, 350])
        let arrivals = try pipeline.arrivals()
        #expect(arrivals.lines == 14 * 5 * 9)
        #expect(arrivals.superseded == 70)
        #expect(arrivals.tooLate == 0)
        #expect(arrivals.agedOut == arrivals.lines - arrivals.superseded - (levels.last?.rows ?? 0))
        try pipeline.expectOutcomesBalance()
        let fresh = try Pipeline(bucketOf: pipeline)
        let keeping = fresh.loader {
            $0.retention = Self.retention
            $0.retention.labelDays = 4000
        }
        _ = try await keeping.load(reach: .all, joinNow: true, sweepNow: true)
        await keeping.close()
        let tables = ["outcome_hour", "outcome_day", "named_outcome", "request_hour"]
        let left = try TableDump(fresh.database.connect()).only(tables)
        #expect(left.exact.count > 300)
        #expect(left.differences(try TableDump(connection).only(tables)).isEmpty)

        // Its hours are final: what still comes is too late, and nothing is joined again.
        var late = TestWriter("two", 1)
        let first = Self.begin + 3_600_000
        late.append(
            TestEvents.outcome(
                first, prediction: "p0-0-2", label: "\"virginica\"", predictionTime_ms: first, revision: 9))
        try await pipeline.put([late.seal(at: first + LoadClock.day_ms, end: true)])
        let loader = pipeline.loader { $0.retention = Self.retention }
        _ = try await loader.load(reach: .all, joinNow: true)
        await loader.close()
        #expect(try pipeline.quality() == [420, 350])
        #expect(try pipeline.arrivals().tooLate == 1)
        try pipeline.expectOutcomesBalance()
    }

    /// A day whose hour waits for its join stays, a week after outcomes were loaded that found nothing, too.
    @Test func aDayStaysUntilItsHoursAreJoined() async throws {
        let pipeline = try Pipeline()
        let connection = try pipeline.database.connect()
        try await pipeline.put([fiveDays(0)])
        let loader = pipeline.loader {
            $0.retention = Self.retention
            $0.join.hoursPerRun = 0
        }
        _ = try await loader.load(reach: .all)
        func days() throws -> Int64 {
            try connection.query(
                "SELECT count(DISTINCT prediction_day) FROM nadi_store.outcome WHERE prediction_hour IS NOT NULL")[0]
                .integer(0)
        }
        #expect(try days() == 5)
        _ = try await pipeline.loader { $0.retention = Self.retention }.load(reach: .all, joinNow: true)
        // Each day has an outcome that found no prediction.
        #expect(try days() == 5)
        try connection.query(
            "UPDATE nadi_store.object SET claimed_at = now() - interval '8 days', loaded_at = now() - interval '8 days'"
        )
        _ = try await loader.load(reach: .all)
        #expect(try days() == 0)
        #expect(try connection.query("SELECT count(*) FROM nadi_store.outcome")[0].integer(0) == 0)
        #expect(try pipeline.quality() == [30, 25])
        try pipeline.expectOutcomesBalance()
    }

    /// Whoever reads a day keeps it, and its rows are not counted in vain in each run.
    @Test func aDayThatSomebodyReadsIsNotCounted() throws {
        let pipeline = try Pipeline()
        let connection = try pipeline.database.connect()
        let day = LoadClock.dayText(Self.begin)
        try connection.query("SELECT nadi_store.ensure_partition('outcome', $1::date)", [.text(day)])
        try connection.query("INSERT INTO nadi_store.model (model_name) VALUES ('iris')")
        try connection.query(
            """
            INSERT INTO nadi_store.outcome (prediction_day, model_id, event_type, name, prediction_id, revision, event_time, event_id,
                prediction_hour, hour_is_exact, arrival_day, segment_id, line)
            SELECT $1::date, 1, 'outcome', 'label', 'p' || i, 0, now(), '', $1::date::timestamp AT TIME ZONE 'UTC', true, $1::date, 1, i
            FROM generate_series(1, 5000) AS i
            """, [.text(day)])
        let child = "outcome_" + day.filter { $0 != "-" }
        try connection.query("VACUUM ANALYZE nadi_store.\(child)")
        func reads() throws -> Int64 {
            try connection.query("SELECT pg_stat_force_next_flush()")
            return try connection.query(
                "SELECT seq_tup_read + coalesce(idx_tup_fetch, 0) FROM pg_stat_user_tables WHERE relname = $1",
                [.text(child)])[0].integer(0)
        }
        let reader = try pipeline.database.connect()
        try reader.execute("BEGIN; LOCK TABLE nadi_store.\(child) IN ACCESS SHARE MODE")
        let before = try reads()
        try Retention(Self.retention).apply(now_ms: LoadClock.now_ms(), connection)
        #expect(try reads() == before)
        #expect(try connection.query("SELECT count(*) FROM nadi_store.outcome")[0].integer(0) == 5000)
        try reader.execute("COMMIT")
        try Retention(Self.retention).apply(now_ms: LoadClock.now_ms(), connection)
        #expect(try connection.query("SELECT count(*) FROM nadi_store.outcome")[0].integer(0) == 0)
    }
}
