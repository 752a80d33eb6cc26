import TableStorage
import TestSupport
import Testing

/// Accuracy, classes, scores, moments: known answers.
@Suite(.enabled(if: Servers.postgres, "\(Servers.missing)")) struct QualityTests {
    /// Newcombe's (1998) examples; the values are those of
    /// `scipy.stats.binomtest(x, n).proportion_ci(method="wilson")`.
    @Test func wilsonsIntervalHasItsKnownValues() throws {
        let database = try TestDatabase()
        let connection = try database.connect()
        for (successes, trials, lower, upper) in [
            (81.0, 263.0, 0.255289, 0.366210), (15, 148, 0.062386, 0.160487), (0, 20, 0, 0.161125),
            (20, 20, 0.838875, 1), (1, 29, 0.006113, 0.171755),
        ] {
            let row = try connection.query(
                "SELECT nadi_store.wilson_bound($1, $2, -1), nadi_store.wilson_bound($1, $2, 1)",
                [.real(successes), .real(trials)]
            ).first
            #expect(abs(try #require(row).real(0) - lower) < 1e-6, "\(successes) of \(trials)")
            #expect(abs(try #require(row).real(1) - upper) < 1e-6, "\(successes) of \(trials)")
        }
        #expect(try connection.query("SELECT nadi_store.wilson_bound(0, 0, 1)").first?.optionalReal(0) == nil)
    }

    @Test func accuracyStandsBesideItsLabelCoverage() throws {
        let samples = try Samples()
        for hour in 0..<3 { try samples.addRequests("m", hour: hour, latencies: Array(repeating: 0.1, count: 1000)) }
        try samples.fill()
        // 500 of the first hour's predictions have labels, 50 of the second's, none of the third's.
        for (hour, labelled, correct) in [(0, 500, 450), (1, 50, 25)] {
            try samples.connection.query(
                """
                INSERT INTO nadi_store.outcome_hour
                SELECT series_id, $1, n, 0, n, hits, 0, 0, 0, 0, '{}', '{}', '{}', '{1}', ARRAY[n], ARRAY[hits], ARRAY[hits],
                       ARRAY[hits], ARRAY[hits],
                       n, n * 0.5, 0, 0, 0, 0, 0, 0, n, n * 60, '{40206}', ARRAY[n]
                FROM nadi_store.series, (SELECT $2::bigint AS n, $3::bigint AS hits) AS given
                """, [samples.at(hour), .integer(Int64(labelled)), .integer(Int64(correct))])
        }
        let reader = try samples.database.connectAsReader()
        let rows = try reader.query(
            """
            SELECT a.label_coverage, a.value, a.lower, a.upper, a.performance_state, l.value, b.value, d.delay_p50_seconds
            FROM nadi.performance('m', $1, $2, '1 hour') AS a
            JOIN nadi.performance('m', $1, $2, '1 hour') AS l ON l.bucket_start = a.bucket_start AND l.measure = 'log_loss'
            JOIN nadi.performance('m', $1, $2, '1 hour') AS b ON b.bucket_start = a.bucket_start AND b.measure = 'brier_score'
            JOIN nadi.label_delay('m', $1, $2, '1 hour') AS d ON d.bucket_start = a.bucket_start
            WHERE a.measure = 'accuracy' ORDER BY a.bucket_start
            """,
            [samples.at(0), samples.at(3)]
        ).rows
        #expect(rows.map { $0.text(4) } == ["measured", "too_few", "no_labels"])
        #expect(rows.map { $0.real(0) } == [0.5, 0.05, 0])
        #expect(rows[0].real(1) == 0.9 && rows[0].real(2) > 0.87 && rows[0].real(3) < 0.924)
        #expect(rows[2].optionalReal(1) == nil)
        #expect(rows[0].real(5) == 0.5 && rows[0].real(6) == 0, "Brier: p^2 - 2 p y + y over hits with p = 1")
        #expect(abs(rows[0].real(7) - 60) < 0.6)
        let whole = try reader.query(
            "SELECT value, label_coverage FROM nadi.performance('m', $1, $2) WHERE measure = 'accuracy'",
            [samples.at(0), samples.at(3)]
        ).first
        #expect(whole?.real(0) == 475.0 / 550 && whole?.real(1) == 550.0 / 3000)
        let view = try reader.query("SELECT bucket_start, accuracy, label_coverage FROM nadi.outcome_hour ORDER BY 1")
            .rows
        #expect(view.map { $0.optionalReal(1) } == [0.9, 0.5, nil])
    }

    @Test func momentsMergeWithoutCancellation() throws {
        var generator = SeededGenerator(seed: 9)
        let samples = try Samples()
        var all: [Double] = []
        for (hour, count) in [(1, 700), (25, 1), (26, 300), (49, 1200)] {
            try samples.addRequests("m", hour: hour, latencies: Array(repeating: nil, count: count + 10))
            let values = (0..<count).map { _ in 1e9 + PlainStatistics.normal(&generator) }
            try samples.addValues("m", "f", hour: hour, numbers: values + Array(repeating: nil, count: 4))
            all += values
        }
        try samples.fill()
        let centred = all.map { $0 - 1e9 }
        let mean = centred.reduce(0, +) / Double(all.count)
        let variance = centred.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(all.count - 1)
        let reader = try samples.database.connectAsReader()
        for (from, to) in [(0, 60), (1, 50)] {
            let row = try #require(
                try reader.query(
                    """
                    SELECT numeric_count, missing_count, null_count, absent_count, mean_value - 1e9,
                           standard_deviation, minimum_value, maximum_value, prediction_count, missing_rate
                    FROM nadi.feature_statistics('m', $1, $2)
                    """, [samples.at(from), samples.at(to)]
                ).first)
            #expect(row.integer(0) == all.count && row.integer(1) == 40 && row.integer(2) == 16 && row.integer(3) == 24)
            #expect(abs(row.real(4) - mean) < 1e-6)
            #expect(abs(row.real(5) - variance.squareRoot()) < 1e-9 * variance.squareRoot())
            #expect(row.real(6) == all.min() && row.real(7) == all.max())
            #expect(row.integer(8) == all.count + 40 && row.real(9) == 40 / Double(all.count + 40))
        }
    }

    @Test func histogramsAndClassesCountEveryValueOnce() throws {
        var generator = SeededGenerator(seed: 10)
        let samples = try Samples()
        for hour in [1, 30] {
            try samples.addRequests("m", hour: hour, latencies: Array(repeating: nil, count: 1000))
            try samples.addValues(
                "m", "f", hour: hour, numbers: (0..<1000).map { _ in 10 * PlainStatistics.normal(&generator) })
            try samples.addValues(
                "m", "prediction", hour: hour, role: "prediction", words: (0..<1000).map { $0 % 4 == 0 ? "a" : "b" })
            try samples.addScores("m", hour: hour, (0..<1000).map { Double($0) / 1000 })
        }
        try samples.fill()
        let reader = try samples.database.connectAsReader()
        let bars = try reader.query(
            """
            SELECT lower_value, upper_value, value_count, value_share
            FROM nadi.feature_histogram('m', 'f', $1, $2, 12) ORDER BY 1
            """,
            [samples.at(0), samples.at(60)]
        ).rows
        #expect(bars.count <= 12 && bars.count >= 8)
        #expect(bars.reduce(0) { $0 + $1.integer(2) } == 2000)
        #expect(abs(bars.reduce(0) { $0 + $1.real(3) } - 1) < 1e-12)
        for (bar, next) in zip(bars, bars.dropFirst()) {
            #expect(bar.real(1) <= next.real(0) * (next.real(0) > 0 ? 1 + 1e-12 : 1 - 1e-12))
        }
        for bar in bars {
            let exact = try samples.connection.query(
                "SELECT count(*) FROM test.value WHERE feature = 'f' AND number >= $1 AND number < $2",
                [.real(bar.real(0)), .real(bar.real(1))]
            ).first?.integer(0)
            #expect(abs((exact ?? 0) - bar.integer(2)) <= 1, "an edge belongs to one bar only")
        }
        let mix = try reader.query(
            "SELECT class_name, prediction_count, class_share FROM nadi.class_mix('m', $1, $2)",
            [samples.at(0), samples.at(60)]
        ).rows
        #expect(mix.map { "\($0.text(0)) \($0.integer(1)) \($0.real(2))" } == ["a 500 0.25", "b 1500 0.75"])
        let hours = try reader.query("SELECT class_share FROM nadi.class_hour WHERE class_name = 'a'").rows.map {
            $0.real(0)
        }
        #expect(hours == [0.25, 0.25])
        let scores = try reader.query(
            "SELECT prediction_count, score_mean FROM nadi.score_histogram('m', $1, $2, 4) ORDER BY lower_score",
            [samples.at(0), samples.at(60)]
        ).rows
        #expect(scores.map { $0.integer(0) } == [500, 500, 500, 500])
        #expect(abs(scores[0].real(1) - 0.1245) < 1e-9)
        #expect(throws: DatabaseError.self) {
            try reader.query("SELECT * FROM nadi.score_histogram('m', now(), now(), 30)")
        }
    }

    /// A share's 1 % bins: `LogBins` and the SQL that reads its codes agree at edges and in between.
    @Test func binsOfTheSQLAreThoseOfTheLoader() throws {
        let samples = try Samples()
        for value in [1e-300, 1e-9, 0.1, 0.999_999_999_999_9, 1, 1.0200, 2, 3, 1024, 1e300] {
            for sign in [1.0, -1.0] {
                let row = try #require(
                    try samples.connection.query(
                        """
                        SELECT c, nadi_store.bin_lower(c), nadi_store.bin_upper(c), nadi_store.bin_value(c)
                        FROM nadi_store.test_bin_code($1) c
                        """,
                        [.real(value * sign)]
                    ).first)
                #expect(row.integer(0) == PlainStatistics.code(value * sign))
                let ends = [abs(row.real(1)), abs(row.real(2))].sorted()
                #expect(ends[0] <= value && value <= ends[1])
                #expect(abs(row.real(3) - 2 * sign * ends[0] / (1 + ends[0] / ends[1])) <= 1e-12 * value)
                #expect(abs(row.real(3) - value * sign) <= 0.01 * value)
            }
        }
    }
}
