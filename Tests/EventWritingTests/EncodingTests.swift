import EventModel
import EventWriting
import Testing

/// Events as they stand in the file.
struct EncodingTests {
    /// Logs what `append` says and returns the lines of the one segment, the `writer` line left out.
    func lines(_ append: (EventWriter) -> Void) throws -> (lines: [String], last: WriterLine) {
        let spool = try Spool()
        var configuration = EventWriter.Configuration(directory: spool.path, service: "iris", environment: "prod")
        configuration.host = "Web_1"
        let log = try EventWriter(configuration)
        append(log)
        #expect(log.close())
        let segments = spool.segments
        try #require(segments.count == 1)
        let last = try spool.check(segments[0].writer)
        return (try spool.lines(segments[0].fileName).dropLast(), last)
    }

    func value(_ line: String) throws -> JSONValue { try #require(JSONValue.parse(prefixOf: Array(line.utf8))) }

    @Test func aPredictionInFull() throws {
        var event = Prediction(model: "iris", version: "1.2.0")
        event.variant = "canary"
        event.prediction_id = "p-1"
        event.task = .multiclass
        event.prediction = "setosa"
        event.score = 0.98
        event.scores = ["setosa": 0.98, "virginica": 0.02]
        event.threshold = 0.5
        event.features = ["petal_length": 1.4, "colour": "blue", "fresh": true, "age": nil, "count": 3]
        event.features_schema = "v1"
        event.latency_seconds = 0.0031
        event.queue_seconds = 0.001
        event.preprocess_seconds = 0.002
        event.inference_seconds = 0.003
        event.postprocess_seconds = 0.004
        event.error_type = "timeout"
        event.http_status_code = 504
        event.route = "/predict"
        event.batch_size = 2
        event.batch_index = 0
        event.entity_id_hash = "abc"
        event.context = EventContext(
            time_ms: 1_795_428_930_123, id: "e-1", request_id: "r-1", trace_id: String(repeating: "a1", count: 16),
            span_id: String(repeating: "b2", count: 8),
            tags: ["region": "eu"], extra: ["note": "x"])
        let found = try lines { $0.append(event) }
        let pid = try #require(try value(found.lines[0])["source"]?.string?.split(separator: "-").last)
        #expect(
            found.lines == [
                #"{"schema":1,"type":"prediction","id":"e-1","time":"2026-11-23T10:15:30.123Z","source":"iris/web-1-\#(pid)","#
                    + #""service":"iris","environment":"prod","model_name":"iris","model_version":"1.2.0","#
                    + #""model_variant":"canary","prediction_id":"p-1","task":"multiclass","prediction":"setosa","#
                    + #""score":0.98,"scores":{"setosa":0.98,"virginica":0.02},"threshold":0.5,"features":{"#
                    + #""petal_length":1.4,"colour":"blue","fresh":true,"age":null,"count":3},"features_schema":"v1","#
                    + #""latency_seconds":0.0031,"queue_seconds":0.001,"preprocess_seconds":0.002,"#
                    + #""inference_seconds":0.003,"postprocess_seconds":0.004,"status":"error","error_type":"timeout","#
                    + #""http_status_code":504,"route":"/predict","batch_size":2,"batch_index":0,"entity_id_hash":"abc","#
                    + #""request_id":"r-1","trace_id":"a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1","#
                    + #""span_id":"b2b2b2b2b2b2b2b2","tags":{"region":"eu"},"extra":{"note":"x"}}"#
            ])
    }

