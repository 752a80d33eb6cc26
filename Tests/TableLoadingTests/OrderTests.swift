import EventSegments
import ObjectStorage
import TableLoading
import TableStorage
import TestSupport
import Testing

/// Any order, any batches, any number of loaders, rebuilt or not: the same rows.
@Suite(.enabled(if: TestServers.postgres != nil, "set NADI_TEST_POSTGRES, or use Tests/run"))
struct OrderTests {
    @Test(arguments: [UInt64(3), 4])
    func ordersBatchesLoadersAndRebuildsAgree(seed: UInt64) async throws {
        let first = try Pipeline()
        let segments = TestEvents.corpus(seed: seed, writers: 4, segments: 8, lines: 25)
        var generator = SeededGenerator(seed: seed)
        var rest = segments.shuffled(using: &generator)
        while !rest.isEmpty {
            let count = min(rest.count, Int.random(in: 1...4, using: &generator))
            try await first.put(Array(rest.prefix(count)))
            rest.removeFirst(count)
        }
        try await first.report(ended: true)
        _ = try await first.load(joinNow: true, sweepNow: true)

        // Two loaders at once, one object a transaction, into another database.
        let second = try Pipeline(bucketOf: first)
        async let one = second.load(owner: "test/1/a", objects: 1)
        async let two = second.load(owner: "test/1/b", objects: 2)
        let reports = try await (one, two)
        #expect(reports.0.segments + reports.1.segments == segments.count)
        // What one loader claimed and the other listed later is done by now; join both at the end.
        _ = try await second.load(joinNow: true, sweepNow: true)

        let left = try TableDump(first.database.connect())
        let right = try TableDump(second.database.connect())
        #expect(left.exact.count > 500)
        #expect(left.differences(right).isEmpty, "\(left.differences(right)), seed \(seed)")
        #expect(left.exact.keys.contains { $0.hasPrefix("outcome_hour") })

        // Rebuild all, then join again.
        let rebuilt = try await Rebuild(second.loader()).run(
            .hours(from_ms: Pipeline.base_ms - LoadClock.day_ms, to_ms: Pipeline.base_ms + LoadClock.day_ms))
        #expect(rebuilt.closed.isEmpty)
        #expect(rebuilt.hours >= 6)
        _ = try await second.load(joinNow: true, sweepNow: true)
        let again = try TableDump(second.database.connect())
        #expect(left.differences(again).isEmpty, "\(left.differences(again)), seed \(seed)")
        for pipeline in [first, second] {
            let report = try await pipeline.audit()
            expectClean(report)
        }
    }

