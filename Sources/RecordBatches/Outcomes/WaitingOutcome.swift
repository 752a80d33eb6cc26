/// An outcome or feedback that waits for its prediction, as a value: for few of them. Millions go into an ``OutcomeTable``
/// by their bytes.
package struct WaitingOutcome: Sendable {
    /// The model's name.
    package var model: String
    package var predictionID: String
    /// `outcome` or `feedback`.
    package var type: EventType
    /// `label` of an outcome is the truth that accuracy uses; all names are counted.
    package var name: String
    package var time_ms: Int64
    package var labelText: String?
    package var labelNumber: Double?
    package var value: Double?
    /// Of the value.
    package var currency: String?
    /// Of feedback.
    package var score: Double?

    package init(
        model: String, predictionID: String, type: EventType, name: String, time_ms: Int64, labelText: String?,
        labelNumber: Double?, value: Double? = nil, currency: String? = nil, score: Double? = nil
    ) {
        self.model = model
        self.predictionID = predictionID
        self.type = type
        self.name = name
        self.time_ms = time_ms
        self.labelText = labelText
        self.labelNumber = labelNumber
        self.value = value
        self.currency = currency
        self.score = score
    }
}

/// What an outcome says, yes or no or neither, by the words that people and services use.
enum Verdict {
    case yes, no, neither

    /// By the label's text.
    init(text: TextBytes, isFeedback: Bool) {
        if Positive.holds(text) {
            self = .yes
            return
        }
        let word = text.count <= 11 ? text.string.lowercased() : ""
        if isFeedback, Self.likes.contains(word) {
            self = .yes
        } else if Self.refusals.contains(word) {
            self = .no
        } else {
            self = .neither
        }
    }

    /// By the label's number.
    init(number: Double) { self = number >= 0.5 ? .yes : number == 0 ? .no : .neither }

    /// Without a label, by value and score.
    init(value: Double?, score: Double?, isThumbs: Bool) {
        if (value ?? 0) > 0 || (score ?? 0) > 0 {
            self = .yes
        } else if let score, score < 0 || isThumbs {
            self = .no
        } else {
            self = .neither
        }
    }

    private static let likes: Set<String> = ["up", "thumbs_up", "like", "good"]
    private static let refusals: Set<String> = ["false", "0", "no", "negative", "down", "thumbs_down", "dislike", "bad"]
}
