import DurableIO
import Glibc
import ObjectStorage
import TableLoading
import TableStorage
import TestSupport
import Testing

/// The database refuses, ends, or loses a loader's transaction: each line is counted once all the same.
@Suite(.enabled(if: TestServers.postgres != nil, "set NADI_TEST_POSTGRES, or use Tests/run"))
struct DatabaseGoneTests {
    private func filled(_ seed: UInt64 = 41) async throws -> (Pipeline, [TestSegment]) {
        let pipeline = try Pipeline()
        let segments = TestEvents.corpus(seed: seed, writers: 2, segments: 3, lines: 8)
        for segment in segments { try await pipeline.put([segment]) }
        try await pipeline.report(ended: true)
        return (pipeline, segments)
    }

    private func expectWhole(
        _ pipeline: Pipeline, _ segments: [TestSegment], _ location: SourceLocation = #_sourceLocation
    ) async throws {
        let loaded = try pipeline.database.connect().query(
            "SELECT count(*) FROM nadi_store.segment WHERE state = 'loaded'")[0].integer(0)
        #expect(loaded == Int64(segments.count), sourceLocation: location)
        expectClean(try await pipeline.audit(), location)
    }

    private func uri(_ pipeline: Pipeline, _ parameters: String) -> String {
        pipeline.database.uri + (pipeline.database.uri.contains("?") ? "&" : "?") + parameters
    }

    /// Before COMMIT, with it, and after the server has committed but before its answer: the ledger is read again before
    /// anything is repeated.
    @Test(arguments: CuttingProxy.Cut.allCases) func theConnectionIsCutAroundCommit(cut: CuttingProxy.Cut) async throws
    {
        let (pipeline, segments) = try await filled()
        let port = try pipeline.database.connect().query("SHOW port")[0].text(0)
        let proxy = try CuttingProxy(server: try #require(UInt16(port)), cut: cut, times: 3)
        let loader = Loader(
            store: pipeline.store, connectionString: uri(pipeline, "host=127.0.0.1&port=\(proxy.port)"),
            settings: pipeline.settings(objects: 2))
        let report = try await loader.load(reach: .all)
        await loader.close()
        proxy.stop()
        #expect(proxy.cuts == 3)
        #expect(report.segments == segments.count)
        #expect(report.failed.isEmpty && report.poisoned.isEmpty && report.duplicates == 0)
        try await expectWhole(pipeline, segments)
        let fresh = try Pipeline(bucketOf: pipeline)
        _ = try await fresh.load(joinNow: true, sweepNow: true)
        _ = try await pipeline.load(joinNow: true, sweepNow: true)
        let left = try TableDump(fresh.database.connect())
        #expect(left.differences(try TableDump(pipeline.database.connect())).isEmpty)
    }

    /// What passes is tried again: serialization, deadlock, lock and statement timeouts, no space, no memory.
    @Test(arguments: ["40001", "40P01", "55P03", "57014", "53100", "53200", "25006"])
    func whatPassesIsTriedAgain(state: String) async throws {
        let (pipeline, segments) = try await filled()
        let connection = try pipeline.database.connect()
        try connection.execute(
            """
            CREATE SEQUENCE failures;
            CREATE FUNCTION fail_twice() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                IF nextval('public.failures') <= 2 THEN RAISE EXCEPTION 'not now' USING ERRCODE = '\(state)'; END IF;
                RETURN NULL;
            END $$;
            CREATE TRIGGER fail_twice AFTER INSERT ON nadi_store.segment EXECUTE FUNCTION fail_twice();
            """)
        let report = try await pipeline.load()
        #expect(report.segments == segments.count && report.poisoned.isEmpty && report.failed.isEmpty)
        #expect(try connection.query("SELECT last_value FROM failures")[0].integer(0) == 3)
        try await expectWhole(pipeline, segments)
    }

    /// A circle of waiting with somebody else's transaction, in which the loader is the one to give way.
    ///
    /// The loader, holding its hour, asks for a table only once the other one, who has the table, waits for that hour.
    @Test func aDeadlockIsTriedAgain() async throws {
        let (pipeline, segments) = try await filled()
        let now = Pipeline.base_ms
        _ = try await pipeline.load()
        try pipeline.database.connect().execute(
            """
            CREATE TABLE circle ();
            CREATE SEQUENCE visits;
            CREATE FUNCTION close_circle() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                IF nextval('public.visits') > 1 THEN RETURN NULL; END IF;
                WHILE NOT EXISTS (
                    SELECT FROM pg_locks AS h JOIN pg_stat_activity AS a USING (pid)
                    WHERE NOT h.granted AND h.locktype = 'advisory' AND a.application_name = 'other'
                      AND a.datname = current_database())
                LOOP
                    PERFORM pg_stat_clear_snapshot(), pg_sleep(0.02);
                END LOOP;
                LOCK TABLE public.circle;
                RETURN NULL;
            END $$;
            CREATE TRIGGER close_circle AFTER INSERT ON nadi_store.segment EXECUTE FUNCTION close_circle();
            """)
        let other = DatabaseThread(pipeline.database.uri)
        async let circle: Void = other.run { connection in
            try connection.execute(
                """
                SET application_name = 'other'; SET deadlock_timeout = '1h'; SET lock_timeout = 0; SET statement_timeout = 0;
                SET idle_in_transaction_session_timeout = 0; BEGIN; LOCK TABLE circle
                """)
            while try !connection.query("SELECT is_called FROM visits")[0].boolean(0) { usleep(20_000) }
            try HourLocks.take(now, connection)
            try connection.execute("COMMIT")
        }
        var writer = TestWriter("one", 9)
        writer.append(TestEvents.prediction(now, id: "late"))
        let late = writer.seal(at: now + 60_000, end: true)
        try await pipeline.put([late])
        let report = try await pipeline.load(owner: "test/1/b")
        try await circle
        await other.close()
        #expect(report.segments == 1)
        let visits = try pipeline.database.connect().query("SELECT last_value FROM visits")[0].integer(0)
        #expect(visits == 2, "the first try was taken back")
        try await expectWhole(pipeline, segments + [late])
    }

    @Test func aWrongPasswordIsNamedAndNotShown() async throws {
        let pipeline = try Pipeline()
        let admin = try pipeline.database.connect()
        let role = TestServers.randomName("nadi_wrong").replacing("-", with: "_")
        try admin.execute("CREATE ROLE \(role) LOGIN PASSWORD 'right'")
        defer { try? admin.execute("DROP ROLE \(role)") }
        let error = #expect(throws: DatabaseError.self) {
            _ = try Connection(uri(pipeline, "user=\(role)&password=wr0ng-secret"))
        }
        #expect(error?.description.contains("password authentication failed") == true)
        #expect(error?.description.contains("wr0ng-secret") == false)
    }

