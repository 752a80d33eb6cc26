import Compression
import EventSegments
import ObjectStorage
import TestSupport

/// Ways in which an object's bytes can be wrong, each with words that its reason must hold.
struct Damage: Sendable {
    let name: String
    let words: String
    let change: @Sendable (_ object: [UInt8]) throws -> [UInt8]

    init(_ name: String, _ words: String, _ change: @escaping @Sendable (_ object: [UInt8]) throws -> [UInt8]) {
        self.name = name
        self.words = words
        self.change = change
    }

    /// Where the manifest's frame begins.
    private static func trailer(_ object: [UInt8]) throws -> Int {
        object.count - (try ObjectTrailer.size(tail: object))
    }

    private static func flip(_ name: String, _ words: String, _ place: @escaping @Sendable ([UInt8]) throws -> Int)
        -> Damage
    {
        Damage(name, words) { object in
            var object = object
            object[try place(object)] ^= 0x10
            return object
        }
    }

    private static func cut(_ name: String, _ words: String, _ count: @escaping @Sendable ([UInt8]) throws -> Int)
        -> Damage
    {
        Damage(name, words) { Array($0[..<(try count($0))]) }
    }

    private static func lie(_ name: String, _ words: String, _ old: String, _ new: String) -> Damage {
        Damage(name, words) { object in
            let start = try trailer(object)
            let json = String(decoding: object[(start + 8)..<(object.count - 12)], as: UTF8.self)
            let range = try requireRange(json.utf8.firstRange(of: old.utf8), name)
            let changed = String(json[..<range.lowerBound]) + new + String(json[range.upperBound...])
            return Array(object[..<start]) + frame(Array(changed.utf8))
        }
    }

    /// A manifest's frame around any bytes.
    static func frame(_ json: [UInt8]) -> [UInt8] {
        var size: [UInt8] = []
        withUnsafeBytes(of: UInt32(json.count).littleEndian) { size += $0 }
        return Zstd.skippableFrame(json + size + ObjectTrailer.magic)
    }

    /// Bytes that no shipper wrote, put where an object was.
    static let foreign: [Damage] = [
        Damage("nothing at all", "is empty") { _ in [] },
        Damage("one byte", "does not end with a manifest") { _ in [0x28] },
        Damage("plain JSON lines", "does not end with a manifest") { try Decoder.decode($0, limit: 1 << 20) },
        Damage("CSV", "does not end with a manifest") { _ in Array("time,model\n2026-11-23,iris\n".utf8) },
        Damage("an HTML page", "does not end with a manifest") { _ in
            Array("<html><head><title>502 Bad Gateway</title></head></html>\n".utf8)
        },
        Damage("an S3 error", "does not end with a manifest") { _ in
            Array("<?xml version=\"1.0\"?><Error><Code>SlowDown</Code></Error>".utf8)
        },
        Damage("zstd of another program", "does not end with a manifest") {
            try Zstd.frame(try Decoder.decode($0, limit: 1 << 20))
        },
        Damage("gzip", "does not end with a manifest") { _ in
            // An empty member.
            [0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 3, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0]
        },
        Damage("noise", "does not end with a manifest") { object in
            var random = SeededGenerator(seed: 1)
            return random.bytes(object.count)
        },
    ]

    static let cuts: [Damage] = [
        cut("cut in a frame", "does not end with a manifest") { $0.count / 3 },
        cut("cut before the manifest", "does not end with a manifest") { try trailer($0) },
        cut("cut in the manifest", "does not end with a manifest") { (try trailer($0) + $0.count) / 2 },
        cut("cut before the trailer", "does not end with a manifest") { $0.count - 12 },
        cut("without its last byte", "does not end with a manifest") { $0.count - 1 },
        Damage("without its first byte", "ends behind") { Array($0.dropFirst()) },
        Damage("with a byte more", "does not end with a manifest") { $0 + [0] },
        Damage("twice in a row", "segments end at byte") { $0 + $0 },
    ]

