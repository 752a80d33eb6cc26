import EventModel
import ObjectStorage
import RecordBatches
import TableLoading
import TableStorage
import TestSupport
import Testing

/// Numbers on the edges of references, whatever the order of objects, loaders and activations.
@Suite(.enabled(if: TestServers.postgres != nil, "set NADI_TEST_POSTGRES, or use Tests/run"))
struct EdgeLoadTests {
    static let base = Pipeline.base_ms
    static let edges = [1.0, 2.0, 2.0.nextUp, 5.0]

    /// Predictions of an hour with the given petal lengths, one segment.
    static func segment(
        _ number: Int, hour_ms: Int64 = base, petals: [Double], model: String = "iris", region: String? = "eu",
        prediction: String = "\"setosa\"", task: String = "multiclass"
    ) -> TestSegment {
        var writer = TestWriter("one", number)
        for (line, petal) in petals.enumerated() {
            writer.append(
                TestEvents.prediction(
                    hour_ms + Int64(line) * 1000, id: "p\(number)-\(line)", model: model, prediction: prediction,
                    region: region, petal: petal, task: task))
        }
        return writer.seal(at: max(hour_ms, base) + LoadClock.hour_ms, end: true)
    }

    static func reference(_ name: String = "first", _ edges: [Double] = edges) -> TestReference {
        TestReference(name: name, features: ["petal_length": edges])
    }

