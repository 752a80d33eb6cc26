import TableLoading
import TableStorage
import TestSupport
import Testing

/// What is kept how long.
@Suite(.enabled(if: TestServers.postgres != nil, "set NADI_TEST_POSTGRES, or use Tests/run"))
struct RetentionTests {
    @Test func twoLoadersDropTheSamePartitions() async throws {
        let database = try TestDatabase()
        let first = try database.connect()
        for day in 1...20 {
            try first.query(
                "SELECT nadi_store.ensure_partition('request_minute', '2020-01-01'::date + $1::int)",
                [.integer(Int64(day))])
        }
        try first.execute("BEGIN; SELECT nadi_store.drop_partitions('request_minute', '2021-01-01')")
        let other = DatabaseThread(database.uri)
        async let waiting: Void = other.run { connection in
            // It gives up after two seconds of waiting, and the next run tries again.
            for attempt in 0... {
                do {
                    try connection.execute("SELECT nadi_store.drop_partitions('request_minute', '2021-01-01')")
                    return
                } catch let error as DatabaseError where error.sqlState == "55P03" && attempt < 100 {}
            }
        }
        let watch = try database.connect()
        while try watch.query(
            "SELECT FROM pg_locks WHERE NOT granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
        ).count == 0 { try await Task.sleep(for: .milliseconds(20)) }
        try first.execute("COMMIT")
        try await waiting
        await other.close()
        #expect(
            try first.query(
                "SELECT count(*) FROM pg_inherits WHERE inhparent = 'nadi_store.request_minute'::regclass")[0].integer(
                    0)
                == 0)
    }

    @Test func runsAreKept35DaysAndFoundByTheirTime() async throws {
        let pipeline = try Pipeline()
        let connection = try pipeline.database.connect()
        try connection.execute(
            """
            INSERT INTO nadi_store.load_run (owner, version, started_at, finished_at, state)
            SELECT 'x', '1', now() - n * interval '1 minute', now() - n * interval '1 minute', 'failed'
            FROM generate_series(1, 100000) AS n;
            ANALYZE nadi_store.load_run;
            """)
        _ = try await pipeline.load()
        let row = try connection.query(
            "SELECT count(*), min(started_at) > now() - interval '36 days' FROM nadi_store.load_run")[0]
        #expect(row.integer(0) > 50_000 && row.integer(0) < 50_500)
        #expect(row.boolean(1))
        let plan = try connection.query("EXPLAIN SELECT * FROM nadi.complete_until").rows.map { $0.text(0) }
        #expect(!plan.contains { $0.contains("Seq Scan on load_run") }, "\(plan.joined(separator: "\n"))")
    }

    /// Minutes are asked for only where they are kept, whatever the configuration says.
    @Test(arguments: [2, 60] as [Int64])
    func minutesAreReadWhereTheyAreKept(days: Int64) async throws {
        let pipeline = try Pipeline()
        let loader = pipeline.loader { $0.retention.minuteDays = days }
        _ = try await loader.load(reach: .all)
        let connection = try pipeline.database.connect()
        func readsMinutes(_ ago: Int64) throws -> Bool {
            try connection.query(
                """
                SELECT (nadi_store.grains(now() - $1::bigint * interval '1 day', now(), '1 minute', true)).minute_from
                    IS NOT NULL
                """, [.integer(ago)])[0].boolean(0)
        }
        #expect(try readsMinutes(1))
        #expect(try readsMinutes(days - 1))
        #expect(try !readsMinutes(days + 2))
        // Kept longer from now on: what is gone does not come back.
        let longer = pipeline.loader { $0.retention.minuteDays = 100 }
        _ = try await longer.load(reach: .all)
        #expect(try !readsMinutes(days + 2))
    }
}
