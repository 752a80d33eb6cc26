internal import CLibPQ

/// The rows of `COPY (…) TO STDOUT (FORMAT binary)`, one at a time: constant memory, and no text to parse.
///
/// Columns are taken in order, each by the type that the query gives it.
package struct CopyRow {
    private var next: UnsafePointer<UInt8>
    private let end: UnsafePointer<UInt8>
    private let statement: String

    fileprivate init(_ start: UnsafePointer<UInt8>, _ end: UnsafePointer<UInt8>, _ statement: String) {
        next = start
        self.end = end
        self.statement = statement
    }

    private mutating func bigEndian<Value: FixedWidthInteger>(_ type: Value.Type) -> Value {
        let size = MemoryLayout<Value>.size
        precondition(end - next >= size, "\(statement): a row ends early")
        let value = UnsafeRawPointer(next).loadUnaligned(as: Value.self)
        next += size
        return Value(bigEndian: value)
    }

    fileprivate mutating func fieldCount() -> Int { Int(bigEndian(Int16.self)) }

    /// The bytes of the next column, nil for NULL.
    private mutating func field() -> UnsafeBufferPointer<UInt8>? {
        let length = Int(bigEndian(Int32.self))
        if length < 0 { return nil }
        precondition(end - next >= length, "\(statement): a row ends early")
        defer { next += length }
        return UnsafeBufferPointer(start: next, count: length)
    }

    private mutating func fixed<Value: FixedWidthInteger>(_ type: Value.Type) -> Value? {
        guard let bytes = field() else { return nil }
        precondition(bytes.count == MemoryLayout<Value>.size, "\(statement): a column of \(bytes.count) bytes")
        return Value(bigEndian: UnsafeRawPointer(bytes.baseAddress ?? next).loadUnaligned(as: Value.self))
    }

    private func required<Value>(_ value: Value?) -> Value {
        guard let value else { preconditionFailure("\(statement): a column is NULL") }
        return value
    }

    /// The next column, an int; stops on NULL.
    package mutating func int() -> Int64 { Int64(required(fixed(Int32.self))) }

    /// The next column, a bigint; stops on NULL.
    package mutating func bigint() -> Int64 { required(fixed(Int64.self)) }

    /// The next column, a float8, nil for NULL.
    package mutating func optionalReal() -> Double? {
        fixed(Int64.self).map { Double(bitPattern: UInt64(bitPattern: $0)) }
    }

    /// The next column, a boolean; NULL is false.
    package mutating func boolean() -> Bool { field()?.first == 1 }

    /// The next column, a text, nil for NULL.
    package mutating func optionalText() -> String? { field().map { String(decoding: $0, as: UTF8.self) } }

    /// The next column, a text; stops on NULL.
    package mutating func text() -> String { required(optionalText()) }

    /// The bytes of the next column, a text, with eight readable ones behind them; valid until the next row, stops on NULL.
    package mutating func textBytes() -> UnsafeBufferPointer<UInt8> { required(field()) }

    /// The bytes of the next column, a text, with eight readable ones behind them; valid until the next row, nil for NULL.
    package mutating func optionalTextBytes() -> UnsafeBufferPointer<UInt8>? { field() }

    /// The next column, a timestamptz, as milliseconds since the epoch; nil for NULL.
    package mutating func optionalTime() -> Int64? {
        // Microseconds since 2000.
        fixed(Int64.self).map { $0 / 1000 - ($0 % 1000 < 0 ? 1 : 0) + 946_684_800_000 }
    }

    /// The next column, a timestamptz, as milliseconds since the epoch; stops on NULL.
    package mutating func time() -> Int64 { required(optionalTime()) }
}

extension Connection {
    /// Hands out the rows of a query in binary form, one by one, without holding them.
    ///
    /// The query takes no parameters: write numbers and times into it, never a name.
    /// - Parameter columns: how many columns it has.
    /// - Throws: ``DatabaseError``; rows that were handed out before do not count.
    package func copyOut(_ query: String, columns: Int, _ body: (inout CopyRow) -> Void) throws {
        let statement = "COPY (\(query)) TO STDOUT (FORMAT binary)"
        // A row's bytes, and what must be readable behind them.
        var padded = [UInt8](repeating: 0, count: 4096)
        try withCopyOut(statement) { bytes, isFirst in
            guard let source = bytes.baseAddress else { return }
            if padded.count < bytes.count + 8 { padded = [UInt8](repeating: 0, count: bytes.count * 2 + 8) }
            padded.withUnsafeMutableBufferPointer { buffer in
                guard let start = buffer.baseAddress else { return }
                start.update(from: source, count: bytes.count)
                row(UnsafePointer(start), bytes.count, isFirst)
            }
        }
        func row(_ start: UnsafePointer<UInt8>, _ size: Int, _ isFirst: Bool) {
            // A signature of 11 bytes, flags, and the length of nothing more.
            let header = isFirst ? 19 : 0
            guard size >= header + 2 else { return }
            var row = CopyRow(start + header, start + size, statement)
            let count = row.fieldCount()
            // -1 ends the rows.
            if count < 0 { return }
            precondition(count == columns, "\(statement): \(count) columns for \(columns)")
            body(&row)
        }
    }
}
