internal import EventModel

/// A mapping made ready for many lines: stages a line's values, and its constants, as the fields of an event.
///
/// What a line does not hold as an event would (constants, chosen members, times in seconds) is written as words of
/// tape of its own, whose texts are addressed relative to the line's strings. It belongs to one parser.
final class CompiledMapping {
    /// A place in the line.
    private struct Path {
        let names: [TextBytes]

        func value(in root: TapeValue) -> TapeValue? {
            var value = root
            for name in names {
                guard let member = value.member(name) else { return nil }
                value = member
            }
            return value.isNull ? nil : value
        }
    }

    private indirect enum Step {
        case path(Path)
        case constant(Scalar)
        case members([(key: UnsafePointer<UInt8>, source: Step)])
        case status(Path, ok: [MappingValue])
    }

    /// A constant: its first word's kind and payload (a text's address), or its second word.
    private enum Scalar {
        case text(UnsafePointer<UInt8>)
        case double(Double)
        case int(Int64)
        case bool(Bool)
    }

    /// SHA-256 over the mapping's canonical form.
    let sha256: [UInt8]
    private let mapping: Mapping
    private var steps: [(field: Field, step: Step, isName: Bool, isTime: Bool, isSeconds: Bool)] = []
    private let words: UnsafeMutablePointer<UInt64>
    private var used = 0
    /// Texts made for the line at hand, 40 bytes each: a length, up to 32 bytes, slack.
    private let texts: UnsafeMutablePointer<UInt8>
    private var textsUsed = 0
    private var owned: [UnsafeMutablePointer<UInt8>] = []
    private var strings: UnsafePointer<UInt8>

    private static let textBytes = 64
    private static let latencies: Set<Field> = [
        .latencySeconds, .queueSeconds, .preprocessSeconds, .inferenceSeconds, .postprocessSeconds,
    ]

    init(_ mapping: Mapping) {
        self.mapping = mapping
        sha256 = mapping.sha256
        var capacity = 16
        for source in mapping.sources.values {
            if case .members(let members) = source { capacity += 2 + 3 * members.count }
            capacity += 4
        }
        words = .allocate(capacity: capacity)
        words.initialize(repeating: 0, count: capacity)
        texts = .allocate(capacity: (mapping.sources.count + 2) * Self.textBytes)
        texts.initialize(repeating: 0, count: (mapping.sources.count + 2) * Self.textBytes)
        strings = UnsafePointer(texts)
        // In the order of fields, so that equal mappings find the same fault first.
        for field in Field.allCases {
            guard let source = mapping.sources[field] else { continue }
            let kinds = Set(EventType.allCases.map { Field.kind(field, in: $0) }).subtracting([.unknown])
            steps.append(
                (
                    field, compile(source), kinds == [.name], kinds == [.time],
                    Self.latencies.contains(field)
                ))
        }
    }

    deinit {
        words.deallocate()
        texts.deallocate()
        for text in owned { text.deallocate() }
    }

    /// Sets the event's fields from a line.
    func stage(_ root: TapeValue, into decoder: EventDecoder) throws(Fault) {
        used = 0
        textsUsed = 0
        strings = root.strings
        decoder.set(Field.schema.rawValue, write(.int(1)))
        for (field, step, isName, isTime, isSeconds) in steps {
            guard var value = evaluate(step, root) else { continue }
            if isTime {
                value = try time(value, field)
            } else if isName, let number = value.number {
                value = write(text: Self.shortest(number))
            } else if isSeconds, mapping.latencyScale != 1, let number = value.number {
                value = write(.double(number * mapping.latencyScale))
            }
            decoder.set(field.rawValue, value)
        }
    }

    /// The shortest text of a number: an integer without a decimal point where it is one.
    static func shortest(_ number: Double) -> String {
        if number == number.rounded(), number.magnitude < 9_007_199_254_740_992 { return String(Int64(number)) }
        return number.description
    }

    // MARK: Compiling

    private func compile(_ source: Mapping.Source) -> Step {
        switch source {
        case .path(let path): .path(compile(path))
        case .constant(let value): .constant(scalar(value))
        case .status(let path, let ok): .status(compile(path), ok: ok)
        case .members(let members):
            .members(members.sorted { ExactText($0.key) < ExactText($1.key) }.map { (keep($0.key), compile($0.value)) })
        }
    }

    private func compile(_ path: FieldPath) -> Path {
        Path(names: path.names.map { TextBytes(start: keep($0) + 4, count: $0.utf8.count) })
    }

    private func scalar(_ value: MappingValue) -> Scalar {
        switch value {
        case .text(let text): .text(keep(text))
        case .integer(let number): .int(number)
        case .number(let number): .double(number)
        case .bool(let flag): .bool(flag)
        case .list, .map: .text(keep(""))
        }
    }

    /// A text's length and bytes, as the tape keeps them, for as long as the mapping lives.
    private func keep(_ text: String) -> UnsafePointer<UInt8> {
        let utf8 = Array(text.utf8)
        let copy = UnsafeMutablePointer<UInt8>.allocate(capacity: utf8.count + 12)
        copy.initialize(repeating: 0, count: utf8.count + 12)
        UnsafeMutableRawPointer(copy).storeBytes(of: UInt32(utf8.count), as: UInt32.self)
        (copy + 4).update(from: utf8, count: utf8.count)
        owned.append(copy)
        return UnsafePointer(copy)
    }

    // MARK: Staging

