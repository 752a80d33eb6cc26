import ObjectStorage
import TestSupport
import Testing

@Suite struct XMLScannerTests {
    static func events(_ text: String) throws -> [XMLScanner.Event] {
        var scanner = XMLScanner(Array(text.utf8))
        var events: [XMLScanner.Event] = []
        while let event = try scanner.next() { events.append(event) }
        return events
    }

    @Test func whatStoresSend() throws {
        let text = """
            \u{FEFF}<?xml version="1.0" encoding="UTF-8"?>
            <!-- a note --><s3:Error xmlns:s3="http://x/" a='>'><Code >A&amp;B&#34;&#x1F41F;</Code><Empty/><D><![CDATA[<x>&]]></D></s3:Error>

            """
        #expect(
            try Self.events(text) == [
                .start("Error"), .start("Code"), .text("A&B\"🐟"), .end("Code"), .start("Empty"), .end("Empty"),
                .start("D"), .text("<x>&"), .end("D"), .end("Error"),
            ])
    }

    @Test(arguments: [
        "", "  ", "text", "<a>", "<a></b>", "</a>", "<a></a><b></b>", "<a></a>text", "<a b></a>", "<a b=c></a>",
        "<a b='c></a>",
        "<a>&unknown;</a>", "<a>&#0;</a>", "<a>&#xD800;</a>", "<a>&amp</a>", "<!DOCTYPE a><a></a>", "<a",
        "<a><!-- </a>",
        "<a><![CDATA[x</a>", "<a><?php ?></a>", "<>", "<a/", "<a b='1'c='2'/>", "<![CDATA[x]]>",
    ]) func whatIsRefused(text: String) {
        #expect(throws: XMLScanner.Malformed.self) { try Self.events(text) }
    }

    @Test func depthAndBytes() throws {
        #expect(throws: XMLScanner.Malformed.self) {
            try Self.events(String(repeating: "<a>", count: 100_000))
        }
        var scanner = XMLScanner(Array("<a>".utf8) + [0xFF, 0xFE] + Array("</a>".utf8))
        #expect(try scanner.next() == .start("a"))
        #expect(throws: XMLScanner.Malformed.self) { try scanner.next() }
    }

    @Test func anyBytesEndWithoutHarm() {
        var generator = SeededGenerator(seed: 9)
        let pieces = [
            "<", ">", "/", "a", "&", ";", "amp", "!", "--", "[CDATA[", "]]>", "?", "=", "'", "\"", " ", "#x", "é",
        ]
        for _ in 0..<5000 {
            let text = (0..<Int.random(in: 1...25, using: &generator)).map { _ in
                pieces.randomElement(using: &generator)!
            }
            .joined()
            if let events = try? Self.events(text) {
                // A document that is accepted has as many ends as starts.
                let starts = events.count { if case .start = $0 { true } else { false } }
                let ends = events.count { if case .end = $0 { true } else { false } }
                #expect(starts == ends && starts > 0)
            }
        }
    }
}
