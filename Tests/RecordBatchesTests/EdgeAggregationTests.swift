import RecordBatches
import Sketches
import Testing
import TestSupport

/// Numbers on references' edges, before any database.
struct EdgeAggregationTests {
    private static func references(
        _ edges: [Double], model: String = "iris", from_s: Int64 = 0, exceptions: [EdgeTimeline.Span] = []
    ) -> References {
        References(
            timelines: [(model, EdgeTimeline(activations: [(from_s, 7)], exceptions: exceptions))],
            edgeSets: [EdgeSet(id: 7, features: [("x", EdgeBins(edges: edges))])])
    }

    private static func configuration(_ references: References) -> AggregationConfiguration {
        var configuration = AggregationConfiguration(slices: ["region"])
        configuration.references = references
        return configuration
    }

    /// More numbers than a leaf buffers, in several leaves.
    @Test func everyNumberIsInItsBinInEverySlice() throws {
        var generator = SeededGenerator(seed: 3)
        let edges = [-1.0, 0, 0.0.nextUp, 0.5, 2]
        var expected: [String: [Int64]] = [:]
        let lines = (0..<500).map { _ -> String in
            let x = generator.next() % 5 == 0 ? 0 : Double.random(in: -2...3, using: &generator)
            let region = ["eu", "us", "asia"][Int(generator.next() % 3)]
            for slice in ["all", region] {
                expected[slice, default: [0, 0, 0, 0, 0, 0]][edges.count { $0 <= x }] += 1
            }
            return prediction(#""tags":{"region":"\#(region)"},"features":{"x":\#(x),"y":1}"#)
        }
        let rows = try aggregate(lines, Self.configuration(Self.references(edges)))
        #expect(rows.featureHours.count == 8)
        for (key, counts) in rows.featureHours {
            let series = rows.series[key.series]
            #expect(counts.edges.edgeSet == 7)
            let isX = rows.features[key.feature].name == "x"
            #expect(counts.edges.counts == (isX ? expected[series.sliceValue] : nil), "\(series.sliceValue)")
        }
    }

    @Test func aLeafWithoutNumbersHasEmptyBins() throws {
        let rows = try aggregate(
            [prediction(#""features":{"x":null}"#), prediction(#""features":{"x":"text"}"#)],
            Self.configuration(Self.references([1, 2])))
        #expect(try rows.onlyFeatureHour("x").edges.counts == [0, 0, 0])
    }

    @Test func hoursAreOnTheirOwnEdges() throws {
        let hour = testHour_s
        let timeline = EdgeTimeline(
            activations: [(hour, 2), (hour - 7200, 1), (hour + 7200, 0)],
            exceptions: [
                .init(from_s: hour + 3600, until_s: hour + 7200, edgeSet: 0),
                .init(from_s: hour - 10_800, until_s: hour - 3600, edgeSet: 2),
            ])
        let expected: [Int64: Int32] = [-4: 0, -3: 2, -2: 2, -1: 1, 0: 2, 1: 0, 2: 0, 3: 0]
        for (place, edgeSet) in expected { #expect(timeline.edgeSet(hour + place * 3600) == edgeSet, "\(place)") }
        #expect(EdgeTimeline(activations: []).edgeSet(hour) == 0)
        #expect(timeline.edgeSets(from_s: hour) == [2] && timeline.edgeSets(from_s: hour - 1) == [1, 2])
        #expect(timeline.edgeSets(from_s: hour + 7200).isEmpty)
    }

    @Test func modelsAreToldApartAndOtherHasNone() throws {
        let configuration = Self.configuration(Self.references([1], model: "other"))
        let rows = try aggregate([prediction(#""features":{"x":1}"#, model: "other")], configuration)
        #expect(try rows.onlyFeatureHour("x").edges == EdgeCounts(edgeSet: 0, counts: nil))
        let iris = try aggregate(
            [prediction(#""features":{"x":1}"#, model: "fraud")], Self.configuration(Self.references([1])))
        #expect(try iris.onlyFeatureHour("x").edges == EdgeCounts(edgeSet: 0, counts: nil))
    }

    /// An hour on edges that were not read: its rows say so, and so does the aggregator.
    @Test func missingEdgesAreTold() throws {
        let references = References(
            timelines: [("iris", EdgeTimeline(activations: [(0, 9)]))], edgeSets: [])
        let aggregator = EventAggregator(Self.configuration(references))
        let object = try makeObject([SegmentFixture(lines: [prediction(#""features":{"x":1}"#)])])
        let rows = try aggregator.aggregate(object)
        #expect(aggregator.missingEdgeSets == [9])
        #expect(try rows.onlyFeatureHour("x").edges == EdgeCounts(edgeSet: EdgeCounts.mixed, counts: nil))
        aggregator.begin()
        #expect(aggregator.missingEdgeSets.isEmpty)
        let whole = References(references, adding: [EdgeSet(id: 9, features: [("x", EdgeBins(edges: [1]))])])
        let counts = try EventAggregator(Self.configuration(whole)).aggregate(object).onlyFeatureHour("x")
        #expect(counts.edges.counts == [0, 1] && whole != references)
    }

    @Test func mergingIsCommutativeAndAssociative() {
        let rows = [
            EdgeCounts(), EdgeCounts(edgeSet: 0, counts: nil), EdgeCounts(edgeSet: 1, counts: [1, 2]),
            EdgeCounts(edgeSet: 1, counts: [3, 4]), EdgeCounts(edgeSet: 2, counts: [5]),
            EdgeCounts(edgeSet: EdgeCounts.mixed, counts: nil),
        ]
        func sum(_ left: EdgeCounts, _ right: EdgeCounts) -> EdgeCounts {
            var out = left
            out.merge(right)
            return out
        }
        for one in rows {
            for two in rows {
                #expect(sum(one, two) == sum(two, one))
                for three in rows { #expect(sum(sum(one, two), three) == sum(one, sum(two, three))) }
            }
        }
        #expect(sum(rows[2], rows[3]) == EdgeCounts(edgeSet: 1, counts: [4, 6]))
        #expect(sum(rows[2], rows[4]) == rows[5] && sum(rows[1], rows[2]) == rows[5])
        #expect(sum(rows[0], rows[2]) == rows[2])
    }

    @Test func bytesKeepThem() throws {
        var generator = EventGenerator(seed: 9)
        let rows = try aggregate((0..<300).map { _ in generator.line() }, MergePropertyTests.configuration)
        #expect(rows.featureHours.values.contains { $0.edges.counts != nil })
        #expect(rows.featureHours.values.contains { $0.edges.edgeSet == 0 })
        var out = ByteWriter()
        rows.write(to: &out)
        var input = ByteReader(out.bytes)
        let back = try Aggregates(from: &input)
        #expect(back.featureHours == rows.featureHours)
    }
}
