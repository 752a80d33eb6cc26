import EventModel
import Glibc
import Testing

/// A scratch directory that writers log to, and the checks that hold for every spool.
final class Spool {
    let path: String
    private let owned: Bool

    init() throws {
        owned = true
        var template = Array("/tmp/nadi-writer-XXXXXX".utf8CString)
        path = try #require(mkdtemp(&template)).string
    }

    /// A directory that another spool removes.
    init(existing path: String) {
        self.path = path
        owned = false
    }

    deinit {
        if owned { Self.remove(path) }
    }

    private static func remove(_ path: String) {
        for name in Spool(existing: path).files where unlink(path + "/" + name) != 0 { remove(path + "/" + name) }
        rmdir(path)
    }

    /// Names of all files, sorted.
    var files: [String] {
        guard let listing = opendir(path) else { return [] }
        defer { closedir(listing) }
        var names: [String] = []
        while let entry = readdir(listing) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) { tuple in
                tuple.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names.sorted()
    }

    /// All segments, open ones too, in order.
    var segments: [SegmentName] { files.compactMap { SegmentName($0) }.sorted() }

    var lockFiles: [String] { files.filter { $0.hasSuffix(".lock") } }

    func bytes(_ name: String) throws -> [UInt8] { try readFile(path + "/" + name) }

    /// The lines of a file, without newlines; a tail without newline is a line.
    func lines(_ name: String) throws -> [String] {
        let bytes = try bytes(name)
        return bytes.split(separator: 0x0A, omittingEmptySubsequences: false)
            .dropLast(bytes.last == 0x0A || bytes.isEmpty ? 1 : 0)
            .map { String(decoding: $0, as: UTF8.self) }
    }

    /// All event lines of all segments (no `writer` lines) that are whole, as values.
    func events() throws -> [JSONValue] {
        try segments.flatMap { try lines($0.fileName) }
            .compactMap { JSONValue.parse(prefixOf: Array($0.utf8)) }
            .filter { $0["type"]?.string != "writer" }
    }

    func ids() throws -> [String] { try events().compactMap { $0["id"]?.string } }

    /// Checks one writer's sealed segments and returns its last `writer` line: numbers without gaps, as many lines as the
    /// name says, a `writer` line at the end of each whose counts are those of all segments so far.
    @discardableResult
    func check(_ writer: WriterName, ended: Bool = true) throws -> WriterLine {
        let segments = segments.filter { $0.writer == writer && !$0.isOpen }
        var total = 0
        var last: WriterLine?
        for (place, segment) in segments.enumerated() {
            #expect(segment.seq == place)
            let lines = try lines(segment.fileName)
            #expect(lines.count == segment.lines, "\(segment)")
            #expect(try bytes(segment.fileName).last == 0x0A)
            total += lines.count
            let line = try #require(WriterLine(Array((lines.last ?? "").utf8)), "no writer line in \(segment)")
            #expect(line.writer == writer.text && line.segment == segment.seq && line.time_ms == segment.sealed_ms)
            #expect(line.counts.written == total, "\(segment)")
            #expect(line.counts.appended == line.counts.written + line.counts.dropped.total)
            #expect(line.end == segment.isEnd && !line.adopted)
            let inner = lines.dropLast().filter { $0.contains("\"type\":\"writer\"") }
            #expect(inner.isEmpty, "a writer line in the middle of \(segment)")
            last = line
        }
        #expect(segments.dropLast().allSatisfy { !$0.isEnd })
        #expect((segments.last?.isEnd ?? false) == ended)
        if ended { #expect(!files.contains(writer.lockFileName)) }
        return try #require(last)
    }

    /// The only writer that has segments here.
    func onlyWriter() throws -> WriterName {
        let writers = Set(segments.map(\.writer))
        #expect(writers.count == 1)
        return try #require(writers.first)
    }
}

func readFile(_ path: String) throws -> [UInt8] {
    let file = open(path, O_RDONLY | O_CLOEXEC)
    try #require(file >= 0, "\(path): \(errno)")
    defer { close(file) }
    var bytes: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 1 << 16)
    while true {
        let count = read(file, &chunk, chunk.count)
        try #require(count >= 0)
        if count == 0 { return bytes }
        bytes += chunk[..<count]
    }
}

extension UnsafeMutablePointer<CChar> {
    var string: String { String(cString: self) }
}

/// Waits until a condition holds, at most `seconds`.
func eventually(_ seconds: Double = 10, _ condition: () throws -> Bool) rethrows -> Bool {
    for _ in 0..<Int(seconds * 100) {
        if try condition() { return true }
        usleep(10_000)
    }
    return try condition()
}
