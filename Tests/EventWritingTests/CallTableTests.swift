import EventModel
import EventWriting
import FoundationEssentials
import Testing

/// The table of calls that every client answers alike; `clients/python/tests/test_calls.py` runs the same one.
struct CallTableTests {
    let calls: [Call]

    init() throws {
        let root = #filePath.split(separator: "/").dropLast(3).joined(separator: "/")
        let table = try readFile("/\(root)/clients/schema/golden/calls.jsonl")
        calls = try table.split(separator: 0x0A).map { try JSONDecoder().decode(Call.self, from: Data($0)) }
    }

    @Test func everyCallWritesTheTablesFieldsOrIsInvalid() throws {
        try #require(calls.count > 100)
        let spool = try Spool()
        let log = try EventWriter(directory: spool.path, service: "s")
        var invalid = 0
        for (place, call) in calls.enumerated() {
            let isInvalid = try !#require(call.perform(log), "\(call.call)")
            if isInvalid { invalid += 1 }
            #expect(isInvalid == (call.invalid ?? false), "line \(place + 1): \(call.arguments)")
        }
        #expect(log.close())
        #expect(log.status.counts.dropped == DropCounts(invalid: invalid))
        let wanted = calls.filter { $0.invalid != true }
        let lines = try spool.lines(try #require(spool.segments.first).fileName).dropLast()
        try #require(lines.count == wanted.count && invalid == calls.count - wanted.count)
        let filledIn: Set<String> = ["schema", "type", "id", "time", "source", "service"]
        for (line, call) in zip(lines, wanted) {
            let event = try JSONDecoder().decode([String: CallValue].self, from: Data(line.utf8))
            #expect(event["type"] == .text(call.call))
            #expect(event.filter { !filledIn.contains($0.key) } == call.writes, "\(call.arguments)")
        }
    }

    @Test func eventsAfterTheCloseAreInvalid() throws {
        let spool = try Spool()
        let log = try EventWriter(directory: spool.path, service: "s")
        #expect(log.close())
        #expect(log.append(.prediction(model: "m", version: "1")) == nil)
        #expect(log.status.counts.dropped.invalid == 1)
    }

    @Test func aLongServiceNameLeavesTheSourceAName() throws {
        let spool = try Spool()
        let service = String(repeating: "é", count: 128)
        let log = try EventWriter(directory: spool.path, service: service)
        log.append(.prediction(model: "m", version: "1"))
        #expect(log.close())
        let event = try #require(try spool.events().first)
        let source = try #require(event["source"]?.string)
        #expect(event["service"]?.string == service)
        #expect((250...256).contains(source.utf8.count) && source.contains("é/"))
    }
}
