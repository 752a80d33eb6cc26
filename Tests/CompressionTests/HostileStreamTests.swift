import Compression
import TestSupport
import Testing

/// Compressed bytes that try to take memory or time.
struct HostileStreamTests {
    /// A frame header (RFC 8878, 3.1.1.1) with a window descriptor, then an empty last block.
    private func frame(descriptor: UInt8, window: UInt8, dictionary: [UInt8] = []) -> [UInt8] {
        [0x28, 0xB5, 0x2F, 0xFD, descriptor, window] + dictionary + [1, 0, 0]
    }

    private func refusal(_ bytes: [UInt8]) throws -> CompressionError {
        let error = #expect(throws: CompressionError.self) { try Decoder.decode(bytes, limit: .max) }
        return try #require(error)
    }

    @Test func windowsOfUpToEightMiBAreTaken() throws {
        // Exponent in the upper five bits: 2^(10 + e).
        for exponent in UInt8(0)...21 {
            let bytes = frame(descriptor: 0, window: exponent << 3)
            if exponent <= 13 {
                #expect(try Decoder.decode(bytes, limit: .max).isEmpty)
            } else {
                let error = try refusal(bytes)
                #expect(error.code == .tooLarge && error.reason.contains("8192 KiB"), "\(exponent): \(error)")
                #expect(error.description.contains("compress it anew"))
            }
        }
        // One byte over: 2^23 and an eighth of it.
        #expect(try refusal(frame(descriptor: 0, window: 13 << 3 | 1)).code == .tooLarge)
    }

    @Test func dictionariesAreNamed() throws {
        for (flag, number) in [(UInt8(1), [UInt8(42)]), (2, [42, 1]), (3, [42, 1, 2, 3])] {
            let error = try refusal(frame(descriptor: flag, window: 11 << 3, dictionary: number))
            #expect(error.code == .unsupported && error.reason.contains("dictionary"), "\(error)")
        }
        // Number 0 says: none.
        #expect(try Decoder.decode(frame(descriptor: 1, window: 11 << 3, dictionary: [0]), limit: .max).isEmpty)
    }

    /// A frame that claims a huge content reserves nothing for it.
    @Test func claimedSizesAreNotBelieved() throws {
        // Single segment, content size of 8 bytes: 2^62.
        let claim: [UInt8] = [0x28, 0xB5, 0x2F, 0xFD, 0xE0, 0, 0, 0, 0, 0, 0, 0, 0x40, 1, 0, 0]
        let error = try refusal(claim)
        #expect(error.code == .tooLarge || error.code == .corrupt)
    }

    @Test func manyFramesAndManySkippableOnes() throws {
        let frame = try Zstd.frame(ZstdTests.text(50, seed: 3))
        var bytes: [UInt8] = []
        for number in 0..<20_000 {
            bytes += number % 2 == 0 ? frame : Zstd.skippableFrame([1, 2, 3])
        }
        for magic in UInt8(0x50)...0x5F { bytes += [magic, 0x2A, 0x4D, 0x18, 1, 0, 0, 0, 9] }
        var count = 0
        let decoder = Decoder()
        try decoder.decode(bytes) { count += $0.count }
        try decoder.finish { count += $0.count }
        #expect(count == 10_000 * 50)
    }

    /// 128 GiB of one byte in 4 MiB: given up at the first piece too many, in constant memory.
    @Test func aBombStopsWhenItsTakerHasEnough() throws {
        // RLE blocks of 128 KiB: three bytes of header (type 1), one byte of content.
        let size = UInt32(128 << 10) << 3 | 1 << 1
        let block = [UInt8(size & 255), UInt8(size >> 8 & 255), UInt8(size >> 16 & 255), 0x20]
        var bomb: [UInt8] = [0x28, 0xB5, 0x2F, 0xFD, 0, 11 << 3]
        for _ in 0..<(1 << 20) { bomb += block }
        var taken = 0
        struct Enough: Error {}
        #expect(throws: Enough.self) {
            try Decoder().decode(bomb) { piece in
                taken += piece.count
                if taken > 1 << 20 { throw Enough() }
            }
        }
        #expect(taken <= (1 << 20) + (128 << 10))
    }

    /// Members one after the other, each cut at every byte: what is whole comes, what is missing is told.
    @Test func everyCutOfTwoMembersIsTold() throws {
        let one = ZstdTests.text(30, seed: 8)
        let two = ZstdTests.text(20, seed: 9)
        for (first, both) in [
            (Gzip.storedMember(one), Gzip.storedMember(one) + Gzip.storedMember(two)),
            (try Zstd.frame(one), try Zstd.frame(one) + Zstd.frame(two)),
        ] {
            for length in 4...both.count {
                if length == first.count || length == both.count {
                    #expect(
                        try Decoder.decode(Array(both[..<length]), limit: .max)
                            == (length == both.count ? one + two : one))
                } else {
                    #expect(throws: CompressionError.self) {
                        try Decoder.decode(Array(both[..<length]), limit: .max)
                    }
                }
            }
        }
    }
}
