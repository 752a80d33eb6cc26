/// One answer of a model.
public struct Prediction: Sendable {
    /// What the model is for.
    public enum Task: String, Sendable {
        case binary, multiclass, regression, ranking, generation, embedding, other
    }

    /// The model's name, 1 to 256 bytes.
    public var model: String
    /// The model's version, 1 to 256 bytes.
    public var version: String
    /// `champion` (meant where it is nil), `canary`, `shadow` or another.
    public var variant: String?
    /// Key for outcomes and feedback; nil means the event's id.
    public var prediction_id: String?
    /// What the model is for.
    public var task: Task?
    /// The class, the number or the ranked list that the model answered.
    public var prediction: FieldValue?
    /// Binary: probability of the positive class.
    ///
    /// Multiclass: probability of the predicted class. 0 to 1.
    public var score: Double?
    /// Probability by class.
    public var scores: NamedValues = NamedValues()
    /// Decision threshold on the score.
    public var threshold: Double?
    /// The model's input by name.
    public var features: NamedValues = NamedValues()
    /// Names the set of features or their reference.
    public var features_schema: String?
    /// Time from request to answer, in seconds.
    public var latency_seconds: Double?
    /// Waiting time before the model, in seconds.
    public var queue_seconds: Double?
    /// Time to prepare the input, in seconds.
    public var preprocess_seconds: Double?
    /// Time in the model itself, in seconds.
    public var inference_seconds: Double?
    /// Time to prepare the answer, in seconds.
    public var postprocess_seconds: Double?
    /// A few fixed words, for example `timeout`.
    ///
    /// Not nil means that the request failed (`status` is `error`).
    public var error_type: String?
    /// Status of the HTTP answer.
    public var http_status_code: Int?
    /// Route template of the HTTP request.
    public var route: String?
    /// Rows in this call.
    public var batch_size: Int?
    /// This row's number in its call, from 0.
    ///
    /// Only row 0 counts as a request with a latency.
    public var batch_index: Int?
    /// Salted hash of whom the prediction is about.
    public var entity_id_hash: String?
    /// Facts about a generated answer.
    public var genai: Generation?
    /// Time, ids, tags.
    public var context = EventContext()

    /// A prediction with what it must have.
    public init(model: String, version: String) {
        self.model = model
        self.version = version
    }

    /// The common case in one expression.
    public static func prediction(
        model: String, version: String, prediction: FieldValue? = nil, score: Double? = nil,
        features: NamedValues = NamedValues(), tags: NamedValues = NamedValues(), latency_seconds: Double? = nil,
        error_type: String? = nil, prediction_id: String? = nil, request_id: String? = nil, time_ms: Int64? = nil
    ) -> Prediction {
        var event = Prediction(model: model, version: version)
        event.prediction = prediction
        event.score = score
        event.features = features
        event.latency_seconds = latency_seconds
        event.error_type = error_type
        event.prediction_id = prediction_id
        event.context.tags = tags
        event.context.request_id = request_id
        event.context.time_ms = time_ms
        return event
    }

    borrowing func write(to event: inout EventFields) {
        event.required(",\"model_name\":", name: model)
        event.required(",\"model_version\":", name: version)
        event.optional(",\"model_variant\":", name: variant)
        event.optional(",\"prediction_id\":", name: prediction_id)
        if let task { event.required(",\"task\":", name: task.rawValue) }
        event.optional(",\"prediction\":", prediction)
        event.optional(",\"score\":", probability: score)
        event.scores(scores)
        event.optional(",\"threshold\":", threshold)
        event.features(features)
        event.optional(",\"features_schema\":", name: features_schema)
        event.optional(",\"latency_seconds\":", atLeastZero: latency_seconds)
        event.optional(",\"queue_seconds\":", atLeastZero: queue_seconds)
        event.optional(",\"preprocess_seconds\":", atLeastZero: preprocess_seconds)
        event.optional(",\"inference_seconds\":", atLeastZero: inference_seconds)
        event.optional(",\"postprocess_seconds\":", atLeastZero: postprocess_seconds)
        event.line.append(error_type == nil ? ",\"status\":\"ok\"" : ",\"status\":\"error\"")
        event.optional(",\"error_type\":", name: error_type)
        event.optional(",\"http_status_code\":", count: http_status_code, in: 100..<600)
        event.optional(",\"route\":", name: route)
        event.optional(",\"batch_size\":", count: batch_size)
        event.optional(",\"batch_index\":", count: batch_index)
        event.optional(",\"entity_id_hash\":", name: entity_id_hash)
        if let genai { genai.write(to: &event) }
        context.write(to: &event)
    }
}
