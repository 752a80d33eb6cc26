import EventModel
import EventSegments
import ObjectStorage
import TableLoading
import TableStorage
import TestSupport
import Testing

/// After each damage the audit fails and names the culprit.
@Suite(.enabled(if: TestServers.postgres != nil, "set NADI_TEST_POSTGRES, or use Tests/run"))
struct AuditTests {
    private func loaded() async throws -> (Pipeline, [String]) {
        let pipeline = try Pipeline()
        var keys: [String] = []
        for segment in TestEvents.corpus(seed: 8, writers: 2, segments: 3, lines: 12) {
            keys.append(try await pipeline.put([segment]))
        }
        try await pipeline.report(ended: true)
        _ = try await pipeline.load()
        let report = try await pipeline.audit()
        expectClean(report)
        return (pipeline, keys)
    }

    private func expectFinding(_ id: String, _ pipeline: Pipeline) async throws {
        let report = try await pipeline.audit()
        #expect(!report.isClean)
        #expect(report.findings.contains { $0.id.hasPrefix(id) && $0.isFailure }, "\(id) not in\n\(report.text)")
    }

    @Test func aDeletedObject() async throws {
        let (pipeline, keys) = try await loaded()
        try await pipeline.store.delete(keys[2])
        try await expectFinding("lost:\(keys[2])", pipeline)
        let thread = DatabaseThread(pipeline.database.uri)
        try await Audit(store: pipeline.store, database: thread, settings: pipeline.settings()).accept(
            "lost:\(keys[2])", reason: "a trial")
        let accepted = try await pipeline.audit()
        #expect(accepted.isClean)
        #expect(accepted.text.contains("a trial"))
    }

    @Test(arguments: [
        ("request_hour SET predictions = predictions + 1", "hour:request_hour"),
        ("request_day SET requests = requests + 1", "day:request_day"),
        ("feature_day SET numeric_count = numeric_count + 1", "day:feature_day"),
        ("feature_hour SET numeric_count = numeric_count - 1", "feature:"),
        ("resource_hour SET count = count + 1", "hour:resource_hour"),
        ("outcome_arrival SET superseded = superseded + 1", "rows:outcome"),
        ("segment_hour SET lines = lines + 1", "segment:"),
    ])
    func anAlteredRow(change: String, finding: String) async throws {
        let (pipeline, _) = try await loaded()
        try pipeline.database.connect().execute("UPDATE nadi_store.\(change)")
        try await expectFinding(finding, pipeline)
    }

    @Test func aDeletedDeployment() async throws {
        let (pipeline, _) = try await loaded()
        try pipeline.database.connect().execute("DELETE FROM nadi_store.deployment")
        try await expectFinding("deployment:one-", pipeline)
    }

    @Test func aSegmentMissingFromTheSpool() async throws {
        let pipeline = try Pipeline()
        let segments = TestEvents.corpus(seed: 8, writers: 1, segments: 4, lines: 12)
        try await pipeline.put([segments[0]])
        try await pipeline.put([segments[2]])
        // The host still holds segment 3; segment 1 it holds no more.
        let writer = HostReport.Writer(
            writer: segments[0].writer, state: .open, counts: WriterCounts(appended: 80, written: 80), nextSeq: 4,
            spoolSegments: [3], updated_ms: LoadClock.now_ms())
        try await pipeline.report(writers: [writer])
        _ = try await pipeline.load()
        try await expectFinding("gap:\(segments[0].writer)-1", pipeline)
        let report = try await pipeline.audit()
        #expect(!report.findings.contains { $0.id == "gap:\(segments[0].writer)-3" })
    }

    @Test func aWriterThatVanishedWithoutAnEnd() async throws {
        let pipeline = try Pipeline()
        let segments = TestEvents.corpus(seed: 8, writers: 1, segments: 2, lines: 12)
        try await pipeline.put([segments[0]])
        try await pipeline.report(ended: true)
        _ = try await pipeline.load()
        try await expectFinding("vanished:\(segments[0].writer)", pipeline)
    }

    @Test func aSilentHost() async throws {
        let (pipeline, _) = try await loaded()
        try pipeline.database.connect().execute(
            "UPDATE nadi_store.host SET state = 'running', reported_at = now() - interval '16 minutes'")
        try await expectFinding("silent:one", pipeline)
        let report = try await pipeline.audit()
        #expect(report.silentHosts == ["one"])
    }

