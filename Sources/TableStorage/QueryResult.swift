internal import CLibPQ

/// The rows of one statement, in memory, in text format.
///
/// Columns are taken by position, from 0. Reading a column as a type it does not hold stops the program with the
/// column's name: statements and their readers are written together.
package struct QueryResult {
    private let owner: Owner
    /// How many rows came back.
    package let count: Int
    /// How many rows an INSERT, UPDATE, DELETE or COPY changed; 0 for others.
    package let changedRows: Int64

    init(_ handle: OpaquePointer) {
        owner = Owner(handle)
        count = Int(PQntuples(handle))
        changedRows = PQcmdTuples(handle).flatMap { Int64(String(cString: $0)) } ?? 0
    }

    /// The row at `index`, from 0.
    package subscript(_ index: Int) -> Row {
        precondition(index >= 0 && index < count, "row \(index) of \(count)")
        return Row(owner: owner, index: Int32(index))
    }

    /// All rows in order.
    package var rows: [Row] { (0..<count).map { self[$0] } }

    /// The first row, if there is one.
    package var first: Row? { count > 0 ? self[0] : nil }

    /// Names of the columns.
    package var columns: [String] {
        (0..<PQnfields(owner.handle)).map { String(cString: PQfname(owner.handle, $0)) }
    }

    final class Owner {
        let handle: OpaquePointer
        init(_ handle: OpaquePointer) { self.handle = handle }
        deinit { PQclear(handle) }
    }

    /// One row of a result.
    package struct Row {
        fileprivate let owner: Owner
        fileprivate let index: Int32

        /// The value's text, nil for NULL.
        package func optionalText(_ column: Int) -> String? {
            precondition(column >= 0 && column < Int(PQnfields(owner.handle)), "column \(column) is not in the result")
            if PQgetisnull(owner.handle, index, Int32(column)) != 0 { return nil }
            let length = Int(PQgetlength(owner.handle, index, Int32(column)))
            guard let start = PQgetvalue(owner.handle, index, Int32(column)) else { return nil }
            return String(decoding: UnsafeRawBufferPointer(start: start, count: length), as: UTF8.self)
        }

        /// The value's text; stops on NULL.
        package func text(_ column: Int) -> String { required(optionalText(column), column) }

        /// An integer, nil for NULL.
        package func optionalInteger(_ column: Int) -> Int64? {
            optionalText(column).map { required(Int64($0), column) }
        }

        /// An integer; stops on NULL.
        package func integer(_ column: Int) -> Int64 { required(optionalInteger(column), column) }

        /// A number, nil for NULL.
        package func optionalReal(_ column: Int) -> Double? {
            optionalText(column).map { required(Double($0), column) }
        }

        /// A number; stops on NULL.
        package func real(_ column: Int) -> Double { required(optionalReal(column), column) }

        /// A truth value; NULL is false.
        package func boolean(_ column: Int) -> Bool { optionalText(column) == "t" }

        /// A timestamptz or date as milliseconds since the epoch, nil for NULL and infinity.
        package func optionalTime(_ column: Int) -> Int64? { optionalText(column).flatMap(SQLText.milliseconds) }

        /// A timestamptz or date as milliseconds since the epoch; stops on NULL.
        package func time(_ column: Int) -> Int64 { required(optionalTime(column), column) }

        /// A bytea; empty for NULL.
        package func bytes(_ column: Int) -> [UInt8] {
            let text = Array((optionalText(column) ?? "").utf8)
            guard text.starts(with: "\\x".utf8) else { return [] }
            func nibble(_ digit: UInt8) -> UInt8 { digit < 58 ? digit - 48 : digit - 87 }
            return stride(from: 2, to: text.count - 1, by: 2).map { nibble(text[$0]) << 4 | nibble(text[$0 + 1]) }
        }

        /// An integer array without its NULL elements; empty for NULL.
        package func integers(_ column: Int) -> [Int64] {
            SQLText.elements(optionalText(column) ?? "{}").compactMap { $0.flatMap(Int64.init) }
        }

        /// A text array without its NULL elements; empty for NULL.
        package func texts(_ column: Int) -> [String] {
            SQLText.elements(optionalText(column) ?? "{}").compactMap { $0 }
        }

        /// An array of numbers.
        package func reals(_ column: Int) -> [Double] {
            texts(column).map { text in required(Double(text), column) }
        }

        private func required<Value>(_ value: Value?, _ column: Int) -> Value {
            guard let value else {
                let name = PQfname(owner.handle, Int32(column)).map { String(cString: $0) } ?? "?"
                preconditionFailure("column \(column) (\(name)) holds \(optionalText(column) ?? "NULL")")
            }
            return value
        }
    }
}
