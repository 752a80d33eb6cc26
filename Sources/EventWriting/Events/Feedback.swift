/// What somebody thought of a prediction.
public struct Feedback: Sendable {
    /// The prediction's id.
    public var prediction_id: String
    /// The model's name.
    public var model: String
    /// The criterion, for example `thumbs` or `relevance`.
    public var name: String
    /// How good.
    ///
    /// One of score, label and explanation must be given.
    public var score: Double?
    /// For example `up` or `down`.
    public var label: String?
    /// In the annotator's words, cut to 2048 bytes.
    public var explanation: String?
    /// `HUMAN`, `LLM` or `CODE`.
    public var annotator_kind: String?
    /// Salted hash of who it was.
    public var annotator_id_hash: String?
    /// When the prediction was made, in milliseconds since the epoch.
    ///
    /// Makes joining cheap.
    public var prediction_time_ms: Int64?
    /// The highest revision wins, then the latest time.
    public var revision: Int?
    /// Time, ids, tags.
    public var context = EventContext()

    /// Feedback with what it must have; one of score, label and explanation must be set too.
    public init(prediction_id: String, model: String, name: String) {
        self.prediction_id = prediction_id
        self.model = model
        self.name = name
    }

    /// The common case in one expression.
    public static func feedback(
        prediction_id: String, model: String, name: String, score: Double? = nil, label: String? = nil,
        explanation: String? = nil, prediction_time_ms: Int64? = nil, time_ms: Int64? = nil
    ) -> Feedback {
        var event = Feedback(prediction_id: prediction_id, model: model, name: name)
        event.score = score
        event.label = label
        event.explanation = explanation
        event.prediction_time_ms = prediction_time_ms
        event.context.time_ms = time_ms
        return event
    }

    private static let annotatorKinds = ["HUMAN", "LLM", "CODE"]

    borrowing func write(to event: inout EventFields) {
        let scored = score.map { $0.isFinite } ?? false
        if !scored && label == nil && explanation == nil { event.line.isInvalid = true }
        event.required(",\"prediction_id\":", name: prediction_id)
        event.required(",\"model_name\":", name: model)
        event.required(",\"name\":", name: name)
        event.optional(",\"score\":", score)
        event.optional(",\"label\":", name: label)
        event.optional(",\"explanation\":", explanation: explanation)
        event.optional(",\"annotator_kind\":", annotator_kind, oneOf: Self.annotatorKinds)
        event.optional(",\"annotator_id_hash\":", name: annotator_id_hash)
        event.optional(",\"prediction_time\":", time_ms: prediction_time_ms)
        event.optional(",\"revision\":", count: revision)
        context.write(to: &event)
    }
}
