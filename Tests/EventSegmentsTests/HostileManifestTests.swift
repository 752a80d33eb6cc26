import EventModel
import EventSegments
import Testing
import TestSupport

/// Manifests that try to end the program that reads them.
@Suite struct HostileManifestTests {
    private static func text(_ change: (String) -> String) -> [UInt8] {
        Array(change(String(decoding: ManifestTests.example.encoded(), as: UTF8.self)).utf8)
    }

    @Test func numbersThatNoSumCanHold() {
        for field in ["seq", "sealed_ms", "lines", "raw_bytes", "offset", "compressed_bytes"] {
            for number in ["9223372036854775807", "9223372036854775808", "-1", "1e3", "0.5", "\"1\"", "null", "true"] {
                let json = Self.text { text in
                    let key = "\"\(field)\":"
                    guard let range = text.firstRange(of: key) else { return "" }
                    let end = text[range.upperBound...].firstIndex { $0 == "," || $0 == "}" } ?? text.endIndex
                    return "\(text[..<range.upperBound])\(number)\(text[end...])"
                }
                let places = ["offset", "compressed_bytes"].contains(field) && number == "9223372036854775807"
                // Places are compared with the object's size before they are used.
                if !places { #expect(throws: ObjectFormatError.self) { try Manifest(decoding: json) } }
            }
        }
    }

    @Test func whatThePermittedNumbersAddUpTo() throws {
        var manifest = ManifestTests.example
        manifest.segments[0].lines = 1 << 48
        manifest.segments[0].rawBytes = 1 << 48
        manifest.segments = (0..<1000).map { seq in
            var segment = manifest.segments[0]
            segment.seq = seq
            return segment
        }
        let read = try Manifest(decoding: manifest.encoded())
        #expect(read.lines == 1000 << 48)
        #expect(ObjectKey(prefix: "", manifest: read).lines == 1000 << 48)
    }

    @Test func namesThatNoLedgerCanHold() {
        let names = [
            "", String(repeating: "w", count: 257), "a\\u0000b", "a\\nb", "\\u007f", "\\u001b[2J",
        ]
        for field in ["writer", "format", "host"] {
            for name in names {
                let json = Self.text { text in
                    let key = "\"\(field)\":\""
                    guard let range = text.firstRange(of: key) else { return "" }
                    let end = text[range.upperBound...].firstIndex(of: "\"") ?? text.endIndex
                    return "\(text[..<range.upperBound])\(name)\(text[end...])"
                }
                #expect(throws: ObjectFormatError.self, "\(field) \(name)") { try Manifest(decoding: json) }
            }
        }
    }

    /// A writer's own file name repeats number, seal time and end: what disagrees was altered.
    @Test func fileNamesThatDisagree() throws {
        let writer = ManifestTests.example.segments[0].writer
        for (name, agrees) in [
            ("\(writer)-3-1700000000123-2-end.jsonl", true), ("\(writer)-3-1700000000123-2.jsonl", false),
            ("\(writer)-4-1700000000123-2-end.jsonl", false), ("\(writer)-3-1700000000124-2-end.jsonl", false),
            ("anything else", true),
        ] {
            var manifest = ManifestTests.example
            manifest.segments[0].format = Manifest.nativeFormat
            manifest.segments[0].file = name
            #expect((try? Manifest(decoding: manifest.encoded())) == (agrees ? manifest : nil), "\(name)")
        }
    }

    @Test func listsThatAreNone() {
        for segments in ["[]", "{}", "null", "1", "[[]]", "[null]", "[{}]", "[", "[{}", "[1,2", "[]]"] {
            let json = Array("{\"version\":1,\"host\":\"h\",\"segments\":\(segments)}".utf8)
            #expect(throws: ObjectFormatError.self, "\(segments)") { try Manifest(decoding: json) }
        }
        let one = String(decoding: ManifestTests.example.encoded().dropLast(), as: UTF8.self)
        #expect(throws: ObjectFormatError.self) { try Manifest(decoding: Array("\(one),\"segments\":[]}".utf8)) }
    }

    /// The order of keys is the writer's own affair, and a later version is told as such, whatever its entries are.
    @Test func theVersionIsToldFirst() throws {
        let json = "{\"segments\":[{\"new\":1}],\"host\":\"h\",\"version\":2}"
        let error = #expect(throws: ObjectFormatError.self) { try Manifest(decoding: Array(json.utf8)) }
        #expect(error?.code == .unknownVersion)
    }

    @Test func anyBytesAreReadOrRefused() {
        var random = SeededGenerator(seed: 17)
        let good = ManifestTests.example.encoded()
        for _ in 0..<5000 {
            var bytes = good
            for _ in 0...(random.next() % 4) {
                let place = Int(random.next() % UInt64(bytes.count))
                switch random.next() % 3 {
                case 0: bytes[place] = UInt8(truncatingIfNeeded: random.next())
                case 1: bytes.remove(at: place)
                default: bytes.insert(Array("{}[]\",:\\u0019e-".utf8)[Int(random.next() % 15)], at: place)
                }
            }
            if let manifest = try? Manifest(decoding: bytes) {
                #expect(!manifest.segments.isEmpty && manifest.lines >= 0)
                #expect(!ObjectKey(prefix: "", manifest: manifest).path.isEmpty)
            }
        }
    }

    @Test func keysOfAnotherAgeAreNoKeys() {
        let hash = "0123456789abcdef"
        for (sealed, isKey) in [("253402300799999", true), ("253402300800000", false), ("9223372036854775807", false)] {
            let path = "events/dt=9999-12-31/hr=23/one/\(sealed)-1-1-\(hash).jsonl.zst"
            #expect((ObjectKey(parsing: path, prefix: "") != nil) == isKey, "\(sealed)")
        }
    }
}
