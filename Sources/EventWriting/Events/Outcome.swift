/// What turned out to be true of a prediction, seconds or months later.
public struct Outcome: Sendable {
    /// The prediction's id (``Prediction/prediction_id``, or the id that `append` returned).
    public var prediction_id: String
    /// The model's name.
    public var model: String
    /// Which outcome; nil means `label`.
    public var name: String?
    /// The true class or number.
    ///
    /// It or ``value`` must be given.
    public var label: FieldValue?
    /// What it was worth, for example revenue.
    public var value: Double?
    /// ISO 4217 code of the value's currency.
    public var value_currency: String?
    /// When the prediction was made, in milliseconds since the epoch.
    ///
    /// Makes joining cheap.
    public var prediction_time_ms: Int64?
    /// When the truth became true, in milliseconds since the epoch.
    public var label_time_ms: Int64?
    /// `human`, `system`, `user` or `delayed_join`.
    public var label_source: String?
    /// Weight in averages.
    public var weight: Double?
    /// The highest revision wins, then the latest time.
    public var revision: Int?
    /// Time, ids, tags.
    public var context = EventContext()

    /// An outcome with what it must have.
    public init(prediction_id: String, model: String, label: FieldValue? = nil, value: Double? = nil) {
        self.prediction_id = prediction_id
        self.model = model
        self.label = label
        self.value = value
    }

    /// The common case in one expression.
    public static func outcome(
        prediction_id: String, model: String, label: FieldValue? = nil, value: Double? = nil,
        value_currency: String? = nil, name: String? = nil, prediction_time_ms: Int64? = nil, time_ms: Int64? = nil
    ) -> Outcome {
        var event = Outcome(prediction_id: prediction_id, model: model, label: label, value: value)
        event.value_currency = value_currency
        event.name = name
        event.prediction_time_ms = prediction_time_ms
        event.context.time_ms = time_ms
        return event
    }

    private static let labelSources = ["human", "system", "user", "delayed_join"]

    borrowing func write(to event: inout EventFields) {
        if !hasContent || !hasGoodCurrency || !hasGoodLabel { event.line.isInvalid = true }
        event.required(",\"prediction_id\":", name: prediction_id)
        event.required(",\"model_name\":", name: model)
        event.optional(",\"name\":", name: name)
        event.optional(",\"label\":", labelScalar)
        event.optional(",\"value\":", value)
        event.optional(",\"value_currency\":", name: value_currency)
        event.optional(",\"prediction_time\":", time_ms: prediction_time_ms)
        event.optional(",\"label_time\":", time_ms: label_time_ms)
        event.optional(",\"label_source\":", label_source, oneOf: Self.labelSources)
        event.optional(",\"weight\":", weight)
        event.optional(",\"revision\":", count: revision)
        context.write(to: &event)
    }

    /// Whether the currency, where there is one, is three capitals.
    private var hasGoodCurrency: Bool {
        guard let value_currency else { return true }
        return value_currency.utf8.count == 3 && value_currency.utf8.allSatisfy { (0x41...0x5A).contains($0) }
    }

    /// The label; of a list of one scalar, that scalar.
    private var labelScalar: FieldValue? {
        if case .list(let values) = label { return FieldValue.onlyScalar(of: values) }
        return label
    }

    /// Whether the label, where there is one, is a scalar.
    private var hasGoodLabel: Bool {
        if case .list(let values) = label { return FieldValue.onlyScalar(of: values) != nil }
        return true
    }

    /// Whether there is a label or a value that will not become `null`.
    private var hasContent: Bool {
        if let value, value.isFinite { return true }
        switch labelScalar {
        case nil, .missing, .list: return false
        case .number(let number): return number.isFinite
        case .text, .integer, .flag: return true
        }
    }
}
