import EventSegments
import RecordBatches
import Sketches
import Testing
import TestSupport

/// Splitting lines into segments and objects, and merging parts in any order, changes nothing.
struct MergePropertyTests {
    static let configuration: AggregationConfiguration = {
        var configuration = AggregationConfiguration(slices: ["region"])
        // Small, so that all caps are hit.
        configuration.valuesPerSlice = 8
        configuration.categoriesPerFeature = 12
        configuration.scoreClasses = 5
        configuration.models = 2
        configuration.versionsPerModel = 3
        configuration.featuresPerModel = 4
        // On edges from an hour on, of one model for some hours and of the other for all.
        let bins = EdgeBins(edges: [1e9 - 2, 1e9 - 1, 1e9, 1e9.nextUp, 1e9 + 0.5])
        let features = ["f0", "f2", "f3"].map { ($0, bins) }
        configuration.references = References(
            timelines: [
                ("iris", EdgeTimeline(activations: [(testHour_s - 3600, 4), (testHour_s, 5)])),
                ("fraud", EdgeTimeline(activations: [(0, 6)])),
            ],
            edgeSets: [4, 5, 6].map {
                EdgeSet(id: $0, features: features, prediction: EdgeBins(edges: [0, 2, 3]))
            })
        return configuration
    }()

