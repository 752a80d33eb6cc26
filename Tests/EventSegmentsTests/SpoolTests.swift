import DurableIO
import EventModel
import EventSegments
import Testing

@Suite struct SpoolTests {
    @Test func tellsFilesApartByName() {
        let writer = "h-0192f0c1a2b37c4d8e9f00112233445a"
        func entry(_ name: String, isRegular: Bool = true) -> DirectoryEntry {
            DirectoryEntry(name: name, size: 5, modified_ms: 9, isRegular: isRegular)
        }
        let spool = Spool(
            directory: "/spool",
            entries: [
                entry("\(writer)-10-1700000000000-3.jsonl"), entry("\(writer)-9-1700000000000-3.jsonl"),
                entry("\(writer)-11.open"), entry("\(writer).lock"), entry("notes.jsonl"),
                entry("\(writer)-12-1700000000000-3.jsonl", isRegular: false), entry(".\(writer).lock.1-1.tmp"),
                entry("\(writer)-13-1700000000000-3.jsonl.damaged"),
            ])
        #expect(spool.sealed.map(\.name.seq) == [9, 10])
        #expect(spool.open.map(\.name.seq) == [11])
        #expect(spool.open.first?.modified_ms == 9)
        #expect(spool.locks.map(\.writer.text) == [writer])
        #expect(spool.irregular == ["\(writer)-12-1700000000000-3.jsonl"])
        #expect(spool.damaged.map(\.name.seq) == [13])
        #expect(spool.others == [".\(writer).lock.1-1.tmp", "notes.jsonl"])
    }

    @Test func reportsAFolderThatCannotBeRead() {
        #expect(throws: SystemError.self) { try Spool(reading: "/nonexistent/spool") }
    }
}
