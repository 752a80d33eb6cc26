internal import CSimdJSON
internal import EventModel

/// Parses lines of JSON by simdjson.
///
/// One thread at a time; parsing does not allocate.
final class JSONParser {
    /// How many bytes behind a line must be readable.
    static let padding = Int(NADI_JSON_PADDING)
    /// How deep objects and arrays may nest, the line's own object being the first level.
    static let levels = 64

    private let parser: OpaquePointer

    /// A parser for lines of up to 1 MiB; some 15 MB of address space, of which long lines touch much and short ones little.
    init(lineBytes: Int = EventLimits.lineBytes) {
        guard let parser = nadi_json_parser_create(lineBytes, Self.levels) else {
            fatalError("no memory for a JSON parser")
        }
        self.parser = parser
    }

    deinit {
        nadi_json_parser_destroy(parser)
    }

    /// The first place before `end` where an escape stands, or the `id"` that ends a string; ``padding`` bytes behind `end` must
    /// be readable. A small part of what parsing costs.
    @inline(__always)
    static func nextID(_ start: UnsafePointer<UInt8>, _ end: UnsafePointer<UInt8>) -> UnsafePointer<UInt8>? {
        nadi_json_next_id(start, end)
    }

    /// Parses one line.
    ///
    /// - Parameters:
    ///   - line: its first byte; ``padding`` bytes behind the last one must be readable.
    ///   - count: its length in bytes.
    /// - Returns: the line's value, which lives until the next line is parsed.
    @inline(__always)
    func parse(_ line: UnsafePointer<UInt8>, count: Int) throws(Fault) -> TapeValue {
        var tape = nadi_json_tape()
        let status = nadi_json_parse(parser, line, count, &tape)
        guard status == 0, let words = tape.words, let strings = tape.strings else {
            switch UInt32(status) {
            case NADI_JSON_INVALID_UTF8.rawValue: throw Fault(.invalid_utf8, .bytes)
            case NADI_JSON_TOO_DEEP.rawValue: throw Fault(.too_deep, .levels)
            default: throw Fault(.invalid_json, .notOneValue)
            }
        }
        return TapeValue(words: words, strings: strings, index: 1)
    }
}
