import Glibc
import ObjectStorage
import TableLoading
import TableStorage
import TestSupport
import Testing

/// A loader that stands still in the middle of a transaction (SIGSTOP, a suspended machine).
@Suite(.enabled(if: TestServers.postgres != nil && Program.path != nil, "set NADI_TEST_POSTGRES and build nadi"))
struct FrozenLoaderTests {
    /// The server ends its session after a third of the lease, others go on, and it counts once when it wakes up: its objects
    /// still its own, or taken over meanwhile.
    @Test(arguments: [false, true]) func itHoldsNobodyUpAndCountsOnce(isTakenOver: Bool) async throws {
        let pipeline = try Pipeline()
        let base = Pipeline.base_ms
        var writer = TestWriter("one", 1)
        writer.append(TestEvents.prediction(base, id: "p0"))
        writer.append(TestEvents.prediction(base, id: "p1"))
        try await pipeline.put([writer.seal(at: base + 60_000)])
        try await pipeline.report(ended: true)
        _ = try await pipeline.load()
        writer.append(TestEvents.prediction(base, id: "p2"))
        try await pipeline.put([writer.seal(at: base + 120_000)])
        let path = try pipeline.configuration(extra: "lease: 30s")

        // It gets as far as its writer's row, inside its transaction, and is stopped there.
        let third = try pipeline.database.connect()
        try third.execute("BEGIN; LOCK TABLE nadi_store.writer IN SHARE MODE")
        let frozen = try ChildProcess(Program.path ?? "", ["load", "--all", "--config", path])
        let watch = try LoaderWatch(pipeline)
        #expect(try await watch.wait(for: 1).count == 1)
        frozen.send(SIGSTOP)
        try third.execute("COMMIT")
        let idle = """
            SELECT count(*) = 1 FROM pg_stat_activity
            WHERE datname = current_database() AND application_name = 'nadi-loader' AND state = 'idle in transaction'
            """
        #expect(try await watch.wait(until: idle))

        // Another loader needs the same writer's row: it waits until the server ends the frozen session, not for ever.
        writer.append(TestEvents.prediction(base, id: "p3"))
        try await pipeline.put([writer.seal(at: base + 180_000, end: true)])
        let other = try await pipeline.load(owner: "test/1/b")
        #expect(other.segments == 1)
        if isTakenOver {
            try third.query("UPDATE nadi_store.object SET lease_until = now() - interval '1 s' WHERE state = 'claimed'")
            #expect(try await pipeline.load(owner: "test/1/b").segments == 1)
        }
        frozen.send(SIGCONT)
        #expect(try await frozen.end() == 0)
        let row = try third.query(
            """
            SELECT count(*), (SELECT sum(predictions)::bigint FROM nadi_store.request_hour JOIN nadi_store.series
                              USING (series_id) WHERE slice_key = 'all')
            FROM nadi_store.segment WHERE state = 'loaded'
            """)[0]
        #expect(row.integer(0) == 3)
        #expect(row.integer(1) == 4)
        expectClean(try await pipeline.audit())
    }

    /// A loader whose clock is a day behind (by the listing's `now`) still looks where the hosts' reports say that they are.
    @Test func aClockBehindTheHostsMissesNothing() async throws {
        let pipeline = try Pipeline()
        var writer = TestWriter("one", 1)
        let now = LoadClock.now_ms()
        writer.append(TestEvents.prediction(now - 60_000, id: "p0"))
        try await pipeline.put([writer.seal(at: now - 30_000, end: true)])
        try await pipeline.report()
        let thread = DatabaseThread(pipeline.database.uri)
        let reports = HostReports(store: pipeline.store, database: thread, prefix: pipeline.prefix)
        #expect(try await reports.refresh().isEmpty)
        let listing = ObjectListing(store: pipeline.store, database: thread, prefix: pipeline.prefix)
        var found = 0
        try await listing.forEachNew(.recent, now_ms: now - LoadClock.day_ms) { found += $0.count }
        #expect(found == 1)
        await thread.close()
    }
}
