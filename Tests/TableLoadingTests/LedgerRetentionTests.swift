import EventModel
import ObjectStorage
import TableLoading
import TableStorage
import TestSupport
import Testing

/// Months go by: partitions are dropped, the size levels off, and nothing that was dropped is counted again.
@Suite(.enabled(if: TestServers.postgres != nil, "set NADI_TEST_POSTGRES, or use Tests/run"))
struct LedgerRetentionTests {
    private static let settings: LoadSettings.Retention = {
        var retention = LoadSettings.Retention()
        retention.minuteDays = 20
        retention.labelDays = 400
        retention.archiveDays = 60
        return retention
    }()
    /// The first of ten months of 30 days.
    private static let begin = LoadClock.day(LoadClock.now_ms()) - 320 * LoadClock.day_ms

    private func start(_ month: Int) -> Int64 { Self.begin + Int64(month) * 30 * LoadClock.day_ms }

    /// A month's segments: one of a writer that lives on, and a writer of its own.
    private func segments(_ month: Int, _ longLived: inout TestWriter, last: Bool) -> [TestSegment] {
        var own = TestWriter("one", 100 + month)
        for day in 0..<3 {
            let time = start(month) + Int64(day) * 10 * LoadClock.day_ms
            for line in 0..<4 {
                let id = "m\(month)-\(day)-\(line)"
                own.append(TestEvents.prediction(time + Int64(line) * 60_000, id: id))
                if line < 2 {
                    own.append(
                        TestEvents.outcome(
                            time + 3_600_000, prediction: id, predictionTime_ms: time + Int64(line) * 60_000))
                }
            }
            own.append(TestEvents.resource(time))
            own.append("{ no json")
            longLived.append(TestEvents.prediction(time + 7_200_000, id: "l\(month)-\(day)"))
        }
        longLived.append(TestEvents.deployment(start(month)))
        let sealed = start(month) + 21 * LoadClock.day_ms
        return [own.seal(at: sealed, end: true), longLived.seal(at: sealed + 60_000, end: last)]
    }

    /// Rows, partitions and bytes of the tables that these retentions bound: outcomes are kept longer than the test lasts.
    private func sizes(_ connection: Connection) throws -> (rows: Int64, partitions: Int64, bytes: Int64) {
        let row = try connection.query(
            """
            SELECT (SELECT count(*) FROM nadi_store.object) + (SELECT count(*) FROM nadi_store.segment)
                 + (SELECT count(*) FROM nadi_store.segment_hour) + (SELECT count(*) FROM nadi_store.segment_reject)
                 + (SELECT count(*) FROM nadi_store.writer) + (SELECT count(*) FROM nadi_store.request_minute)
                 + (SELECT count(*) FROM nadi_store.reject_line) + (SELECT count(*) FROM nadi_store.resource_minute),
                   (SELECT count(*) FROM pg_inherits WHERE inhparent IN (SELECT oid FROM pg_class WHERE relkind = 'p' AND relname <> 'outcome')),
                   (SELECT sum(pg_total_relation_size(inhrelid))::bigint FROM pg_inherits
                    WHERE inhparent IN (SELECT oid FROM pg_class WHERE relkind = 'p' AND relname <> 'outcome'))
            """)[0]
        return (row.integer(0), row.integer(1), row.integer(2))
    }

