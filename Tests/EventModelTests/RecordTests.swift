import EventModel
import Testing

private let counts = WriterCounts(
    appended: 21, written: 6, dropped: DropCounts(buffer_full: 1, disk_full: 2, io_error: 3, too_large: 4, invalid: 5))

struct LockRecordTests {
    let record = LockRecord(
        writer: "web-1-017f22e279b07cc398c4dc0c0c07398f", host: "web-1", service: "iris \"a\"\n\u{1}é",
        pid: 123, started_ms: 1, updated_ms: 2, seq: 3, counts: counts, closed: false)

    @Test func isOneBlockThatEndsInANewline() {
        let bytes = record.encoded()
        #expect(bytes.count == 4096)
        #expect(bytes.last == 0x0A)
        #expect(bytes.filter { $0 == 0x0A }.count == 1)
        #expect(LockRecord(bytes) == record)
    }

    @Test func hasTheAgreedBytes() {
        var record = record
        record.service = "iris"
        let text = String(decoding: record.encoded(), as: UTF8.self)
        let expected =
            #"{"version":1,"writer":"web-1-017f22e279b07cc398c4dc0c0c07398f","host":"web-1","service":"iris","#
            + #""pid":123,"started_ms":1,"updated_ms":2,"seq":3,"appended":21,"written":6,"dropped":{"buffer_full":1,"#
            + #""disk_full":2,"io_error":3,"too_large":4,"invalid":5},"closed":false} "#
        #expect(text.hasPrefix(expected))
    }

    @Test func cutsAServiceNameThatDoesNotFit() throws {
        var record = record
        record.service = String(repeating: "\u{1}", count: 2000)
        let bytes = record.encoded()
        #expect(bytes.count == 4096)
        let read = try #require(LockRecord(bytes))
        #expect(read.counts == counts)
        #expect(!read.service.isEmpty && record.service.hasPrefix(read.service))
    }

    @Test func aTornRecordIsUnknown() {
        let bytes = record.encoded()
        let brace = bytes.lastIndex(of: UInt8(ascii: "}")) ?? 0
        for length in 0...brace { #expect(LockRecord(bytes[..<length]) == nil) }
        #expect(LockRecord(bytes[...brace]) == record)
        #expect(LockRecord([UInt8](repeating: 0, count: 4096)) == nil)
        #expect(LockRecord(Array(#"{"version":2,"writer":"w"}"#.utf8)) == nil)
    }

    @Test func unknownFieldsAreIgnored() {
        let text =
            #"{ "version" : 1, "writer":"w","new":[1,{"a":2.5e3}],"appended":1,"written":1,"dropped":"#
            + #"{"buffer_full":0,"disk_full":0,"io_error":0,"too_large":0,"invalid":0,"other":9}} trailing"#
        let record = LockRecord(Array(text.utf8))
        #expect(record?.counts == WriterCounts(appended: 1, written: 1))
        #expect(record?.seq == 0 && record?.closed == false)
    }

    @Test(arguments: ["-1", "1.5", "\"1\"", "null", "99999999999999999999"])
    func badCountsAreUnknown(value: String) {
        let text =
            #"{"version":1,"writer":"w","appended":\#(value),"written":1,"dropped":{"buffer_full":0,"disk_full":0,"#
            + #""io_error":0,"too_large":0,"invalid":0}}"#
        #expect(LockRecord(Array(text.utf8)) == nil)
    }
}

struct WriterLineTests {
    @Test func hasTheAgreedBytes() throws {
        let line = WriterLine(
            time_ms: 1_795_428_930_123, writer: "w", service: "iris", segment: 4, counts: counts, end: true)
        let expected =
            #"{"schema":1,"type":"writer","time":"2026-11-23T10:15:30.123Z","writer":"w","service":"iris","segment":4,"#
            + #""appended":21,"written":6,"dropped":{"buffer_full":1,"disk_full":2,"io_error":3,"too_large":4,"invalid":5},"#
            + #""end":true,"adopted":false}"# + "\n"
        #expect(String(decoding: line.encoded(), as: UTF8.self) == expected)
        #expect(WriterLine(line.encoded()) == line)
    }

    @Test func adoptedAndReplayLinesReadBack() {
        let line = WriterLine(
            time_ms: 0, writer: "w", service: "é\\\"", segment: 0, counts: counts, end: true, adopted: true, found: 17,
            replay: true)
        #expect(WriterLine(line.encoded()) == line)
        let text = String(decoding: line.encoded(), as: UTF8.self)
        #expect(text.hasSuffix(#""end":true,"adopted":true,"found":17,"replay":true}"# + "\n"))
    }

    @Test func otherLinesAreNotWriterLines() {
        #expect(WriterLine(Array(#"{"schema":1,"type":"prediction"}"#.utf8)) == nil)
        #expect(WriterLine(Array("".utf8)) == nil)
    }

    @Test func dropTotalsSaturate() {
        #expect(counts.dropped.total == 15)
        #expect(counts.appended == counts.written + counts.dropped.total)
        #expect(DropCounts(buffer_full: .max, invalid: 1).total == .max)
    }
}

struct JSONValueTests {
    @Test(arguments: [
        (#""\u00e9\ud83d\ude00\n\/""#, JSONValue.string("é😀\n/")), ("-12", .integer(-12)), ("1e3", .other),
        ("[true,false,null]", .array([.bool(true), .bool(false), .other])), ("{}", .object([:])), ("[]", .array([])),
    ])
    func reads(text: String, value: JSONValue) {
        #expect(JSONValue.parse(prefixOf: Array(text.utf8)) == value)
    }

    @Test(arguments: [
        "", "{", "{\"a\"", "{\"a\":}", "{\"a\":1,}", "[1,]", "\"\\x\"", "\"\\ud800\"", "\"\n\"", "nul", "+1", "tru",
        String(repeating: "[", count: 100),
    ])
    func refuses(text: String) {
        #expect(JSONValue.parse(prefixOf: Array(text.utf8)) == nil)
    }

    @Test func refusesInvalidUTF8() {
        #expect(JSONValue.parse(prefixOf: [0x22, 0xFF, 0x22]) == nil)
    }
}
