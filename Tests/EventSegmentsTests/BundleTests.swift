import Compression
import DurableIO
import EventModel
import EventSegments
import TestSupport
import Testing

@Suite struct BundleTests {
    static let first = Array("{\"a\":1}\n{\"a\":2}\n".utf8)
    static let second: [UInt8] = []
    static let third = Array("{\"b\":1}\n{\"torn".utf8)

    /// The golden object: three segments, one of them empty, one with a torn tail.
    static func golden() throws -> Bundle {
        var builder = BundleBuilder(host: "golden-host")
        let writer = "golden-host-0192f0c1a2b37c4d8e9f00112233445a"
        try builder.add(
            .init(writer: writer, seq: 0, sealed_ms: 1_700_000_000_000, file: "\(writer)-0-1700000000000-2.jsonl"),
            bytes: first)
        try builder.add(
            .init(writer: writer, seq: 1, sealed_ms: 1_700_000_020_000, file: "\(writer)-1-1700000020000-0.jsonl"),
            bytes: second)
        try builder.add(
            .init(
                writer: writer, seq: 2, sealed_ms: 1_700_000_040_000, file: "\(writer)-2-1700000040000-2-end.jsonl",
                end: true, adopted: true),
            bytes: third)
        return builder.finish()
    }

    /// Where the golden object lies, found from this file.
    static let goldenPath =
        DurableFile.folder(of: DurableFile.folder(of: #filePath)) + "/Fixtures/objects/golden-v1.jsonl.zst"

    @Test func readsAsPlainLines() throws {
        let bundle = try Self.golden()
        #expect(try Decoder.decode(bundle.object, limit: 1 << 20) == Self.first + Self.second + Self.third)
    }

    @Test func measuresEachSegment() throws {
        let bundle = try Self.golden()
        #expect(bundle.manifest.segments.map(\.lines) == [2, 0, 2])
        #expect(bundle.manifest.segments.map(\.rawBytes) == [16, 0, 14])
        let hashes = [Self.first, Self.second, Self.third].map { hex(SHA256.hash($0)) }
        #expect(bundle.manifest.segments.map(\.rawSHA256) == hashes)
        for (segment, raw) in zip(bundle.manifest.segments, [Self.first, Self.second, Self.third]) {
            let frame = bundle.object[segment.offset..<(segment.offset + segment.compressedBytes)]
            #expect(try Decoder.decode(Array(frame), limit: 1 << 20) == raw)
        }
        #expect(try ObjectTrailer.find(in: bundle.object).manifest == bundle.manifest)
        #expect(bundle.sha256 == SHA256.hash(bundle.object))
    }

    @Test func goldenObjectIsReadForEver() throws {
        let bundle = try Self.golden()
        if TestServers.variable("NADI_UPDATE_GOLDEN") != nil {
            try DurableFile.replace(path: Self.goldenPath, bytes: bundle.object)
        }
        let stored = try DurableFile.read(path: Self.goldenPath)
        #expect(try ObjectTrailer.find(in: stored).manifest.host == "golden-host")
        let key = "events/dt=2023-11-14/hr=22/golden-host/1700000040000-3-4-c29dba9a5ee83fbd.jsonl.zst"
        #expect(try ObjectKey(prefix: "", manifest: ObjectTrailer.find(in: stored).manifest).path == key)
        #expect(bundle.key(prefix: "").path == key)
        #expect(try Decoder.decode(stored, limit: 1 << 20) == Self.first + Self.second + Self.third)
    }

    @Test(arguments: [1, 3, 1_000]) func bytesDoNotDependOnThePieces(step: Int) throws {
        let raw = (0..<20_000).map { UInt8(truncatingIfNeeded: $0 &* $0 >> 5) }
        func bundle(_ step: Int) throws -> [UInt8] {
            var builder = BundleBuilder(host: "h")
            try builder.add(.init(writer: "w", seq: 0, sealed_ms: 0, file: "f"), rawBytes: raw.count) { sink in
                for start in stride(from: 0, to: raw.count, by: step) {
                    try Array(raw[start..<min(raw.count, start + step)]).withUnsafeBytes { try sink($0) }
                }
            }
            return builder.finish().object
        }
        #expect(try bundle(step) == bundle(raw.count))
    }

    @Test(arguments: [15, 17]) func aChangedSegmentLeavesTheObjectAsItWas(announced: Int) throws {
        var builder = BundleBuilder(host: "h")
        try builder.add(.init(writer: "w", seq: 0, sealed_ms: 0, file: "f"), bytes: Self.third)
        let size = builder.compressedBytes
        do {
            try builder.add(.init(writer: "w", seq: 1, sealed_ms: 0, file: "g"), rawBytes: announced) { sink in
                try Self.first.withUnsafeBytes { try sink($0) }
            }
            Issue.record("a segment of another size was taken")
        } catch {
            #expect((error as? ObjectFormatError)?.code == .changedSegment)
        }
        #expect(builder.compressedBytes == size && builder.count == 1)
    }

    @Test(arguments: [("", 0), ("a", 1), ("\n", 1), ("\n\n", 2), ("a\nb", 2), ("a\nb\n", 2)])
    func countsLines(text: String, lines: Int) {
        var whole = LineCount()
        Array(text.utf8).withUnsafeBytes { whole.update($0) }
        #expect(whole.total == lines)
        var single = LineCount()
        for byte in text.utf8 { [byte].withUnsafeBytes { single.update($0) } }
        #expect(single == whole)
    }

    /// Short lines and long ones are counted in different ways.
    @Test(arguments: [1, 2, 31, 40, 300, 5_000])
    func countsLinesOfEveryLength(longest: Int) {
        var random = SeededGenerator(seed: UInt64(longest))
        for _ in 0..<20 {
            var bytes: [UInt8] = []
            while bytes.count < 20_000 {
                bytes += [UInt8](repeating: 0x2A, count: Int.random(in: 0..<longest, using: &random)) + [0x0A]
            }
            var count = LineCount()
            let cut = Int.random(in: 0...bytes.count, using: &random)
            for piece in [bytes[..<cut], bytes[cut...]] { piece.withUnsafeBytes { count.update($0) } }
            #expect(count.total == bytes.count { $0 == 0x0A })
        }
    }
}
