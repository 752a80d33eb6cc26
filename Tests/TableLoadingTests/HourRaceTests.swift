import EventModel
import ObjectStorage
import Synchronization
import TableLoading
import TableStorage
import TestSupport
import Testing

/// Rebuilds, joins and loads that meet in one hour, each brought about by a lock or a paused download, never by luck.
@Suite(.enabled(if: TestServers.postgres != nil, "set NADI_TEST_POSTGRES, or use Tests/run"))
struct HourRaceTests {
    private static let base = Pipeline.base_ms

    /// Some predictions of an hour, one segment.
    private func predictions(
        _ number: Int, hour_ms: Int64 = base, count: Int = 10, rejects: Int = 0
    ) -> TestSegment {
        var writer = TestWriter("one", number)
        for line in 0..<count {
            writer.append(TestEvents.prediction(hour_ms + Int64(line) * 1000, id: "p\(number)-\(line)"))
        }
        for _ in 0..<rejects { writer.append("{ not json") }
        return writer.seal(at: hour_ms + LoadClock.hour_ms, end: true)
    }

    private func labels(_ number: Int, for ids: [String], hour_ms: Int64 = base) -> TestSegment {
        var writer = TestWriter("two", number)
        for id in ids {
            writer.append(TestEvents.outcome(hour_ms + 1_800_000, prediction: id, predictionTime_ms: hour_ms))
        }
        return writer.seal(at: hour_ms + LoadClock.hour_ms, end: true)
    }

    private func expectSameAsFresh(_ pipeline: Pipeline, _ location: SourceLocation = #_sourceLocation) async throws {
        let fresh = try Pipeline(bucketOf: pipeline)
        _ = try await fresh.load(joinNow: true, sweepNow: true)
        let left = try TableDump(fresh.database.connect())
        let right = try TableDump(pipeline.database.connect())
        #expect(left.exact.count > 20, sourceLocation: location)
        #expect(left.differences(right).isEmpty, "\(left.differences(right))", sourceLocation: location)
    }

    private func labelled(_ pipeline: Pipeline) throws -> Int64 {
        try pipeline.database.connect().query(
            """
            SELECT coalesce(sum(labelled), 0)::bigint FROM nadi_store.outcome_hour JOIN nadi_store.series USING (series_id)
            WHERE slice_key = 'all'
            """)[0].integer(0)
    }

    @Test func anObjectThatComesWhileARebuildReadsIsInTheSwap() async throws {
        let pipeline = try Pipeline()
        try await pipeline.put([predictions(1)])
        _ = try await pipeline.load()
        let downloads = Atomic(0)
        let rebuild = pipeline.loader { before, _ in
            downloads.wrappingAdd(1, ordering: .relaxed)
            if before == 0 {
                try await pipeline.put([self.predictions(2)])
                #expect(try await pipeline.load(owner: "test/1/b").segments == 1)
            }
        }
        let report = try await Rebuild(rebuild).run(.hours(from_ms: Self.base, to_ms: Self.base + 1))
        #expect(report.hours == 1)
        // One object, then both.
        #expect(downloads.load(ordering: .relaxed) == 3)
        try await expectSameAsFresh(pipeline)
    }

    @Test func anObjectThatComesWhileAJoinReadsIsJoined() async throws {
        let pipeline = try Pipeline()
        try await pipeline.put([predictions(1)])
        try await pipeline.put([labels(1, for: ["p1-0", "p2-0"])])
        _ = try await pipeline.loader { $0.join.hoursPerRun = 0 }.load(reach: .all)
        let joining = pipeline.loader { before, _ in
            if before == 0 {
                try await pipeline.put([self.predictions(2)])
                let other = pipeline.loader(owner: "test/1/b") { $0.join.hoursPerRun = 0 }
                #expect(try await other.load(reach: .all).segments == 1)
            }
        }
        #expect(try await joining.load().joinedHours == 1)
        #expect(try labelled(pipeline) == 2)
        try await expectSameAsFresh(pipeline)
    }