    @Test func theOtherTypes() throws {
        var gpu = ResourceUsage.GPU(index: 1)
        gpu.utilization_ratio = 0.5
        gpu.memory_used_bytes = 10
        let found = try lines { log in
            log.append(
                .outcome(
                    prediction_id: "p", model: "m", label: "setosa", value: 9.5, value_currency: "EUR",
                    name: "sale", prediction_time_ms: 0))
            log.append(.feedback(prediction_id: "p", model: "m", name: "thumbs", score: 1, explanation: "good"))
            log.append(.resource(interval_seconds: 5, cpu_utilization_ratio: 0.25, memory_rss_bytes: 7, gpus: [gpu]))
            log.append(.deployment(model: "m", version: "2", previous_version: "1", action: .rollback, actor: "ci"))
        }
        let expected = [
            #""prediction_id":"p","model_name":"m","name":"sale","label":"setosa","value":9.5,"value_currency":"EUR","#
                + #""prediction_time":"1970-01-01T00:00:00.000Z"}"#,
            #""prediction_id":"p","model_name":"m","name":"thumbs","score":1.0,"explanation":"good"}"#,
            #""interval_seconds":5.0,"cpu_utilization_ratio":0.25,"memory_rss_bytes":7,"gpus":[{"index":1,"#
                + #""utilization_ratio":0.5,"memory_used_bytes":10}]}"#,
            #""model_name":"m","model_version":"2","previous_version":"1","action":"rollback","actor":"ci"}"#,
        ]
        try #require(found.lines.count == 4)
        for (line, end) in zip(found.lines, expected) {
            #expect(line.hasSuffix(#","service":"iris","environment":"prod","# + end), "\(line)")
        }
        #expect(
            try found.lines.map { try value($0)["type"]?.string } == ["outcome", "feedback", "resource", "deployment"])
    }

    @Test func idsAreTheTimesUUIDs() throws {
        var returned: UUIDv7?
        let found = try lines {
            returned = $0.append(.prediction(model: "m", version: "1", time_ms: 1_700_000_000_123))
        }
        let event = try value(found.lines[0])
        #expect(event["id"]?.string == returned?.description)
        #expect(returned?.time_ms == 1_700_000_000_123)
        #expect(event["time"]?.string == "2023-11-14T22:13:20.123Z")
    }

    @Test func textsAreEscaped() throws {
        let nasty = "a\"b\\c/\n\r\t\u{1}\u{1f}\u{7f} é 😀 \u{2028} 01234567890123456789\"0123456\\"
        let found = try lines { log in
            log.append(.prediction(model: nasty, version: "1", prediction: .text("nul\0here"))) { event in
                event.features { $0.add(nasty, nasty) }
            }
        }
        let event = try value(found.lines[0])
        #expect(event["model_name"]?.string == nasty)
        #expect(event["features"]?[nasty]?.string == nasty)
        #expect(event["prediction"]?.string == "nul\u{FFFD}here")
        #expect(found.lines.count == 1)
    }

    @Test func everyByteAtEveryPlaceIsEscapedAlike() throws {
        let found = try lines { log in
            for length in 0..<20 {
                for place in 0..<length {
                    var text = [Character](repeating: "x", count: length)
                    text[place] = "\""
                    log.append(.prediction(model: "m", version: "1", prediction: .text(String(text))))
                }
            }
        }
        #expect(found.lines.count == 190)
        for line in found.lines {
            let text = try #require(try value(line)["prediction"]?.string)
            #expect(text.filter { $0 == "\"" }.count == 1 && text.allSatisfy { $0 == "x" || $0 == "\"" })
        }
    }

    @Test func notFiniteBecomesNullAndIsCounted() throws {
        let spool = try Spool()
        let log = try EventWriter(directory: spool.path, service: "iris")
        log.append(.prediction(model: "m", version: "1", score: .nan, features: ["a": .number(.infinity), "b": 1]))
        #expect(log.status.nonFinite == 2)
        #expect(log.close())
        let event = try #require(try spool.events().first)
        #expect(event["score"] == .other && event["features"]?["a"] == .other)
    }

    @Test func whatMakesNoEventIsDroppedAndCounted() throws {
        let found = try lines { log in
            #expect(log.append(.prediction(model: "", version: "1")) == nil)
            #expect(log.append(.prediction(model: String(repeating: "m", count: 257), version: "1")) == nil)
            #expect(log.append(.outcome(prediction_id: "p", model: "m")) == nil)
            #expect(log.append(.outcome(prediction_id: "p", model: "m", value: .nan)) == nil)
            #expect(log.append(.feedback(prediction_id: "p", model: "m", name: "n")) == nil)
            #expect(log.append(.resource(interval_seconds: 0)) == nil)
            let tags = NamedValues(Dictionary(uniqueKeysWithValues: (0..<9).map { ("t\($0)", "x") }))
            #expect(log.append(.prediction(model: "m", version: "1", tags: tags)) == nil)
            #expect(
                log.append(.prediction(model: "m", version: "1", features: ["a": 1])) { $0.features { $0.add("b", 2) } }
                    == nil)
            #expect(log.append(.prediction(model: "m", version: "1")) { $0.tags { $0.add("n", .list([1, 2])) } } == nil)
            #expect(log.append(.prediction(model: "m", version: "1")) != nil)
        }
        #expect(found.lines.count == 1)
        #expect(found.last.counts.dropped == DropCounts(invalid: 9))
        #expect(found.last.counts.appended == 11)
    }

    @Test func linesOverOneMebibyteAreDropped() throws {
        let found = try lines { log in
            #expect(
                log.append(
                    .prediction(model: "m", version: "1", prediction: .text(String(repeating: "x", count: 1 << 20))))
                    == nil)
            #expect(
                log.append(
                    .prediction(model: "m", version: "1", prediction: .text(String(repeating: "\u{1}", count: 1 << 18)))
                ) == nil)
            #expect(
                log.append(
                    .prediction(model: "m", version: "1", prediction: .text(String(repeating: "x", count: 1_000_000))))
                    != nil)
        }
        #expect(found.lines.count == 1 && found.lines[0].utf8.count > 1_000_000)
        #expect(found.last.counts.dropped == DropCounts(too_large: 2))
    }

    @Test func anEventMayLogAnother() throws {
        let found = try lines { log in
            log.append(.prediction(model: "outer", version: "1")) { event in
                log.append(.prediction(model: "inner", version: "1"))
                event.features { $0.add("a", 1) }
            }
        }
        #expect(try found.lines.map { try value($0)["model_name"]?.string } == ["inner", "outer"])
    }
}
