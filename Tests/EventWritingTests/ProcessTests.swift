import EventModel
import EventWriting
import Glibc
import Testing

/// Whole processes: killed, forked, ended in several ways.
@Suite(.timeLimit(.minutes(5)))
struct ProcessTests {
    @Test(arguments: [0.02, 0.1, 0.3, 0.7])
    func killedAtAnyTimeItKeepsEveryFlushedEvent(seconds: Double) throws {
        let spool = try Spool()
        let probe = try Probe(spool, "1000000", "0", "threads=2", "flush=3", "seal_bytes=20000", "end=wait")
        #expect(try eventually { try !probe.output().isEmpty })
        usleep(UInt32(seconds * 1e6))
        probe.kill(SIGKILL)
        #expect(probe.wait() == 128 + 9)

        let promised = Set(try probe.output())
        #expect(!promised.isEmpty)
        let found = try spool.ids()
        #expect(Set(found).isSuperset(of: promised))
        #expect(Set(found).count == found.count)

        // The lock is free, its record is whole, and the sealed segments are in order.
        let lock = try #require(spool.lockFiles.first)
        let file = open(spool.path + "/" + lock, O_RDWR)
        #expect(flock(file, LOCK_EX | LOCK_NB) == 0)
        close(file)
        let record = try #require(LockRecord(try spool.bytes(lock)))
        #expect(!record.closed && record.counts.appended == record.counts.written + record.counts.dropped.total)
        let writer = try spool.onlyWriter()
        if spool.segments.contains(where: { !$0.isOpen }) { try spool.check(writer, ended: false) }
        let lines = try spool.segments.reduce(0) { try $0 + spool.lines($1.fileName).count }
        #expect(record.counts.written <= lines)
    }

    @Test func aProcessThatExitsWithoutClosingLeavesItsCounts() throws {
        let spool = try Spool()
        let probe = try Probe(spool, "50", "0", "end=exit")
        #expect(probe.wait() == 0)
        #expect(try spool.ids().sorted() == probe.output().sorted())
        #expect(spool.lockFiles.count == 1)
        #expect(spool.segments.map(\.isOpen) == [true])
    }

    @Test func aForkedChildIsAWriterOfItsOwn() throws {
        let spool = try Spool()
        let probe = try Probe(spool, "200", "0", "fork=1", "flush=10", "seal_bytes=10000")
        #expect(probe.wait() == 0)
        let output = try probe.output().filter { !$0.hasPrefix("counts") }
        let children = Set(output.filter { $0.hasPrefix("child ") }.map { String($0.dropFirst(6)) })
        let parents = Set(output.filter { !$0.hasPrefix("child ") })
        #expect(children.count == 200 && parents.count == 400 && children.isDisjoint(with: parents))

        // Two writers, both ended, each with its own events; the event that waited across the fork is there once.
        let writers = Set(spool.segments.map(\.writer)).sorted()
        #expect(writers.count == 2 && spool.lockFiles.isEmpty)
        var owners: [Set<String>] = []
        for writer in writers {
            try spool.check(writer)
            let names = spool.segments.filter { $0.writer == writer }
            let lines = try names.flatMap { try spool.lines($0.fileName) }
            let values = lines.compactMap { JSONValue.parse(prefixOf: Array($0.utf8)) }
            owners.append(Set(values.compactMap { $0["id"]?.string }))
            #expect(Set(values.compactMap { $0["source"]?.string }).count == 1)
        }
        #expect(owners.contains(children))
        #expect(owners.contains { $0.isSuperset(of: parents) && $0.count == 401 })
        let across = try spool.events().filter { $0["prediction"]?.string == "across" }
        #expect(across.count == 1)
    }

    @Test func manyProcessesShareASpool() throws {
        let spool = try Spool()
        let probes = try (0..<3).map { _ in try Probe(spool, "300", "0", "flush=100") }
        for probe in probes { #expect(probe.wait() == 0) }
        let writers = Set(spool.segments.map(\.writer))
        #expect(writers.count == 3)
        for writer in writers { #expect(try spool.check(writer).counts.written == 301) }
        #expect(try Set(spool.ids()).count == 900)
    }

    @Test func theLibraryPullsInNoFoundation() throws {
        let libraries = try neededLibraries(Probe.path)
        #expect(libraries.contains { $0.hasPrefix("libswiftCore") } || !libraries.isEmpty)
        for name in libraries {
            #expect(!name.contains("Foundation") && !name.contains("ICU") && !name.contains("curl"), "\(name)")
        }
    }

    /// Every library that the dynamic linker loads for a program.
    func neededLibraries(_ program: String) throws -> [String] {
        let pipe = try #require(popen("LD_TRACE_LOADED_OBJECTS=1 '\(program)'", "r"))
        defer { pclose(pipe) }
        var names: [String] = []
        var buffer = [CChar](repeating: 0, count: 4096)
        while fgets(&buffer, Int32(buffer.count), pipe) != nil {
            let line = buffer.withUnsafeBufferPointer { $0.baseAddress.map { String(cString: $0) } ?? "" }
            if let name = line.split(whereSeparator: \.isWhitespace).first { names.append(String(name)) }
        }
        return names
    }
}
