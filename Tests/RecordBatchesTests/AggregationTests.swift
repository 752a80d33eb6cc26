import EventSegments
import RecordBatches
import Sketches
import Testing

/// What single lines add to the rows.
struct AggregationTests {
    @Test func requestsErrorsAndLatency() throws {
        let rows = try aggregate([
            prediction(#""latency_seconds":0.5,"batch_size":2,"batch_index":0"#),
            prediction(#""latency_seconds":0.7,"batch_size":2,"batch_index":1"#),
            prediction(#""status":"error","latency_seconds":0"#),
            prediction(#""status":"error","batch_index":3"#),
            prediction(#""status":"ok""#, time: "2026-11-23T10:14:59.999Z"),
        ])
        let hour = try rows.onlyRequestHour()
        #expect(hour.predictions == 5 && hour.requests == 3 && hour.errors == 1 && hour.failedPredictions == 2)
        #expect(hour.latencyCount == 2 && hour.latencySum == 0.5)
        #expect(hour.latency == SparseCounts(unordered: [(LogBins.code(0.5), 1), (0, 1)]))
        #expect(rows.requestMinutes.count == 2)
        #expect(rows.requestMinutes[TimeKey(series: 0, time_s: testHour_s + 15 * 60)]?.predictions == 4)
        #expect(
            rows.series == [
                SeriesKey(
                    model: 0, version: "1", variant: "champion", environment: "default", sliceKey: "all",
                    sliceValue: "all")
            ])
        #expect(rows.segments.first?.hours == [HourType(hour_s: testHour_s, type: .prediction): 5])
    }

    @Test func featuresByKind() throws {
        let rows = try aggregate([
            prediction(#""features":{"x":1,"c":"red","b":true,"n":null,"a":[1],"o":{"p":1}}"#),
            prediction(#""features":{"x":-2.5,"c":"blue","b":false,"n":3}"#),
            prediction(#""features":{"x":1,"x":100,"c":"red"}"#),
            prediction(#""features":{"x":999},"status":"error""#),
        ])
        let x = try rows.onlyFeatureHour("x")
        #expect(x.moments.count == 3 && x.moments.minimum == -2.5 && x.moments.maximum == 1)
        #expect((x.moments.mean.map { ($0 + 1 / 6).magnitude < 1e-15 }) == true)
        #expect(x.logBins == SparseCounts(unordered: [(LogBins.code(1), 2), (LogBins.code(-2.5), 1)]))
        let colour = try rows.onlyFeatureHour("c")
        #expect(colour.categoricalCount == 3 && rows.categoryCounts(colour) == ["red": 2, "blue": 1])
        let flag = try rows.onlyFeatureHour("b")
        #expect(rows.categoryCounts(flag) == ["true": 1, "false": 1])
        let n = try rows.onlyFeatureHour("n")
        #expect(n.nullCount == 1 && n.moments.count == 1)
        #expect(try rows.onlyFeatureHour("a").wrongTypeCount == 1 && rows.onlyFeatureHour("o").wrongTypeCount == 1)
    }

    @Test func thePredictionIsAFeature() throws {
        func answers(_ fields: [String]) throws -> (FeatureCounts, [String: Int64]) {
            let rows = try aggregate(fields.map { prediction($0) })
            let counts = try rows.onlyFeatureHour("prediction", role: .prediction)
            return (counts, rows.categoryCounts(counts))
        }
        #expect(try answers([#""prediction":2.5"#, #""prediction":1,"task":"regression""#]).0.moments.count == 2)
        let classes = try answers([
            #""prediction":1,"task":"multiclass""#, #""prediction":1.0,"task":"binary""#, #""prediction":"1""#,
            #""prediction":0.25,"task":"binary""#, #""prediction":-0.0,"task":"binary""#, #""prediction":true"#,
        ])
        #expect(classes.1 == ["1": 3, "0.25": 1, "0": 1, "true": 1] && classes.0.moments.count == 0)
        #expect(try answers([#""prediction":null"#, #""prediction":["a"],"task":"ranking""#]).0.nullCount == 1)
        let text = try answers([#""prediction":"once upon a time","task":"generation""#])
        #expect(text.0.otherCount == 1 && text.0.categoricalCount == 1 && text.1.isEmpty)
        let long = String(repeating: "x", count: 257)
        #expect(try answers([#""prediction":"\#(long)""#]).0.otherCount == 1)
    }

    @Test func scoresAndClasses() throws {
        let rows = try aggregate([
            prediction(#""prediction":true,"score":0.8"#), prediction(#""prediction":false,"score":0.8"#),
            prediction(#""task":"binary","score":0.3,"threshold":0.2"#),
            prediction(#""prediction":"a","score":1,"scores":{"a":1,"b":0,"c":null,"d":7,"a":0.5}"#),
        ])
        let all = rows.scoreHours.filter { $0.key.category == ScoreTimeKey.score }.map(\.value)
        let counts = try #require(all.first)
        #expect(all.count == 1 && counts.counts.reduce(0, +) == 4 && counts.positiveCounts.reduce(0, +) == 3)
        let place = try #require(counts.bins.firstIndex(of: Int32(ScoreBins.bin(0.8))))
        #expect(counts.counts[place] == 2 && counts.sums[place] == 1.6 && counts.positiveSums[place] == 0.8)
        let classes = rows.scoreHours.filter { $0.key.category != ScoreTimeKey.score }
        #expect(Set(classes.keys.map { rows.categories[$0.category].value }) == ["a", "b"])
        #expect(classes.values.map { $0.positiveCounts.reduce(0, +) }.sorted() == [0, 1])
    }

    @Test func slicesPartitionTheWhole() throws {
        let rows = try aggregate(
            [
                prediction(#""tags":{"region":"eu","tier":"gold"},"features":{"x":1},"score":0.5"#),
                prediction(#""tags":{"region":"us"},"features":{"x":2}"#),
                prediction(#""tags":{"region":"eu","tier":"free"},"features":{"x":3}"#), prediction(),
            ], AggregationConfiguration(slices: ["region", "tier"]))
        var predictions: [String: Int64] = [:]
        for (key, counts) in rows.requestHours {
            predictions[rows.series[key.series].sliceKey + "=" + rows.series[key.series].sliceValue] =
                counts.predictions
        }
        #expect(
            predictions == [
                "all=all": 4, "region=eu": 2, "region=us": 1, "region=missing": 1, "tier=gold": 1, "tier=free": 1,
                "tier=missing": 2,
            ])
        for (key, counts) in rows.featureHours {
            let series = rows.series[key.series]
            #expect(counts.logBins.isEmpty == !series.isAll)
            if series.sliceValue == "eu" { #expect(counts.moments.count == 2 && counts.moments.meanHigh == 2) }
        }
        #expect(rows.scoreHours.count == 3)
        #expect(rows.requestMinutes.count == 7)
    }

    @Test func outcomesAndFeedbackBecomeRows() throws {
        let id = "019ab0c6-5e9b-7c3a-8f1d-2e3f4a5b6c7d"
        let head = #"{"schema":1,"time":"2026-11-23T10:15:30.123Z","model_name":"iris","prediction_id":"#
        let rows = try aggregate([
            head + #""\#(id)#7","type":"outcome","label":true,"revision":3,"id":"e1"}"#,
            head
                + #""p","type":"outcome","name":"sum","value":-2,"value_currency":"EUR","prediction_time":"2026-11-22T09:00:00Z"}"#,
            head + #""p","type":"feedback","name":"thumbs","score":1,"label":"up"}"#,
            head + #""p","type":"outcome","label":2.5}"#,
        ])
        #expect(rows.models == ["iris"] && rows.outcomes.count == 4)
        let first = rows.outcomes[0]
        #expect(first.labelText == "true" && first.revision == 3 && first.eventID == "e1" && first.name == "label")
        #expect(first.predictionTime_ms == 0x019a_b0c6_5e9b && !first.predictionTimeIsExact && first.line == 1)
        let second = rows.outcomes[1]
        #expect(second.value == -2 && second.currency == "EUR" && second.predictionTimeIsExact)
        #expect(second.predictionHour_s == 1_795_338_000)
        #expect(rows.outcomes[2].type == .feedback && rows.outcomes[2].score == 1 && rows.outcomes[2].labelText == "up")
        #expect(rows.outcomes[3].labelNumber == 2.5 && rows.outcomes[3].predictionTime_ms == nil)
    }

    @Test func resourcesByMinuteAndHour() throws {
        let head = #"{"schema":1,"type":"resource","interval_seconds":10,"source":"api/h-1","time":"2026-11-23T10:"#
        let rows = try aggregate([
            head + #"15:00Z","cpu_utilization_ratio":0.5,"gpus":[{"index":0,"power_watts":300},{"index":1}]}"#,
            head + #"15:10Z","cpu_utilization_ratio":1.5}"#, head + #"14:10Z"}"#,
        ])
        let resources = ["", "gpu0", "gpu1"].map { (device: String) -> ResourceKey in
            ResourceKey(service: "api", instance: "h-1", environment: "default", device: device)
        }
        #expect(Set(rows.resources) == Set(resources))
        let process = try #require(rows.resources.firstIndex { $0.device.isEmpty })
        let minute = ResourceTimeKey(
            resource: process, measure: "cpu_utilization_ratio", time_s: testHour_s + 15 * 60)
        #expect(rows.resourceMinutes[minute]?.sum == 2 && rows.resourceMinutes[minute]?.maximum == 1.5)
        let hour = ResourceTimeKey(resource: process, measure: ResourceTimeKey.samples, time_s: testHour_s)
        #expect(rows.resourceHours[hour]?.count == 3 && rows.resourceHours[hour]?.sum == 30)
    }

    @Test func oldEventsAddNoMinutesAndReplayLiftsTheLowerBound() throws {
        let old = [prediction(time: "2026-10-19T10:15:59Z"), prediction(time: "2026-10-19T10:16:00Z")]
        let rows = try aggregate(old)
        #expect(rows.requestMinutes.count == 1 && rows.requestHours.count == 1)
        #expect(try rows.onlyRequestHour().predictions == 2)
        let ancient = [prediction(time: "1999-01-01T00:00:00Z")]
        #expect(try aggregate(ancient).segments[0].rejects == [.time_out_of_range: 1])
        #expect(try aggregate(ancient, replay: true).segments[0].loadedLines == 1)
        let future = [prediction(time: "2026-11-23T10:26:00.000Z"), prediction(time: "2026-11-23T10:26:00.001Z")]
        #expect(try aggregate(future, replay: true).segments[0].rejects == [.time_out_of_range: 1])
    }

    @Test func onlyWantedHoursAddRows() throws {
        let lines = [prediction(), prediction(time: "2026-11-23T09:59:59.999Z")]
        let rows = try aggregate(lines, AggregationConfiguration(hours: [testHour_s]))
        #expect(rows.requestHours.keys.map(\.time_s) == [testHour_s])
        #expect(rows.segments[0].loadedLines == 2)
    }

    @Test func textsThatLookAlikeStayApart() throws {
        // "é" as one code point and as two: equal for Swift's String, two rows for PostgreSQL.
        let rows = try aggregate([
            prediction("\"features\":{\"c\":\"\u{E9}\"}"), prediction("\"features\":{\"c\":\"e\u{301}\"}"),
            prediction(model: "\u{E9}"), prediction(model: "e\u{301}"),
        ])
        #expect(rows.categories.count == 2 && rows.models.count == 3 && rows.series.count == 3)
        var merged = rows
        merged.merge(rows)
        #expect(merged.categories.count == 2 && merged.models.count == 3 && merged.canonical().models.count == 3)
    }
}
