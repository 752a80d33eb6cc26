/// Writes numbers and texts one after the other: 8 bytes a number, a length before each text and list.
package struct ByteWriter {
    /// What was written so far.
    package private(set) var bytes: [UInt8] = []

    package init() {}

    package mutating func put(_ number: Int64) {
        withUnsafeBytes(of: number.littleEndian) { bytes.append(contentsOf: $0) }
    }

    package mutating func put(_ number: Int) { put(Int64(number)) }

    package mutating func put(_ number: Double) { put(Int64(bitPattern: number.bitPattern)) }

    package mutating func put(_ text: String) {
        put(text.utf8.count)
        bytes.append(contentsOf: text.utf8)
    }

    /// A list: its length, then its elements.
    package mutating func put<Elements: Collection>(
        _ elements: Elements, _ element: (inout ByteWriter, Elements.Element) -> Void
    ) {
        put(elements.count)
        for one in elements { element(&self, one) }
    }

    /// What may be absent: a list of none or one.
    package mutating func put<Value>(_ value: Value?, _ element: (inout ByteWriter, Value) -> Void) {
        put(value == nil ? 0 : 1)
        if let value { element(&self, value) }
    }
}

/// Reads what a ``ByteWriter`` wrote.
package struct ByteReader {
    /// The bytes are not what was written.
    package struct Damaged: Error, CustomStringConvertible {
        package init() {}
        package var description: String { "the temporary file of rows does not hold what was written into it" }
    }

    private let bytes: [UInt8]
    private var place = 0

    package init(_ bytes: [UInt8]) { self.bytes = bytes }

    package mutating func integer() throws(Damaged) -> Int64 {
        guard place + 8 <= bytes.count else { throw Damaged() }
        defer { place += 8 }
        return bytes.withUnsafeBytes {
            Int64(littleEndian: $0.loadUnaligned(fromByteOffset: place, as: Int64.self))
        }
    }

    package mutating func int() throws(Damaged) -> Int { Int(try integer()) }

    package mutating func number() throws(Damaged) -> Double { Double(bitPattern: UInt64(bitPattern: try integer())) }

    /// A list's length.
    package mutating func count() throws(Damaged) -> Int {
        let count = try int()
        guard count >= 0, count <= bytes.count else { throw Damaged() }
        return count
    }

    package mutating func text() throws(Damaged) -> String {
        let count = try count()
        guard place + count <= bytes.count else { throw Damaged() }
        defer { place += count }
        return String(decoding: bytes[place..<(place + count)], as: UTF8.self)
    }

    package mutating func optionalInteger() throws(Damaged) -> Int64? { try int() == 0 ? nil : try integer() }

    package mutating func optionalNumber() throws(Damaged) -> Double? { try int() == 0 ? nil : try number() }

    package mutating func optionalText() throws(Damaged) -> String? { try int() == 0 ? nil : try text() }
}
