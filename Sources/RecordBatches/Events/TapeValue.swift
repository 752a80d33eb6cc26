/// A JSON value on simdjson's tape.
///
/// Valid until its parser's next line.
///
/// A word's upper 8 bits are the kind, the lower 56 its payload: of a string the offset of its 32-bit length among the
/// strings, of an object or array the index behind its end in the lower 32 bits. A number's bits are the next word.
struct TapeValue {
    let words: UnsafePointer<UInt64>
    let strings: UnsafePointer<UInt8>
    let index: Int

    /// The kinds of words that begin a value.
    enum Kind {
        static let object = UInt8(ascii: "{")
        static let array = UInt8(ascii: "[")
        static let string = UInt8(ascii: "\"")
        static let int = UInt8(ascii: "l")
        static let uint = UInt8(ascii: "u")
        static let double = UInt8(ascii: "d")
        static let yes = UInt8(ascii: "t")
        static let no = UInt8(ascii: "f")
        static let null = UInt8(ascii: "n")
    }

    @inline(__always)
    var kind: UInt8 { UInt8(truncatingIfNeeded: words[index] >> 56) }

    @inline(__always)
    var isNull: Bool { kind == Kind.null }

    /// The bytes of a string; the value must be one.
    @inline(__always)
    var text: TextBytes {
        // Signed, so that words made for foreign logs may point to texts outside the parser's own strings.
        let start = strings + ((Int(bitPattern: UInt(truncatingIfNeeded: words[index])) << 8) >> 8)
        let count = UnsafeRawPointer(start).loadUnaligned(as: UInt32.self)
        return TextBytes(start: start + 4, count: Int(count))
    }

    /// The number; nil where the value is none.
    ///
    /// Integers are rounded to the nearest double.
    @inline(__always)
    var number: Double? {
        switch kind {
        case Kind.double: Double(bitPattern: words[index + 1])
        case Kind.int: Double(Int64(bitPattern: words[index + 1]))
        case Kind.uint: Double(words[index + 1])
        default: nil
        }
    }

    /// The index of the value behind this one.
    @inline(__always)
    var next: Int {
        switch kind {
        case Kind.object, Kind.array: Int(UInt32(truncatingIfNeeded: words[index]))
        case Kind.int, Kind.uint, Kind.double: index + 2
        default: index + 1
        }
    }

    /// The index of an object's or array's closing word.
    @inline(__always)
    var end: Int { Int(UInt32(truncatingIfNeeded: words[index])) - 1 }

    @inline(__always)
    func at(_ index: Int) -> TapeValue { TapeValue(words: words, strings: strings, index: index) }

    /// The first member of that name; nil where this is no object or has none.
    func member(_ name: TextBytes) -> TapeValue? {
        guard kind == Kind.object else { return nil }
        let end = end
        var place = index + 1
        while place < end {
            let key = at(place).text
            let value = at(place + 1)
            if key.equals(name) { return value }
            place = value.next
        }
        return nil
    }

    /// Such as `a string`.
    var kindName: String { Self.name(kind: kind) }

    static func name(kind: UInt8) -> String {
        switch kind {
        case Kind.object: "an object"
        case Kind.array: "an array"
        case Kind.string: "a string"
        case Kind.yes, Kind.no: "a boolean"
        case Kind.null: "null"
        default: "a number"
        }
    }
}

/// Bytes of a text, with at least 8 readable bytes behind them.
///
/// Whoever passes one on to another thread sees to it that they live on: only those that live as long as the process
/// are shared.
struct TextBytes: @unchecked Sendable {
    let start: UnsafePointer<UInt8>
    let count: Int

    /// Eight readable bytes: what an empty text points to.
    static let empty: TextBytes = {
        let start = UnsafeMutablePointer<UInt8>.allocate(capacity: 16)
        start.initialize(repeating: 0, count: 16)
        return TextBytes(start: UnsafePointer(start), count: 0)
    }()

    @inline(__always)
    init(start: UnsafePointer<UInt8>, count: Int) {
        self.start = start
        self.count = count
    }

    /// A copy that is never freed: for tables that live as long as the process.
    init(immortal text: String) {
        let utf8 = Array(text.utf8)
        let start = UnsafeMutablePointer<UInt8>.allocate(capacity: utf8.count + 8)
        start.initialize(repeating: 0, count: utf8.count + 8)
        start.update(from: utf8, count: utf8.count)
        self.init(start: UnsafePointer(start), count: utf8.count)
    }

    @inline(__always)
    func word(_ offset: Int) -> UInt64 {
        UnsafeRawPointer(start + offset).loadUnaligned(as: UInt64.self)
    }

    /// The first bytes, up to eight, the rest zero.
    @inline(__always)
    var head: UInt64 {
        count >= 8 ? word(0) : word(0) & ((1 << UInt64(count &* 8)) &- 1)
    }

    @inline(__always)
    func equals(_ other: TextBytes) -> Bool {
        guard count == other.count else { return false }
        if count < 8 { return head == other.head }
        var offset = 0
        while offset < count &- 8 {
            if word(offset) != other.word(offset) { return false }
            offset = offset &+ 8
        }
        return word(count &- 8) == other.word(count &- 8)
    }

    /// A mixture of all bytes, 64 bits; the same in every process.
    @inline(__always)
    var hash: UInt64 {
        var hash: UInt64 = 0x9E37_79B9_7F4A_7C15 ^ UInt64(count)
        if count < 8 {
            hash = Self.mix(hash, head)
        } else {
            var offset = 0
            while offset < count &- 8 {
                hash = Self.mix(hash, word(offset))
                offset = offset &+ 8
            }
            hash = Self.mix(hash, word(count &- 8))
        }
        return hash ^ hash >> 29
    }

    @inline(__always)
    private static func mix(_ hash: UInt64, _ word: UInt64) -> UInt64 {
        let product = (hash ^ word).multipliedFullWidth(by: 0xD6E8_FEB8_6659_FD93)
        return product.high ^ product.low
    }

    /// Whether a byte is 0.
    @inline(__always)
    var holdsNUL: Bool {
        var offset = 0
        while offset &+ 8 <= count {
            if Self.holdsZero(word(offset)) { return true }
            offset = offset &+ 8
        }
        guard offset < count else { return false }
        let rest = word(offset) | (UInt64.max << UInt64((count &- offset) &* 8))
        return Self.holdsZero(rest)
    }

    @inline(__always)
    private static func holdsZero(_ word: UInt64) -> Bool {
        (word &- 0x0101_0101_0101_0101) & ~word & 0x8080_8080_8080_8080 != 0
    }

    var string: String { String(decoding: UnsafeBufferPointer(start: start, count: count), as: UTF8.self) }

    /// By bytes.
    func precedes(_ other: TextBytes) -> Bool {
        UnsafeBufferPointer(start: start, count: count)
            .lexicographicallyPrecedes(UnsafeBufferPointer(start: other.start, count: other.count))
    }
}