    /// A join that has read an hour before another loader joined it with a newer label must not put its older rows back,
    /// nor take the mark of a still newer label for the one that it read.
    @Test(arguments: [false, true]) func aStaleJoinTakesNothingBack(marksAnew: Bool) async throws {
        let pipeline = try Pipeline()
        try await pipeline.put([predictions(1)])
        try await pipeline.put([labels(1, for: ["p1-0"])])
        _ = try await pipeline.loader { $0.join.hoursPerRun = 0 }.load(reach: .all)
        let stale = pipeline.loader { before, _ in
            guard before == 0 else { return }
            try await pipeline.put([self.labels(2, for: ["p1-1"])])
            #expect(try await pipeline.load(owner: "test/1/b", joinNow: true).joinedHours == 1)
            #expect(try self.labelled(pipeline) == 2)
            if marksAnew {
                try await pipeline.put([self.labels(3, for: ["p1-2"])])
                let other = pipeline.loader(owner: "test/1/b") { $0.join.hoursPerRun = 0 }
                _ = try await other.load(reach: .all)
            }
        }
        _ = try await stale.load()
        // Without marks, nothing would mend it.
        _ = try await pipeline.load()
        #expect(try labelled(pipeline) == (marksAnew ? 3 : 2))
        let connection = try pipeline.database.connect()
        #expect(try connection.query("SELECT count(*) FROM nadi_store.dirty_hour")[0].integer(0) == 0)
        #expect(
            try connection.query("SELECT count(*) FROM nadi_store.outcome_state WHERE NOT is_joined")[0].integer(0) == 0
        )
        try await expectSameAsFresh(pipeline)
    }

    /// An adder waits for a replacer's hour with the smaller keys in hand and none of the larger.
    @Test func locksOfTwoDaysAreTakenAscending() async throws {
        let pipeline = try Pipeline()
        let midnight = LoadClock.day(Self.base)
        var writer = TestWriter("one", 1)
        let hours = (-2..<2).map { midnight + Int64($0) * LoadClock.hour_ms }
        for (index, hour) in hours.enumerated() { writer.append(TestEvents.prediction(hour, id: "p\(index)")) }
        try await pipeline.put([writer.seal(at: midnight + 2 * LoadClock.hour_ms, end: true)])
        func key(_ hour: Int64) -> Int64 { hour / LoadClock.hour_ms % 1024 }
        func day(_ hour: Int64) -> Int64 { 1024 + hour / LoadClock.day_ms % 1024 }
        let sorted = hours.sorted { key($0) < key($1) }
        let middle = sorted[1]
        let third = try pipeline.database.connect()
        let watch = try LoaderWatch(pipeline)
        // A replacer of one of its hours.
        try third.execute("BEGIN")
        try HourLocks.take(middle, third)
        async let loading = pipeline.load()
        let process = try #require(try await watch.wait(for: 1).first)
        let locks = try watch.hourLocks(process)
        #expect(locks.filter(\.isHeld).map(\.key) == [key(sorted[0])])
        #expect(locks.filter { !$0.isHeld }.map(\.key) == [key(middle)])
        #expect(try third.query("SELECT count(*) FROM nadi_store.segment")[0].integer(0) == 0)
        try third.execute("COMMIT")
        #expect(try await loading.segments == 1)

        // A replacer waits for adders of its hour and its day, in that order.
        try third.execute("BEGIN")
        try HourLocks.share([middle], third)
        async let rebuilding = Rebuild(pipeline.loader()).run(.hours(from_ms: middle, to_ms: middle + 1))
        let replacer = try #require(try await watch.wait(for: 1).first)
        #expect(try watch.hourLocks(replacer).map(\.key) == [key(middle)])
        #expect(try watch.hourLocks(replacer).allSatisfy { !$0.isHeld })
        try third.execute("COMMIT")
        #expect(try await rebuilding.hours == 1)

        let sibling = try #require(hours.first { day($0) == day(middle) && $0 != middle })
        try third.execute("BEGIN")
        try HourLocks.share([sibling], third)
        async let again = Rebuild(pipeline.loader()).run(.hours(from_ms: middle, to_ms: middle + 1))
        let waiting = try #require(try await watch.wait(for: 1).first)
        #expect(try watch.hourLocks(waiting).filter(\.isHeld).map(\.key) == [key(middle)])
        #expect(try watch.hourLocks(waiting).filter { !$0.isHeld }.map(\.key) == [day(middle)])
        try third.execute("COMMIT")
        #expect(try await again.hours == 1)
        try await expectSameAsFresh(pipeline)
    }

    /// Adders of any hours and replacers of one, at random, over hours that share locks (1,024 apart): nobody deadlocks.
    @Test func adderAndReplacersNeverWaitInACircle() async throws {
        let pipeline = try Pipeline()
        let uri = pipeline.database.uri
        try await withThrowingTaskGroup(of: Int.self) { group in
            for seed in 0..<4 {
                group.addTask {
                    var generator = SeededGenerator(seed: UInt64(seed))
                    let connection = try Connection(uri)
                    var done = 0
                    for _ in 0..<250 {
                        let wraps = Int64.random(in: 0..<3, using: &generator) * 1024
                        let hour = Int64.random(in: 0..<30, using: &generator) + wraps
                        let count = Int.random(in: 1...40, using: &generator)
                        let hours = (0..<count).map { _ in
                            (Int64.random(in: 0..<30, using: &generator)
                                + Int64.random(in: 0..<3, using: &generator) * 1024) * LoadClock.hour_ms
                        }
                        try connection.transaction {
                            if seed % 2 == 0 {
                                try HourLocks.share(hours, connection)
                            } else {
                                try HourLocks.take(hour * LoadClock.hour_ms, connection)
                            }
                            try connection.query("SELECT pg_sleep(0.0005)")
                        }
                        done += 1
                    }
                    return done
                }
            }
            for try await done in group { #expect(done == 250) }
        }
    }

    @Test func twentyThousandHoursInOneObject() async throws {
        let pipeline = try Pipeline()
        // Three segments sealed 300 days apart, each with events of the 280 days before.
        var segments: [TestSegment] = []
        for number in 1...3 {
            let sealed = Self.base - Int64(3 - number) * 300 * LoadClock.day_ms
            var writer = TestWriter("one", number)
            for hour in 1...6667 {
                let time = Timestamp.format(sealed - Int64(hour) * LoadClock.hour_ms)
                writer.append(
                    """
                    {"schema":1,"type":"prediction","id":"p\(number)-\(hour)","time":"\(time)","model_name":"iris",\
                    "model_version":"1","prediction":"setosa","status":"ok"}
                    """)
            }
            segments.append(writer.seal(at: sealed, end: true))
        }
        try await pipeline.put(segments)
        let report = try await pipeline.load()
        #expect(report.segments == 3 && report.poisoned.isEmpty && report.failed.isEmpty)
        let row = try pipeline.database.connect().query(
            """
            SELECT count(DISTINCT hour), sum(predictions)::bigint FROM nadi_store.request_hour
            JOIN nadi_store.series USING (series_id) WHERE slice_key = 'all'
            """)[0]
        #expect(row.integer(0) == 20_001)
        #expect(row.integer(1) == 20_001)
    }

    /// Two rebuilds of hours of different days share a segment, not a lock.
    @Test func twoRebuildsWithASegmentInCommonBothEnd() async throws {
        let pipeline = try Pipeline()
        let midnight = LoadClock.day(Self.base)
        var writer = TestWriter("one", 1)
        for hour in [-1, 0] as [Int64] {
            writer.append(TestEvents.prediction(midnight + hour * LoadClock.hour_ms + 60_000, id: "p\(hour)"))
            writer.append(TestEvents.deployment(midnight + hour * LoadClock.hour_ms + 60_000))
        }
        writer.append("{ not json")
        writer.append("")
        try await pipeline.put([writer.seal(at: midnight + 2 * LoadClock.hour_ms, end: true)])
        _ = try await pipeline.load()
        // Both get as far as the rejected lines, behind the ledger's rows, or wait for each other before.
        let third = try pipeline.database.connect()
        try third.execute("BEGIN; LOCK TABLE nadi_store.reject_line IN EXCLUSIVE MODE")
        let watch = try LoaderWatch(pipeline)
        async let one = Rebuild(pipeline.loader(owner: "test/1/a")).run(
            .hours(from_ms: midnight - LoadClock.hour_ms, to_ms: midnight))
        async let two = Rebuild(pipeline.loader(owner: "test/1/b")).run(
            .hours(from_ms: midnight, to_ms: midnight + LoadClock.hour_ms))
        #expect(try await watch.wait(for: 2).count == 2)
        try third.execute("COMMIT")
        let reports = try await (one, two)
        #expect(reports.0.hours == 1 && reports.1.hours == 1)
        #expect(reports.0.closed.isEmpty && reports.1.closed.isEmpty)
        try await expectSameAsFresh(pipeline)
    }

    @Test func theEdgeSetStaysThatOfTheFirstLoad() async throws {
        let pipeline = try Pipeline()
        try await pipeline.put([predictions(1)])
        _ = try await pipeline.load()
        let connection = try pipeline.database.connect()
        try connection.execute(
            """
            INSERT INTO nadi_store.edge_set VALUES (7, 'test');
            UPDATE nadi_store.hour_edge_set SET edge_set_id = 7;
            """)
        try await pipeline.put([predictions(2)])
        _ = try await pipeline.load()
        #expect(
            try connection.query("SELECT edge_set_id FROM nadi_store.hour_edge_set").rows.map { $0.integer(0) } == [7])
    }

    /// Interrupted after an hour is done, which then gets another object: going on counts it once.
    @Test func anInterruptedRebuildOfASharedHourIsResumed() async throws {
        let pipeline = try Pipeline()
        let later = Self.base + LoadClock.hour_ms
        var keys: [String] = []
        for number in 1...3 {
            var writer = TestWriter("one", number)
            for hour in [Self.base, later] {
                for line in 0..<5 {
                    writer.append(
                        TestEvents.prediction(hour + Int64(line) * 1000, id: "p\(number)-\(hour == later)-\(line)"))
                }
            }
            keys.append(try await pipeline.put([writer.seal(at: later + LoadClock.hour_ms, end: true)]))
        }
        _ = try await pipeline.load()
        let connection = try pipeline.database.connect()
        try connection.query("UPDATE nadi_store.request_hour SET errors = 99")
        struct Stop: Error {}
        // The plan reads two, then each of the two hours three: the sixth download is the second hour's first.
        await #expect(throws: Stop.self) {
            _ = try await Rebuild(pipeline.loader { before, _ in if before == 5 { throw Stop() } }).run(
                .objects(Array(keys.prefix(2))))
        }
        try await pipeline.put([predictions(4)])
        try await pipeline.put([predictions(5, hour_ms: later)])
        _ = try await pipeline.load()
        let report = try await Rebuild(pipeline.loader()).run(.objects(Array(keys.prefix(2))))
        #expect(report.resumedAfter_ms == Self.base)
        // The second hour, and that of the writers' own lines.
        #expect(report.hours == 2)
        try await expectSameAsFresh(pipeline)
    }
}
