internal import Glibc

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
        newlines += Self.newlines(bytes)
        endsTorn = last != UInt8(ascii: "\n")
    }

    /// How many bytes are newlines: from one to the next, which the C library does faster than memory is read, and where
    /// lines are short by rows.
    private static func newlines(_ piece: UnsafeRawBufferPointer) -> Int {
        guard var start = piece.baseAddress else { return 0 }
        let end = start + piece.count
        var found = 0
        while start < end, let newline = memchr(start, 0x0A, end - start) {
            found += 1
            let next = UnsafeRawPointer(newline) + 1
            let isShort = next - start < 32
            start = next
            if isShort {
                let rows = UnsafeRawBufferPointer(start: start, count: min(4096, end - start))
                found += newlinesByRows(rows)
                start += rows.count
            }
        }
        return found
    }

    /// How many bytes are newlines, 32 at a time: byte by byte it cost more than parsing the JSON.
    private static func newlinesByRows(_ piece: UnsafeRawBufferPointer) -> Int {
        guard let base = piece.baseAddress else { return 0 }
        typealias Row = SIMD4<UInt64>
        let newline = Row(repeating: 0x0A0A_0A0A_0A0A_0A0A)
        let low = Row(repeating: 0x7F7F_7F7F_7F7F_7F7F)
        let even = Row(repeating: 0x00FF_00FF_00FF_00FF)
        let one = Row(repeating: 0x0101_0101_0101_0101)
        var found = 0
        var place = 0
        while place &+ 32 <= piece.count {
            // Each byte of `counts` counts its column, up to 255 rows.
            var counts = Row()
            let end = min(piece.count &- 31, place &+ 255 &* 32)
            while place < end {
                let other = base.loadUnaligned(fromByteOffset: place, as: Row.self) ^ newline
                // The upper bit of each byte that is zero, exactly.
                let zero = ~(((other & low) &+ low) | other | low)
                counts &+= (zero &>> 7) & one
                place = place &+ 32
            }
            let pairs = (counts & even) &+ ((counts &>> 8) & even)
            for part in 0..<4 { found += Int(truncatingIfNeeded: (pairs[part] &* 0x0001_0001_0001_0001) >> 48) }
        }
        while place < piece.count {
            if piece[place] == 0x0A { found += 1 }
            place += 1
        }
        return found
    }
}
