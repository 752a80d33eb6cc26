/// Counts the lines of bytes that come in pieces: newlines, plus one for a last line without one.
package struct LineCount: Equatable, Sendable {
    private var newlines = 0
    private var endsTorn = false

    package init() {}

    /// Lines so far.
    package var total: Int { newlines + (endsTorn ? 1 : 0) }

    /// Whether the bytes so far end within a line.
    package var isTorn: Bool { endsTorn }

    /// Adds the next piece.
    package mutating func update(_ bytes: UnsafeRawBufferPointer) {
        guard let last = bytes.last else { return }
        var count = 0
        for byte in bytes where byte == UInt8(ascii: "\n") { count += 1 }
        newlines += count
        endsTorn = last != UInt8(ascii: "\n")
    }
}
