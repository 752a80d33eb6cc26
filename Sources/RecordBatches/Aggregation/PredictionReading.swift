/// What kind of answer a prediction is.
enum PredictionTask {
    case binary, multiclass, regression
    /// `ranking`, `generation`, `embedding`: texts are no classes.
    case free
    /// `other`.
    case other

    /// The field `task`; where it is absent, a boolean is binary, a number regression, all else multiclass.
    @inline(__always)
    init(_ event: EventDecoder) {
        if let task = event.text(.task) {
            // The word has been checked; lengths and first letters tell them apart.
            switch (task.count, task.start[0]) {
            case (6, UInt8(ascii: "b")): self = .binary
            case (10, UInt8(ascii: "m")): self = .multiclass
            case (10, UInt8(ascii: "r")): self = .regression
            case (5, _): self = .other
            default: self = .free
            }
        } else if let prediction = event.value(.prediction) {
            switch prediction.kind {
            case TapeValue.Kind.yes, TapeValue.Kind.no: self = .binary
            case TapeValue.Kind.int, TapeValue.Kind.uint, TapeValue.Kind.double: self = .regression
            default: self = .multiclass
            }
        } else {
            self = .multiclass
        }
    }

    /// Whether numbers are classes.
    @inline(__always)
    var hasClasses: Bool { self == .binary || self == .multiclass }
}

/// The text of a number that is a class: `1` for 1 and 1.0, else the shortest text that reads back as the number.
package struct ClassText: ~Copyable {
    private let buffer = UnsafeMutablePointer<UInt8>.allocate(capacity: 48)

    init() { buffer.initialize(repeating: 0, count: 48) }

    deinit { buffer.deallocate() }

    /// The text, which lives until the next call.
    ///
    /// Integers of up to 2^53 do not allocate.
    func write(_ number: Double) -> TextBytes {
        if number == number.rounded(), number.magnitude < 9_007_199_254_740_992 {
            var rest = Int64(number).magnitude
            var place = 32
            repeat {
                place -= 1
                buffer[place] = UInt8(truncatingIfNeeded: 48 + rest % 10)
                rest /= 10
            } while rest > 0
            if number < 0 {
                place -= 1
                buffer[place] = UInt8(ascii: "-")
            }
            return TextBytes(start: UnsafePointer(buffer + place), count: 32 - place)
        }
        let text = Array(number.description.utf8.prefix(32))
        buffer.update(from: text, count: text.count)
        return TextBytes(start: UnsafePointer(buffer), count: text.count)
    }

    /// The same as a string.
    package static func string(_ number: Double) -> String { CompiledMapping.shortest(number) }
}
