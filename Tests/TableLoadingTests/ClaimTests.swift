import EventModel
import EventSegments
import ObjectStorage
import TableLoading
import TableStorage
import TestSupport
import Testing

/// Who works on an object, and what becomes of it when that goes wrong.
@Suite(.enabled(if: TestServers.postgres != nil, "set NADI_TEST_POSTGRES, or use Tests/run"))
struct ClaimTests {
    @Test func anObjectThatCannotBeReadBelongsToItsHost() async throws {
        let pipeline = try Pipeline()
        let segments = TestEvents.corpus(seed: 2, writers: 1, segments: 2, lines: 10)
        let key = try await pipeline.put([segments[0]])
        var bytes = try await pipeline.store.get(key)
        bytes[40] ^= 1
        _ = try await pipeline.store.put(key, bytes, PutOptions())
        try await pipeline.report()
        _ = try await pipeline.load()
        let row = try pipeline.database.connect().query(
            """
            SELECT p.host, p.unloaded_object_count, p.oldest_unloaded_at, c.complete_until, c.oldest_waiting
            FROM nadi.pipeline_host AS p, nadi.complete_until AS c
            """)[0]
        #expect(row.text(0) == "one")
        #expect(row.integer(1) == 1)
        #expect(row.time(2) == segments[0].sealed_ms)
        #expect(row.time(3) == segments[0].sealed_ms)
        #expect(row.text(4) == "poisoned object \(key)")
    }

    /// A page is claimed at once and worked on for longer than a lease.
    @Test func whatWaitsForItsTurnIsNotTakenOver() async throws {
        let pipeline = try Pipeline()
        let segments = TestEvents.corpus(seed: 3, writers: 4, segments: 2, lines: 5)
        for segment in segments { try await pipeline.put([segment]) }
        try await pipeline.report(ended: true)
        let gate = Gate()
        let slow = pipeline.loader(store: GatedStore(store: pipeline.store, gate: gate), owner: "a/1/a") {
            $0.lease_s = 4
        }
        let running = Task { try await slow.load(reach: .all) }
        let connection = try pipeline.database.connect()
        while try connection.query("SELECT count(*) FROM nadi_store.object")[0].integer(0) < Int64(segments.count) {
            try await Task.sleep(for: .milliseconds(20))
        }
        try await Task.sleep(for: .seconds(6))
        let other = try await pipeline.load(owner: "b/1/b")
        #expect(other.objects == 0)
        await gate.open()
        #expect(try await running.value.objects == segments.count)
        expectClean(try await pipeline.audit())
    }

    /// The lease of a loader that stood still has run out; another one loaded its objects, then it goes on.
    @Test func aTakeOverOfARunningClaimCountsOnce() async throws {
        let pipeline = try Pipeline()
        let segments = TestEvents.corpus(seed: 3, writers: 4, segments: 2, lines: 5)
        for segment in segments { try await pipeline.put([segment]) }
        try await pipeline.report(ended: true)
        let gate = Gate()
        let slow = pipeline.loader(store: GatedStore(store: pipeline.store, gate: gate), owner: "a/1/a")
        let running = Task { try await slow.load(reach: .all) }
        let connection = try pipeline.database.connect()
        while try connection.query("SELECT count(*) FROM nadi_store.object")[0].integer(0) < Int64(segments.count) {
            try await Task.sleep(for: .milliseconds(20))
        }
        try connection.execute("UPDATE nadi_store.object SET lease_until = now() - interval '1 second'")
        let other = try await pipeline.load(owner: "b/1/b")
        #expect(other.objects == segments.count)
        await gate.open()
        let late = try await running.value
        #expect(late.objects == 0)
        #expect(late.poisoned.isEmpty)
        expectClean(try await pipeline.audit())
    }

    @Test func aRunThatFailsGivesEverythingBackAndPoisonsNothing() async throws {
        let pipeline = try Pipeline()
        let segments = TestEvents.corpus(seed: 3, writers: 2, segments: 2, lines: 5)
        for segment in segments { try await pipeline.put([segment]) }
        try await pipeline.report(ended: true)
        let connection = try pipeline.database.connect()
        // As if a right were missing: SQLSTATE 42501 for every batch.
        try connection.execute(
            """
            CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
                $$ BEGIN RAISE EXCEPTION 'permission denied for table segment' USING ERRCODE = '42501'; END $$;
            CREATE TRIGGER refuse BEFORE INSERT ON nadi_store.segment EXECUTE FUNCTION refuse();
            """)
        do {
            _ = try await pipeline.load(objects: 2)
            Issue.record("the run succeeded")
        } catch let error as DatabaseError {
            #expect(error.sqlState == "42501")
            #expect(error.description.contains("permission denied for table segment"))
        }
        let rows = try connection.query(
            "SELECT DISTINCT state, coalesce(lease_until > now(), false) FROM nadi_store.object"
        ).rows.map { "\($0.text(0)) \($0.boolean(1))" }
        #expect(rows == ["claimed false"])
        #expect(try connection.query("SELECT state FROM nadi_store.load_run")[0].text(0) == "failed")
        try connection.execute("DROP TRIGGER refuse ON nadi_store.segment")
        #expect(try await pipeline.load().objects == segments.count)
        expectClean(try await pipeline.audit())
    }

    /// The connection breaks during COMMIT: the loader asks the ledger before it repeats the batch.
    @Test func aCommitOfUnknownOutcomeCountsOnce() async throws {
        let pipeline = try Pipeline()
        let segments = TestEvents.corpus(seed: 4, writers: 2, segments: 3, lines: 8)
        for segment in segments { try await pipeline.put([segment]) }
        try await pipeline.report(ended: true)
        let connection = try pipeline.database.connect()
        // A deferred trigger runs within COMMIT and ends its own session there, twice.
        try connection.execute(
            """
            CREATE SEQUENCE breaks;
            CREATE FUNCTION break_commit() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                IF nextval('public.breaks') <= 2 THEN PERFORM pg_terminate_backend(pg_backend_pid()); END IF;
                RETURN NULL;
            END $$;
            CREATE CONSTRAINT TRIGGER break_commit AFTER INSERT ON nadi_store.segment
                DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION break_commit();
            """)
        let report = try await pipeline.load(objects: 3)
        #expect(report.segments == segments.count)
        #expect(try connection.query("SELECT last_value FROM breaks")[0].integer(0) > 2)
        expectClean(try await pipeline.audit())
    }
}

/// Opens once.
actor Gate {
    private var isOpen = false
    private var waiting: [CheckedContinuation<Void, Never>] = []

    func pass() async {
        if isOpen { return }
        await withCheckedContinuation { waiting.append($0) }
    }

    func open() {
        isOpen = true
        for one in waiting { one.resume() }
        waiting = []
    }
}

/// A store that hands out events only once a gate is open.
struct GatedStore: ObjectStore {
    let store: any ObjectStore
    let gate: Gate

    func put(_ key: String, _ body: [UInt8], _ options: PutOptions) async throws -> PutReceipt {
        try await store.put(key, body, options)
    }
    func head(_ key: String) async throws -> ObjectInfo? { try await store.head(key) }
    func get(_ key: String, range: Range<Int>?) async throws -> [UInt8] {
        if key.contains("events/") { await gate.pass() }
        return try await store.get(key, range: range)
    }
    func list(prefix: String, startAfter: String?, limit: Int) async throws -> ObjectPage {
        try await store.list(prefix: prefix, startAfter: startAfter, limit: limit)
    }
    func delete(_ key: String) async throws { try await store.delete(key) }
}
