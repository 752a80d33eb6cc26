import EventModel
import EventWriting
import Testing

/// What the library writes, held against the published JSON Schema.
struct SchemaTests {
    let schema: JSONValue

    init() throws {
        let root = #filePath.split(separator: "/").dropLast(3).joined(separator: "/")
        schema = try #require(JSONValue.parse(prefixOf: try readFile("/\(root)/clients/schema/event.schema.json")))
    }

    /// Every event type with every property set.
    static func appendAll(_ log: EventWriter) {
        let context = EventContext(
            time_ms: 1_795_428_930_123, request_id: "r", trace_id: String(repeating: "a", count: 32),
            span_id: String(repeating: "b", count: 16), tags: ["region": "eu"], extra: ["note": "x"])
        var prediction = Prediction(model: "m", version: "1")
        prediction.variant = "canary"
        prediction.prediction_id = "p"
        prediction.task = .binary
        prediction.prediction = true
        prediction.score = 0.5
        prediction.scores = ["yes": 0.5]
        prediction.threshold = 0.5
        prediction.features = ["a": 1.5]
        prediction.features_schema = "v1"
        prediction.latency_seconds = 1
        prediction.queue_seconds = 1
        prediction.preprocess_seconds = 1
        prediction.inference_seconds = 1
        prediction.postprocess_seconds = 1
        prediction.error_type = "timeout"
        prediction.http_status_code = 500
        prediction.route = "/"
        prediction.batch_size = 1
        prediction.batch_index = 0
        prediction.entity_id_hash = "h"
        prediction.context = context
        log.append(prediction)

        var outcome = Outcome(prediction_id: "p", model: "m", label: "yes", value: 1)
        outcome.name = "sale"
        outcome.value_currency = "EUR"
        outcome.prediction_time_ms = 0
        outcome.label_time_ms = 0
        outcome.label_source = "human"
        outcome.weight = 1
        outcome.revision = 2
        outcome.context = context
        log.append(outcome)

        var feedback = Feedback(prediction_id: "p", model: "m", name: "thumbs")
        feedback.score = 1
        feedback.label = "up"
        feedback.explanation = "good"
        feedback.annotator_kind = "HUMAN"
        feedback.annotator_id_hash = "h"
        feedback.prediction_time_ms = 0
        feedback.revision = 1
        feedback.context = context
        log.append(feedback)

        var gpu = ResourceUsage.GPU(index: 0)
        gpu.utilization_ratio = 1
        gpu.memory_used_bytes = 1
        gpu.memory_limit_bytes = 1
        gpu.temperature_celsius = 1
        gpu.power_watts = 1
        var usage = ResourceUsage(interval_seconds: 5)
        usage.model = "m"
        usage.cpu_utilization_ratio = 1
        usage.cpu_seconds = 1
        usage.memory_rss_bytes = 1
        usage.memory_limit_bytes = 1
        usage.open_fds = 1
        usage.threads = 1
        usage.inflight_requests = 1
        usage.queue_depth = 1
        usage.disk_free_bytes = 1
        usage.gpus = [gpu]
        usage.context = context
        log.append(usage)

        var deployment = Deployment(model: "m", version: "2")
        deployment.previous_version = "1"
        deployment.action = .promote
        deployment.actor = "ci"
        deployment.reference_id = "r"
        deployment.context = context
        log.append(deployment)
    }

    func names(_ value: JSONValue?) -> Set<String> {
        if case .object(let fields) = value { Set(fields.keys) } else { [] }
    }

    func strings(_ value: JSONValue?) -> Set<String> {
        if case .array(let values) = value { Set(values.compactMap(\.string)) } else { [] }
    }

    @Test func everyFieldIsOneOfTheSchemasAndNoneIsLeftOut() throws {
        let spool = try Spool()
        let log = try EventWriter(directory: spool.path, service: "iris", environment: "prod")
        Self.appendAll(log)
        #expect(log.close())
        let segment = try #require(spool.segments.first)
        let events = try spool.lines(segment.fileName).compactMap { JSONValue.parse(prefixOf: Array($0.utf8)) }
        #expect(events.count == 6)
        let common = names(schema["properties"])
        // What a service cannot set: the schema's fields for other tools, and those kept for later versions.
        let unset: Set<String> = [
            "recorded_time", "service_version", "instance", "genai", "entity_id_hash", "found", "replay",
        ]
        for event in events {
            let type = try #require(event["type"]?.string)
            let definition = try #require(schema["$defs"]?[type], "\(type)")
            let keys = names(event)
            let known = common.union(names(definition["properties"]))
            #expect(keys.isSubset(of: known), "\(type): \(keys.subtracting(known))")
            #expect(strings(schema["required"]).union(strings(definition["required"])).isSubset(of: keys), "\(type)")
            if type != "writer" {
                #expect(known.subtracting(keys).isSubset(of: unset), "\(type): \(known.subtracting(keys))")
            }
        }
    }
}
