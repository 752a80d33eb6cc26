import EventModel
import Testing

struct HostNameTests {
    @Test(arguments: [
        ("Web-01.Example.COM", "web-01.example.com"), ("gpu_7/a", "gpu-7-a"), ("größe", "gr--e"), ("", "unknown"),
        ("../../etc", "..-..-etc"), (String(repeating: "A", count: 100), String(repeating: "a", count: 64)),
    ])
    func normalForm(name: String, expected: String) {
        #expect(HostName.normalise(name) == expected)
        #expect(HostName.normalise(expected) == expected)
    }

    @Test func thisHostHasAName() {
        let host = HostName.current()
        #expect(!host.isEmpty && HostName.normalise(host) == host)
    }
}

struct UUIDv7Tests {
    @Test func carriesItsTimeVersionAndVariant() throws {
        var generator = SystemRandomNumberGenerator()
        for time_ms in [0, 1, 1_795_428_930_123, 0xFFFF_FFFF_FFFF] as [Int64] {
            let id = UUIDv7(time_ms: time_ms, using: &generator)
            #expect(id.time_ms == time_ms)
            #expect(id.hex.count == 32 && id.description.count == 36)
            #expect(Array(id.hex)[12] == "7" && "89ab".contains(Array(id.hex)[16]))
            #expect(UUIDv7(id.hex) == id)
            #expect(UUIDv7(id.description) == id)
            #expect(UUIDv7(id.description.uppercased()) == id)
            #expect(id.description.split(separator: "-").joined() == id.hex)
        }
    }

    @Test func readsTheExampleOfRFC9562() throws {
        let id = try #require(UUIDv7("017F22E2-79B0-7CC3-98C4-DC0C0C07398F"))
        #expect(id.time_ms == 1_645_557_742_000)
        #expect(id.description == "017f22e2-79b0-7cc3-98c4-dc0c0c07398f")
    }

    @Test(arguments: [
        "", "017F22E2-79B0-4CC3-98C4-DC0C0C07398F", "017F22E2-79B0-7CC3-18C4-DC0C0C07398F",
        "017F22E279B0-7CC3-98C4-DC0C0C07398F-", "017F22E2-79B0-7CC3-98C4-DC0C0C07398G",
        "017f22e279b07cc398c4dc0c0c07398",
        "017f22e279b07cc398c4dc0c0c07398fa",
    ])
    func refusesOthers(text: String) {
        #expect(UUIDv7(text) == nil)
    }

    @Test func differ() {
        var generator = SystemRandomNumberGenerator()
        let ids = Set((0..<10_000).map { _ in UUIDv7(time_ms: 1, using: &generator) })
        #expect(ids.count == 10_000)
    }
}

struct WriterAndSegmentNameTests {
    let hex = "017f22e279b07cc398c4dc0c0c07398f"

    @Test func nativeAndForeignNames() throws {
        let id = try #require(UUIDv7(hex))
        #expect(WriterName(host: "web-1", id: id).text == "web-1-\(hex)")
        #expect(WriterName(host: "web-1", id: id).id == id)
        let foreign = WriterName(host: "web-1", stream: "access_log", hash: hex, copy: 2)
        #expect(foreign.text == "web-1-access_log-\(hex).2")
        for text in ["web-1-\(hex)", foreign.text, "web.example.com-\(hex)", "-\(hex)"] {
            let expected: String? = text.hasPrefix("-") ? nil : text
            #expect(WriterName(text)?.text == expected)
        }
        #expect(foreign.isOn(host: "web-1") && !foreign.isOn(host: "web-10"))
        #expect(WriterName(lockFileName: "web-1-\(hex).lock")?.lockFileName == "web-1-\(hex).lock")
        #expect(WriterName(lockFileName: "web-1-\(hex).open") == nil)
    }

    @Test(arguments: [
        "", "web", "web-017f22e279b07cc398c4dc0c0c07398", "web-017F22E279B07CC398C4DC0C0C07398F",
        "Web-017f22e279b07cc398c4dc0c0c07398f", "a/b-017f22e279b07cc398c4dc0c0c07398f",
        "web-017f22e279b07cc398c4dc0c0c07398f.x", "web-017f22e279b07cc398c4dc0c0c07398f.01",
        "web-017f22e279b07cc398c4dc0c0c07398f.",
    ])
    func refusesOtherWriterNames(text: String) {
        #expect(WriterName(text) == nil)
    }

    @Test func segmentNamesAreReadFromTheRight() throws {
        let writer = try #require(WriterName("gpu-7-1-2-\(hex)"))
        let open = SegmentName(writer: writer, seq: 12)
        #expect(open.fileName == "gpu-7-1-2-\(hex)-12.open")
        #expect(SegmentName(open.fileName) == open)
        #expect(open.isOpen && !open.isEnd && open.lines == 0 && open.sealed_ms == 0)
        let sealed = SegmentName(writer: writer, seq: 0, sealed_ms: 1_795_428_930_123, lines: 7, isEnd: false)
        #expect(sealed.fileName == "gpu-7-1-2-\(hex)-0-1795428930123-7.jsonl")
        #expect(SegmentName(sealed.fileName) == sealed)
        let end = SegmentName(writer: writer, seq: 3, sealed_ms: 1, lines: 1, isEnd: true)
        #expect(end.fileName.hasSuffix("-3-1-1-end.jsonl"))
        #expect(SegmentName(end.fileName) == end)
        #expect(open > sealed && sealed < end)
    }

    @Test func refusesOtherFiles() {
        let writer = "web-\(hex)"
        let others = [
            "\(writer).lock", "\(writer)-.open", "\(writer)-01.open", "\(writer)-1-2.jsonl", "\(writer)-1-2-x.jsonl",
            "\(writer)-1-2-3-END.jsonl", "\(writer)--1-2-3.jsonl", "\(writer)-1-2-99999999999999999999.jsonl",
            "\(writer)-1-2-3.jsonl.tmp", "web-0.open", ".open", ".jsonl", "-end.jsonl", "",
        ]
        for name in others { #expect(SegmentName(name) == nil, "\(name)") }
    }
}