    @Test func numbersAreCountedBetweenTheEdgesInEverySlice() async throws {
        let pipeline = try Pipeline()
        try await pipeline.report(ended: true)
        var reference = Self.reference()
        reference.prediction = [10, 20]
        try pipeline.reference(reference, from_ms: Self.base)
        try await pipeline.put([
            Self.segment(1, petals: [0.5, 1, 1.5, 2, 2, 3]),
            Self.segment(2, petals: [5, 1e300, -1e300, 2], region: "us", prediction: "15", task: "regression"),
            Self.segment(3, petals: [4], region: nil, prediction: "25", task: "regression"),
        ])
        #expect(try await pipeline.load().failed.isEmpty)
        func counts(_ feature: String, _ slice: String = "all") throws -> [Int64]? {
            try pipeline.edgeCounts("feature_hour", feature, at_ms: Self.base, slice: slice)?.counts
        }
        // Below 1, [1, 2), the point 2, [2 and a bit, 5), from 5 on.
        #expect(try counts("petal_length") == [2, 2, 3, 2, 2])
        #expect(try counts("petal_length", "eu") == [1, 2, 2, 1, 0])
        #expect(try counts("petal_length", "us") == [1, 0, 1, 0, 2])
        #expect(try counts("petal_length", "missing") == [0, 0, 0, 1, 0])
        // A regression's predictions are numbers too.
        #expect(try counts("prediction") == [0, 4, 1])
        #expect(try counts("prediction", "eu") == [0, 0, 0])
        // The reference has no edges for these.
        for feature in ["colour", "weekend", "none"] {
            let row = try #require(try pipeline.edgeCounts("feature_hour", feature, at_ms: Self.base))
            #expect(row.reference == "first" && row.counts == nil, "\(feature)")
        }
        #expect(
            try pipeline.edgeCounts("feature_day", "petal_length", at_ms: LoadClock.day(Self.base))?.counts == [
                2, 2, 3, 2, 2,
            ])
        expectClean(try await pipeline.audit())
    }

    /// Three databases, random order, several batches and loaders: the same rows, days that are half on edges included.
    @Test(arguments: [UInt64(1), 2]) func anyOrderGivesTheSameRows(seed: UInt64) async throws {
        var generator = SeededGenerator(seed: seed)
        let source = try Pipeline()
        let segments = TestEvents.corpus(seed: seed, writers: 3, segments: 6, lines: 30)
        for segment in segments { try await source.put([segment]) }
        try await source.report(ended: true)
        let objects = try await source.store.list(prefix: "events/", startAfter: nil, limit: 1000).objects.map(\.key)
        var dumps: [TableDump] = []
        for database in 0..<3 {
            let pipeline = try Pipeline()
            try pipeline.reference(from_ms: Self.base + 2 * LoadClock.hour_ms)
            try pipeline.reference(
                TestReference(name: "second", features: ["petal_length": [1e9 + 0.1, 1e9 + 0.9], "absent": [1]]),
                from_ms: Self.base + 4 * LoadClock.hour_ms)
            try await pipeline.report(ended: true)
            for part in objects.shuffled(using: &generator).chunked(into: 5 + database * 4) {
                for key in part {
                    _ = try await pipeline.store.put(key, try await source.store.get(key), PutOptions())
                }
                let loaders = (0...database).map { pipeline.loader(owner: "test/1/\($0)", objects: 1 + 3 * database) }
                try await withThrowingTaskGroup(of: LoadReport.self) { group in
                    for loader in loaders { group.addTask { try await loader.load(reach: .all) } }
                    for try await report in group { #expect(report.failed.isEmpty && report.poisoned.isEmpty) }
                }
                for loader in loaders { await loader.close() }
            }
            _ = try await pipeline.load(joinNow: true, sweepNow: true)
            #expect(try pipeline.edgeSet(Self.base) == "0")
            #expect(try pipeline.edgeSet(Self.base + 2 * LoadClock.hour_ms) == "first")
            #expect(try pipeline.edgeSet(Self.base + 4 * LoadClock.hour_ms) == "second")
            let connection = try pipeline.database.connect()
            #expect(try connection.query("SELECT count(*) FROM nadi_store.drift_mark")[0].integer(0) == 0)
            expectClean(try await pipeline.audit())
            dumps.append(try TableDump(connection))
        }
        #expect(dumps[0].exact.keys.contains { $0.hasPrefix("drift_hour: iris/feature/petal_length") })
        #expect(dumps[0].exact.contains { $0.key.hasPrefix("feature_day") && $0.value.contains("|-1|none") })
        for dump in dumps.dropFirst() { #expect(dumps[0].differences(dump).isEmpty, "\(dumps[0].differences(dump))") }
    }

    /// What was loaded before an activation keeps its edges until it is rebuilt; then it is as if loaded after it.
    @Test func rebuildAfterAnActivationIsLoadingAfterIt() async throws {
        let pipeline = try Pipeline()
        for segment in TestEvents.corpus(seed: 5, writers: 2, segments: 4, lines: 30) {
            try await pipeline.put([segment])
        }
        try await pipeline.report(ended: true)
        _ = try await pipeline.load(joinNow: true, sweepNow: true)
        let before = try TableDump(pipeline.database.connect())
        try pipeline.reference(from_ms: Self.base + LoadClock.hour_ms)
        _ = try await pipeline.load()
        #expect(before.differences(try TableDump(pipeline.database.connect())).isEmpty)
        let loader = pipeline.loader()
        let report = try await Rebuild(loader).run(RebuildTests.everything)
        #expect(report.closed.isEmpty && report.hours > 3)
        #expect(report.driftHours > 2 && report.driftFailures.isEmpty)
        await loader.close()
        _ = try await pipeline.load(joinNow: true, sweepNow: true)

        let fresh = try Pipeline(bucketOf: pipeline)
        try fresh.reference(from_ms: Self.base + LoadClock.hour_ms)
        _ = try await fresh.load(joinNow: true, sweepNow: true)
        let differences = try TableDump(fresh.database.connect()).differences(
            try TableDump(pipeline.database.connect()))
        #expect(differences.isEmpty, "\(differences)")
        #expect(try pipeline.edgeSet(Self.base) == "0" && pipeline.edgeSet(Self.base + LoadClock.hour_ms) == "first")
        expectClean(try await pipeline.audit())
        // And back: none in force.
        try TestReference.activate(nil, from_ms: Self.base + LoadClock.hour_ms, pipeline.database.connect())
        let again = pipeline.loader()
        _ = try await Rebuild(again).run(RebuildTests.everything)
        await again.close()
        _ = try await pipeline.load(joinNow: true, sweepNow: true)
        let back = before.differences(try TableDump(pipeline.database.connect()))
        #expect(back.isEmpty, "\(back)")
    }

    /// A late object goes onto the edges that its hour was fixed on, not those in force now.
    @Test func lateObjectsKeepToTheirHour() async throws {
        let pipeline = try Pipeline()
        try await pipeline.report(ended: true)
        let later = Self.base + LoadClock.hour_ms
        try await pipeline.put([Self.segment(1, petals: [1, 2, 3])])
        _ = try await pipeline.load()
        try pipeline.reference(Self.reference(), from_ms: Self.base - LoadClock.day_ms)
        try await pipeline.put([Self.segment(2, petals: [1, 2]), Self.segment(3, hour_ms: later, petals: [1, 2, 7])])
        let report = try await pipeline.load()
        #expect(report.objects == 1 && report.batches == 1)
        #expect(try pipeline.edgeSet(Self.base) == "0" && pipeline.edgeSet(later) == "first")
        let hour = try #require(try pipeline.edgeCounts("feature_hour", "petal_length", at_ms: Self.base))
        #expect(hour.reference == "0" && hour.counts == nil)
        #expect(try pipeline.edgeCounts("feature_hour", "petal_length", at_ms: later)?.counts == [0, 1, 1, 0, 1])
        if LoadClock.day(Self.base) == LoadClock.day(later) {
            let day = try #require(
                try pipeline.edgeCounts("feature_day", "petal_length", at_ms: LoadClock.day(Self.base)))
            #expect(day.reference == "-1" && day.counts == nil)
        }
        expectClean(try await pipeline.audit())
        // Another one in force, and a third late object for each: nothing moves.
        try pipeline.reference(Self.reference("second", [9]), from_ms: Self.base - LoadClock.day_ms)
        try await pipeline.put([Self.segment(4, petals: [1]), Self.segment(5, hour_ms: later, petals: [1.5])])
        _ = try await pipeline.load()
        #expect(try pipeline.edgeSet(Self.base) == "0" && pipeline.edgeSet(later) == "first")
        #expect(try pipeline.edgeCounts("feature_hour", "petal_length", at_ms: later)?.counts == [0, 2, 1, 0, 1])
        let loader = pipeline.loader()
        _ = try await Rebuild(loader).run(RebuildTests.everything)
        await loader.close()
        #expect(try pipeline.edgeSet(Self.base) == "second" && pipeline.edgeSet(later) == "second")
        let day = try pipeline.edgeCounts("feature_day", "petal_length", at_ms: LoadClock.day(later))
        #expect(day?.counts == (LoadClock.day(Self.base) == LoadClock.day(later) ? [10, 0] : [4, 0]))
        expectClean(try await pipeline.audit())
    }

    /// Hours on references of long ago, whose edges no loader reads at its start.
    @Test func edgesOfOldReferencesAreReadWhenTheyAreMet() async throws {
        let pipeline = try Pipeline()
        try await pipeline.report(ended: true)
        let days = (1...4).map { Self.base - Int64($0) * 10 * LoadClock.day_ms }
        for (place, day) in days.reversed().enumerated() {
            try pipeline.reference(Self.reference("r\(place)", [Double(place), 10]), from_ms: day)
        }
        try await pipeline.put(
            days.enumerated().map { Self.segment($0 + 1, hour_ms: $1 + LoadClock.hour_ms, petals: [0.5, 1.5, 2.5]) })
        #expect(try await pipeline.load().batches == 1)
        for (place, day) in days.reversed().enumerated() {
            let row = try pipeline.edgeCounts("feature_hour", "petal_length", at_ms: day + LoadClock.hour_ms)
            #expect(row?.reference == "r\(place)")
            #expect(row?.counts == [Int64(place), 3 - Int64(place), 0])
        }
        expectClean(try await pipeline.audit())
    }

    /// Rows that go through a temporary file are on the same edges.
    @Test func rowsInFilesAreOnTheSameEdges() async throws {
        let pipeline = try Pipeline()
        let segments = TestEvents.corpus(seed: 33, writers: 2, segments: 5, lines: 100)
        try await pipeline.put(segments)
        try await pipeline.report(ended: true)
        try pipeline.reference(from_ms: Self.base + 2 * LoadClock.hour_ms)
        _ = try await pipeline.load(joinNow: true, sweepNow: true)
        let other = try Pipeline(bucketOf: pipeline)
        try other.reference(from_ms: Self.base + 2 * LoadClock.hour_ms)
        let loader = other.loader { $0.batch.memoryBytes = 30_000 }
        #expect(try await loader.load(reach: .all, joinNow: true, sweepNow: true).failed.isEmpty)
        await loader.close()
        let whole = try TableDump(pipeline.database.connect())
        #expect(whole.exact.contains { $0.key.hasPrefix("feature_hour") && $0.value.contains("|first|{") })
        let differences = whole.differences(try TableDump(other.database.connect()))
        #expect(differences.isEmpty, "\(differences)")
        expectClean(try await other.audit())
    }

    /// One letter in two spellings: two models, each with its own reference.
    @Test func modelsAreToldApartByteByByte() async throws {
        let pipeline = try Pipeline()
        try await pipeline.report(ended: true)
        for (place, model) in ["caf\u{e9}", "cafe\u{301}"].enumerated() {
            var reference = Self.reference("r\(place)", [Double(place), 10])
            reference.model = model
            try pipeline.reference(reference, from_ms: Self.base)
            try await pipeline.put([Self.segment(place + 1, petals: [0.5, 1.5], model: model)])
        }
        #expect(try await pipeline.load().failed.isEmpty)
        for (place, model) in ["caf\u{e9}", "cafe\u{301}"].enumerated() {
            let row = try pipeline.edgeCounts("feature_hour", "petal_length", at_ms: Self.base, model: model)
            #expect(row?.reference == "r\(place)" && row?.counts == [Int64(place), 2 - Int64(place), 0])
        }
        expectClean(try await pipeline.audit())
    }

    /// A run without anything to load reads no edges.
    @Test func anIdleRunReadsNoEdges() async throws {
        let pipeline = try Pipeline()
        try await pipeline.report(ended: true)
        try pipeline.reference(Self.reference(), from_ms: Self.base)
        try await pipeline.put([Self.segment(1, petals: [1, 2])])
        #expect(try await pipeline.load().objects == 1)
        let connection = try pipeline.database.connect()
        try connection.execute("ALTER TABLE nadi_store.reference_feature RENAME TO elsewhere")
        #expect(try await pipeline.load().failed.isEmpty)
        try await pipeline.put([Self.segment(2, petals: [3])])
        await #expect(throws: DatabaseError.self) { try await pipeline.load() }
    }

    /// A model beyond the cap shares the name `other`, where its edges would mean nothing.
    @Test func modelsBeyondTheCapHaveNoEdges() async throws {
        let pipeline = try Pipeline()
        try await pipeline.report(ended: true)
        try pipeline.reference(Self.reference(), from_ms: Self.base)
        var other = Self.reference("of others")
        other.model = "other"
        try pipeline.reference(other, from_ms: Self.base)
        try await pipeline.put([
            Self.segment(1, petals: [1, 2]), Self.segment(2, petals: [1, 2, 3], model: "new"),
            Self.segment(3, petals: [1], model: "newer"), Self.segment(4, petals: [4, 4], model: "other"),
        ])
        let loader = pipeline.loader { $0.caps.models = 2 }
        let report = try await loader.load(reach: .all)
        #expect(report.failed.isEmpty && report.batches == 1)
        await loader.close()
        #expect(try pipeline.edgeSet(Self.base) == "first" && pipeline.edgeSet(Self.base, model: "other") == "0")
        let row = try #require(
            try pipeline.edgeCounts("feature_hour", "petal_length", at_ms: Self.base, model: "other"))
        #expect(row.reference == "0" && row.counts == nil)
        expectClean(try await pipeline.audit())
    }

    /// The audit names a row whose counts on edges, or whose edge set, somebody has changed; with a checksum that fits too.
    @Test(arguments: [
        "edge_counts[2] = edge_counts[2] + 1", "edge_counts = NULL", "edge_counts = edge_counts || 0::bigint",
        "edge_set_id = 0, edge_counts = NULL",
    ])
    func theAuditNamesChangedCounts(change: String) async throws {
        let pipeline = try Pipeline()
        try pipeline.reference(Self.reference(), from_ms: Self.base)
        try await pipeline.put([Self.segment(1, petals: [1, 2, 3])])
        try await pipeline.report(ended: true)
        _ = try await pipeline.load()
        expectClean(try await pipeline.audit())
        let connection = try pipeline.database.connect()
        try connection.query(
            """
            UPDATE nadi_store.feature_hour SET \(change) WHERE edge_counts IS NOT NULL
              AND series_id = (SELECT series_id FROM nadi_store.series WHERE slice_key = 'all')
            """)
        let altered = try await pipeline.audit()
        #expect(altered.text.contains("the row was altered"))
        try connection.query(
            """
            UPDATE nadi_store.feature_hour SET checksum = hash_record_extended(ROW(
                series_id, feature_id, hour, edge_set_id, numeric_count, categorical_count, null_count, wrong_type_count,
                mean_high, mean_low, m2, minimum, maximum, log_bins, log_counts, category_ids, category_counts, other_count,
                edge_counts), 0)
            """)
        let fitting = try await pipeline.audit()
        #expect(!fitting.text.contains("the row was altered"))
        #expect(fitting.text.contains("not on the edges that the hour is on"), "\(fitting.text)")
    }

    /// Merging in SQL is merging in memory, in any order.
    @Test func theDatabaseMergesAsMemoryDoes() throws {
        let database = try TestDatabase()
        let connection = try database.connect()
        var generator = SeededGenerator(seed: 6)
        for _ in 0..<60 {
            let rows = (0..<3).map { _ -> EdgeCounts in
                switch Int.random(in: 0..<7, using: &generator) {
                case 0: return EdgeCounts(edgeSet: 0, counts: nil)
                case 1: return EdgeCounts(edgeSet: -1, counts: nil)
                case 2: return EdgeCounts(edgeSet: 8, counts: [1])
                case 3: return EdgeCounts(edgeSet: 9, counts: nil)
                default:
                    return EdgeCounts(edgeSet: 7, counts: (0..<4).map { _ in .random(in: 0...9, using: &generator) })
                }
            }
            func merged(_ left: EdgeCounts, _ right: EdgeCounts) throws -> EdgeCounts {
                func values(_ row: EdgeCounts) -> [SQLValue] {
                    [.integer(Int64(row.edgeSet ?? 0)), row.counts.map { .integers($0) } ?? .null]
                }
                let row = try connection.query(
                    "SELECT edge_set_id, edge_counts, edge_counts IS NULL FROM nadi_store.merge_edges($1, $2, $3, $4)",
                    values(left) + values(right))[0]
                let out = EdgeCounts(
                    edgeSet: Int32(row.integer(0)), counts: row.boolean(2) ? nil : row.integers(1))
                var mine = left
                mine.merge(right)
                #expect(out == mine)
                return out
            }
            let left = try merged(merged(rows[0], rows[1]), rows[2])
            #expect(try merged(rows[0], merged(rows[1], rows[2])) == left)
            #expect(try merged(merged(rows[2], rows[0]), rows[1]) == left)
        }
    }
}

extension Array {
    /// The elements in pieces of a size, the last one shorter.
    func chunked(into size: Int) -> [[Element]] {
        stride(from: 0, to: count, by: size).map { Array(self[$0..<Swift.min(count, $0 + size)]) }
    }
}
