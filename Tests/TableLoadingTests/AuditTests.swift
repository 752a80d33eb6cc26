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
    /// The same, made once: tests that alter nothing but their own copy of the database.
    private func copied() async throws -> Pipeline {
        let first = try await Self.shared.value
        return try Pipeline(bucketOf: first, database: TestDatabase(copyOf: first.database))
    }

    private static let shared = Task { () async throws -> Pipeline in try await AuditTests().loaded().0 }

    private func loaded(segments: Int = 3) async throws -> (Pipeline, [String]) {
        let pipeline = try Pipeline()
        var keys: [String] = []
        for segment in TestEvents.corpus(seed: 8, writers: 2, segments: segments, lines: 12) {
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
        let id = "lost:\(keys[2])"
        try await pipeline.withAudit {
            try await $0.accept([id], reason: "a trial", by: "anna", now_ms: LoadClock.now_ms())
        }
        let accepted = try await pipeline.audit()
        expectClean(accepted)
        #expect(accepted.text.hasPrefix("CLEAN") && accepted.text.contains("by anna (database user "))
        // It is taken back, and stays listed.
        try await pipeline.withAudit { try await $0.withdraw(id, by: "ben") }
        try await expectFinding(id, pipeline)
        let listed = try await pipeline.withAudit { try await $0.acceptances() }
        #expect(listed.count == 1 && listed[0].finding == id && listed[0].reason == "a trial")
        #expect(listed[0].withdrawn?.hasPrefix("by ben ") == true)
        // Only what the audit names can be accepted.
        await #expect(throws: LoadError.self) {
            try await pipeline.withAudit {
                try await $0.accept(["lost:nothing"], reason: "x", now_ms: LoadClock.now_ms())
            }
        }
    }

    @Test(arguments: [
        ("request_hour SET errors = errors + 1", "day:request_day"),
        ("request_day SET requests = requests + 1, predictions = predictions - 1", "day:request_day"),
        ("request_minute SET requests = requests + 1, errors = errors - 1", "minute:request_minute"),
        ("request_minute SET latency_counts[1] = latency_counts[1] + 1", "minute:request_minute"),
        ("request_hour SET latency_counts[1] = latency_counts[1] + 1", "inside:request_hour"),
        ("resource_minute SET count = count + 1", "minute:resource_minute"),
        ("resource_hour SET maximum = maximum + 1", "minute:resource_minute"),
        ("score_hour SET counts[1] = counts[1] + 1", "slice:"),
        ("score_hour SET counts[1] = counts[1] + 1", "day:score_day"),
        ("score_day SET positive_counts[1] = positive_counts[1] + 1", "day:score_day"),
        ("feature_hour SET null_count = null_count + 1", "slice:"),
        ("feature_day SET null_count = null_count + 1, wrong_type_count = wrong_type_count - 1", "day:feature_day"),
        ("feature_day SET maximum = maximum + 1", "day:feature_day"),
        ("outcome_hour SET labelled = labelled + 1", "labels:"),
        ("outcome_hour SET delay_counts[1] = delay_counts[1] + 1", "inside:outcome_hour"),
        ("outcome_hour SET confusion_counts[1] = confusion_counts[1] + 1", "inside:outcome_hour"),
        ("outcome_day SET correct = correct + 1, classified = classified - 1", "day:outcome_day"),
        ("object SET lines = lines + 1", "balance:objects"),
        ("request_hour SET predictions = predictions + 1", "hour:request_hour"),
        ("request_day SET requests = requests + 1", "day:request_day"),
        ("feature_day SET numeric_count = numeric_count + 1", "day:feature_day"),
        ("feature_hour SET numeric_count = numeric_count - 1", "feature:"),
        ("resource_hour SET count = count + 1", "hour:resource_hour"),
        ("outcome_arrival SET superseded = superseded + 1", "rows:outcome"),
        ("segment_hour SET lines = lines + 1", "segment:"),
    ])
    func anAlteredRow(change: String, finding: String) async throws {
        let pipeline = try await copied()
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
        let pipeline = try await copied()
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
        try await pipeline.report(host: "two", minutesAgo: 16)
        try await expectFinding("silent:two", pipeline)
        let report = try await pipeline.audit()
        #expect(report.silentHosts == ["two"])
        #expect(report.open.count == 1)
        #expect(report.text.hasPrefix("FAILED: 1 thing does not add up, on host two."))
        // Seen from another host nothing is wrong.
        let other = try await pipeline.audit(AuditScope(host: "one"))
        expectClean(other)
        #expect(other.hosts.map(\.name) == ["one"])
        #expect(other.balances.contains { $0.name == "storage" && $0.left.lines > 100 })
        #expect(!other.balances.contains { $0.name == "predictions by hour" })
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
        let pipeline = try await copied()
        let report = try await pipeline.audit()
        let rows = try pipeline.database.connect().query(
            """
            SELECT equation, left_count, right_count, is_balanced, right_name FROM nadi.audit_balance
            ORDER BY equation_order, equation
            """
        ).rows
        #expect(rows.count >= 14)
        #expect(
            rows.map { "\($0.text(0)) \($0.integer(1)) \($0.integer(2)) \($0.text(4))" }
                == report.balances.map { "\($0.name) \($0.left.lines) \($0.right.lines) \($0.right.source)" })
        for row in rows { #expect(row.boolean(3), "\(row.text(0)): \(row.integer(1)) against \(row.integer(2))") }
        for name in [
            "writers", "storage", "objects", "types", "writer lines", "predictions by hour", "predictions by day",
            "predictions by tag region", "resources", "deployments", "outcome lines", "outcome rows",
        ] {
            let balance = try #require(report.balances.first { $0.name == name }, "\(name)")
            #expect(balance.left.lines > 0 && balance.left.lines == balance.right.lines, "\(name)")
        }
        let run = try pipeline.database.connect().query("SELECT is_clean, failure_count FROM nadi.audit_run").rows
        #expect(run.count == 2 && run.allSatisfy { $0.boolean(0) && $0.integer(1) == 0 })
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

    /// One more, anywhere: every numeric column and every element's place of every aggregate, each in a row of its own.
    @Test func plusOneAnywhereIsNamed() async throws {
        let (pipeline, _) = try await loaded(segments: 6)
        let connection = try pipeline.database.connect()
        var altered: Int64 = 0
        for table in [
            "request_minute", "request_hour", "request_day", "feature_hour", "feature_day", "score_hour", "score_day",
            "outcome_hour", "outcome_day", "named_outcome_hour", "named_outcome_day", "resource_minute", "resource_hour",
        ] {
            let columns = try connection.query(
                """
                SELECT attname, format_type(atttypid, NULL) FROM pg_attribute
                WHERE attrelid = 'nadi_store.\(table)'::regclass AND attnum > 0
                  AND (attname = 'edge_set_id' OR attname !~ '_id$') AND attname <> 'checksum'
                  AND atttypid IN ('int'::regtype, 'bigint'::regtype, 'float8'::regtype, 'int[]'::regtype,
                                   'bigint[]'::regtype, 'float8[]'::regtype)
                ORDER BY attnum
                """
            ).rows.map { (name: $0.text(0), isArray: $0.text(1).hasSuffix("[]")) }
            #expect(columns.count >= 3)
            try connection.execute("CREATE TEMP TABLE used_\(table) (place text)")
            for column in columns where column.name != "edge_counts" {
                // The last element of an array, the least digit of a sum.
                let last = "\(column.name)[cardinality(\(column.name))]"
                let place = column.isArray ? last : column.name
                let change = try connection.query(
                    """
                    WITH row AS (
                        SELECT tableoid, ctid FROM nadi_store.\(table)
                        WHERE \(column.name) IS NOT NULL \(column.isArray ? "AND \(column.name) <> '{}'" : "")
                          AND tableoid || ' ' || ctid::text NOT IN (SELECT place FROM used_\(table))
                        ORDER BY random() LIMIT 1
                    ), changed AS (
                        UPDATE nadi_store.\(table) AS t SET \(place) = t.\(place) + 1 FROM row
                        WHERE t.tableoid = row.tableoid AND t.ctid = row.ctid RETURNING t.tableoid || ' ' || t.ctid::text AS place
                    )
                    INSERT INTO used_\(table) SELECT place FROM changed
                    """
                ).changedRows
                // Days have few rows: the others of their columns stand in the hours' test.
                if !table.hasSuffix("_day") { #expect(change == 1, "\(table).\(column.name)") }
                altered += change
            }
        }
        #expect(altered >= 90)
        let report = try await pipeline.audit()
        let found = report.open.filter { $0.kind == "row" }
        #expect(Int64(found.count) == altered, "\(found.count) of \(altered)\n\(report.text)")
    }

    /// A count moved inside one array, and a sum changed in its last digit: totals and counts say nothing of it.
    @Test(arguments: [
        "feature_hour SET category_counts = category_counts[2:] || category_counts[1] WHERE category_counts[1] <> category_counts[2]",
        "request_hour SET latency_sum = latency_sum * (1 + 2.3e-16)",
        "feature_hour SET m2 = m2 * (1 + 2.3e-16) WHERE m2 > 0",
        "score_hour SET sums[1] = sums[1] * (1 + 2.3e-16)",
        "outcome SET label_text = 'x' WHERE label_text <> 'x'",
        "request_minute SET checksum = NULL",
    ])
    func whatTotalsDoNotShow(change: String) async throws {
        let pipeline = try await copied()
        let changed = try pipeline.database.connect().query("UPDATE nadi_store.\(change)").changedRows
        #expect(changed > 0)
        let report = try await pipeline.audit()
        let table = change.prefix { $0 != " " }
        #expect(Int64(report.open.count { $0.id.hasPrefix("row:\(table) ") }) == changed, "\(report.text)")
        // Nothing else notices.
        #expect(report.open.allSatisfy { $0.kind == "row" })
    }

    /// The ledger's rows, each altered alone.
    @Test(arguments: [
        ("object SET lines = lines + 1", "object:"),
        ("object SET sealed_at = sealed_at + interval '1 ms'", "object:"),
        ("object SET object_key = replace(object_key, '/one/', '/two/')", "object:"),
        ("segment SET raw_sha256 = sha256(raw_sha256)", "object:"),
        ("segment SET raw_bytes = raw_bytes + 1", "ledger:"),
        ("segment SET sealed_at = sealed_at - interval '1 ms'", "ledger:"),
        ("segment SET seq = seq + 100", "ledger:"),
        ("segment SET state = 'duplicate'", "balance:"),
        ("segment SET loaded_lines = loaded_lines + 1, rejected_lines = rejected_lines - 1", "segment:"),
        ("segment_hour SET hour = hour + interval '30 hours' WHERE event_type = 'prediction'", "hour:"),
        ("segment_hour SET event_type = 'resource' WHERE event_type = 'writer'", "hour:"),
        ("segment_hour SET hour = hour + interval '2 hours' WHERE event_type = 'writer'", "segment:"),
        ("segment_reject SET reason = 'too_long'", "reject:"),
        ("reject_line SET reason = 'too_long'", "reject:"),
        ("writer SET written = written + 1", "counts:"),
        ("writer SET written = written + 1, appended = appended + 1", "lines:"),
        ("outcome_arrival SET lines = lines + 1", "arrival:"),
        ("deployment SET deployed_at = deployed_at + interval '1 hour'", "hour:deployment"),
    ])
    func anAlteredLedgerRow(change: String, finding: String) async throws {
        let pipeline = try await copied()
        let table = change.prefix { $0 != " " }
        let parts = change.split(separator: " WHERE ", maxSplits: 1)
        let changed = try pipeline.database.connect().query(
            """
            UPDATE nadi_store.\(parts[0]) WHERE ctid = (
                SELECT ctid FROM nadi_store.\(table) WHERE \(parts.count > 1 ? String(parts[1]) : "true") LIMIT 1)
            """
        ).changedRows
        #expect(changed == 1)
        try await expectFinding(finding, pipeline)
    }

    @Test func aTimeRangeLooksAtItsHoursOnly() async throws {
        let (pipeline, keys) = try await loaded()
        let connection = try pipeline.database.connect()
        let hours = try connection.query("SELECT DISTINCT hour FROM nadi_store.request_hour ORDER BY 1").rows
        let last = try #require(hours.last?.time(0))
        try connection.query("UPDATE nadi_store.request_hour SET errors = errors + 1 WHERE hour = $1", [.time(last)])
        let before = try await pipeline.audit(AuditScope(from_ms: last - 3 * LoadClock.day_ms, to_ms: last))
        expectClean(before)
        #expect(before.balances.contains { $0.name == "predictions by hour" && $0.left.lines > 0 })
        let after = try await pipeline.audit(AuditScope(from_ms: last))
        #expect(after.open.contains { $0.id.hasPrefix("row:request_hour \(LoadClock.hourText(last))") })
        #expect(after.text.contains(" UTC and later only."))
        // Objects go by their seal.
        try await pipeline.store.delete(keys[0])
        let sealed = try connection.query("SELECT min(sealed_at) FROM nadi_store.object")[0].time(0)
        let lost = try await pipeline.audit(AuditScope(from_ms: sealed, to_ms: sealed + 1))
        #expect(lost.open.contains { $0.id == "lost:\(keys[0])" })
        let later = try await pipeline.audit(AuditScope(from_ms: LoadClock.hour(sealed) + LoadClock.hour_ms))
        #expect(!later.findings.contains { $0.kind == "lost" })
        // Only audits of everything are recorded.
        #expect(try connection.query("SELECT count(*) FROM nadi.audit_run")[0].integer(0) == 1)
    }
}