    @Test(arguments: 1...8) func splitAndMergedEqualsTheWhole(seed: UInt64) throws {
        var generator = EventGenerator(seed: seed)
        let lines = (0..<1500).map { _ in generator.line() }
        let whole = try aggregate(lines, Self.configuration)
        #expect(whole.series.count > 20 && whole.outcomes.count > 20 && whole.deployments.count > 20)

        // Random cuts into segments, random groups of segments in objects, merged by random pairs.
        var parts: [Aggregates] = []
        var place = 0
        var seq = 0
        let aggregator = EventAggregator(Self.configuration)
        while place < lines.count {
            var segments: [SegmentFixture] = []
            for _ in 0...(generator.random.next() % 3) where place < lines.count {
                let count = min(lines.count - place, Int(generator.random.next() % 90) + 1)
                segments.append(SegmentFixture(lines: Array(lines[place..<(place + count)]), seq: seq))
                place += count
                seq += 1
            }
            parts.append(try aggregator.aggregate(makeObject(segments)))
        }
        while parts.count > 1 {
            let other = parts.remove(at: Int(generator.random.next() % UInt64(parts.count)))
            let place = Int(generator.random.next() % UInt64(parts.count))
            parts[place].merge(other)
            parts[place] = parts[place].limited(by: Self.configuration)
        }
        expectSameRows(parts[0], whole)
        for edgeSet in [Int32(0), 4, 5, 6] {
            #expect(whole.featureHours.values.contains { $0.edges.edgeSet == edgeSet })
        }
        for counts in whole.featureHours.values {
            #expect(counts.edges.counts.map { $0.reduce(0, +) } ?? counts.moments.count == counts.moments.count)
        }
        #expect(parts[0].segments.count == seq)
        #expect(parts[0].lines == whole.lines && whole.lines == 1500)
        for reason in RejectReason.allCases {
            #expect(
                parts[0].segments.reduce(0) { $0 + ($1.rejects[reason] ?? 0) } == whole.segments[0].rejects[reason] ?? 0
            )
        }
    }

    @Test func drainingEarlyEqualsTheWhole() throws {
        var generator = EventGenerator(seed: 77)
        let object = try makeObject([SegmentFixture(lines: (0..<6000).map { _ in generator.line() })])
        let whole = try EventAggregator(Self.configuration).aggregate(object)
        let early = try EventAggregator(Self.configuration, collectorBytes: 1000).aggregate(object)
        expectSameRows(early, whole)
        #expect(early.segments == whole.segments)
        let row = { (row: OutcomeRow) in "\(row.segment) \(row.line) \(row.predictionID)" }
        #expect(early.outcomes.map(row) == whole.outcomes.map(row))
    }

    @Test func daysAreTheSumsOfTheirHours() throws {
        var generator = EventGenerator(seed: 5)
        let rows = try aggregate((0..<2000).map { _ in generator.line() }, Self.configuration)
        let days = rows.days()
        let predictions = { (rows: [TimeKey: RequestCounts]) -> Int64 in
            rows.values.reduce(0) { $0 + $1.predictions }
        }
        let numbers = { (rows: [FeatureTimeKey: FeatureCounts]) -> Int64 in
            rows.values.reduce(0) { $0 + $1.moments.count }
        }
        let scores = { (rows: [ScoreTimeKey: ScoreCounts]) -> Int64 in
            rows.values.reduce(0) { (sum: Int64, row: ScoreCounts) -> Int64 in sum + row.counts.reduce(0, +) }
        }
        #expect(predictions(days.requestDays) == predictions(rows.requestHours))
        #expect(numbers(days.featureDays) == numbers(rows.featureHours))
        #expect(scores(days.scoreDays) == scores(rows.scoreHours) && scores(days.scoreDays) > 0)
        // Of iris one day has hours on two edge sets; fraud's are all on one.
        for (key, day) in days.featureDays {
            let hours = rows.featureHours.filter {
                $0.key.series == key.series && $0.key.feature == key.feature
                    && Period.day(of: $0.key.time_s) == key.time_s
            }
            let sets = Set(hours.values.map(\.edges.edgeSet))
            #expect(day.edges.edgeSet == (sets.count == 1 ? sets.first ?? nil : EdgeCounts.mixed))
            if sets.count > 1 { #expect(day.edges.counts == nil) }
            if let counts = day.edges.counts { #expect(counts.reduce(0, +) == day.moments.count) }
        }
        #expect(days.featureDays.values.contains { $0.edges.edgeSet == EdgeCounts.mixed })
        #expect(days.featureDays.values.contains { $0.edges.edgeSet == 6 })
        #expect(Set(days.requestDays.keys.map { $0.time_s % 86_400 }) == [0])
        #expect(days.requestDays.count < rows.requestHours.count)
    }

    @Test func capsKeepTheFirstInByteOrderAndCountTheRest() throws {
        let lines = (0..<100).shuffled().map {
            prediction(#""features":{"c":"v\#(100 + $0)"},"tags":{"region":"r\#(100 + $0)"}"#)
        }
        let rows = try aggregate(lines, Self.configuration)
        let counts = try rows.onlyFeatureHour("c")
        #expect(rows.categoryCounts(counts).keys.sorted() == (100..<112).map { "v\($0)" })
        #expect(counts.otherCount == 88 && counts.categoricalCount == 100)
        let regions = rows.requestHours.map { (rows.series[$0.key.series].sliceValue, $0.value.predictions) }
        #expect(Dictionary(uniqueKeysWithValues: regions)["other"] == 92)
        #expect(regions.count == 10 && rows.series.count == 10)
    }
}

/// Compares all rows but the segments: counts exactly, sums of doubles to 1e-9.
func expectSameRows(_ left: Aggregates, _ right: Aggregates, sourceLocation: SourceLocation = #_sourceLocation) {
    var (left, right) = (left, right)
    left.segments = left.segments.map { SegmentResult(segment: $0.segment) }
    (left.outcomes, right.outcomes) = ([], [])
    (left.deployments, right.deployments) = ([], [])
    (left, right) = (left.canonical(), right.canonical())
    #expect(left.models == right.models, sourceLocation: sourceLocation)
    #expect(left.series == right.series, sourceLocation: sourceLocation)
    #expect(left.features == right.features, sourceLocation: sourceLocation)
    #expect(left.categories == right.categories, sourceLocation: sourceLocation)
    #expect(left.resources == right.resources, sourceLocation: sourceLocation)
    #expect(
        left.resourceMinutes == right.resourceMinutes && left.resourceHours == right.resourceHours,
        sourceLocation: sourceLocation)
    #expect(same(left.requestMinutes, right.requestMinutes), "minutes", sourceLocation: sourceLocation)
    #expect(same(left.requestHours, right.requestHours), "hours", sourceLocation: sourceLocation)
    #expect(Set(left.featureHours.keys) == Set(right.featureHours.keys), sourceLocation: sourceLocation)
    for (key, mine) in left.featureHours {
        guard var theirs = right.featureHours[key] else { continue }
        let (one, other) = (mine.moments, theirs.moments)
        #expect(
            one.count == other.count && one.minimum == other.minimum && one.maximum == other.maximum,
            sourceLocation: sourceLocation)
        #expect(
            ((one.meanHigh - other.meanHigh) + (one.meanLow - other.meanLow)).magnitude < 1e-9,
            sourceLocation: sourceLocation)
        #expect((one.m2 - other.m2).magnitude <= 1e-9 * max(1, one.m2), sourceLocation: sourceLocation)
        theirs.moments = one
        #expect(mine == theirs, sourceLocation: sourceLocation)
    }
    #expect(Set(left.scoreHours.keys) == Set(right.scoreHours.keys), sourceLocation: sourceLocation)
    for (key, mine) in left.scoreHours {
        guard let theirs = right.scoreHours[key] else { continue }
        #expect(
            mine.bins == theirs.bins && mine.counts == theirs.counts && mine.positiveCounts == theirs.positiveCounts,
            sourceLocation: sourceLocation)
        #expect(
            zip(mine.sums + mine.positiveSums, theirs.sums + theirs.positiveSums).allSatisfy {
                ($0 - $1).magnitude < 1e-9
            }, sourceLocation: sourceLocation)
    }
}

private func same(_ left: [TimeKey: RequestCounts], _ right: [TimeKey: RequestCounts]) -> Bool {
    left.count == right.count
        && left.allSatisfy { key, mine in
            guard var theirs = right[key], (mine.latencySum - theirs.latencySum).magnitude < 1e-9 else { return false }
            theirs.latencySum = mine.latencySum
            return mine == theirs
        }
}
