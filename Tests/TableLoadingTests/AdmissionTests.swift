import EventModel
import ObjectStorage
import TableLoading
import TableStorage
import TestSupport
import Testing

/// Caps of the dictionaries under loaders that race for the last places.
@Suite(.enabled(if: TestServers.postgres != nil, "set NADI_TEST_POSTGRES, or use Tests/run"))
struct AdmissionTests {
    private func fill(_ pipeline: Pipeline) async throws {
        var generator = SeededGenerator(seed: 77)
        for number in 1...18 {
            var writer = TestWriter("one", number)
            for line in 0..<25 {
                let time = Timestamp.format(Pipeline.base_ms + Int64(line) * 100_000)
                func pick(_ stem: String, _ count: Int) -> String { "\(stem)\(Int.random(in: 0..<count, using: &generator))" }
                writer.append(
                    """
                    {"schema":1,"type":"prediction","id":"p\(number)-\(line)","time":"\(time)","service":"s",\
                    "model_name":"\(pick("model", 6))","model_version":"\(pick("v", 5))","task":"multiclass",\
                    "prediction":"\(pick("class", 9))","score":0.5,"tags":{"region":"\(pick("r", 6))"},"latency_seconds":0.01,\
                    "features":{"\(pick("f", 7))":"\(pick("word", 9))","\(pick("n", 3))":\(line)}}
                    """)
            }
            try await pipeline.put([writer.seal(at: Pipeline.base_ms + 3_600_000, end: true)])
        }
        try await pipeline.report(ended: true)
    }

    private func totals(_ pipeline: Pipeline) throws -> [String] {
        try pipeline.database.connect().query(
            """
            SELECT s.slice_key, r.hour::text, sum(r.requests)::bigint, sum(r.predictions)::bigint, sum(r.errors)::bigint,
                   sum(r.latency_count)::bigint,
                   (SELECT sum(f.categorical_count)::bigint FROM nadi_store.feature_hour AS f
                    JOIN nadi_store.feature AS g USING (feature_id) JOIN nadi_store.series AS q USING (series_id)
                    WHERE g.role = 'prediction' AND q.slice_key = s.slice_key AND f.hour = r.hour)
            FROM nadi_store.request_hour AS r JOIN nadi_store.series AS s USING (series_id)
            GROUP BY 1, 2, r.hour ORDER BY 1, 2
            """
        ).rows.map { row in (0..<7).map { row.text($0) }.joined(separator: " ") }
    }

    @Test func racingLoadersNeverPassACapAndLoseNothing() async throws {
        let pipeline = try Pipeline()
        try await fill(pipeline)
        @Sendable func caps(_ settings: inout LoadSettings) {
            settings.caps.models = 3
            settings.caps.seriesPerModel = 6
            settings.caps.featuresPerModel = 4
            settings.caps.categoriesPerFeature = 4
            settings.caps.sliceValues = 2
        }
        let loaders = ["a", "b", "c"].map { pipeline.loader(owner: "test/1/\($0)", objects: 1, change: caps) }
        try await withThrowingTaskGroup(of: Int.self) { group in
            for loader in loaders { group.addTask { try await loader.load(reach: .all).segments } }
            var sum = 0
            for try await segments in group { sum += segments }
            #expect(sum == 18)
        }
        let connection = try pipeline.database.connect()
        func most(_ statement: String) throws -> Int64 {
            try connection.query("SELECT coalesce(max(n), 0) FROM (\(statement)) AS q (n)")[0].integer(0)
        }
        #expect(try most("SELECT count(*) FROM nadi_store.model WHERE model_name <> 'other'") == 3)
        #expect(
            try most("SELECT count(*) FROM nadi_store.series WHERE model_version <> 'other' GROUP BY model_id") <= 6)
        #expect(try most("SELECT count(*) FROM nadi_store.feature WHERE role = 'feature' GROUP BY model_id") <= 4)
        #expect(try most("SELECT count(*) FROM nadi_store.category GROUP BY feature_id") <= 4)
        #expect(
            try most(
                """
                SELECT count(DISTINCT slice_value) FROM nadi_store.series
                WHERE slice_key = 'region' AND slice_value NOT IN ('other', 'missing') GROUP BY model_id
                """) <= 2)
        #expect(try connection.query("SELECT count(*) FROM nadi_store.model WHERE model_name = 'other'")[0].integer(0) == 1)
        expectClean(try await pipeline.audit())

        // The totals are those of a database without caps.
        let free = try Pipeline(bucketOf: pipeline)
        _ = try await free.load()
        let expected = try totals(free)
        #expect(expected.count >= 2)
        #expect(try totals(pipeline) == expected)
        // And stay so when everything is rebuilt.
        let report = try await Rebuild(pipeline.loader(change: caps)).run(
            .hours(from_ms: Pipeline.base_ms, to_ms: Pipeline.base_ms + LoadClock.hour_ms))
        #expect(report.hours == 1)
        #expect(try totals(pipeline) == expected)
    }
}
