import Glibc
import TableStorage
import TestSupport
import Testing

/// nadi.volume on weeks of made-up traffic whose law is known.
@Suite(.enabled(if: Servers.postgres, "\(Servers.missing)")) struct VolumeTests {
    /// The requests of a model, hour by hour, ending with the hour that ended last.
    final class Traffic {
        let database: TestDatabase
        let connection: Connection
        /// The first hour, milliseconds since the epoch.
        let start: Int64
        let hours: Int

        init(weeks: Int) throws {
            database = try TestDatabase()
            connection = try database.connect()
            hours = weeks * 168
            let now = try connection.query("SELECT date_trunc('hour', now())").first?.time(0) ?? 0
            start = now - Int64(hours) * Samples.hour
            try connection.execute(
                """
                INSERT INTO nadi_store.model (model_name) VALUES ('m');
                INSERT INTO nadi_store.series
                    (model_id, model_version, model_variant, environment, slice_key, slice_value)
                SELECT model_id, 'v1', 'champion', 'default', 'all', 'all' FROM nadi_store.model
                """)
        }

        func at(_ hour: Int) -> SQLValue { .time(start + Int64(hour) * Samples.hour) }

        func fill(_ counts: [Int]) throws {
            try connection.execute("CREATE TEMPORARY TABLE counted (hour timestamptz, n bigint)")
            var rows = try connection.copy(into: "counted", columns: ["hour", "n"])
            for (hour, count) in counts.enumerated() where count > 0 {
                rows.append(time: start + Int64(hour) * Samples.hour)
                rows.append(Int64(count))
                try rows.endRow()
            }
            try rows.finish()
            try connection.execute(
                """
                INSERT INTO nadi_store.request_hour
                SELECT s.series_id, c.hour, c.n, c.n, 0, 0, 0, 0, '{}', '{}' FROM counted c, nadi_store.series s;
                SELECT nadi_store.derive_request_day(d)
                FROM (SELECT DISTINCT date_trunc('day', hour, 'UTC') AS d FROM counted) days;
                ANALYZE nadi_store.request_hour
                """)
        }

        func rows(_ from: Int, _ to: Int, _ bucket: String = "1 hour") throws -> [QueryResult.Row] {
            try database.connectAsReader().query(
                """
                SELECT bucket_start, request_count, expected_count, lower_count, upper_count, week_count, volume_state,
                       reason
                FROM nadi.volume('m', $1, $2, $3::interval) ORDER BY 1
                """, [at(from), at(to), .text(bucket)]
            ).rows
        }
    }

    /// Day and night, weekdays and week-ends.
    static func rhythm(_ hour: Int, _ mean: Double) -> Double {
        let day = hour / 24 % 7
        return mean * (1 + 0.8 * sin(Double(hour % 24) / 24 * 2 * .pi)) * (day >= 5 ? 0.5 : 1)
    }

    static func poisson(_ mean: Double, _ generator: inout SeededGenerator) -> Int {
        if mean > 50 { return max(0, Int((mean + mean.squareRoot() * PlainStatistics.normal(&generator)).rounded())) }
        var product = Double.random(in: 0..<1, using: &generator)
        let limit = exp(-mean)
        var count = 0
        while product > limit {
            product *= Double.random(in: 0..<1, using: &generator)
            count += 1
        }
        return count
    }

    /// Counts whose mean of the hour itself varies by `deviation` of it.
    static func counts(_ hours: Int, mean: Double, deviation: Double, _ generator: inout SeededGenerator) -> [Int] {
        (0..<hours).map { hour in
            let factor = exp(deviation * PlainStatistics.normal(&generator) - deviation * deviation / 2)
            return poisson(rhythm(hour, mean) * factor, &generator)
        }
    }

    @Test(arguments: [(3.0, 0.0), (200, 0), (200, 0.15), (20_000, 0.1)])
    func usualTrafficIsUsual(_ mean: Double, _ deviation: Double) throws {
        var generator = SeededGenerator(seed: UInt64(mean) + 1)
        let traffic = try Traffic(weeks: 6)
        try traffic.fill(Self.counts(traffic.hours, mean: mean, deviation: deviation, &generator))
        var wrong: [String] = []
        for day in 0..<14 {
            let from = traffic.hours - 24 * (day + 1)
            let rows = try traffic.rows(from, from + 24)
            #expect(rows.count == 24 && rows.allSatisfy { $0.integer(5) == 4 })
            wrong += rows.filter { $0.text(6) != "usual" }.map { "\($0.text(6)): \($0.text(7))" }
        }
        #expect(wrong.count <= 1, "mean \(mean), deviation \(deviation): \(wrong) of 336 hours")
    }

    @Test func anOutageAHalvingAndADoublingAreSeen() throws {
        var generator = SeededGenerator(seed: 3)
        let traffic = try Traffic(weeks: 6)
        var counts = Self.counts(traffic.hours, mean: 2000, deviation: 0.05, &generator)
        let last = traffic.hours - 24
        counts[last + 3] = 0
        counts[last + 8] /= 2
        counts[last + 15] *= 2
        // An outage a week ago, which must not make today's traffic look high.
        for hour in 18..<21 { counts[last - 168 + hour] = 0 }
        try traffic.fill(counts)
        let rows = try traffic.rows(last, traffic.hours)
        #expect(rows.map { $0.integer(1) } == counts[last...].map(Int64.init))
        let found = rows.enumerated().filter { $0.element.text(6) != "usual" }.map {
            "\($0.offset) \($0.element.text(6))"
        }
        #expect(found == ["3 low", "8 low", "15 high"])
        #expect(rows[3].text(7).hasPrefix("0 requests; the same time of the last weeks had "))
        for (hour, row) in rows.enumerated() {
            let past = (1...4).map { Double(counts[last + hour - 168 * $0]) }.sorted()
            #expect(row.real(2) == (past[1] + past[2]) / 2, "the median of the four weeks")
            #expect(row.real(3) <= row.real(2) && row.real(2) <= row.real(4))
        }
        // The same by UTC day.
        func day(_ hour: Int) -> Int64 { (traffic.start / Samples.hour + Int64(hour)) / 24 }
        func sum(_ number: Int64) -> Double {
            Double(counts.enumerated().filter { day($0.offset) == number }.reduce(0) { $0 + $1.element })
        }
        let days = try traffic.rows(last, traffic.hours, "1 day")
        #expect(days.count == Set((last..<traffic.hours).map(day)).count)
        for row in days {
            let number = row.time(0) / (24 * Samples.hour)
            #expect(row.integer(1) == Int64(sum(number)))
            let past = (1...4).map { sum(number - 7 * $0) }.sorted()
            #expect(row.real(2) == (past[1] + past[2]) / 2)
        }
    }

    @Test func tooLittleHistoryIsAState() throws {
        var generator = SeededGenerator(seed: 4)
        let traffic = try Traffic(weeks: 3)
        try traffic.fill(Self.counts(traffic.hours, mean: 500, deviation: 0, &generator))
        #expect(try traffic.rows(0, 24).allSatisfy { $0.text(6) == "no_history" && $0.optionalReal(2) == nil })
        #expect(try traffic.rows(168, 192).allSatisfy { $0.text(6) == "no_history" && $0.integer(5) == 1 })
        #expect(try traffic.rows(336, 360).allSatisfy { $0.text(6) == "usual" && $0.integer(5) == 2 })
        // The hour that is not over yet, and those to come.
        let open = try traffic.rows(traffic.hours - 1, traffic.hours + 2)
        #expect(open.map { $0.text(6) } == ["usual", "incomplete", "incomplete"])
        let reader = try traffic.database.connectAsReader()
        let nobody = try reader.query(
            "SELECT volume_state FROM nadi.volume('nobody', now() - interval '2 hours', now() - interval '1 hour')"
        ).rows
        #expect(!nobody.isEmpty && nobody.allSatisfy { $0.text(0) == "no_history" })
        let years = try reader.query(
            "SELECT volume_state FROM nadi.volume('m', now() - interval '2 years', now()) ORDER BY bucket_start"
        ).rows
        #expect(years.count > 100 && years.first?.text(0) == "no_history", "two years, week by week")
        let error = #expect(throws: DatabaseError.self) {
            try reader.query("SELECT * FROM nadi.volume('m', now() - interval '20 years', now())")
        }
        #expect(error?.sqlState == "22023")
    }

    /// Against exact tails where the mean is known: scipy.stats.poisson and nbinom (n = 1 / alpha, p = 1 / (1 + alpha mu)),
    /// ppf and isf of 5e-6.
    @Test func boundsAreThoseOfTheLaw() throws {
        let database = try TestDatabase()
        let connection = try database.connect()
        for (mean, alpha, lower, upper) in [
            (10.0, 0.0, 0.0, 27.0), (100, 0, 59, 147), (10_000, 0, 9561, 10_445), (100, 0.01, 47, 172),
            (10_000, 0.01, 6164, 15_073),
        ] {
            let row = try #require(
                try connection.query(
                    "SELECT nadi_store.volume_bound($1, $2, 1e12, -1), nadi_store.volume_bound($1, $2, 1e12, 1)",
                    [.real(mean), .real(alpha)]
                ).first)
            let scale = (mean + alpha * mean * mean).squareRoot()
            #expect(
                abs(row.real(0) - lower) < 0.7 * scale,
                "mean \(mean), alpha \(alpha): lower \(row.real(0)), exact \(lower)")
            #expect(
                abs(row.real(1) - upper) < 0.7 * scale,
                "mean \(mean), alpha \(alpha): upper \(row.real(1)), exact \(upper)")
        }
    }
}
