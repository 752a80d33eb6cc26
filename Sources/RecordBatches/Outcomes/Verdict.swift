/// Whether an answer, a label or feedback says yes or no: the one rule, for predictions, labels and references alike.
///
/// Yes are the words true, yes and positive, no are false, no and negative, in any case; a number, also one written as text
/// (`1.0`, `-1`, `5e-1`), says yes from 0.5 on and else no. What neither is, a class's name for instance, says nothing.
package enum Verdict: Equatable, Sendable {
    case yes, no, neither

    init(number: Double) { self = number >= 0.5 ? .yes : .no }

    @inline(__always)
    init(_ value: TapeValue) {
        switch value.kind {
        case TapeValue.Kind.yes: self = .yes
        case TapeValue.Kind.no: self = .no
        case TapeValue.Kind.string: self.init(text: value.text)
        default: self = value.number.map { Verdict(number: $0) } ?? .neither
        }
    }

    init(text: TextBytes) {
        guard text.count > 0 else {
            self = .neither
            return
        }
        switch text.start[0] {
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "+"), UInt8(ascii: "-"), UInt8(ascii: "."):
            self = Self.number(text).map { Verdict(number: $0) } ?? .neither
        default: self = Self.word(text)
        }
    }

    /// The same for a text in a string.
    package init(text: String) { self = OutcomeTable.withBytes(text) { Verdict(text: $0) } }

    /// Of feedback also the words of thumbs and likes.
    init(feedback text: TextBytes) {
        self.init(text: text)
        guard self == .neither, text.count <= 11 else { return }
        let word = text.string.lowercased()
        if Self.likes.contains(word) {
            self = .yes
        } else if Self.dislikes.contains(word) {
            self = .no
        }
    }

    /// Without a label, by value and score.
    ///
    /// Thumbs are up or down: what is not above 0 is down.
    init(value: Double?, score: Double?, isThumbs: Bool) {
        if (value ?? 0) > 0 || (score ?? 0) > 0 {
            self = .yes
        } else if (score ?? 0) < 0 || isThumbs && (value != nil || score != nil) {
            self = .no
        } else {
            self = .neither
        }
    }

    private static let likes: Set<String> = ["up", "thumbs_up", "like", "good"]
    private static let dislikes: Set<String> = ["down", "thumbs_down", "dislike", "bad"]

    private static func word(_ text: TextBytes) -> Verdict {
        switch text.count {
        case 2: matches(text, "no") ? .no : .neither
        case 3: matches(text, "yes") ? .yes : .neither
        case 4: matches(text, "true") ? .yes : .neither
        case 5: matches(text, "false") ? .no : .neither
        case 8: matches(text, "positive") ? .yes : matches(text, "negative") ? .no : .neither
        default: .neither
        }
    }

    private static func matches(_ text: TextBytes, _ word: StaticString) -> Bool {
        for place in 0..<text.count where text.start[place] | 0x20 != word.utf8Start[place] { return false }
        return true
    }

    /// The number that a text of fewer than 40 bytes writes in decimals, with an exponent of two digits at most.
    private static func number(_ text: TextBytes) -> Double? {
        func isDigit(_ place: Int) -> Bool { place < text.count && text.start[place] &- 48 < 10 }
        if text.count == 1 { return isDigit(0) ? Double(text.start[0] - 48) : nil }
        guard text.count < 40 else { return nil }
        var place = 0
        func isOne(of first: StaticString) -> Bool {
            place < text.count && first.withUTF8Buffer { $0.contains(text.start[place]) }
        }
        func skipDigits() -> Int {
            let begin = place
            while isDigit(place) { place += 1 }
            return place - begin
        }
        if isOne(of: "+-") { place += 1 }
        var digits = skipDigits()
        if isOne(of: ".") {
            place += 1
            digits += skipDigits()
        }
        guard digits > 0 else { return nil }
        if isOne(of: "eE") {
            place += 1
            if isOne(of: "+-") { place += 1 }
            guard (1...2).contains(skipDigits()) else { return nil }
        }
        return place == text.count ? Double(text.string) : nil
    }
}
