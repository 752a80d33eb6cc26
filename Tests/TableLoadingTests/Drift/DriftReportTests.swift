import TableLoading
import TableStorage
import TestSupport
import Testing

/// What `nadi drift` answers: since when, up to when, of what.
@Suite(.enabled(if: TestServers.postgres != nil, "set NADI_TEST_POSTGRES, or use Tests/run"))
struct DriftReportTests {
    private static let base = EdgeLoadTests.base
    private static let to = base + LoadClock.hour_ms

    /// An hour of 300 petals beyond the reference, which the loader found drifted, in a model whose reference is old.
    private func drifted() async throws -> Pipeline {
        let pipeline = try Pipeline()
        try pipeline.reference(TestReference(), from_ms: LoadClock.day(Self.base) - 500 * LoadClock.day_ms)
        try await pipeline.put([EdgeLoadTests.segment(1, petals: (0..<300).map { 2e9 + Double($0) })])
        #expect(try await pipeline.load().driftHours == 1)
        return pipeline
    }

    private static func question(_ change: (inout DriftReport.Question) -> Void = { _ in }) -> DriftReport.Question {
        var question = DriftReport.Question(model: "iris")
        (question.from_ms, question.to_ms) = (base, to)
        change(&question)
        return question
    }

    private static func report(
        _ connection: Connection, change: (inout DriftReport.Question) -> Void = { _ in }
    ) throws -> DriftReport {
        try DriftReport(question(change), connection, now_ms: LoadClock.now_ms())
    }

    /// Stores that the petals of an hour or day were in a state.
    private static func store(
        _ state: String, _ table: String, _ begins: some Sequence<Int64>, _ connection: Connection
    ) throws {
        let column = table == "drift_hour" ? "hour" : "day"
        try connection.query(
            """
            INSERT INTO nadi_store.\(table)
            SELECT (jsonb_populate_record(
                NULL::nadi_store.\(table), to_jsonb(d) || jsonb_build_object('\(column)', u.at, 'drift_state', $2::text))).*
            FROM nadi_store.\(table) AS d
            JOIN nadi_store.feature AS f USING (feature_id), unnest($1::timestamptz[]) AS u (at)
            WHERE f.feature_name = 'petal_length' AND d.\(column) = (SELECT max(\(column)) FROM nadi_store.\(table))
            ON CONFLICT DO NOTHING
            """, [.times(Array(begins)), .text(state)])
    }

    private static func since(_ connection: Connection) throws -> Int64? {
        try report(connection).drifted.first { $0.feature == "petal_length" }?.since_ms
    }

    @Test func aRunIsToldByItsDaysAndItsFirstDayByItsHours() async throws {
        let pipeline = try await drifted()
        let connection = try pipeline.database.connect()
        #expect(try Self.since(connection) == Self.base)

        // For 39 days every judged hour is drifted, but one at night: the run is as old as its first day.
        let today = LoadClock.day(Self.base)
        let first = today - 40 * LoadClock.day_ms
        try Self.store("stable", "drift_day", [first - LoadClock.day_ms], connection)
        try Self.store(
            "drifted", "drift_day", stride(from: first, to: today, by: Int64.Stride(LoadClock.day_ms)), connection)
        let yesterday = today - LoadClock.day_ms
        try Self.store("stable", "drift_hour", [yesterday + 3 * LoadClock.hour_ms], connection)
        try Self.store(
            "drifted", "drift_hour",
            stride(from: first + 2 * LoadClock.day_ms, to: today, by: Int64.Stride(LoadClock.hour_ms)), connection)
        #expect(try Self.since(connection) == first)

        // On its first day it began at ten; what one hour at three said does not count, nor the calm of the last one.
        func hours(_ range: Range<Int64>) -> [Int64] { range.map { first + $0 * LoadClock.hour_ms } }
        try Self.store("drifted", "drift_hour", hours(3..<4) + hours(10..<23), connection)
        try Self.store("shifted", "drift_hour", hours(0..<3) + hours(4..<10) + hours(23..<24), connection)
        #expect(try Self.since(connection) == first + 10 * LoadClock.hour_ms)

        // A run that began late on the evening before, whose day is calm as a whole.
        try connection.query(
            "DELETE FROM nadi_store.drift_hour WHERE hour >= $1 AND hour < $2",
            [.time(first), .time(first + LoadClock.day_ms)])
        try Self.store("drifted", "drift_hour", hours(-2..<24), connection)
        try Self.store("stable", "drift_hour", hours(-9..<(-2)), connection)
        #expect(try Self.since(connection) == first - 2 * LoadClock.hour_ms)
    }

