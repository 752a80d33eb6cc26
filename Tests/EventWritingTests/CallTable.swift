import EventModel
import EventWriting
import FoundationEssentials

/// A line of `clients/schema/golden/calls.jsonl`: a call of a client, and what must come of it.
struct Call: Decodable {
    let call: String
    let arguments: [String: CallValue]
    let writes: [String: CallValue]?
    let invalid: Bool?
}

/// Any JSON value; long texts and numbers that JSON cannot say are put in for the objects that stand for them.
indirect enum CallValue: Decodable, Equatable {
    case null
    case flag(Bool)
    case number(Double)
    case text(String)
    case list([CallValue])
    case object([String: CallValue])

    init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        if container.decodeNil() {
            self = .null
        } else if let value = try? container.decode(Bool.self) {
            self = .flag(value)
        } else if let value = try? container.decode(Double.self) {
            self = .number(value)
        } else if let value = try? container.decode(String.self) {
            self = .text(value)
        } else if let value = try? container.decode([CallValue].self) {
            self = .list(value)
        } else {
            self = Self.given(try container.decode([String: CallValue].self))
        }
    }

    private static func given(_ fields: [String: CallValue]) -> CallValue {
        if case .text(let part) = fields["repeat"], let times = fields["times"]?.number {
            return .text(String(repeating: part, count: Int(times)) + (fields["then"]?.text ?? ""))
        }
        if let word = fields["not_finite"]?.text, let value = Double(word) { return .number(value) }
        return .object(fields)
    }

    var text: String? { if case .text(let value) = self { value } else { nil } }
    var number: Double? { if case .number(let value) = self { value } else { nil } }
    var integer: Int? { number.flatMap { $0.isFinite ? Int($0) : nil } }
    var time_ms: Int64? { text.flatMap { Timestamp.parse($0) } }
    var list: [CallValue]? { if case .list(let value) = self { value } else { nil } }

    /// As a service in Swift would give it.
    var field: FieldValue? {
        switch self {
        case .null, .object: nil
        case .flag(let flag): .flag(flag)
        case .number(let number):
            if let integer = Int(exactly: number) { .integer(integer) } else { .number(number) }
        case .text(let text): .text(text)
        case .list(let values): .list(values.map { $0.field ?? .missing })
        }
    }

    var named: NamedValues {
        guard case .object(let fields) = self else { return NamedValues() }
        return NamedValues(fields.mapValues { $0.field ?? .missing })
    }
}

extension Call {
    private func text(_ name: String) -> String? { arguments[name]?.text }
    private func number(_ name: String) -> Double? { arguments[name]?.number }
    private func integer(_ name: String) -> Int? { arguments[name]?.integer }
    private func named(_ name: String) -> NamedValues { arguments[name]?.named ?? NamedValues() }

    private var context: EventContext {
        EventContext(
            recorded_time_ms: arguments["recorded_time"]?.time_ms, service_version: text("service_version"),
            instance: text("instance"), request_id: text("request_id"), trace_id: text("trace_id"),
            span_id: text("span_id"), tags: named("tags"), extra: named("extra"))
    }

    /// Makes the call and says whether the event was taken; nil where the table asks for a call that is not known here.
    func perform(_ log: EventWriter) -> Bool? {
        switch call {
        case "prediction": log.append(prediction) != nil
        case "outcome": log.append(outcome) != nil
        case "feedback": log.append(feedback) != nil
        case "resource": log.append(resource) != nil
        case "deployment": log.append(deployment) != nil
        default: nil
        }
    }

    private var prediction: Prediction {
        var event = Prediction(model: text("model_name") ?? "", version: text("model_version") ?? "")
        event.variant = text("model_variant")
        event.prediction_id = text("prediction_id")
        event.task = text("task").flatMap(Prediction.Task.init(rawValue:))
        event.prediction = arguments["prediction"]?.field
        event.score = number("score")
        event.scores = named("scores")
        event.threshold = number("threshold")
        event.features = named("features")
        event.features_schema = text("features_schema")
        event.latency_seconds = number("latency_seconds")
        event.queue_seconds = number("queue_seconds")
        event.preprocess_seconds = number("preprocess_seconds")
        event.inference_seconds = number("inference_seconds")
        event.postprocess_seconds = number("postprocess_seconds")
        event.error_type = text("error_type")
        event.http_status_code = integer("http_status_code")
        event.route = text("route")
        event.batch_size = integer("batch_size")
        event.batch_index = integer("batch_index")
        event.entity_id_hash = text("entity_id_hash")
        event.genai = generation
        event.context = context
        return event
    }

