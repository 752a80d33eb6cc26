import Compression
import DurableIO
import TestSupport
import Testing

@Suite struct DecoderTests {
    static func decode(_ input: [UInt8], pieces: Int) throws -> [UInt8] {
        let decoder = Decoder()
        var output: [UInt8] = []
        for start in stride(from: 0, to: input.count, by: pieces) {
            try decoder.decode(Array(input[start..<min(start + pieces, input.count)])) { output.append(contentsOf: $0) }
        }
        try decoder.finish { output.append(contentsOf: $0) }
        #expect(decoder.inputBytes == input.count && decoder.outputBytes == output.count)
        return output
    }

    @Test(arguments: [1, 2, 3, 4, 5, 7, 64, 1_000_000]) func anyCutGivesTheSame(pieces: Int) throws {
        let one = ZstdTests.text(3000, seed: 1)
        let two = ZstdTests.text(200, seed: 2)
        let zstd =
            try Zstd.skippableFrame([]) + Zstd.frame(one) + Zstd.frame([]) + Zstd.skippableFrame([1, 2, 3])
            + Zstd.frame(two) + Zstd.skippableFrame(one)
        #expect(try Self.decode(zstd, pieces: pieces) == one + two)
        let gzip = Gzip.storedMember(one) + Gzip.storedMember([]) + Gzip.storedMember(two)
        #expect(try Self.decode(gzip, pieces: pieces) == one + two)
        #expect(try Self.decode(gzip + [0, 0, 0], pieces: pieces) == one + two)
        #expect(try Self.decode(one, pieces: pieces) == one)
    }

    @Test func outputLargerThanABufferComesWhole() throws {
        let content = [UInt8](repeating: 5, count: 3_000_000)
        #expect(try Self.decode(try Zstd.frame(content), pieces: 10) == content)
        #expect(try Self.decode(try Zstd.frame(content), pieces: .max / 2) == content)
        #expect(try Self.decode(Gzip.deflatedZeros, pieces: 1).count == 1_048_576)
        #expect(try Self.decode(Gzip.deflatedZeros, pieces: 5000).count == 1_048_576)
    }

    @Test func shortPlainInputsAreTold() throws {
        for input in [[], [0x28], [0x1F], [0x28, 0xB5, 0x2F], Array("{}\n".utf8)] as [[UInt8]] {
            #expect(try Self.decode(input, pieces: 1) == input)
        }
    }

    @Test func everyTruncationIsAnError() throws {
        let zstd = try Zstd.frame(ZstdTests.text(40, seed: 3)) + Zstd.skippableFrame([1, 2, 3])
        let end = try Zstd.frame(ZstdTests.text(40, seed: 3)).count
        for length in 4..<zstd.count where length != end {
            let error = #expect(throws: CompressionError.self) { try Self.decode(Array(zstd[..<length]), pieces: 9) }
            #expect(error?.code == .truncated)
        }
        let gzip = Gzip.storedMember(ZstdTests.text(40, seed: 3))
        for length in 2..<gzip.count {
            let error = #expect(throws: CompressionError.self) { try Self.decode(Array(gzip[..<length]), pieces: 9) }
            #expect(error?.code == .truncated)
        }
    }

    @Test func everyFlippedBitOfAFrameIsNoticedOrHarmless() throws {
        let content = ZstdTests.text(200, seed: 4)
        let frame = try Zstd.frame(content)
        for bit in 32..<frame.count * 8 {
            var damaged = frame
            damaged[bit / 8] ^= 1 << (bit % 8)
            // Some bits of the header are unused: then the content must be the same.
            if let output = try? Decoder.decode(damaged, limit: 1_000_000) { #expect(output == content) }
        }
        var member = Gzip.storedMember(content)
        member[40] ^= 1
        let error = #expect(throws: CompressionError.self) { try Decoder.decode(member, limit: .max) }
        #expect(error?.code == .corrupt)
    }

    @Test func trailingRubbishIsAnError() throws {
        for input in [
            try Zstd.frame([1]) + [9, 9, 9, 9, 9], Gzip.storedMember([1]) + [7], Gzip.storedMember([1]) + [0, 7],
        ] {
            let error = #expect(throws: CompressionError.self) { try Self.decode(input, pieces: 3) }
            #expect(error?.code == .trailingBytes)
        }
    }

    @Test func filesOfTheGzipProgram() throws {
        let folder = try ScratchFolder()
        let content = ZstdTests.text(300_000, seed: 6)
        try DurableFile.replace(path: folder["log"], bytes: content)
        try #require(try ChildProcess("gzip", ["-9", folder["log"]]).wait() == 0)
        let file = try DurableFile.read(path: folder["log.gz"])
        #expect(file.count < content.count / 2)
        #expect(try Self.decode(file, pieces: 1000) == content)
        #expect(try Self.decode(file + file, pieces: 65_536) == content + content)
    }

    @Test func limitsHold() throws {
        let bomb = try Zstd.frame([UInt8](repeating: 0, count: 50_000_000))
        #expect(bomb.count < 10_000)
        let error = #expect(throws: CompressionError.self) { try Decoder.decode(bomb, limit: 1_000_000) }
        #expect(error?.code == .tooLarge)
        let decoder = Decoder(windowLogMax: 12)
        let window = #expect(throws: CompressionError.self) { try decoder.decode(bomb) { _ in } }
        #expect(window?.code == .tooLarge)
    }
}

/// gzip members made by hand (RFC 1951, 1952), so that the reader is not tested against its own library.
enum Gzip {
    static func storedMember(_ content: [UInt8]) -> [UInt8] {
        precondition(content.count < 65_536)
        var member: [UInt8] = [0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 0xFF, 1]
        let length = UInt16(content.count)
        for word in [length, ~length] { member += [UInt8(word & 255), UInt8(word >> 8)] }
        member += content
        return member + littleEndian(crc32(content)) + littleEndian(UInt32(content.count))
    }

    /// 1 MiB of zeros: one fixed-Huffman block of a literal and runs of 258.
    static var deflatedZeros: [UInt8] {
        var bits: [Bool] = [true, true, false]
        func code(_ value: Int, _ width: Int) {
            for bit in (0..<width).reversed() { bits.append(value >> bit & 1 == 1) }
        }
        code(0x30, 8)
        let total = 1_048_576
        let runs = (total - 1) / 258
        for _ in 0..<runs {
            code(0b1100_0101, 8)
            code(0, 5)
        }
        for _ in 0..<(total - 1 - runs * 258) { code(0x30, 8) }
        code(0, 7)
        var body = [UInt8](repeating: 0, count: (bits.count + 7) / 8)
        for (index, bit) in bits.enumerated() where bit { body[index / 8] |= 1 << (index % 8) }
        let zeros = [UInt8](repeating: 0, count: total)
        return [0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 0xFF] + body + littleEndian(crc32(zeros)) + littleEndian(UInt32(total))
    }

    static func littleEndian(_ value: UInt32) -> [UInt8] {
        withUnsafeBytes(of: value.littleEndian) { Array($0) }
    }

    static func crc32(_ bytes: [UInt8]) -> UInt32 {
        var crc: UInt32 = 0xFFFF_FFFF
        for byte in bytes {
            crc ^= UInt32(byte)
            for _ in 0..<8 { crc = crc & 1 == 1 ? crc >> 1 ^ 0xEDB8_8320 : crc >> 1 }
        }
        return ~crc
    }
}