    @Test func theCalmOfADayThatIsNotOverEndsNoRun() async throws {
        let pipeline = try await drifted()
        let connection = try pipeline.database.connect()
        let today = LoadClock.day(Self.base)
        try connection.execute("UPDATE nadi_store.drift_day SET drift_state = 'stable'")
        // No day is drifted: the hours tell.
        #expect(try Self.since(connection) == Self.base)
        try Self.store("drifted", "drift_day", [today - LoadClock.day_ms, today - 2 * LoadClock.day_ms], connection)
        #expect(try Self.since(connection) == today - 2 * LoadClock.day_ms)
    }

    /// What drifted is told also where it cannot be asked since when, and nothing is asked where nothing is drifted.
    @Test func sinceWhenIsAskedLastAndOnlyIfAnythingIsDrifted() async throws {
        let pipeline = try await drifted()
        let connection = try pipeline.database.connect()
        try connection.execute(
            """
            ALTER FUNCTION nadi.drift_over_time(text, timestamptz, timestamptz, interval, text, text[], text[], text[], text, text[],
                                                text[], text[]) RENAME TO gone
            """)
        let report = try Self.report(connection)
        #expect(report.drifted.contains { $0.feature == "petal_length" && $0.since_ms == nil })
        #expect(report.sinceFailure?.contains("drift_over_time") == true)
        #expect(
            report.text.hasPrefix("DRIFTED: petal_length") && report.text.contains("since when could not be told: "))
        let calm = try Self.report(connection) { $0.features = ["colour"] }
        #expect(calm.drifted.isEmpty && calm.sinceFailure == nil)
        // Another baseline goes along: since when would be since its last move.
        let previous = try Self.report(connection) { $0.baseline = "previous" }
        #expect(previous.sinceFailure == nil && previous.rows.allSatisfy { $0.since_ms == nil })
        #expect(!previous.text.contains("SINCE") && report.text.contains("SINCE"))
    }

    @Test func aRangeWithoutAnEndGoesOnUntilNow() async throws {
        let pipeline = try await drifted()
        let connection = try pipeline.database.connect()
        let now = LoadClock.now_ms()
        func range(_ change: (inout DriftReport.Question) -> Void) throws -> ClosedRange<Int64> {
            let question = Self.question {
                ($0.from_ms, $0.to_ms) = (nil, nil)
                change(&$0)
            }
            let report = try DriftReport(question, connection, now_ms: now)
            return report.from_ms...report.to_ms
        }
        let (hour, day) = (LoadClock.hour(now), LoadClock.day_ms)
        #expect(try range { _ in } == (hour - day)...hour)
        #expect(try range { $0.last_ms = 7 * day } == (hour - 7 * day)...hour)
        #expect(try range { $0.from_ms = hour - 3 * day } == (hour - 3 * day)...hour)
        #expect(try range { ($0.from_ms, $0.last_ms) = (hour - 3 * day, day) } == (hour - 3 * day)...(hour - 2 * day))
        #expect(try range { $0.to_ms = hour - day } == (hour - 2 * day)...(hour - day))
        #expect(throws: LoadError.self) { try range { $0.from_ms = now + day } }
    }

    @Test(.enabled(if: Program.path != nil, "build nadi")) func aNameThatNeverCameIsNoGreenCheck() async throws {
        let pipeline = try await drifted()
        let config = try pipeline.configuration()
        let range = ["--from", LoadClock.rfcHour(Self.base), "--to", LoadClock.rfcHour(Self.to)]
        for (words, status, text) in [
            (["--features", "petal_length,prediction,score"], 3, "DRIFTED: petal_length"),
            (["--features", "colour", "--versions", "1", "--slice", "region=eu"], 0, "colour"),
            (
                ["--features", "petal_lenght"], 64,
                "no feature 'petal_lenght' of iris was ever counted. There are: colour, none,"
            ),
            (["--versions", "1,9"], 64, "no version '9' of iris was ever counted. There are: 1"),
            (["--variants", "canary"], 64, "no variant 'canary' of iris was ever counted. There are: champion"),
            (["--environments", "prod"], 64, "no environment 'prod'"),
            (["--slice", "country=de"], 64, "no tag 'country' of iris was ever counted. There are: region"),
            (
                ["--slice", "region=eu,de"], 64,
                "no value of the tag region 'de' of iris was ever counted. There are: eu"
            ),
        ] as [([String], Int32, String)] {
            let answer = try Answer.of(
                ["drift", "--config", config, "--model", "iris"] + range + words, in: pipeline.folder)
            #expect(answer.status == status && answer.text.contains(text), "\(words) \(answer.status) \(answer.text)")
        }
        let nobody = try Answer.of(["drift", "--config", config, "--model", "nobody"], in: pipeline.folder)
        #expect(
            nobody.status == 64 && nobody.text.contains("there is no model nobody. There are: iris"), "\(nobody.text)")
        let day = try Answer.of(
            ["drift", "--config", config, "--model", "iris", "--from", LoadClock.dayText(Self.base)],
            in: pipeline.folder)
        #expect(day.status == 3, "\(day.text)")
    }
}