    private var generation: Generation? {
        guard case .object(let fields) = arguments["genai"] else { return nil }
        var generation = Generation()
        generation.provider = fields["provider"]?.text
        generation.request_model = fields["request_model"]?.text
        generation.response_model = fields["response_model"]?.text
        generation.input_tokens = fields["input_tokens"]?.integer
        generation.output_tokens = fields["output_tokens"]?.integer
        generation.cached_input_tokens = fields["cached_input_tokens"]?.integer
        generation.reasoning_tokens = fields["reasoning_tokens"]?.integer
        generation.time_to_first_chunk_seconds = fields["time_to_first_chunk_seconds"]?.number
        generation.finish_reason = fields["finish_reason"]?.text
        generation.cost_usd = fields["cost_usd"]?.number
        return generation
    }

    private var outcome: Outcome {
        var event = Outcome(prediction_id: text("prediction_id") ?? "", model: text("model_name") ?? "")
        event.name = text("name")
        event.label = arguments["label"]?.field
        event.value = number("value")
        event.value_currency = text("value_currency")
        event.prediction_time_ms = arguments["prediction_time"]?.time_ms
        event.label_time_ms = arguments["label_time"]?.time_ms
        event.label_source = text("label_source")
        event.weight = number("weight")
        event.revision = integer("revision")
        event.context = context
        return event
    }

    private var feedback: Feedback {
        var event = Feedback(
            prediction_id: text("prediction_id") ?? "", model: text("model_name") ?? "", name: text("name") ?? "")
        event.score = number("score")
        event.label = text("label")
        event.explanation = text("explanation")
        event.annotator_kind = text("annotator_kind")
        event.annotator_id_hash = text("annotator_id_hash")
        event.prediction_time_ms = arguments["prediction_time"]?.time_ms
        event.revision = integer("revision")
        event.context = context
        return event
    }

    private var resource: ResourceUsage {
        var event = ResourceUsage(interval_seconds: number("interval_seconds") ?? 0)
        event.model = text("model_name")
        event.cpu_utilization_ratio = number("cpu_utilization_ratio")
        event.cpu_seconds = number("cpu_seconds")
        event.memory_rss_bytes = integer("memory_rss_bytes")
        event.memory_limit_bytes = integer("memory_limit_bytes")
        event.open_fds = integer("open_fds")
        event.threads = integer("threads")
        event.inflight_requests = integer("inflight_requests")
        event.queue_depth = integer("queue_depth")
        event.disk_free_bytes = integer("disk_free_bytes")
        event.gpus = (arguments["gpus"]?.list ?? []).map(Self.gpu)
        event.context = context
        return event
    }

    private static func gpu(_ value: CallValue) -> ResourceUsage.GPU {
        guard case .object(let fields) = value else { return .init(index: -1) }
        var gpu = ResourceUsage.GPU(index: fields["index"]?.integer ?? -1)
        gpu.utilization_ratio = fields["utilization_ratio"]?.number
        gpu.memory_used_bytes = fields["memory_used_bytes"]?.integer
        gpu.memory_limit_bytes = fields["memory_limit_bytes"]?.integer
        gpu.temperature_celsius = fields["temperature_celsius"]?.number
        gpu.power_watts = fields["power_watts"]?.number
        return gpu
    }

    private var deployment: Deployment {
        var event = Deployment(model: text("model_name") ?? "", version: text("model_version") ?? "")
        event.previous_version = text("previous_version")
        event.action = text("action").flatMap(Deployment.Action.init(rawValue:))
        event.actor = text("actor")
        event.reference_id = text("reference_id")
        event.context = context
        return event
    }
}
