import RecordBatches
import Sketches
import Testing
import TestSupport

/// Lines that try to do harm.
struct HostileLineTests {
    /// A line, and what it must be rejected for; nil where it is good.
    static let lines: [(line: String, reason: RejectReason?)] = [
        (prediction(#""features":{"x":1e999}"#), .invalid_json),
        (prediction(#""features":{"x":-1e999}"#), .invalid_json),
        (prediction(#""features":{"x":-0.0,"y":1e-999,"z":9007199254740993,"u":18446744073709551615}"#), nil),
        (prediction(#""features":{"x":18446744073709551616}"#), .invalid_json),
        (prediction(#""\u0066eatures":{"\u0078":1}"#), nil), (prediction(#""features":{"a\"b\\c\n":1}"#), nil),
        (prediction(#""features":{"\ud83c\udf38":1}"#), nil), (prediction(#""features":{"\ud83c":1}"#), .invalid_json),
        (prediction(#""features":{"x":"a\u0000b"}"#), .invalid_value),
        (prediction(#""features":{"":1}"#), .invalid_value),
        (prediction(#""features":{"\#(String(repeating: "k", count: 257))":1}"#), .invalid_value),
        (prediction(#""features":{"\#(String(repeating: "k", count: 256))":1}"#), nil),
        (prediction(#""schema":2"#), nil), (#"{"schema":2,"schema":1}"#, .unknown_schema),
        (prediction(#""deep":"# + nested(63, inner: "1")), nil),
        (prediction(#""deep":"# + nested(64, inner: "1")), .too_deep),
        (nested(64, inner: "1"), .not_an_object), (nested(65, inner: "1"), .too_deep),
        (String(repeating: "[", count: 100_000), nil), (String(repeating: "{\"a\":", count: 5000), nil),
        (prediction(#""tags":{"a":"1","b":"1","c":"1","d":"1","e":"1","f":"1","g":"1","h":"1"}"#), nil),
        (
            prediction(#""tags":{"a":"1","b":"1","c":"1","d":"1","e":"1","f":"1","g":"1","h":"1","i":"1"}"#),
            .invalid_value
        ),
        (prediction(#""http_status_code":99"#), .invalid_value), (prediction(#""trace_id":"XYZ""#), .invalid_value),
        (prediction(#""batch_index":1e3"#), nil), (prediction(#""batch_index":9007199254740992"#), .invalid_value),
        (prediction(#""score":1.0000000000000002"#), .invalid_value), (prediction(#""latency_seconds":-0.0"#), nil),
        (prediction(#""latency_seconds":1.7e308"#), nil), (prediction(#""prediction":{"a":1}"#), .wrong_type),
        (prediction(#""features":{"# + (0..<4097).map { "\"f\($0)\":1" }.joined(separator: ",") + "}"), .invalid_value),
        (prediction(time: "2026-11-23T10:15:30.1Z"), .invalid_time),
        (prediction(time: "2026-11-23T10:15:30.1234567891Z"), .invalid_time),
        (prediction(time: "2026-11-23t10:15:30.123Z"), .invalid_time), (prediction(time: "2026-11-23T10:15:30Z"), nil),
        (prediction(time: "+026-11-23T10:15:30Z"), .invalid_time),
        ("\u{FEFF}" + prediction(), .invalid_json), (prediction() + " ", nil), (prediction() + "\r", nil),
        (prediction() + "{}", .invalid_json), ("\u{0}", .invalid_json), ("{\"a\":\u{0}}", .invalid_json),
    ]

    static func nested(_ levels: Int, inner: String = "") -> String {
        String(repeating: "[", count: levels) + inner + String(repeating: "]", count: levels)
    }

    @Test func eachAloneBetweenGoodOnes() throws {
        let good =
            #"{"schema":1,"type":"outcome","time":"2026-11-23T10:15:30Z","prediction_id":"p","model_name":"m","value":1}"#
        let aggregator = EventAggregator()
        for (line, reason) in Self.lines {
            let rows = try aggregator.aggregate(makeObject([SegmentFixture(lines: [good, line, good])]))
            let result = rows.segments[0]
            #expect(rows.outcomes.map(\.line) == [1, 3], "\(line.prefix(120))")
            if let reason {
                #expect(result.rejects == [reason: 1], "\(line.prefix(120)): \(result.rejectLines.map(\.detail))")
            } else if line.hasPrefix("{\"schema\"") {
                #expect(result.rejects == [:], "\(line.prefix(120)): \(result.rejectLines.map(\.detail))")
            }
            #expect(result.loadedLines + result.rejectedLines == 3)
        }
    }

    @Test func hostileTextCannotBreakOut() throws {
        let rows = try aggregate([prediction(#""features":{"x":-0.0,"big":9007199254740993}"#)])
        let x = try rows.onlyFeatureHour("x")
        #expect(x.logBins == SparseCounts(unordered: [(0, 1)]) && x.moments.minimum == 0)
        #expect(try rows.onlyFeatureHour("big").moments.maximum == 9_007_199_254_740_992)
    }

    @Test func longLinesAreCountedInConstantMemory() throws {
        let limit = 1 << 20
        func line(_ bytes: Int) -> String {
            let empty = prediction(#""extra":{"pad":""}"#).utf8.count
            return prediction(#""extra":{"pad":"\#(String(repeating: "x", count: bytes - empty))"}"#)
        }
        let segment = SegmentFixture(lines: [
            prediction(), line(limit), line(limit + 1), line(5 << 20), prediction(), line(limit - 1),
        ])
        let result = try EventAggregator().aggregate(makeObject([segment])).segments[0]
        #expect(result.loadedLines == 4 && result.rejects == [.too_long: 2])
        #expect(result.rejectLines.map(\.line) == [3, 4])
        #expect(result.rejectLines.allSatisfy { $0.excerpt.count == 200 && $0.detail.contains("1048576") })
    }

    @Test func aTornTailOfAnyLength() throws {
        for tail in ["x", prediction(), String(repeating: "y", count: 3 << 20)] {
            let segment = SegmentFixture(Array((prediction() + "\n" + tail).utf8))
            let result = try EventAggregator().aggregate(makeObject([segment])).segments[0]
            #expect(result.loadedLines == 1 && result.rejects == [.torn_tail: 1])
        }
    }

    @Test func detailsAndExcerptsAreKeptForTwentyLines() throws {
        let result = try aggregate(
            (0..<50).map { prediction(#""latency_seconds":"\#($0)""#) } + (0..<3).map { _ in "" }
        ).segments[0]
        #expect(result.rejects == [.wrong_type: 50, .empty_line: 3])
        #expect(result.rejectLines.count == 23)
        #expect(result.rejectLines[0].detail == "latency_seconds is a string")
        #expect(result.rejectLines[19].line == 20 && result.rejectLines[20].line == 51)
    }
}