    /// The server has no connection left for the one that commits: it waits.
    @Test func tooManyConnectionsAreWaitedOut() async throws {
        let (pipeline, segments) = try await filled()
        let admin = try pipeline.database.connect()
        let role = TestServers.randomName("nadi_many").replacing("-", with: "_")
        try admin.execute("CREATE ROLE \(role) LOGIN PASSWORD 'test' CONNECTION LIMIT 2 IN ROLE nadi_loader")
        let member = uri(pipeline, "user=\(role)&password=test")
        var holder: Connection? = try Connection(member)
        #expect(holder?.isUsable == true)
        let downloads = Counter()
        let loader = Loader(
            store: HookedStore(pipeline.store) { _, _ in downloads.add() }, connectionString: member,
            settings: pipeline.settings())
        async let loading = loader.load(reach: .all)
        while downloads.value < segments.count { try await Task.sleep(for: .milliseconds(20)) }
        try await Task.sleep(for: .seconds(1))
        #expect(
            try admin.query("SELECT count(*) FROM nadi_store.object WHERE state = 'loaded'")[0].integer(0) == 0)
        holder?.close()
        holder = nil
        #expect(try await loading.segments == segments.count)
        await loader.close()
        try await expectWhole(pipeline, segments)
        try admin.execute("DROP OWNED BY \(role); DROP ROLE \(role)")
    }

    /// A tablespace of some megabytes that fills while a batch is under way, and gets room again.
    @Test(.enabled(if: TinyDisk.isPossible, "needs the right to mount a tmpfs")) func aFullDiskIsWaitedOut()
        async throws
    {
        let disk = try TinyDisk(megabytes: 16)
        defer { withExtendedLifetime(disk) {} }
        let space = TestServers.randomName("nadi_space").replacing("-", with: "_")
        let server = try #require(TestServers.postgres)
        try Connection(server).execute("CREATE TABLESPACE \(space) LOCATION '\(disk.path)'")
        defer { try? Connection(server).execute("DROP TABLESPACE \(space)") }
        try await useFullDisk(space)
    }

    private func useFullDisk(_ space: String) async throws {
        let (pipeline, segments) = try await filled()
        let admin = try pipeline.database.connect()
        // One table that every batch writes to; the rest of the database has room.
        try admin.execute(
            """
            ALTER TABLE nadi_store.request_hour SET TABLESPACE \(space);
            CREATE TABLE filler (t text) TABLESPACE \(space);
            ALTER TABLE filler ALTER t SET STORAGE EXTERNAL;
            CREATE SEQUENCE attempts;
            CREATE FUNCTION attempt() RETURNS trigger LANGUAGE plpgsql AS
                $$ BEGIN PERFORM nextval('public.attempts'); RETURN NULL; END $$;
            CREATE TRIGGER attempt AFTER INSERT ON nadi_store.segment EXECUTE FUNCTION attempt();
            """)
        let error = #expect(throws: DatabaseError.self) {
            for _ in 0..<1000 {
                try admin.execute(
                    "INSERT INTO filler SELECT repeat(md5(n::text), 200) FROM generate_series(1, 100) AS n")
            }
        }
        #expect(error?.sqlState == "53100")
        #expect(error?.isRetryable == true)
        async let loading = pipeline.load()
        // A sequence goes on where its transaction is taken back: at two the first attempt has failed.
        #expect(try await LoaderWatch(pipeline).wait(until: "(SELECT last_value FROM public.attempts) >= 2"))
        #expect(try admin.query("SELECT count(*) FROM nadi_store.segment")[0].integer(0) == 0)
        try admin.execute("DROP TABLE filler")
        let report = try await loading
        #expect(report.segments == segments.count && report.failed.isEmpty && report.poisoned.isEmpty)
        try await expectWhole(pipeline, segments)
    }

    /// A read-only standby is refused by name of the fault; of several hosts the primary is found.
    @Test(.timeLimit(.minutes(5))) func aStandbyIsRefused() async throws {
        let scratch = try ScratchFolder()
        let primary = try PrivateServer("postgres", in: scratch["primary"])
        let uri = try #require(primary.values["POSTGRES_URI"])
        _ = try Migrations(directory: TestDatabase.sqlDirectory).apply(Connection(uri))
        let script = """
            set -e
            bin=$(ls -d /usr/lib/postgresql/*/bin | sort -V | tail -n 1)
            mkdir -p "$2/postgres"
            cp "$1/postgres/password" "$2/postgres/password"
            "$bin/pg_basebackup" -d "$3" -D "$2/postgres/data" -R -X stream -c fast --no-sync
            if [ "$(id -u)" = 0 ]; then chown -R postgres: "$2/postgres/data"; fi
            """
        let log = scratch["basebackup.log"]
        let copy = try ChildProcess(
            "bash", ["-c", script, "basebackup", scratch["primary"], scratch["standby"], uri], output: log)
        let status = try await copy.end()
        try #require(status == 0, "\(String(decoding: (try? DurableFile.read(path: log)) ?? [], as: UTF8.self))")
        let standby = try PrivateServer("postgres", in: scratch["standby"])
        let readOnly = try #require(standby.values["POSTGRES_URI"])
        #expect(
            try Connection(readOnly, ConnectionOptions(needsWritableServer: false)).query("SELECT pg_is_in_recovery()")[
                0
            ]
            .boolean(0))
        let error = #expect(throws: DatabaseError.self) { _ = try Connection(readOnly) }
        #expect(error?.description.contains("read-only") == true, "\(error?.description ?? "")")
        #expect(error?.description.contains("primary") == true)
        // What only asks may use it.
        let reader = try Connection(readOnly, ConnectionOptions(needsWritableServer: false))
        #expect(try StatusReport(reader, now_ms: LoadClock.now_ms()).lastSuccess_ms == nil)
        let ports = "port=\(standby.values["POSTGRES_PORT"] ?? ""),\(primary.values["POSTGRES_PORT"] ?? "")"
        let both = try Connection(uri + "?host=127.0.0.1,127.0.0.1&" + ports)
        #expect(try !both.query("SELECT pg_is_in_recovery()")[0].boolean(0))
    }
}

/// A file system of some megabytes that PostgreSQL's user may write to.
final class TinyDisk: Sendable {
    let path: String
    private let folder: ScratchFolder

    /// Whether this user may mount one.
    static let isPossible: Bool = geteuid() == 0 && ((try? TinyDisk(megabytes: 1)) != nil)

    init(megabytes: Int) throws {
        folder = try ScratchFolder()
        path = folder["disk"]
        chmod(folder.path, 0o711)
        mkdir(path, 0o700)
        guard mount("tmpfs", path, "tmpfs", 0, "size=\(megabytes)m,mode=777") == 0 else {
            rmdir(path)
            throw SystemError.current("mount", path)
        }
        // PostgreSQL wants to own its tablespace.
        if let user = getpwnam("postgres") { chown(path, user.pointee.pw_uid, user.pointee.pw_gid) }
    }

    deinit {
        umount2(path, Int32(MNT_DETACH))
        rmdir(path)
    }
}
