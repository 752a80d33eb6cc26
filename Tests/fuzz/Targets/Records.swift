import EventModel
import EventSegments
import RecordBatches

/// Objects, whole or only their ends: read as they say or refused.
enum ObjectsTarget {
    static func run(_ input: [UInt8]) {
        if let (manifest, size) = try? ObjectTrailer.find(in: input) {
            demand(size <= input.count, "the trailer lies in the object")
            let again = try? Manifest(decoding: manifest.encoded())
            demand(again == manifest, "a manifest reads back as it was written")
            demand(manifest.segments.allSatisfy { $0.lines >= 0 && $0.offset >= 0 }, "counts are not negative")
        }
        _ = try? Manifest(decoding: input)
        guard let reader = try? ObjectReader(input), reader.manifest.segments.count < 100 else { return }
        for (index, segment) in reader.manifest.segments.enumerated() {
            var bytes = 0
            let isWhole = (try? reader.read(index) { bytes += $0.count }) != nil
            demand(!isWhole || bytes == segment.rawBytes, "what is read is as long as the manifest says")
        }
    }
}

/// What programs write for one another.
enum RecordsTarget {
    static func run(_ input: [UInt8]) {
        if let record = LockRecord(input) {
            // Names as long as no writer has do not fit into the file again.
            if record.writer.utf8.count < 200, record.host.utf8.count < 200 {
                let again = LockRecord(record.encoded())
                demand(again?.counts == record.counts, "a lock record reads back as it was written")
            }
        }
        if let line = WriterLine(input) {
            demand(WriterLine(line.encoded()) == line, "a writer line reads back as it was written")
        }
        if let report = try? HostReport(decoding: input) {
            demand((try? HostReport(decoding: report.encoded())) == report, "a report reads back as it was written")
        }
        _ = JSONValue.parse(prefixOf: input)
    }
}

/// Names that may come from a listing, a spool or a line.
enum NamesTarget {
    static func run(_ input: [UInt8]) {
        let text = String(decoding: input, as: UTF8.self)
        if let name = SegmentName(text) { demand(name.fileName == text, "a segment's name is written one way") }
        if let writer = WriterName(text) { demand(writer.text == text, "a writer's name is written one way") }
        if let writer = WriterName(lockFileName: text) {
            demand(writer.lockFileName == text, "a lock file's name is written one way")
        }
        for prefix in ["", "p"] {
            guard let key = ObjectKey(parsing: text, prefix: prefix) else { continue }
            demand(key.path == text, "a key is written one way")
        }
        let host = HostName.normalise(text)
        demand(HostName.normalise(host) == host, "a normal name is normal")
        demand((1...64).contains(host.utf8.count), "a host's name has 1 to 64 bytes")
        if let time_ms = Timestamp.parse(text) {
            demand(Timestamp.parse(Timestamp.format(time_ms)) == time_ms, "a time reads back as it was written")
        }
        if let id = UUIDv7(text) { demand(UUIDv7("\(id)") == id, "an id reads back as it was written") }
    }
}
