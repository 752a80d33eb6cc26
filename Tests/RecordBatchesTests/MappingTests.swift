import EventSegments
import RecordBatches
import Sketches
import Testing

struct MappingTests {
    static let rules: [String: MappingValue] = [
        "type": .text("prediction"), "model_name": .text("iris"), "model_version": .text("$.ver"),
        "time": .text("$.ts"), "features": .text("$.input.*"), "latency_seconds": .text("$['took ms']"),
        "latency_unit": .text("milliseconds"), "prediction": .text("$.out.class"),
        "tags": .map(["region": .text("$.geo.region"), "source": .text("log")]),
        "status": .map(["path": .text("$.code"), "ok": .list([.integer(200), .text("OK")])]),
        "prediction_id": .text("$.id"),
    ]

    static func run(_ lines: [String], _ changes: [String: MappingValue] = [:]) throws -> Aggregates {
        let mapping = try Mapping(name: "web", rules.merging(changes) { $1 })
        return try aggregate(
            lines, AggregationConfiguration(slices: ["region", "source"]), mappings: [mapping], format: "web")
    }

    @Test func aForeignLineBecomesAnEvent() throws {
        let rows = try Self.run([
            #"{"ts":"2026-11-23T11:15:30.5+01:00","ver":3,"input":{"x":1.5,"c":"red"},"took ms":250,"out":{"class":"setosa"},"geo":{"region":"eu"},"code":200,"id":17}"#,
            #"{"ts":1795428930.25,"ver":"3","input":{"x":2.5},"code":500}"#,
            #"{"ts":1795428930250,"ver":"3","code":"OK"}"#,
        ])
        #expect(rows.segments[0].rejectLines.map(\.detail) == [])
        #expect(rows.segments[0].mappingSHA256?.count == 32)
        let hour = try rows.onlyRequestHour()
        #expect(hour.predictions == 3 && hour.errors == 1 && hour.latencySum == 0.25)
        #expect(rows.requestMinutes.keys.allSatisfy { $0.time_s == testHour_s + 900 })
        #expect(try rows.onlyFeatureHour("x").moments.meanHigh == 1.5)
        #expect(rows.categoryCounts(try rows.onlyFeatureHour("prediction", role: .prediction)) == ["setosa": 1])
        #expect(rows.series[0].version == "3" && rows.models == ["iris"])
        #expect(Set(rows.series.map(\.sliceValue)) == ["all", "eu", "missing", "log"])
    }

    @Test func chosenFeaturesAndConstants() throws {
        let rows = try Self.run(
            [#"{"ts":1795428930,"ver":"1","a":{"b":2},"list":[1],"s":"text","n":null}"#],
            [
                "features": .map([
                    "petal": .text("$.a.b"), "list": .text("$.list"), "gone": .text("$.none"), "word": .text("$.s"),
                    "null": .text("$.n"), "fixed": .number(0.5), "flag": .bool(true), "count": .integer(7),
                ])
            ])
        #expect(try rows.onlyFeatureHour("petal").moments.meanHigh == 2)
        #expect(try rows.onlyFeatureHour("list").wrongTypeCount == 1)
        #expect(rows.categoryCounts(try rows.onlyFeatureHour("word")) == ["text": 1])
        #expect(rows.categoryCounts(try rows.onlyFeatureHour("flag")) == ["true": 1])
        #expect(try rows.onlyFeatureHour("fixed").moments.meanHigh == 0.5)
        #expect(try rows.onlyFeatureHour("count").moments.meanHigh == 7)
        #expect(!rows.features.contains { $0.name == "gone" })
    }

    @Test func timesByUnitAndZone() throws {
        func reasons(_ time: String, _ changes: [String: MappingValue] = [:]) throws -> [RejectReason: Int64] {
            try Self.run([#"{"ts":\#(time),"ver":"1"}"#], changes).segments[0].rejects
        }
        #expect(try reasons(#""2026-11-23 10:15:30,123""#) == [.invalid_time: 1])
        #expect(try reasons(#""2026-11-23 10:15:30,123""#, ["time_zone": .text("UTC")]) == [:])
        #expect(try reasons(#""2026-11-23T10:15:30""#, ["time_zone": .text("UTC")]) == [:])
        #expect(try reasons("1795428930250", ["time_unit": .text("seconds")]) == [.invalid_time: 1])
        #expect(try reasons(#""1795428930.25""#, ["time_unit": .text("seconds")]) == [:])
        #expect(try reasons("1795428930", ["time_unit": .text("rfc3339")]) == [.invalid_time: 1])
        #expect(try reasons("1e300") == [.invalid_time: 1] && reasons("true") == [.wrong_type: 1])
        #expect(try reasons("null") == [.missing_field: 1] && reasons("1") == [.time_out_of_range: 1])
    }

    @Test func rejectsAreTheSameAsOfNativeEvents() throws {
        let rows = try Self.run([
            #"{"ts":1795428930}"#, #"{"ts":1795428930,"ver":"1","took ms":-1}"#, "[]", "x", "",
            #"{"ts":1795428930,"ver":["1"]}"#, #"{"ts":1795428930,"ver":"1","input":[1]}"#,
        ])
        #expect(
            rows.segments[0].rejects == [
                .missing_field: 1, .invalid_value: 1, .not_an_object: 1, .invalid_json: 1, .empty_line: 1,
                .wrong_type: 2,
            ])
    }

    @Test func equalMappingsHaveEqualHashes() throws {
        let one = try Mapping(name: "a", Self.rules)
        let other = try Mapping(name: "b", Self.rules.merging(["features": .text("$['input']")]) { $1 })
        let third = try Mapping(name: "a", Self.rules.merging(["features": .text("$.inputs")]) { $1 })
        #expect(one.sha256 == other.sha256 && one.sha256 != third.sha256)
    }

    @Test func faultyMappingsAreRefused() throws {
        let cases: [([String: MappingValue], String)] = [
            (["modle_name": .text("x")], "unknown key modle_name"), (["time_unit": .text("days")], "time_unit"),
            (["features": .text("$..x")], "not a path"), (["features": .list([])], "cannot be a list"),
            (["model_name": .map(["a": .text("$.b")])], "cannot have members"),
            (["status": .map(["path": .text("$.x")])], "status must be"), (["time_zone": .text("CET")], "UTC"),
            (["features": .map(["a": .list([])])], "features.a"), (["latency_unit": .integer(1)], "latency_unit"),
        ]
        for (changes, words) in cases {
            let error = #expect(throws: MappingError.self) {
                try Mapping(name: "m", Self.rules.merging(changes) { $1 })
            }
            #expect(error?.description.contains(words) == true, "\(words)")
        }
        #expect(throws: MappingError.self) { try Mapping(name: "m", ["model_name": .text("x")]) }
    }
}
