internal import RecordBatches

/// The values of one feature over all rows, eight bytes each: numbers as they are, texts by a dictionary.
struct ReferenceColumn: Sendable {
    let name: String
    /// A finite number's bits; or one of the codes below, which are bits of no finite number.
    private(set) var cells: [UInt64] = []
    /// Texts by their code, booleans as `true` and `false`; of a text too long for a category, what stands for it.
    private(set) var texts: [String] = []
    private var codes: [ExactText: UInt64] = [:]
    /// The row that set it last, so that the first of two values counts.
    var stamp = -1

    static let missing: UInt64 = 0x7FF8_0000_0000_0001
    static let other: UInt64 = 0x7FF8_0000_0000_0002
    private static let firstText: UInt64 = 0x7FF8_0000_0001_0000

    init(name: String) { self.name = name }

    /// What a cell holds.
    enum Cell: Equatable {
        case number(Double)
        /// Place in ``ReferenceColumn/texts``.
        case text(Int)
        case missing
        case other
    }

    func cell(_ row: Int) -> Cell {
        guard row < cells.count else { return .missing }
        let bits = cells[row]
        switch bits {
        case Self.missing: return .missing
        case Self.other: return .other
        default:
            if bits >= Self.firstText, bits < 0x7FF8_FFFF_FFFF_FFFF { return .text(Int(bits - Self.firstText)) }
            return .number(Double(bitPattern: bits))
        }
    }

    /// The value as it was set; booleans come back as texts.
    func value(_ row: Int) -> ReferenceValue {
        switch cell(row) {
        case .number(let number): .number(number)
        case .text(let place): .text(texts[place])
        case .missing: .missing
        case .other: .other
        }
    }

    /// Sets a row's value; rows between are missing.
    mutating func set(_ row: Int, _ value: ReferenceValue) {
        if row >= cells.count { cells.append(contentsOf: repeatElement(Self.missing, count: row + 1 - cells.count)) }
        cells[row] = bits(value)
    }

    private mutating func bits(_ value: ReferenceValue) -> UInt64 {
        switch value {
        // Minus zero is zero.
        case .number(let number): number.isFinite ? (number + 0).bitPattern : Self.other
        case .text(let text): code(text)
        case .bool(let flag): code(flag ? "true" : "false")
        case .missing: Self.missing
        case .other: Self.other
        }
    }

    private mutating func code(_ whole: String) -> UInt64 {
        let text = whole.utf8.count > ReferenceBuilder.longestCategory ? Self.token(whole) : whole
        if let code = codes[ExactText(text)] { return code }
        let code = Self.firstText + UInt64(texts.count)
        texts.append(text)
        codes[ExactText(text)] = code
        return code
    }

    /// What stands for a text that is too long for a category: 128 bits of it behind a NUL, which no category holds.
    ///
    /// Texts that differ are told apart, and none is kept.
    private static func token(_ text: String) -> String {
        var (first, second): (UInt64, UInt64) = (0xCBF2_9CE4_8422_2325, 0x9E37_79B9_7F4A_7C15)
        for byte in text.utf8 {
            first = (first ^ UInt64(byte)) &* 0x100_0000_01B3
            second = SplitMix.mixed(second ^ UInt64(byte))
        }
        return "\0" + String(first, radix: 36) + "." + String(second, radix: 36)
    }
}