    @Test func anObjectThatNobodyLoaded() async throws {
        let (pipeline, _) = try await loaded()
        let extra = TestEvents.corpus(seed: 11, writers: 3, segments: 1, lines: 12)[2]
        let key = try await pipeline.put([extra])
        let soon = try await pipeline.audit()
        expectClean(soon)
        #expect(soon.findings.contains { $0.id == "arriving:\(key)" })
        pipeline.age(key, minutes: 16)
        try await expectFinding("unloaded:\(key)", pipeline)
        // Its bytes flip before it is loaded.
        var bytes = try await pipeline.store.get(key)
        bytes[40] ^= 1
        _ = try await pipeline.store.put(key, bytes, PutOptions())
        _ = try await pipeline.load()
        try await expectFinding("poisoned:\(key)", pipeline)
    }

    /// A host always has something on its way: that explains only what is missing at that time.
    @Test func aGapOfABusyHost() async throws {
        let pipeline = try Pipeline()
        let segments = TestEvents.corpus(seed: 8, writers: 1, segments: 3, lines: 12)
        try await pipeline.put([segments[0]])
        try await pipeline.put([segments[2]])
        let writer = HostReport.Writer(
            writer: segments[0].writer, state: .open, counts: WriterCounts(appended: 80, written: 80), nextSeq: 3,
            spoolSegments: [], updated_ms: LoadClock.now_ms())
        try await pipeline.report(writers: [writer])
        _ = try await pipeline.load()
        var other = TestWriter("one", 9)
        other.append(TestEvents.prediction(LoadClock.now_ms(), id: "new"))
        try await pipeline.put([other.seal(at: LoadClock.now_ms())])
        try await expectFinding("gap:\(segments[0].writer)-1", pipeline)
        // The missing segment itself, on its way.
        try await pipeline.put([segments[1]])
        let report = try await pipeline.audit()
        #expect(report.findings.contains { $0.id == "gap:\(segments[0].writer)-1" && !$0.isFailure }, "\(report.text)")
    }

    @Test func lossesAreNotHiddenBehindNotes() async throws {
        let (pipeline, _) = try await loaded()
        try pipeline.database.connect().execute(
            """
            INSERT INTO nadi_store.object (object_key, sealed_at, size_bytes, state, lines, lease_until)
            SELECT 'x' || n, now(), 1, CASE WHEN n <= 1200 THEN 'claimed' ELSE 'poisoned' END, 1,
                   CASE WHEN n <= 1200 THEN now() + interval '1 hour' END
            FROM generate_series(1, 2300) AS n;
            """)
        let report = try await pipeline.audit()
        #expect(report.findings.count { $0.id.hasPrefix("poisoned:") } == 1000)
        #expect(report.findings.contains { $0.id == "more:poisoned" && $0.isFailure && $0.lines == 100 })
        #expect(report.findings.contains { $0.id == "more:claimed" && !$0.isFailure })
    }

    /// The view that dashboards show and the audit count the same.
    @Test func theViewSaysWhatTheAuditSays() async throws {
        let (pipeline, _) = try await loaded()
        let report = try await pipeline.audit()
        let rows = try pipeline.database.connect().query(
            "SELECT equation, left_count, right_count, is_balanced FROM nadi.audit_balance ORDER BY equation_order"
        ).rows
        #expect(rows.count >= 12)
        for row in rows { #expect(row.boolean(3), "\(row.text(0)): \(row.integer(1)) against \(row.integer(2))") }
        func side(_ name: String) throws -> Int64 {
            try #require(rows.first { $0.text(0) == name }).integer(1)
        }
        for (equation, balance) in [
            ("writers", "appended = written + dropped"), ("storage", "written = stored"),
            ("predictions by hour", "predictions"), ("resources", "resources"), ("deployments", "deployments"),
        ] {
            let other = try #require(report.balances.first { $0.name == balance })
            #expect(try side(equation) == other.left.lines, "\(equation)")
            #expect(other.left.lines > 0 && other.left.lines == other.right.lines, "\(balance)")
        }
        let outcomes = try #require(report.balances.first { $0.name == "outcomes, feedback" })
        #expect(try side("outcome lines") + side("feedback lines") == outcomes.left.lines)
    }
}