    static let flips: [Damage] = [
        flip("the frame's magic number", "its manifest says") { _ in 0 },
        flip("the frame's header", "cannot be decompressed") { _ in 5 },
        flip("the frame's middle", "segment") { try trailer($0) / 2 },
        flip("the frame's checksum", "cannot be decompressed") { try trailer($0) - 1 },
        flip("the manifest's magic number", "is damaged") { try trailer($0) },
        flip("the manifest's frame size", "is damaged") { try trailer($0) + 4 },
        flip("the manifest's first brace", "not a JSON object") { try trailer($0) + 8 },
        flip("the manifest's size", "manifest") { $0.count - 12 },
        flip("the trailer's magic number", "does not end with a manifest") { $0.count - 1 },
    ]

    static let lies: [Damage] = [
        lie("a later version", "has version 2", "\"version\":1", "\"version\":2"),
        lie("no host", "lacks its host", "\"host\":", "\"hots\":"),
        lie("another host", "key does not fit", "\"host\":\"", "\"host\":\"x"),
        lie("another number", "key does not fit", "\"seq\":0", "\"seq\":1"),
        lie("a negative number", "entry 0", "\"seq\":0", "\"seq\":-1"),
        lie("an absurd number", "entry 0", "\"seq\":0", "\"seq\":9223372036854775807"),
        lie("a fraction", "entry 0", "\"seq\":0", "\"seq\":0.5"),
        lie("more lines than bytes", "entry 0", "\"lines\":", "\"lines\":99999"),
        lie("more bytes than any object", "64 GiB", "\"raw_bytes\":", "\"raw_bytes\":9000000000"),
        lie("more bytes than any number", "entry 0", "\"raw_bytes\":", "\"raw_bytes\":900000000000000"),
        lie("bytes more", "its manifest says", "\"raw_bytes\":", "\"raw_bytes\":1"),
        lie(
            "another hash", "key does not fit", "\"raw_sha256\":\"",
            "\"raw_sha256\":\"\(String(repeating: "0", count: 64))\",\"x\":\""),
        lie("a frame elsewhere", "begins at byte 0", "\"offset\":0", "\"offset\":7"),
        lie("a frame before the object", "entry 0", "\"offset\":0", "\"offset\":-7"),
        lie("a frame behind the object", "ends behind", "\"compressed_bytes\":", "\"compressed_bytes\":99"),
        lie("no frame", "entry 0", "\"compressed_bytes\":", "\"compressed_bytes\":0,\"y\":"),
        lie("a missing flag", "entry 0", "\"end\":", "\"eod\":"),
        lie("a name of 10 KB", "entry 0", "\"writer\":\"", "\"writer\":\"" + String(repeating: "w", count: 10_000)),
        lie("a name with NUL", "entry 0", "\"writer\":\"", "\"writer\":\"\\u0000"),
        lie("a seal in another age", "entry 0", "\"sealed_ms\":", "\"sealed_ms\":99999999"),
        Damage("no segments", "names no segment") { object in
            Array(object[..<(try trailer(object))]) + frame(Array(#"{"version":1,"host":"one","segments":[]}"#.utf8))
        },
        Damage("a million segments", "too large") { object in
            let entry = Array(#"{"writer":"w","seq":0},"#.utf8)
            var json = Array(#"{"version":1,"host":"one","segments":["#.utf8)
            json.reserveCapacity(25 << 20)
            for _ in 0..<1_000_000 { json += entry }
            return Array(object[..<(try trailer(object))]) + frame(json + Array("{}]}".utf8))
        },
        Damage("lines that no number holds", "entry 0") { object in
            let start = try trailer(object)
            let json = String(decoding: object[(start + 8)..<(object.count - 12)], as: UTF8.self)
            let most = "\"lines\":9223372036854775807,\"raw_bytes\":9223372036854775807,\"x\":0,\"z\":"
            let entries = json.replacing("\"lines\":", with: most)
            let head = entries.prefix { $0 != "[" }
            let body = entries.dropFirst(head.count + 1).dropLast(2)
            return Array(object[..<start]) + frame(Array("\(head)[\(body),\(body)]}".utf8))
        },
    ]

    static let all = foreign + cuts + flips + lies
}

private struct NotFound: Error { let what: String }

private func requireRange<Bound>(_ range: Range<Bound>?, _ what: String) throws -> Range<Bound> {
    guard let range else { throw NotFound(what: what) }
    return range
}