    @Test func monthsGoBy() async throws {
        let pipeline = try Pipeline()
        let connection = try pipeline.database.connect()
        let retention = Retention(Self.settings)
        try await pipeline.report(ended: true)
        var longLived = TestWriter("one", 1)
        var levels: [(rows: Int64, partitions: Int64, bytes: Int64)] = []
        var keys: [String] = []
        var all: [TestSegment] = []
        for month in 0..<10 {
            let some = segments(month, &longLived, last: month == 9)
            all += some
            keys.append(try await pipeline.put([some[0]]))
            keys.append(try await pipeline.put([some[1]]))
            // Loading does not know that it is long ago: retention is applied below, as of then.
            let loader = pipeline.loader {
                $0.retention.minuteDays = 4000
                $0.retention.archiveDays = 4000
                $0.retention.labelDays = 4000
            }
            #expect(try await loader.load(reach: .all, joinNow: true, sweepNow: true).segments == 2)
            await loader.close()
            try connection.query("UPDATE nadi_store.object SET claimed_at = sealed_at, loaded_at = sealed_at")
            try retention.apply(now_ms: start(month + 1), connection)
            levels.append(try sizes(connection))
        }
        // Two or three months are kept, as the calendar has it: the tenth month is no larger than half as much again.
        let (early, late) = (levels.prefix(5), levels.suffix(5))
        #expect((late.map(\.rows).max() ?? 0) * 5 <= (early.map(\.rows).max() ?? 0) * 8, "\(levels)")
        #expect((late.map(\.partitions).max() ?? 0) <= (early.map(\.partitions).max() ?? 0) + 8, "\(levels)")
        #expect((late.map(\.bytes).max() ?? 0) * 5 <= (early.map(\.bytes).max() ?? 0) * 8, "\(levels)")
        let dropped = try connection.query("SELECT count(*), sum(objects)::bigint FROM nadi_store.expired_ledger")[0]
        #expect(dropped.integer(0) >= 6)
        #expect(dropped.integer(1) >= 12)
        // The writers of dropped months are gone, the one that lived on is not.
        let writers = try connection.query("SELECT count(*), count(expired_seq) FROM nadi_store.writer")[0]
        #expect(writers.integer(0) < 6)
        #expect(writers.integer(1) == 1)

        // Hours and days are those of a database that forgot nothing.
        let fresh = try Pipeline(bucketOf: pipeline)
        let keeping = fresh.loader {
            $0.retention.archiveDays = 4000
            $0.retention.labelDays = 4000
        }
        _ = try await keeping.load(reach: .all, joinNow: true, sweepNow: true)
        await keeping.close()
        let forever = [
            "request_hour", "request_day", "feature_", "score_", "resource_hour", "outcome", "hour_edge_set",
        ]
        let left = try TableDump(fresh.database.connect()).only(forever)
        #expect(left.exact.count > 400)
        #expect(left.differences(try TableDump(connection).only(forever)).isEmpty)
        func expectUnchanged(_ location: SourceLocation = #_sourceLocation) throws {
            let differences = left.differences(try TableDump(connection).only(forever))
            #expect(differences.isEmpty, "\(differences)", sourceLocation: location)
        }

        // The bucket still has every object: none of those that were dropped is loaded again, and the audit balances.
        #expect(try await load(pipeline).segments == 0)
        try await expectBalanced(pipeline)
        // One of them comes back under its own key, and in a new bundle with something new.
        let bytes = try await pipeline.store.get(keys[0])
        try await pipeline.store.delete(keys[0])
        #expect(try await load(pipeline).segments == 0)
        _ = try await pipeline.store.put(keys[0], bytes, PutOptions())
        #expect(try await load(pipeline).segments == 0)
        try expectUnchanged()
        var writer = TestWriter("one", 200)
        writer.append("{ no json either")
        try await pipeline.put([all[0], writer.seal(at: start(10), end: true)])
        let report = try await load(pipeline)
        #expect(report.segments == 1 && report.duplicates == 1)
        try expectUnchanged()
        try await expectBalanced(pipeline)

        // Its hours are closed: a rebuild refuses them, a label for one is too late.
        let rebuilt = try await Rebuild(pipeline.loader()).run(
            .hours(from_ms: start(0), to_ms: start(1)))
        #expect(rebuilt.hours == 0)
        #expect(rebuilt.closed.count >= 3)
        #expect(rebuilt.closed.allSatisfy { $0.reason.contains("past archive_days") })
        try expectUnchanged()
        var tardy = TestWriter("one", 201)
        tardy.append(TestEvents.outcome(start(10), prediction: "m0-0-3", predictionTime_ms: start(0)))
        try await pipeline.put([tardy.seal(at: start(10), end: true)])
        _ = try await load(pipeline)
        let arrival = try connection.query(
            "SELECT sum(too_late)::bigint, sum(lines)::bigint FROM nadi_store.outcome_arrival")[0]
        #expect(arrival.integer(0) == 1)
        #expect(arrival.integer(1) == 61)
        try await expectBalanced(pipeline)
        // An open hour is rebuilt as ever.
        let open = try await Rebuild(pipeline.loader()).run(.hours(from_ms: start(9), to_ms: start(9) + 1))
        #expect(open.hours == 1)
        try connection.query("UPDATE nadi_store.expired_hour SET lines = lines + 1 WHERE event_type = 'prediction'")
        #expect(try await !audit(pipeline).isClean)
    }

    private func load(_ pipeline: Pipeline) async throws -> LoadReport {
        let loader = pipeline.loader {
            $0.retention = Self.settings
            $0.retention.archiveDays = 4000
        }
        let report = try await loader.load(reach: .all, joinNow: true, sweepNow: true)
        await loader.close()
        return report
    }

    private func audit(_ pipeline: Pipeline) async throws -> AuditReport {
        let thread = DatabaseThread(pipeline.database.uri)
        var settings = pipeline.settings()
        settings.retention = Self.settings
        let report = try await Audit(store: pipeline.store, database: thread, settings: settings).run(
            now_ms: LoadClock.now_ms())
        await thread.close()
        return report
    }

    private func expectBalanced(_ pipeline: Pipeline, _ location: SourceLocation = #_sourceLocation) async throws {
        expectClean(try await audit(pipeline), location)
        let rows = try pipeline.database.connect().query(
            "SELECT equation, left_count, right_count FROM nadi.audit_balance WHERE NOT is_balanced"
        ).rows.map { "\($0.text(0)): \($0.integer(1)) against \($0.integer(2))" }
        #expect(rows.isEmpty, "\(rows)", sourceLocation: location)
    }

