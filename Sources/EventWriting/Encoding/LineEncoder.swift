import EventModel

/// Builds one JSON line in memory that it keeps from line to line: grown rarely, never shrunk.
///
/// It never fails half-way: a line that grows over the limit, or breaks a rule, is only marked, and the caller drops it.
struct LineEncoder: ~Copyable {
    private var base: UnsafeMutableRawPointer
    private var capacity: Int
    /// Bytes of the line so far.
    private(set) var count = 0
    /// The line is longer than 1 MiB; nothing more is written to it.
    private(set) var isTooLarge = false
    /// The line lacks what its type requires, or breaks a limit of the schema.
    var isInvalid = false
    /// Numbers of this line that were not finite and became `null`.
    private(set) var nonFinite = 0

    init(capacity: Int = 4096) {
        base = .allocate(byteCount: capacity, alignment: 16)
        self.capacity = capacity
    }

    deinit { base.deallocate() }

    /// Starts the next line.
    mutating func reset() {
        count = 0
        isTooLarge = false
        isInvalid = false
        nonFinite = 0
    }

    /// The line's bytes, good until the next change.
    var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: base, count: count) }

    /// Makes room for `more` bytes; false where the line would pass the limit.
    @inline(__always)
    private mutating func reserve(_ more: Int) -> Bool {
        if _fastPath(count + more <= capacity) { return true }
        return grow(more)
    }

    @inline(never)
    private mutating func grow(_ more: Int) -> Bool {
        // Room is reserved for the worst case of escaping, so a little more than a line's limit may be asked for.
        let limit = 8 * EventLimits.lineBytes
        guard !isTooLarge, more <= limit, count <= EventLimits.lineBytes else {
            isTooLarge = true
            return false
        }
        let wanted = max(capacity * 2, count + more)
        let fresh = UnsafeMutableRawPointer.allocate(byteCount: wanted, alignment: 16)
        fresh.copyMemory(from: base, byteCount: count)
        base.deallocate()
        base = fresh
        capacity = wanted
        return true
    }

    /// Ends the line.
    ///
    /// False where it must be dropped as too large.
    mutating func end() -> Bool {
        append("}")
        guard !isTooLarge, count <= EventLimits.lineBytes else { return false }
        append("\n")
        return !isTooLarge
    }

    /// Appends a constant as it is.
    @inline(__always)
    mutating func append(_ text: StaticString) {
        let length = text.utf8CodeUnitCount
        guard reserve(length) else { return }
        base.copy(text, at: count)
        count += length
    }

    /// Puts a space for a comma at a place of the line, where there is one.
    mutating func blankComma(at place: Int) {
        guard place < count, bytes[place] == UInt8(ascii: ",") else { return }
        base.storeBytes(of: UInt8(ascii: " "), toByteOffset: place, as: UInt8.self)
    }

    /// Appends bytes as they are.
    @inline(__always)
    mutating func append(_ bytes: UnsafeRawBufferPointer) {
        guard let start = bytes.baseAddress, reserve(bytes.count) else { return }
        (base + count).copyMemory(from: start, byteCount: bytes.count)
        count += bytes.count
    }

    mutating func append(_ value: Int) {
        guard reserve(IntegerText.maximumBytes) else { return }
        count += IntegerText.write(value, to: base + count)
    }

    /// Appends a number; `null`, counted, where it is not finite.
    mutating func append(_ value: Double) {
        guard value.isFinite else {
            nonFinite += 1
            append("null")
            return
        }
        guard reserve(DoubleText.maximumBytes) else { return }
        count += DoubleText.write(value, to: base + count)
    }

    /// Appends a probability: rounding errors of up to 1e-6 beside 0 to 1 are forgiven, any other number beside marks
    /// the line invalid.
    mutating func append(probability value: Double) {
        if _fastPath(value >= 0 && value <= 1) || !value.isFinite { return append(value) }
        let slack = EventLimits.probabilitySlack
        if !(-slack...1 + slack).contains(value) { isInvalid = true }
        append(value < 0 ? 0.0 : 1.0)
    }

    /// Appends a finite number as a quoted text, the shortest: `"3"`, `"0.5"`, `"1e-7"`.
    mutating func append(quotedNumber value: Double) {
        append("\"")
        if value == 0 {
            append("0")
        } else {
            append(value)
            let tail = bytes.suffix(2)
            if !isTooLarge, tail.first == UInt8(ascii: "."), tail.last == UInt8(ascii: "0") { count -= 2 }
        }
        append("\"")
    }

    mutating func append(_ value: Bool) {
        append(value ? "true" : "false")
    }

    mutating func append(_ id: UUIDv7) {
        guard reserve(36) else { return }
        id.write(to: base + count)
        count += 36
    }

    /// Appends a time; one that four digits of the year cannot say marks the line invalid.
    mutating func append(time_ms: Int64) {
        if !Timestamp.range.contains(time_ms) { isInvalid = true }
        guard reserve(Timestamp.textBytes) else { return }
        Timestamp.write(time_ms, to: base + count)
        count += Timestamp.textBytes
    }

    /// Appends a quoted string.
    ///
    /// `"`, `\` and control characters are escaped; NUL, which no database text can hold, becomes U+FFFD.
    mutating func append(quoted text: String) {
        let done: Void? = text.utf8.withContiguousStorageIfAvailable { appendQuoted(UnsafeRawBufferPointer($0)) }
        if done == nil {
            // Only strings bridged from other runtimes are not contiguous; there are none on Linux.
            var copy = text
            copy.withUTF8 { appendQuoted(UnsafeRawBufferPointer($0)) }
        }
    }

    /// Appends a name or an id: a quoted string of 1 to 256 bytes.
    ///
    /// Any other marks the line invalid.
    @inline(__always)
    mutating func append(name: String) {
        let length = name.utf8.count
        if length == 0 || length > EventLimits.nameBytes / 3 { checkLength(name) }
        append(quoted: name)
    }

    /// A NUL becomes three bytes, so only short names need no counting.
    @inline(never)
    private mutating func checkLength(_ name: String) {
        let length = name.utf8.reduce(0) { $0 + ($1 == 0 ? 3 : 1) }
        if !(1...EventLimits.nameBytes).contains(length) { isInvalid = true }
    }

    /// Appends a name after an opening quote that stands already.
    mutating func appendAfterQuote(name: String) {
        count -= 1
        append(name: name)
    }

    private mutating func appendQuoted(_ source: UnsafeRawBufferPointer) {
        guard reserve(source.count * 6 + 2) else { return }
        var target = base + count
        target.storeBytes(of: 0x22, as: UInt8.self)
        target += 1
        var place = 0
        let length = source.count
        while place < length {
            while place + 8 <= length {
                let word = source.loadUnaligned(fromByteOffset: place, as: UInt64.self)
                guard !Self.needsEscape(word) else { break }
                target.storeBytes(of: word, as: UInt64.self)
                target += 8
                place += 8
            }
            // The last bytes, or the eight around one that must be escaped.
            let stop = min(place + 8, length)
            while place < stop {
                let byte = source[place]
                place += 1
                if _fastPath(byte >= 0x20 && byte != 0x22 && byte != 0x5C) {
                    target.storeBytes(of: byte, as: UInt8.self)
                    target += 1
                } else {
                    target += Self.escape(byte, to: target)
                }
            }
        }
        target.storeBytes(of: 0x22, as: UInt8.self)
        count = target - base + 1
    }

    /// Whether any of eight bytes is a control character, a quote or a backslash. (Some words with bytes from 0x80 on
    /// may be named too; they only take the slower way.)
    @inline(__always)
    private static func needsEscape(_ word: UInt64) -> Bool {
        let ones: UInt64 = 0x0101_0101_0101_0101
        let tops: UInt64 = 0x8080_8080_8080_8080
        let control = (word &- ones &* 0x20) & ~word
        let quotes = word ^ (ones &* 0x22)
        let slashes = word ^ (ones &* 0x5C)
        return (control | ((quotes &- ones) & ~quotes) | ((slashes &- ones) & ~slashes)) & tops != 0
    }

    @inline(never)
    private static func escape(_ byte: UInt8, to target: UnsafeMutableRawPointer) -> Int {
        switch byte {
        case 0x22: target.copy("\\\"", at: 0)
        case 0x5C: target.copy("\\\\", at: 0)
        case 0x0A: target.copy("\\n", at: 0)
        case 0x0D: target.copy("\\r", at: 0)
        case 0x09: target.copy("\\t", at: 0)
        case 0x00:
            target.copy("\u{FFFD}", at: 0)
            return 3
        default:
            target.copy("\\u00", at: 0)
            target.storeBytes(of: byte < 0x10 ? 0x30 : 0x31, toByteOffset: 4, as: UInt8.self)
            let low = byte & 0xF
            target.storeBytes(of: low < 10 ? 0x30 + low : 0x57 + low, toByteOffset: 5, as: UInt8.self)
            return 6
        }
        return 2
    }
}
