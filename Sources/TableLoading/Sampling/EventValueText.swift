package import RecordBatches

extension EventValue {
    /// The value as people write it: texts as they are, up to 40 characters.
    package var plainText: String {
        switch self {
        case .number(let number): ClassText.string(number)
        case .text(let text): String(text.prefix(40))
        case .bool(let flag): flag ? "true" : "false"
        case .null: "null"
        case .nested: "(nested)"
        }
    }
}
