import Compression
import TestSupport
import Testing

/// Inputs at the edges of what zstd and zlib are handed, above all for AddressSanitizer.
@Suite struct BoundaryTests {
    /// Inputs that end exactly where their allocation does, of every small size and cut.
    @Test func everyLengthOfRubbishBehindAMagicNumber() {
        var random = SeededGenerator(seed: 12)
        for magic in [[0x28, 0xB5, 0x2F, 0xFD], [0x50, 0x2A, 0x4D, 0x18], [0x1F, 0x8B, 8, 0]] as [[UInt8]] {
            for length in 0..<80 {
                for flags in 0..<8 {
                    var input = magic + (0..<length).map { _ in UInt8(truncatingIfNeeded: random.next()) }
                    // Header bits that ask for the longest and the shortest forms.
                    if length > 0 { input[4] = [0, 0xFF, 0x20, 0xE0, 0x04, 0x08, 0x10, 0x1F][flags] }
                    for pieces in [1, 3, 1000] {
                        let decoder = Decoder()
                        var output = 0
                        let error = #expect(throws: (any Error).self, "a zstd or gzip stream of rubbish") {
                            for start in stride(from: 0, to: input.count, by: pieces) {
                                let piece = Array(input[start..<min(start + pieces, input.count)])
                                try decoder.decode(piece) { output += $0.count }
                            }
                            try decoder.finish { output += $0.count }
                            // A skippable frame may hold anything: then there is nothing to refuse.
                            if magic[0] == 0x50 { throw Harmless() }
                        }
                        _ = error
                        #expect(output <= 1 << 20)
                    }
                }
            }
        }
    }

    private struct Harmless: Error {}

    /// Frames whose header lies about the content's size, and encoders whose caller does.
    @Test func sizesThatDoNotHold() throws {
        let frame = try Zstd.frame([UInt8](repeating: 7, count: 200))
        for size in 0...255 {
            var lie = frame
            // The single-byte content size that follows the frame's header descriptor.
            lie[5] = UInt8(size)
            if lie == frame { continue }
            #expect(throws: CompressionError.self) { try Decoder.decode(lie, limit: 1 << 20) }
        }
        // (Nothing at all in place of something is a whole frame to zstd, as its one call says all there is.)
        for (announced, given) in [(0, 1), (10, 9), (10, 11), (1 << 20, 3)] {
            var output: [UInt8] = []
            #expect(throws: CompressionError.self) {
                let encoder = try ZstdEncoder(contentSize: announced)
                try encoder.append([UInt8](repeating: 1, count: given), into: &output)
                try encoder.finish(into: &output)
            }
        }
    }

    /// An encoder used again after it was left in the middle.
    @Test func anEncoderBeginsAnew() throws {
        let encoder = try ZstdEncoder(contentSize: 100)
        var output: [UInt8] = []
        for round in 0..<20 {
            let content = [UInt8](repeating: UInt8(round), count: round * 1000)
            var left: [UInt8] = []
            try encoder.start(contentSize: nil)
            try encoder.append(content, into: &left)
            output = []
            try encoder.start(contentSize: content.count)
            try encoder.append(content, into: &output)
            try encoder.finish(into: &output)
            #expect(try Decoder.decode(output, limit: 1 << 20) == content)
        }
    }
}
