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
        _ = try await pipeline.load(joinNow: true, sweepNow: true)
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
        ("request_hour SET errors = errors + 1", "day:request_day"),
        ("request_day SET requests = requests + 1, predictions = predictions - 1", "day:request_day"),
        ("request_minute SET requests = requests + 1, errors = errors - 1", "minute:request_minute"),
        ("request_minute SET latency_counts[1] = latency_counts[1] + 1", "minute:request_minute"),
        ("request_hour SET latency_counts[1] = latency_counts[1] + 1", "row:request_hour"),
        ("resource_minute SET count = count + 1", "minute:resource_minute"),
        ("resource_hour SET maximum = maximum + 1", "minute:resource_minute"),
        ("score_hour SET counts[1] = counts[1] + 1", "slice:"),
        ("score_hour SET counts[1] = counts[1] + 1", "day:score_day"),
        ("score_day SET positive_counts[1] = positive_counts[1] + 1", "day:score_day"),
        ("feature_hour SET null_count = null_count + 1", "slice:"),
        ("feature_day SET null_count = null_count + 1, wrong_type_count = wrong_type_count - 1", "day:feature_day"),
        ("feature_day SET maximum = maximum + 1", "day:feature_day"),
        ("outcome_hour SET labelled = labelled + 1", "labels:"),
        ("outcome_hour SET delay_counts[1] = delay_counts[1] + 1", "row:outcome_hour"),
        ("outcome_hour SET confusion_counts[1] = confusion_counts[1] + 1", "row:outcome_hour"),
        ("outcome_day SET correct = correct + 1, classified = classified - 1", "day:outcome_day"),
        ("object SET lines = lines + 1", "balance:objects = segments"),
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
        let connection = try pipeline.database.connect()
        // One row: another one of the same change must not be what is found.
        let table = String(change.prefix { $0 != " " })
        let slice =
            table.hasPrefix("request") || table.hasPrefix("score") || table.hasPrefix("outcome_h")
                || table.hasPrefix("outcome_d") || table.hasPrefix("feature")
            ? "AND series_id IN (SELECT series_id FROM nadi_store.series WHERE slice_key = 'all')" : ""
        let array = change.contains("[1]") ? "AND \(change.split(separator: " ")[2].dropLast(3)) <> '{}'" : ""
        let sample =
            change.hasPrefix("resource_hour SET count")
            ? "AND measure = 'samples'" : change.contains("maximum") ? "AND maximum IS NOT NULL" : ""
        let changed = try connection.query(
            """
            UPDATE nadi_store.\(change) WHERE (tableoid, ctid) = (
                SELECT tableoid, ctid FROM nadi_store.\(table) WHERE true \(slice) \(array) \(sample)
                ORDER BY tableoid, ctid LIMIT 1)
            """
        ).changedRows
        #expect(changed == 1)
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

    /// Half of an hour was loaded before a tag was configured, half after: that is no alteration.
    @Test func aTagThatIsConfiguredLater() async throws {
        let pipeline = try Pipeline()
        let segments = TestEvents.corpus(seed: 8, writers: 2, segments: 2, lines: 12)
        try await pipeline.put(Array(segments[..<2]))
        let before = pipeline.loader { $0.sliceTags = [] }
        _ = try await before.load(reach: .all)
        try await pipeline.put(Array(segments[2...]))
        try await pipeline.report(ended: true)
        _ = try await pipeline.load()
        let report = try await pipeline.audit()
        expectClean(report)
        let connection = try pipeline.database.connect()
        #expect(try connection.query("SELECT bool_and(is_balanced) FROM nadi.audit_balance")[0].boolean(0))
        // More than all is one.
        try connection.execute(
            """
            UPDATE nadi_store.request_hour SET predictions = predictions + 1000 WHERE series_id = (
                SELECT min(series_id) FROM nadi_store.series WHERE slice_key = 'region')
            """)
        try await expectFinding("slice:", pipeline)
    }
}
