import DurableIO
import EventModel
import EventSegments
import ObjectStorage
import RecordBatches
import TableLoading
import TableStorage
import TestSupport
import Testing

/// Lines that the parser lets through must not be refused by the database, for one would take its whole object with it;
/// and bad lines must cost little.
@Suite(.enabled(if: TestServers.postgres != nil, "set NADI_TEST_POSTGRES, or use Tests/run"))
struct HostileEventTests {
    private static let now = Timestamp.format(Pipeline.base_ms)

    private static func event(_ type: String, _ rest: String) -> String {
        "{\"schema\":1,\"type\":\"\(type)\",\"time\":\"\(now)\",\(rest)}"
    }

    private static func names(_ model: String) -> String { "\"model_name\":\"\(model)\",\"model_version\":\"1\"" }

    /// Lines that are odd, and whether they count.
    static let lines: [(line: String, counts: Bool)] = {
        // 256 bytes of characters of four bytes, and of none that an escape could not bring in.
        let wide = String(repeating: "\u{1F338}", count: 64)
        let odd = #"\u0001\u001f\u007f\"\\\/\b\f\n\r\t'; DROP TABLE x; --{}()%s$1"#
        let predicted = "\"prediction_id\":\"p\""
        var out: [(String, Bool)] = []
        for name in [
            wide, odd, "\u{202E}\u{FEFF}\u{0301}", "other", "all", "missing", "champion", "NULL", "\\\\N", "é",
            "e\u{0301}",
        ] {
            out.append((event("prediction", names(name)), true))
            out.append((event("prediction", "\"model_name\":\"m\",\"model_version\":\"\(name)\""), true))
            out.append(
                (event("prediction", names("m") + ",\"environment\":\"\(name)\",\"model_variant\":\"\(name)\""), true))
            out.append((event("prediction", names("m") + ",\"features\":{\"\(name)\":\"\(name)\"}"), true))
            out.append(
                (event("prediction", names("m") + ",\"prediction\":\"\(name)\",\"scores\":{\"\(name)\":0.5}"), true))
            out.append((event("prediction", names("m") + ",\"tags\":{\"region\":\"\(name)\"}"), true))
            out.append(
                (event("resource", "\"service\":\"\(name)\",\"instance\":\"\(name)\",\"interval_seconds\":1"), true))
            out.append(
                (event("deployment", names(name) + ",\"previous_version\":\"\(name)\",\"actor\":\"\(name)\""), true))
            out.append((event("outcome", predicted + ",\"model_name\":\"\(name)\",\"label\":\"\(name)\""), true))
            out.append(
                (
                    event(
                        "feedback", predicted + ",\"model_name\":\"m\",\"name\":\"\(name)\",\"explanation\":\"\(name)\""
                    ), true
                ))
            out.append(
                (
                    event(
                        "outcome", "\"prediction_id\":\"\(name)\",\"model_name\":\"m\",\"label\":1,\"id\":\"\(name)\""),
                    true
                ))
        }
        // A label of a MiB.
        let long = String(repeating: "l", count: 1_000_000)
        out.append((event("outcome", "\"prediction_id\":\"long\",\"model_name\":\"m\",\"label\":\"\(long)\""), true))
        out.append((event("prediction", names("m") + ",\"prediction\":\"\(long)\""), true))
        out.append((event("prediction", names("m") + ",\"features\":{\"f\":\"\(long)\"}"), true))
        // Numbers at the edges of doubles and of the database's integers.
        let numbers = [
            "1e308", "-1e308", "4.9e-324", "0.1e-400", "-0", "-0.0", "0e0", "9223372036854775807",
            "-9223372036854775808", "18446744073709551615", "1234567890123456789", "9007199254740993",
        ]
        for number in numbers {
            out.append(
                (event("prediction", names("n") + ",\"prediction\":\(number),\"features\":{\"x\":\(number)}"), true))
            out.append(
                (event("prediction", names("c") + ",\"task\":\"multiclass\",\"prediction\":\(number)"), true))
            out.append(
                (
                    event(
                        "outcome",
                        "\"prediction_id\":\"n\(number)\",\"model_name\":\"n\",\"label\":\(number),\"value\":\(number)"),
                    true
                ))
            out.append(
                (
                    event(
                        "outcome",
                        "\"prediction_id\":\"n\",\"model_name\":\"n\",\"label\":1,\"revision\":9007199254740991"), true
                ))
            out.append(
                (event("feedback", predicted + ",\"model_name\":\"n\",\"name\":\"f\",\"score\":\(number)"), true))
        }
        for number in ["1e400", "-1e400", "NaN", "Infinity", "-Infinity", "01", "+1", "1.", ".5", "0x10", "1e", "--1"] {
            out.append((event("prediction", names("n") + ",\"features\":{\"x\":\(number)}"), false))
        }
        // Times at the edges of the calendar, in a field that no window bounds.
        for (time, counts) in [
            ("0001-01-01T00:00:00Z", true), ("9999-12-31T23:59:59.999Z", true), ("1969-12-31T23:59:59.999Z", true),
            ("2024-02-29T12:00:00Z", true), ("0000-12-31T23:59:59Z", false), ("2023-02-29T12:00:00Z", false),
            ("2016-12-31T23:59:60Z", false), ("2026-11-23T24:00:00Z", false), ("2026-11-23T10:00:00+00:00", false),
            ("2026-11-23T10:00:00+05:30", false), ("2026-11-23 10:00:00Z", false), ("2026-13-01T00:00:00Z", false),
            ("2026-00-10T00:00:00Z", false), ("2026-11-31T00:00:00Z", false), ("now", false), ("", false),
        ] {
            out.append(
                (
                    event(
                        "outcome",
                        "\"prediction_id\":\"t\(time)\",\"model_name\":\"t\",\"label\":true,\"prediction_time\":\"\(time)\""
                    ),
                    counts
                ))
        }
        for text in ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "1970-01-01T00:00:00Z"] {
            out.append(("{\"schema\":1,\"type\":\"prediction\",\"time\":\"\(text)\",\(names("m"))}", false))
        }
        out.append(
            (#"{"schema":1,"type":"prediction","time":"\#(now)","model_name":"\ud800","model_version":"1"}"#, false))
        return out
    }()

    @Test func whatCountsIsNeverRefusedByTheDatabase() async throws {
        let pipeline = try Pipeline()
        var writer = TestWriter("one", 1)
        for (line, _) in Self.lines { writer.append(line) }
        let segment = writer.seal(at: Pipeline.base_ms + 60_000, end: true)
        let key = try await pipeline.put([segment])
        var neighbour = TestWriter("one", 2)
        neighbour.append(TestEvents.prediction(Pipeline.base_ms, id: "good"))
        try await pipeline.put([neighbour.seal(at: Pipeline.base_ms + 120_000, end: true)])
        try await pipeline.report(ended: true)
        let report = try await pipeline.load(joinNow: true, sweepNow: true)
        #expect(report.poisoned.isEmpty, "\(report.poisoned)")
        #expect(report.failed.isEmpty, "\(report.failed)")
        #expect(report.batches == 1)
        let connection = try pipeline.database.connect()
        let rejected = try connection.query(
            """
            SELECT l.line, l.reason, l.detail FROM nadi_store.reject_line AS l
            JOIN nadi_store.segment AS s USING (segment_id) JOIN nadi_store.object AS o USING (object_id)
            WHERE o.object_key = $1 ORDER BY 1
            """, [.text(key)])
        let bad = Self.lines.indices.filter { !Self.lines[$0].counts }
        let counted = try connection.query("SELECT sum(rejected_lines) FROM nadi_store.segment")[0].integer(0)
        #expect(counted == Int64(bad.count))
        #expect(rejected.rows.count > 20)
        for row in rejected.rows {
            let place = Int(row.integer(0)) - 1
            #expect(bad.contains(place), "\(row.text(1)) \(row.text(2)): \(Self.lines[place].line.prefix(300))")
            #expect(!row.text(2).isEmpty)
        }
        expectClean(try await pipeline.audit())
        // Once more, from the bucket, into another database and by a rebuild: nothing trips over what is there.
        let fresh = try Pipeline(bucketOf: pipeline)
        _ = try await fresh.load(objects: 1, joinNow: true, sweepNow: true)
        let hour = LoadClock.hour(Pipeline.base_ms)
        let rebuilt = try await Rebuild(fresh.loader()).run(.hours(from_ms: hour, to_ms: hour + LoadClock.hour_ms))
        #expect(rebuilt.closed.isEmpty)
        _ = try await fresh.load(joinNow: true)
        let differences = try TableDump(connection).differences(TableDump(fresh.database.connect()))
        #expect(differences.isEmpty, "\(differences)")
    }

    /// A replay brings old times: the year 1 counts, and stands in the tables.
    @Test func aReplayOfTheFirstYear() async throws {
        let pipeline = try Pipeline()
        var builder = BundleBuilder(host: "one")
        let lines = ["0000-06-01T00:00:00Z", "0001-01-01T00:00:00Z", "1900-03-01T00:00:00Z", Self.now].map {
            "{\"schema\":1,\"type\":\"prediction\",\"time\":\"\($0)\",\(Self.names("old"))}\n"
        }
        _ = try builder.add(
            BundleBuilder.Identity(
                writer: TestWriter("one", 3).name, seq: 0, sealed_ms: Pipeline.base_ms + 60_000, file: "f", replay: true
            ),
            bytes: Array(lines.joined().utf8))
        let bundle = builder.finish()
        _ = try await pipeline.store.put(bundle.key(prefix: "").path, bundle.object, PutOptions())
        let report = try await pipeline.load(joinNow: true)
        #expect(report.poisoned.isEmpty && report.lines == 3 && report.rejectedLines == 1, "\(report.poisoned)")
        let hours = try pipeline.database.connect().query(
            "SELECT count(*) FROM nadi_store.request_hour WHERE hour < '1901-01-01'")[0]
        #expect(hours.integer(0) == 4)
    }

    /// A million bad lines, of every reason, in segments of the size that writers seal.
    @Test(.enabled(if: ReleaseProgram.path != nil, "needs NADI_TEST_RELEASE_BINARIES (Tests/run sets it)"))
    func aMillionBadLinesCostLittle() async throws {
        let pipeline = try Pipeline()
        let connection = try pipeline.database.connect()
        func size() throws -> Int64 {
            try connection.query(
                """
                SELECT sum(pg_total_relation_size(c.oid))::bigint FROM pg_class AS c
                JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE n.nspname = 'nadi_store' AND c.relkind = 'r'
                """)[0].integer(0)
        }
        let head = "{\"schema\":1,\"type\":\"prediction\",\"time\":\"\(Self.now)\""
        let pad = String(repeating: "x", count: 150)
        let kinds = [
            "not json \(pad)", "[1,\"\(pad)\"]", String(repeating: "[", count: 80) + String(repeating: "]", count: 80),
            "",
            "\(head.replacing("1", with: "2", maxReplacements: 1)),\"x\":\"\(pad)\"}",
            "{\"schema\":1,\"type\":\"strange\",\"x\":\"\(pad)\"}", "\(head),\"x\":\"\(pad)\"}",
            "\(head),\(Self.names("m")),\"score\":\"\(pad)\"}",
            "\(head),\(Self.names("m")),\"score\":7,\"x\":\"\(pad)\"}",
            "{\"schema\":1,\"type\":\"prediction\",\"time\":\"\(pad)\"}",
            "{\"schema\":1,\"type\":\"prediction\",\"time\":\"2001-01-01T00:00:00Z\",\(Self.names("m")),\"x\":\"\(pad)\"}",
        ]
        let encoded = kinds.map { Array($0.utf8) + [0x0A] } + [[0xFF, 0xFE, 0x0A]]
        var bytes: [UInt8] = []
        for line in 0..<100_000 { bytes += encoded[line % encoded.count] }
        let body = try SegmentBody(bytes, lines: 100_000)
        for number in 1...10 { try pipeline.write(body, number: number) }
        let path = pipeline.folder["loader.yaml"]
        try DurableFile.replace(
            path: path,
            bytes: Array("database: \(pipeline.database.uri)\nstore:\n  url: file://\(pipeline.folder.path)\n".utf8))
        let before = try size()
        let child = try ChildProcess(try #require(ReleaseProgram.path), ["load", "--all", "--config", path])
        #expect(try await child.end() == 0)
        let rows = try connection.query(
            "SELECT sum(lines), count(DISTINCT reason) FROM nadi_store.segment_reject")[0]
        #expect(rows.integer(0) == 1_000_000 && rows.integer(1) == 12)
        let grown = try size() - before
        print("a million bad lines: \(grown / 1024) KiB in PostgreSQL")
        #expect(grown < 10 << 20)
    }
}