    /// An archive older than archive_days, loaded into an empty database, keeps its ledger for a week.
    @Test func anOldArchiveIsLoadedWholeBeforeItExpires() async throws {
        let pipeline = try Pipeline()
        var writer = TestWriter("one", 1)
        writer.append(TestEvents.prediction(start(0), id: "a"))
        try await pipeline.put([writer.seal(at: start(0) + 60_000)])
        func load() async throws -> Int {
            let loader = pipeline.loader { $0.retention = Self.settings }
            let report = try await loader.load(reach: .all)
            await loader.close()
            return report.segments
        }
        #expect(try await load() == 1)
        writer.append(TestEvents.prediction(start(0), id: "b"))
        try await pipeline.put([writer.seal(at: start(0) + 120_000, end: true)])
        #expect(try await load() == 1)
        let connection = try pipeline.database.connect()
        try connection.query(
            "UPDATE nadi_store.object SET claimed_at = now() - interval '8 days', loaded_at = now() - interval '8 days'"
        )
        #expect(try await load() == 0)
        #expect(try connection.query("SELECT count(*) FROM nadi_store.object")[0].integer(0) == 0)
        #expect(try connection.query("SELECT sum(lines)::bigint FROM nadi_store.ledger_hour")[0].integer(0) == 4)
    }

    /// Every table has its line in the table of retentions, whose defaults are those of the program; the loader writes there
    /// what its configuration says.
    @Test func everyTableHasARetention() async throws {
        let pipeline = try Pipeline()
        let connection = try pipeline.database.connect()
        let missing = try connection.query(
            """
            SELECT c.relname FROM pg_class AS c WHERE c.relnamespace = 'nadi_store'::regnamespace AND c.relkind IN ('r', 'p')
                AND NOT c.relispartition
            EXCEPT SELECT table_name FROM nadi_store.retention
            """
        ).rows.map { $0.text(0) }
        #expect(missing.isEmpty)
        func days() throws -> [String: Int64] {
            let rows = try connection.query(
                "SELECT setting, min(days), max(days) FROM nadi_store.retention WHERE setting IS NOT NULL GROUP BY 1"
            ).rows
            #expect(rows.allSatisfy { $0.integer(1) == $0.integer(2) })
            return Dictionary(uniqueKeysWithValues: rows.map { ($0.text(0), $0.integer(1)) })
        }
        let defaults = LoadSettings.Retention()
        #expect(
            try days() == [
                "minute_days": defaults.minuteDays, "label_days": defaults.labelDays,
                "archive_days": defaults.archiveDays,
            ])
        #expect(defaults.minuteDays == 35 && defaults.labelDays == 100 && defaults.archiveDays == 400)
        let loader = pipeline.loader { $0.retention = Self.settings }
        _ = try await loader.load()
        #expect(try days() == ["minute_days": 20, "label_days": 400, "archive_days": 60])
    }

    /// Whoever reads a table holds up neither the run nor, for long, the others.
    @Test func aPartitionInUseIsDroppedByALaterRun() async throws {
        let pipeline = try Pipeline()
        let connection = try pipeline.database.connect()
        try connection.execute("SELECT nadi_store.ensure_partition('request_minute', '2020-01-01')")
        func partitions() throws -> Int64 {
            try connection.query(
                "SELECT count(*) FROM pg_inherits WHERE inhparent = 'nadi_store.request_minute'::regclass")[0].integer(
                    0)
        }
        let reader = try pipeline.database.connect()
        try reader.execute("BEGIN; SELECT count(*) FROM nadi_store.request_minute")
        _ = try await pipeline.load()
        #expect(try partitions() == 1)
        #expect(try connection.query("SELECT state FROM nadi_store.load_run")[0].text(0) == "succeeded")
        try reader.execute("COMMIT")
        _ = try await pipeline.load()
        #expect(try partitions() == 0)
    }

    /// As many runs as two loaders make in a year: `complete_until` looks at one of them, and they go a portion at a time.
    @Test func completeUntilDoesNotReadAllRuns() async throws {
        let pipeline = try Pipeline()
        try await pipeline.report()
        _ = try await pipeline.load()
        let connection = try pipeline.database.connect()
        try connection.execute(
            """
            INSERT INTO nadi_store.load_run (owner, version, started_at, finished_at, state)
            SELECT 'x', '1', now() - n * interval '8 s', now() - n * interval '8 s', CASE WHEN n % 7 = 0 THEN 'failed' ELSE 'succeeded' END
            FROM generate_series(1, 300000) AS n;
            ANALYZE nadi_store.load_run;
            """)
        let plan = try connection.query("EXPLAIN (ANALYZE, FORMAT text) SELECT * FROM nadi.complete_until").rows.map {
            $0.text(0)
        }
        let runs = plan.filter { $0.contains("load_run") }
        #expect(!runs.isEmpty)
        #expect(
            runs.allSatisfy { $0.contains("Index") && ($0.contains("rows=1 loops=") || $0.contains("never executed")) },
            "\(plan.joined(separator: "\n"))")
        try Retention(LoadSettings.Retention()).apply(
            now_ms: LoadClock.now_ms() + 40 * LoadClock.day_ms, connection)
        #expect(try connection.query("SELECT count(*) FROM nadi_store.load_run")[0].integer(0) == 250_001)
    }
}
