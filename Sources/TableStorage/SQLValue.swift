/// A parameter of a statement.
///
/// Values travel beside the statement, never inside its text.
package enum SQLValue: Sendable, Equatable {
    case null
    case text(String)
    case integer(Int64)
    case real(Double)
    case boolean(Bool)
    case bytes([UInt8])
    /// Milliseconds since the epoch, as timestamptz.
    case time(Int64)
    case integers([Int64])
    case reals([Double])
    case texts([String])
    /// Milliseconds since the epoch, as timestamptz[].
    case times([Int64])

    /// An integer, or null for nil.
    package static func optional(_ value: Int64?) -> SQLValue { value.map { .integer($0) } ?? .null }
    /// A text, or null for nil.
    package static func optional(_ value: String?) -> SQLValue { value.map { .text($0) } ?? .null }
    /// A time in milliseconds since the epoch, or null for nil.
    package static func optionalTime(_ value: Int64?) -> SQLValue { value.map { .time($0) } ?? .null }

    /// The value in PostgreSQL's text format, without a terminating zero; nil is NULL.
    var wireText: [UInt8]? {
        switch self {
        case .null: return nil
        case .text(let value): return SQLText.withoutZeros(value)
        case .integer(let value): return Array(String(value).utf8)
        case .real(let value): return Array(SQLText.real(value).utf8)
        case .boolean(let value): return [value ? UInt8(ascii: "t") : UInt8(ascii: "f")]
        case .bytes(let value):
            var out = Array("\\x".utf8)
            SQLText.appendHex(value, to: &out)
            return out
        case .time(let value): return Array(SQLText.time(value).utf8)
        case .integers(let values): return SQLText.array(values) { Array(String($0).utf8) }
        case .reals(let values): return SQLText.array(values) { Array(SQLText.real($0).utf8) }
        case .texts(let values): return SQLText.array(values) { SQLText.quotedElement($0) }
        case .times(let values):
            return SQLText.array(values) { [UInt8(ascii: "\"")] + Array(SQLText.time($0).utf8) + [UInt8(ascii: "\"")] }
        }
    }
}

extension SQLValue: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral, ExpressibleByBooleanLiteral,
    ExpressibleByNilLiteral
{
    package init(stringLiteral value: String) { self = .text(value) }
    package init(integerLiteral value: Int64) { self = .integer(value) }
    package init(booleanLiteral value: Bool) { self = .boolean(value) }
    package init(nilLiteral: ()) { self = .null }
}
