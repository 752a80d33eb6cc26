import Compression
import TestSupport
import Testing

@Suite struct ZstdTests {
    static func text(_ length: Int, seed: UInt64) -> [UInt8] {
        var generator = SeededGenerator(seed: seed)
        return (0..<length).map { _ in UInt8(ascii: "a") + UInt8(generator.next() % 7) }
    }

    @Test(arguments: [0, 1, 1000, 131_072, 400_001]) func aFrameReadsBack(length: Int) throws {
        let content = Self.text(length, seed: UInt64(length))
        let frame = try Zstd.frame(content)
        #expect(try Decoder.decode(frame, limit: .max) == content)
        #expect(try content.withUnsafeBytes { try Zstd.frame($0) } == frame)
    }

    @Test func theHeaderHoldsTheContentSizeAndTheChecksumFlag() throws {
        // RFC 8878, 3.1.1.1.1: bits 7-6 size of the content size field, bit 5 single segment, bit 2 checksum.
        let frame = try Zstd.frame(Self.text(300, seed: 1))
        let descriptor = frame[4]
        #expect(descriptor & 0x04 != 0)
        #expect(descriptor >> 6 == 1 && descriptor & 0x20 != 0)
        #expect(Int(frame[5]) + Int(frame[6]) << 8 + 256 == 300)
    }

    @Test func cuttingTheInputChangesNothing() throws {
        let content = Self.text(50_000, seed: 2)
        let whole = try Zstd.frame(content)
        let encoder = try ZstdEncoder(level: 3, contentSize: content.count)
        var output: [UInt8] = []
        for start in stride(from: 0, to: content.count, by: 777) {
            try encoder.append(Array(content[start..<min(start + 777, content.count)]), into: &output)
        }
        try encoder.finish(into: &output)
        #expect(try Decoder.decode(output, limit: .max) == content)
        #expect(output.count <= whole.count + 64)
        // The encoder can be used again.
        try encoder.start(contentSize: nil)
        var second: [UInt8] = []
        try encoder.append(content, into: &second)
        try encoder.finish(into: &second)
        #expect(try Decoder.decode(second, limit: .max) == content)
        // What it made before leaves no trace.
        try encoder.start(contentSize: content.count)
        var third: [UInt8] = []
        try encoder.append(content, into: &third)
        try encoder.finish(into: &third)
        #expect(third == whole)
    }

    @Test func aWrongContentSizeIsRefused() throws {
        let encoder = try ZstdEncoder(level: 3, contentSize: 10)
        var output: [UInt8] = []
        try encoder.append([1, 2, 3], into: &output)
        let error = #expect(throws: CompressionError.self) { try encoder.finish(into: &output) }
        #expect(error?.code == .encoder)
    }

    @Test func skippableFramesAreMagicLengthPayload() {
        #expect(Zstd.skippableFrame([9, 8]) == [0x50, 0x2A, 0x4D, 0x18, 2, 0, 0, 0, 9, 8])
    }
}
