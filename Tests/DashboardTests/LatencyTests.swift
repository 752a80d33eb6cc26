import Glibc
import TableStorage
import TestSupport
import Testing

/// Percentiles from merged log bins against percentile_disc over the raw samples.
@Suite(.enabled(if: Servers.postgres, "\(Servers.missing)")) struct LatencyTests {
    @Test func quantilesAreWithinOnePercentOfPercentileDisc() throws {
        var generator = SeededGenerator(seed: 35)
        let samples = try Samples()
        let shapes: [(String, (inout SeededGenerator) -> Double)] = [
            ("lognormal", { exp(-4 + 0.8 * PlainStatistics.normal(&$0)) }),
            (
                "bimodal",
                {
                    Bool.random(using: &$0)
                        ? 0.002 + 0.0001 * abs(PlainStatistics.normal(&$0)) : 3 + abs(PlainStatistics.normal(&$0))
                }
            ),
            ("constant", { _ in 0.25 }),
            ("zeros", { Int.random(in: 0..<10, using: &$0) == 0 ? 0 : 1e-9 }),
        ]
        // Uneven hours on both sides of midnights: the range takes hours, a whole day and hours again.
        for (name, draw) in shapes {
            for (hour, count) in [(20, 400), (23, 1), (30, 700), (47, 300), (49, 150), (60, 5)] {
                try samples.addRequests(name, hour: hour, latencies: (0..<count).map { _ in draw(&generator) })
            }
        }
        try samples.fill()
        let reader = try samples.database.connectAsReader()
        for (name, _) in shapes {
            for (from, to) in [(0, 100), (20, 50), (24, 48), (30, 31), (23, 61)] {
                for q in [0, 0.01, 0.5, 0.9, 0.95, 0.99, 0.999, 1] {
                    let exact = try samples.connection.query(
                        """
                        SELECT percentile_disc($1::float8) WITHIN GROUP (ORDER BY latency)
                        FROM test.request WHERE model = $2 AND hour >= $3 AND hour < $4
                        """,
                        [.real(q), .text(name), samples.at(from), samples.at(to)]
                    ).first?.real(0)
                    let ours = try reader.query(
                        "SELECT nadi.latency_quantile($1, $2, $3, $4)",
                        [.real(q), .text(name), samples.at(from), samples.at(to)]
                    ).first?.real(0)
                    let expected = try #require(exact)
                    #expect(
                        abs(try #require(ours) - expected) <= 0.01 * expected, "\(name), q \(q), hours \(from)..<\(to)")
                }
            }
        }
        // The series: one row a bucket that holds requests, the same numbers.
        let series = try reader.query(
            """
            SELECT bucket_start, latency_count, p50_seconds, p95_seconds, p99_seconds
            FROM nadi.latency_quantiles('lognormal', $1, $2, interval '1 hour')
            """,
            [samples.at(20), samples.at(64)]
        ).rows
        #expect(series.map { $0.integer(1) } == [400, 1, 700, 300, 150, 5])
        let all = try reader.query(
            """
            SELECT p99_seconds, nadi.latency_quantile(0.99, 'lognormal', $1, $2)
            FROM nadi.latency_quantiles('lognormal', $1, $2)
            """,
            [samples.at(0), samples.at(100)]
        ).first
        #expect(try #require(all).real(0) == all?.real(1))
        let heat = try reader.query(
            """
            SELECT sum(request_count), bool_and(lower_seconds < upper_seconds OR upper_seconds = 0)
            FROM nadi.latency_heatmap('zeros', $1, $2)
            """,
            [samples.at(0), samples.at(100)]
        ).first
        #expect(heat?.integer(0) == 1556 && heat?.boolean(1) == true)
    }

    @Test func requestsAddUpOverAnyCutAndSlicesDoNotMix() throws {
        let samples = try Samples()
        for hour in 0..<60 {
            try samples.addRequests("m", hour: hour, latencies: Array(repeating: 0.1, count: hour + 1))
        }
        try samples.addRequests("m", hour: 3, latencies: [0.1, 0.1, nil], slice: ("country", "de"))
        try samples.addRequests("m", hour: 3, latencies: [0.1], slice: ("country", "fr"))
        try samples.fill()
        let reader = try samples.database.connectAsReader()
        func total(_ arguments: String, _ from: Int, _ to: Int) throws -> Int64 {
            try #require(
                try reader.query(
                    "SELECT sum(request_count) FROM nadi.requests('m', $1, $2, \(arguments))",
                    [samples.at(from), samples.at(to)]
                ).first
            ).integer(0)
        }
        for (from, to) in [(0, 60), (5, 50), (24, 48), (23, 25), (7, 8)] {
            let expected = (from..<to).reduce(0) { $0 + Int64($1 + 1) }
            for bucket in ["NULL", "'1 hour'", "'1 day'", "'7 days'"] {
                #expect(try total("bucket => \(bucket)", from, to) == expected)
            }
        }
        #expect(try total("slice_key => 'country'", 0, 60) == 4)
        #expect(try total("slice_key => 'country', slice_values => ARRAY['de']", 0, 60) == 3)
        #expect(try total("slice_key => 'nothing'", 0, 60) == 0)
        for (call, words) in [
            ("nadi.requests('m', now(), now(), slice_key => NULL)", "do not add up"),
            ("nadi.requests(NULL, now(), now())", "model is null"),
            ("nadi.requests('m', now(), now() - interval '1 hour')", "is not one"),
            ("nadi.requests('m', '-infinity', now())", "is not one"),
        ] {
            let error = #expect(throws: DatabaseError.self) { try reader.query("SELECT * FROM \(call)") }
            #expect(error?.message.contains(words) == true, "\(call)")
        }
        let zeros = try reader.query(
            "SELECT count(*) FROM nadi.requests('m', $1, $2, '1 hour')", [samples.at(58), samples.at(70)]
        ).first
        #expect(zeros?.integer(0) == 12, "empty hours are rows of zeros")
    }

    @Test func bucketWidthsGiveFewEnoughPoints() throws {
        let database = try TestDatabase()
        let reader = try database.connectAsReader()
        let rows = try reader.query(
            """
            SELECT s, extract(epoch FROM nadi.bucket_width(t, t + s * interval '1 second'))::float8,
                   extract(epoch FROM nadi.bucket_width(t, t + s * interval '1 second', interval '1 hour', 24))::float8
            FROM unnest(ARRAY[0, 59, 3600, 21600, 86400, 604800, 2592000, 34560000, 315360000]::float8[]) s,
                 (VALUES ('2026-02-03 04:05:06Z'::timestamptz)) v(t)
            """
        ).rows
        for row in rows {
            #expect(row.real(0) / row.real(1) < 61)
            #expect(row.real(0) / row.real(2) < 25 && row.real(2) >= 3600)
        }
        #expect(rows.map { $0.real(1) } == [60, 60, 120, 600, 1800, 10800, 86400, 604800, 7_257_600])
    }
}