    private func evaluate(_ step: Step, _ root: TapeValue) -> TapeValue? {
        switch step {
        case .path(let path): return path.value(in: root)
        case .constant(let scalar): return write(scalar)
        case .status(let path, let ok):
            guard let value = path.value(in: root) else { return nil }
            return write(text: ok.contains { Self.equal(value, $0) } ? "ok" : "error")
        case .members(let members):
            let begin = used
            used += 1
            for (key, source) in members {
                let value: TapeValue
                switch source {
                case .path(let path):
                    guard let found = path.value(in: root) else { continue }
                    value = found
                    append(.text(key))
                    append(copyOf: value)
                case .constant(let scalar):
                    append(.text(key))
                    append(scalar)
                default: continue
                }
            }
            words[used] = UInt64(UInt8(ascii: "}")) << 56
            used += 1
            words[begin] = UInt64(TapeValue.Kind.object) << 56 | UInt64(used)
            return TapeValue(words: words, strings: strings, index: begin)
        }
    }

    private func append(_ scalar: Scalar) {
        switch scalar {
        case .text(let address):
            let offset = UInt64(bitPattern: Int64(UnsafePointer(address) - strings)) & 0xFF_FFFF_FFFF_FFFF
            words[used] = UInt64(TapeValue.Kind.string) << 56 | offset
        case .bool(let flag):
            words[used] = UInt64(flag ? TapeValue.Kind.yes : TapeValue.Kind.no) << 56
        case .double(let number):
            words[used] = UInt64(TapeValue.Kind.double) << 56
            words[used + 1] = number.bitPattern
            used += 1
        case .int(let number):
            words[used] = UInt64(TapeValue.Kind.int) << 56
            words[used + 1] = UInt64(bitPattern: number)
            used += 1
        }
        used += 1
    }

    /// Repeats a value of the line.
    ///
    /// An object or array becomes an empty array: a wrong type either way.
    private func append(copyOf value: TapeValue) {
        switch value.kind {
        case TapeValue.Kind.object, TapeValue.Kind.array:
            words[used] = UInt64(TapeValue.Kind.array) << 56 | UInt64(used + 2)
            words[used + 1] = UInt64(UInt8(ascii: "]")) << 56
            used += 2
        case TapeValue.Kind.int, TapeValue.Kind.uint, TapeValue.Kind.double:
            words[used] = value.words[value.index]
            words[used + 1] = value.words[value.index + 1]
            used += 2
        default:
            words[used] = value.words[value.index]
            used += 1
        }
    }

    private func write(_ scalar: Scalar) -> TapeValue {
        let begin = used
        append(scalar)
        return TapeValue(words: words, strings: strings, index: begin)
    }

    /// A text of at most 32 bytes that lives until the next line.
    private func write(text: String) -> TapeValue {
        let slot = texts + textsUsed * Self.textBytes
        textsUsed += 1
        let utf8 = Array(text.utf8.prefix(32))
        UnsafeMutableRawPointer(slot).storeBytes(of: UInt32(utf8.count), as: UInt32.self)
        (slot + 4).update(from: utf8, count: utf8.count)
        return write(.text(UnsafePointer(slot)))
    }

    private static func equal(_ value: TapeValue, _ constant: MappingValue) -> Bool {
        switch constant {
        case .text(let text): value.kind == TapeValue.Kind.string && ExactText.same(value.text.string, text)
        case .integer(let number): value.number == Double(number)
        case .number(let number): value.number == number
        case .bool(let flag): value.kind == (flag ? TapeValue.Kind.yes : TapeValue.Kind.no)
        case .list, .map: false
        }
    }

    // MARK: Times

    /// The time in the form that events have.
    private func time(_ value: TapeValue, _ field: Field) throws(Fault) -> TapeValue {
        let time_ms: Int64?
        if let number = value.number {
            time_ms = milliseconds(number)
        } else if value.kind == TapeValue.Kind.string {
            time_ms = milliseconds(value.text)
        } else {
            throw Fault(.wrong_type, .kind, field, kind: value.kind)
        }
        // Years 0000 to 9999, which is what the form can say.
        guard let time_ms, (-62_167_219_200_000...253_402_300_799_999).contains(time_ms) else {
            throw Fault(.invalid_time, .time, field)
        }
        return write(text: Timestamp.format(time_ms))
    }

    private func milliseconds(_ number: Double) -> Int64? {
        let scaled: Double
        switch mapping.timeUnit {
        case .seconds: scaled = number * 1000
        case .milliseconds: scaled = number
        case .rfc3339: return nil
        case nil: scaled = number.magnitude >= 1e11 ? number : number * 1000
        }
        return Int64(exactly: scaled.rounded())
    }

    private func milliseconds(_ text: TextBytes) -> Int64? {
        let bytes = UnsafeRawBufferPointer(start: text.start, count: text.count)
        switch mapping.timeUnit {
        case .seconds, .milliseconds:
            guard text.count <= 32, let number = Double(text.string), number.isFinite else { return nil }
            return milliseconds(number)
        case .rfc3339, nil:
            if let time = Timestamp.parse(bytes) { return time }
            guard mapping.timeIsUTC, (19...40).contains(text.count) else { return nil }
            // Python's logging writes a comma before the milliseconds.
            let naive = bytes.map { $0 == UInt8(ascii: ",") ? UInt8(ascii: ".") : $0 } + [UInt8(ascii: "Z")]
            return naive.withUnsafeBytes { Timestamp.parse($0) }
        }
    }
}
