/// Reads comma-separated values (RFC 4180) in constant memory: quoted fields with line breaks and doubled quotes, CRLF or
/// LF, a byte order mark, blank lines passed over.
///
/// Texts are UTF-8.
package struct CSVReader {
    /// One row's fields, valid during the call.
    package struct Row {
        fileprivate let bytes: [UInt8]
        fileprivate let ends: [Int]
        /// The line in which it begins, from 1.
        package let line: Int

        package var count: Int { ends.count }

        /// The bytes of a field, quotes removed.
        package func field(_ place: Int) -> ArraySlice<UInt8> {
            bytes[(place == 0 ? 0 : ends[place - 1])..<ends[place]]
        }

        package func text(_ place: Int) -> String { String(decoding: field(place), as: UTF8.self) }
    }

    private enum State { case begin, plain, quoted, quote, carriage }

    private let delimiter: UInt8
    private var state = State.begin
    private var bytes: [UInt8] = []
    private var ends: [Int] = []
    private var line = 1
    private var firstLine = 1
    private var isBlank = true
    private var mark = 0

    /// Longest row in bytes, eight for each field included.
    static let longestRow = 16 << 20
    private var isPlain = true

    package init(delimiter: UInt8 = UInt8(ascii: ",")) { self.delimiter = delimiter }

    /// Takes the next bytes, in pieces of any size.
    /// - Throws: ``LoadError`` with ``LoadError/Code/reference`` that names the line; what `body` throws.
    package mutating func append(_ piece: UnsafeRawBufferPointer, _ body: (Row) throws -> Void) throws {
        for byte in piece {
            if mark < 3 {
                // A byte order mark at the very beginning.
                let order: [UInt8] = [0xEF, 0xBB, 0xBF]
                if byte == order[mark] {
                    mark += 1
                    continue
                }
                for missed in order[..<mark] { try take(missed, body) }
                mark = 3
            }
            try take(byte, body)
        }
    }

    /// Says that the input has ended.
    /// - Throws: as ``append(_:_:)``.
    package mutating func finish(_ body: (Row) throws -> Void) throws {
        if state == .quoted {
            throw LoadError(
                .reference, "line \(firstLine): a quoted field has no end",
                remedy: "Close it, or double quotes within it")
        }
        if !isBlank || state != .begin || !ends.isEmpty { try endRow(body) }
    }

    @inline(__always)
    private mutating func take(_ byte: UInt8, _ body: (Row) throws -> Void) throws {
        if state == .carriage {
            state = .begin
            if byte == 0x0A { return }
        }
        if state == .quoted {
            if byte == 0x22 {
                state = .quote
            } else {
                if byte == 0x0A { line += 1 }
                try keep(byte)
            }
            return
        }
        switch byte {
        case delimiter:
            ends.append(bytes.count)
            isBlank = false
            state = .begin
            try requireRoom()
        case 0x0A, 0x0D:
            try endRow(body)
            line += 1
            firstLine = line
            state = byte == 0x0D ? .carriage : .begin
        case 0x22 where state == .begin:
            isBlank = false
            state = .quoted
        case 0x22 where state == .quote:
            try keep(byte)
            state = .quoted
        default:
            if state == .quote {
                throw LoadError(
                    .reference, "line \(line): something follows the end of a quoted field",
                    remedy: "Double the quotes within a quoted field")
            }
            isBlank = false
            state = .plain
            try keep(byte)
        }
    }

    private mutating func keep(_ byte: UInt8) throws {
        bytes.append(byte)
        if byte >= 0x80 { isPlain = false }
        try requireRoom()
    }

    @inline(__always)
    private func requireRoom() throws {
        if bytes.count + ends.count * MemoryLayout<Int>.size > Self.longestRow {
            throw LoadError(
                .reference, "line \(firstLine): the row is over \(Self.longestRow >> 20) MiB",
                remedy: "See whether a quote is left open")
        }
    }

    private mutating func endRow(_ body: (Row) throws -> Void) throws {
        defer {
            bytes.removeAll(keepingCapacity: true)
            ends.removeAll(keepingCapacity: true)
            isBlank = true
            isPlain = true
            state = .begin
        }
        if isBlank { return }
        ends.append(bytes.count)
        let row = Row(bytes: bytes, ends: ends, line: firstLine)
        if !isPlain { try requireUTF8(row) }
        try body(row)
    }

    /// Repaired texts would be categories that no event has.
    private func requireUTF8(_ row: Row) throws {
        for place in 0..<row.count where String(validating: row.field(place), as: UTF8.self) == nil {
            throw LoadError(
                .reference,
                "line \(row.line), field \(place + 1) is not UTF-8: \(row.text(place).prefix(40))",
                remedy: "Save the file as UTF-8, such as by iconv -f LATIN1 -t UTF-8")
        }
    }
}

/// A number as JSON writes it; nil for anything else, `007`, `+1`, `.5` and `NaN` among them.
package func jsonNumber(_ bytes: ArraySlice<UInt8>) -> Double? {
    var place = bytes.startIndex
    func digits() -> Int {
        let begin = place
        while place < bytes.endIndex, bytes[place] >= 48, bytes[place] <= 57 { place += 1 }
        return place - begin
    }
    if place < bytes.endIndex, bytes[place] == UInt8(ascii: "-") { place += 1 }
    let first = place
    let count = digits()
    guard count > 0, count == 1 || bytes[first] != 48 else { return nil }
    if place < bytes.endIndex, bytes[place] == UInt8(ascii: ".") {
        place += 1
        guard digits() > 0 else { return nil }
    }
    if place < bytes.endIndex, bytes[place] | 0x20 == UInt8(ascii: "e") {
        place += 1
        if place < bytes.endIndex, bytes[place] == UInt8(ascii: "+") || bytes[place] == UInt8(ascii: "-") { place += 1 }
        guard digits() > 0 else { return nil }
    }
    guard place == bytes.endIndex else { return nil }
    return Double(String(decoding: bytes, as: UTF8.self))
}
