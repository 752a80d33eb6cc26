/// Rows for `COPY … FROM STDIN` in text format, sent in pieces of 256 KiB.
///
/// Append one value per column, then ``endRow()``; ``finish()`` checks that the server took as many rows.
package struct CopyWriter {
    private let connection: Connection
    private let statement: String
    private let columns: Int
    private var buffer: [UInt8] = []
    private var column = 0
    /// Rows appended so far.
    package private(set) var rows: Int64 = 0

    init(connection: Connection, statement: String, columns: Int) {
        self.connection = connection
        self.statement = statement
        self.columns = columns
        buffer.reserveCapacity(Self.pieceSize + 4096)
    }

    private static let pieceSize = 256 << 10

    /// Appends NULL.
    package mutating func appendNull() {
        separate()
        buffer.append(UInt8(ascii: "\\"))
        buffer.append(UInt8(ascii: "N"))
    }

    /// Appends an integer.
    package mutating func append(_ value: Int64) {
        separate()
        appendDigits(value)
    }

    /// Appends an integer.
    package mutating func append(_ value: Int) { append(Int64(value)) }

    /// Appends an integer, or NULL.
    package mutating func append(_ value: Int64?) { if let value { append(value) } else { appendNull() } }

    /// Appends a number.
    package mutating func append(_ value: Double) {
        separate()
        buffer.append(contentsOf: SQLText.real(value).utf8)
    }

    /// Appends a number, or NULL.
    package mutating func append(_ value: Double?) { if let value { append(value) } else { appendNull() } }

    /// Appends a truth value.
    package mutating func append(_ value: Bool) {
        separate()
        buffer.append(value ? UInt8(ascii: "t") : UInt8(ascii: "f"))
    }

    /// Appends a text, escaped; U+0000 becomes U+FFFD.
    package mutating func append(_ value: String) {
        separate()
        for byte in SQLText.withoutZeros(value) { appendEscaped(byte) }
    }

    /// Appends a text, or NULL.
    package mutating func append(_ value: String?) { if let value { append(value) } else { appendNull() } }

    /// Appends a bytea.
    package mutating func append(bytes value: [UInt8]) {
        separate()
        buffer.append(contentsOf: "\\\\x".utf8)
        SQLText.appendHex(value, to: &buffer)
    }

    /// Appends a timestamptz, in milliseconds since the epoch.
    package mutating func append(time milliseconds: Int64) {
        separate()
        buffer.append(contentsOf: SQLText.time(milliseconds).utf8)
    }

    /// Appends a timestamptz in milliseconds since the epoch, or NULL.
    package mutating func append(time milliseconds: Int64?) {
        if let milliseconds { append(time: milliseconds) } else { appendNull() }
    }

    /// Appends an array of integers.
    package mutating func append(_ values: [Int64]) { appendArray(values) }

    /// Appends an array of integers.
    package mutating func append(_ values: [Int32]) { appendArray(values) }

    /// Appends an array of integers of another size.
    package mutating func append<Value: FixedWidthInteger>(_ values: [Value]) { appendArray(values) }

    /// Appends an array of numbers.
    package mutating func append(_ values: [Double]) {
        separate()
        buffer.append(UInt8(ascii: "{"))
        for (place, value) in values.enumerated() {
            if place > 0 { buffer.append(UInt8(ascii: ",")) }
            buffer.append(contentsOf: SQLText.real(value).utf8)
        }
        buffer.append(UInt8(ascii: "}"))
    }

    @inline(__always)
    private mutating func appendArray<Value: FixedWidthInteger>(_ values: [Value]) {
        separate()
        buffer.append(UInt8(ascii: "{"))
        for (place, value) in values.enumerated() {
            if place > 0 { buffer.append(UInt8(ascii: ",")) }
            appendDigits(Int64(value))
        }
        buffer.append(UInt8(ascii: "}"))
    }

    /// Ends the row; sends when a piece is full.
    /// - Throws: ``DatabaseError``.
    package mutating func endRow() throws {
        precondition(column == columns, "\(statement): a row of \(column) values for \(columns) columns")
        buffer.append(UInt8(ascii: "\n"))
        column = 0
        rows += 1
        if buffer.count >= Self.pieceSize { try flush() }
    }

    /// Ends the COPY and checks the number of rows.
    /// - Throws: ``DatabaseError``.
    package mutating func finish() throws {
        try flush()
        let taken = try connection.endCopy(abort: nil, statement)
        guard taken == rows else {
            throw DatabaseError(
                sqlState: "XX001", message: "the server took \(taken) rows of \(rows)", operation: statement)
        }
    }

    /// Gives the COPY up, so that the connection can be used again.
    package mutating func cancel() {
        buffer.removeAll()
        _ = try? connection.endCopy(abort: "given up by the client", statement)
    }

    private mutating func flush() throws {
        if buffer.isEmpty { return }
        try buffer.withUnsafeBytes { try connection.putCopyData($0, statement) }
        buffer.removeAll(keepingCapacity: true)
    }

    private mutating func separate() {
        if column > 0 { buffer.append(UInt8(ascii: "\t")) }
        column += 1
    }

    private mutating func appendEscaped(_ byte: UInt8) {
        switch byte {
        case UInt8(ascii: "\\"): buffer.append(contentsOf: "\\\\".utf8)
        case UInt8(ascii: "\t"): buffer.append(contentsOf: "\\t".utf8)
        case UInt8(ascii: "\n"): buffer.append(contentsOf: "\\n".utf8)
        case UInt8(ascii: "\r"): buffer.append(contentsOf: "\\r".utf8)
        default: buffer.append(byte)
        }
    }

    private mutating func appendDigits(_ value: Int64) {
        if value >= 0 && value < 10 {
            buffer.append(UInt8(ascii: "0") + UInt8(truncatingIfNeeded: value))
            return
        }
        if value < 0 { buffer.append(UInt8(ascii: "-")) }
        let first = buffer.count
        var rest = value.magnitude
        repeat {
            buffer.append(UInt8(ascii: "0") + UInt8(truncatingIfNeeded: rest % 10))
            rest /= 10
        } while rest > 0
        buffer[first...].reverse()
    }
}