    @Test func twoLoadersAreInsideTheirTransactionsOfOneDayAtOnce() async throws {
        let pipeline = try Pipeline()
        let day = LoadClock.day(Pipeline.base_ms) - LoadClock.day_ms
        func segment(_ number: Int, hour: Int64) -> TestSegment {
            var writer = TestWriter("one", number)
            for line in 0..<30 {
                writer.append(
                    TestEvents.prediction(
                        day + hour * LoadClock.hour_ms + Int64(line) * 1000, id: "p\(number)-\(line)",
                        petal: 1e9 + Double(number * 100 + line) / 64))
            }
            return writer.seal(at: day + (hour + 1) * LoadClock.hour_ms, end: true)
        }
        // Names are admitted before, so that neither waits for the other there.
        try await pipeline.put([segment(1, hour: 3)])
        _ = try await pipeline.load()

        // A third connection lets nobody write days: both loaders get as far as that, inside their transactions.
        let third = try pipeline.database.connect()
        try third.execute("BEGIN; LOCK TABLE nadi_store.request_day IN SHARE MODE")
        let watcher = try pipeline.database.connect()
        /// Hour and day keys of the advisory locks that waiting loaders hold, by process.
        func held() throws -> [Int64: Set<Int64>] {
            let rows = try watcher.query(
                """
                SELECT a.pid, l.objid::bigint FROM pg_stat_activity AS a JOIN pg_locks AS l USING (pid)
                WHERE a.datname = current_database() AND a.application_name = 'nadi-loader'
                  AND a.wait_event_type = 'Lock' AND a.xact_start IS NOT NULL AND l.locktype = 'advisory' AND l.granted
                  AND l.classid = 1851876458 AND l.mode = 'ShareLock'
                """
            ).rows
            return rows.reduce(into: [:]) { $0[$1.integer(0), default: []].insert($1.integer(1)) }
        }
        func wait(for loaders: Int) async throws -> [Int64: Set<Int64>] {
            for _ in 0..<600 {
                let held = try held()
                if held.count == loaders { return held }
                try await Task.sleep(for: .milliseconds(50))
            }
            return try held()
        }
        try await pipeline.put([segment(2, hour: 5)])
        async let one = pipeline.load(owner: "test/1/a")
        #expect(try await wait(for: 1).count == 1)
        try await pipeline.put([segment(3, hour: 7)])
        async let two = pipeline.load(owner: "test/1/b")
        let locks = try await wait(for: 2).map(\.value)
        #expect(locks.count == 2)
        if locks.count == 2 {
            // The day is shared, the hours differ.
            #expect(locks[0].intersection(locks[1]).count == 1)
            #expect(locks[0].intersection(locks[1]).allSatisfy { $0 >= 1024 })
            #expect(locks[0].count == 2 && locks[1].count == 2)
        }
        try third.execute("COMMIT")
        let reports = try await (one, two)
        #expect(reports.0.segments == 1 && reports.1.segments == 1)

        let fresh = try Pipeline(bucketOf: pipeline)
        _ = try await fresh.load()
        let left = try TableDump(fresh.database.connect())
        let right = try TableDump(pipeline.database.connect())
        #expect(left.differences(right).isEmpty, "\(left.differences(right))")
    }

    @Test func rebuildMendsAnAlteredRow() async throws {
        let pipeline = try Pipeline()
        try await pipeline.put(TestEvents.corpus(seed: 5, writers: 1, segments: 3, lines: 20))
        try await pipeline.report(ended: true)
        _ = try await pipeline.load()
        let connection = try pipeline.database.connect()
        let before = try TableDump(connection)
        let altered = try connection.query(
            """
            UPDATE nadi_store.request_hour SET predictions = predictions + 1
            WHERE (series_id, hour) = (SELECT series_id, hour FROM nadi_store.request_hour JOIN nadi_store.series
                                       USING (series_id) WHERE slice_key = 'all' LIMIT 1)
            """)
        #expect(altered.changedRows == 1)
        let report = try await pipeline.audit()
        #expect(!report.isClean)
        #expect(report.findings.contains { $0.id.hasPrefix("hour:request_hour") })
        #expect(report.findings.contains { $0.id.hasPrefix("day:request_day") })
        _ = try await Rebuild(pipeline.loader()).run(
            .hours(from_ms: Pipeline.base_ms - LoadClock.day_ms, to_ms: Pipeline.base_ms + LoadClock.day_ms))
        #expect(before.differences(try TableDump(connection)).isEmpty)
        let mended = try await pipeline.audit()
        expectClean(mended)
    }

    @Test func aHourWithoutItsObjectStaysAsItIs() async throws {
        let pipeline = try Pipeline()
        let key = try await pipeline.put(TestEvents.corpus(seed: 6, writers: 1, segments: 1, lines: 20))
        _ = try await pipeline.load()
        let before = try TableDump(pipeline.database.connect())
        try await pipeline.store.delete(key)
        let rebuilt = try await Rebuild(pipeline.loader()).run(
            .hours(from_ms: Pipeline.base_ms - LoadClock.day_ms, to_ms: Pipeline.base_ms + LoadClock.day_ms))
        #expect(rebuilt.hours == 0)
        #expect(rebuilt.closed.allSatisfy { $0.reason.contains(key) })
        #expect(before.differences(try TableDump(pipeline.database.connect())).isEmpty)
    }
}
