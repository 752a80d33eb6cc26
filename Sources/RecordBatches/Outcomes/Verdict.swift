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
