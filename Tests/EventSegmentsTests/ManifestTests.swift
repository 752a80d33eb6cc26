import EventSegments
import Testing

@Suite struct ManifestTests {
    static let example = Manifest(
        host: "h",
        segments: [
            Manifest.Segment(
                writer: "h-0192f0c1a2b37c4d8e9f00112233445a", seq: 3, sealed_ms: 1_700_000_000_123, lines: 2,
                rawBytes: 20, rawSHA256: String(repeating: "0f", count: 32), offset: 0, compressedBytes: 30,
                format: "access_log", file: "odd \"name\"\n\u{1}.log", end: true, adopted: true, replay: true)
        ])

    @Test func readsWhatItWrites() throws {
        #expect(try Manifest(decoding: Self.example.encoded()) == Self.example)
    }

    @Test func keepsTheDocumentedOrder() {
        let text = String(decoding: Self.example.encoded(), as: UTF8.self)
        #expect(
            text == """
                {"version":1,"host":"h","segments":[{"writer":"h-0192f0c1a2b37c4d8e9f00112233445a","seq":3,\
                "sealed_ms":1700000000123,"lines":2,"raw_bytes":20,"raw_sha256":\
                "\(String(repeating: "0f", count: 32))",\
                "offset":0,"compressed_bytes":30,"format":"access_log","file":"odd \\"name\\"\\n\\u0001.log",\
                "end":true,"adopted":true,"replay":true}]}
                """)
    }

    @Test func ignoresKeysOfLaterWriters() throws {
        let text = String(decoding: Self.example.encoded(), as: UTF8.self)
            .replacing("\"seq\":3", with: "\"seq\":3,\"later\":[1.5,null]")
        #expect(try Manifest(decoding: Array(text.utf8)) == Self.example)
    }

    @Test(arguments: [
        ("\"version\":1", "\"version\":2", ObjectFormatError.Code.unknownVersion),
        ("\"seq\":3", "\"seq\":-1", .invalidManifest),
        ("\"raw_bytes\":20", "\"raw_bytes\":0", .invalidManifest),
        ("\"0f0f", "\"xf0f", .invalidManifest),
        ("\"lines\":2,", "", .invalidManifest),
        ("\"compressed_bytes\":30", "\"compressed_bytes\":0", .invalidManifest),
    ]) func refusesDamage(old: String, new: String, code: ObjectFormatError.Code) {
        let text = String(decoding: Self.example.encoded(), as: UTF8.self).replacing(old, with: new)
        #expect { try Manifest(decoding: Array(text.utf8)) } throws: { ($0 as? ObjectFormatError)?.code == code }
    }

    @Test func findsTheManifestFromTheEnd() throws {
        var object = Array("anything at all".utf8)
        ObjectTrailer.append(Self.example, to: &object)
        let size = try ObjectTrailer.size(tail: Array(object.suffix(ObjectTrailer.footerBytes)))
        #expect(size == object.count - 15)
        let found = try ObjectTrailer.find(in: Array(object.suffix(size)))
        #expect(found.manifest == Self.example)
        #expect(try ObjectTrailer.find(in: object).size == size)
    }

    @Test func noDamagedTrailerIsRead() {
        var object: [UInt8] = []
        ObjectTrailer.append(Self.example, to: &object)
        for length in 0..<object.count {
            #expect(throws: ObjectFormatError.self) { try ObjectTrailer.find(in: Array(object.prefix(length))) }
        }
        for place in [0, 1, 4, 5, object.count - 12, object.count - 9, object.count - 8, object.count - 1] {
            var damaged = object
            damaged[place] ^= 0x55
            #expect(throws: ObjectFormatError.self) { try ObjectTrailer.find(in: damaged) }
        }
    }
}
