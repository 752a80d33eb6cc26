/// Why a line is rejected, without the words for it: nothing is allocated until somebody asks for ``detail``.
///
/// It may point into the line's tape, so ``detail`` must be asked for before the next line.
struct Fault: Error {
    /// What ``Fault/detail`` says.
    enum What {
        case bytes, levels, notOneValue, notAnObject, empty, long, torn
        case schema, type, missing, missingOneOf, kind, time, tooOld, tooNew, integer
        case empty_name, long_name, nul, range, word, tooMany, writer
    }

    let reason: RejectReason
    let what: What
    var field: Field?
    /// The key within the field's object: a tag, a feature, a GPU's measure.
    var key: TextBytes?
    /// The JSON kind that was found.
    var kind: UInt8 = 0

    @inline(never)
    init(_ reason: RejectReason, _ what: What, _ field: Field? = nil, key: TextBytes? = nil, kind: UInt8 = 0) {
        self.reason = reason
        self.what = what
        self.field = field
        self.key = key
        self.kind = kind
    }

    /// The words, such as `latency_seconds is a string`.
    var detail: String {
        var name = field?.key ?? "the line"
        if let key { name += "." + key.string.prefix(64) }
        return switch what {
        case .bytes: "the line is not UTF-8"
        case .levels: "nested deeper than \(JSONParser.levels) levels"
        case .notOneValue: "the line is not exactly one JSON value"
        case .notAnObject: "the line is \(TapeValue.name(kind: kind))"
        case .empty: "the line is empty"
        case .long: "the line is over 1048576 bytes"
        case .torn: "the segment's last line has no newline"
        case .schema: "schema is not 1"
        case .type: "type is none of \(EventType.allCases.map(\.rawValue).joined(separator: ", "))"
        case .missing: "\(name) is missing"
        case .missingOneOf: "\(name) and what may stand for it are missing"
        case .kind: "\(name) is \(TapeValue.name(kind: kind))"
        case .time: "\(name) is not a time such as 2026-11-23T10:15:30.123Z"
        case .tooOld: "\(name) is over 400 days before the segment was sealed"
        case .tooNew: "\(name) is over 10 minutes after the segment was sealed"
        case .integer: "\(name) is not an integer"
        case .empty_name: "\(name) is empty"
        case .long_name: "\(name) is too long"
        case .nul: "\(name) holds the character NUL"
        case .range: "\(name) is out of range"
        case .word: "\(name) is none of the words it may be"
        case .tooMany: "\(name) has too many entries"
        case .writer: "the writer line's counts cannot be read"
        }
    }
}
