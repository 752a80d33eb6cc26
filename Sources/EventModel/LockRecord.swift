/// The content of a writer's lock file: who it is and what it has counted, kept where a crash and a full disk reach
/// neither (the block is allocated before the first event and rewritten in place).
///
/// 4096 bytes: one JSON object, spaces, a newline as the last byte.
package struct LockRecord: Sendable, Hashable {
    /// The writer's name.
    package var writer: String
    /// The host in normal form.
    package var host: String
    /// The service's name, as its events carry it.
    package var service: String
    /// The writing process.
    ///
    /// For people: never proof that it lives.
    package var pid: Int
    /// When the writer began, in milliseconds since the epoch.
    package var started_ms: Int64
    /// When this record was written, in milliseconds since the epoch.
    package var updated_ms: Int64
    /// Number of the segment that is open or comes next.
    package var seq: Int
    /// The counts so far.
    package var counts: WriterCounts
    /// Whether the writer ended well: its last segment is sealed.
    package var closed: Bool

    package init(
        writer: String, host: String, service: String, pid: Int, started_ms: Int64, updated_ms: Int64, seq: Int,
        counts: WriterCounts, closed: Bool
    ) {
        self.writer = writer
        self.host = host
        self.service = service
        self.pid = pid
        self.started_ms = started_ms
        self.updated_ms = updated_ms
        self.seq = seq
        self.counts = counts
        self.closed = closed
    }

    /// The 4096 bytes.
    ///
    /// A service name too long for the block is cut.
    package func encoded() -> [UInt8] {
        var service = self.service
        var bytes = json(service: service)
        while bytes.count > EventLimits.lockRecordBytes - 1, !service.isEmpty {
            service = String(service.dropLast(1 + service.count / 4))
            bytes = json(service: service)
        }
        precondition(bytes.count < EventLimits.lockRecordBytes, "host and writer names are limited in length")
        bytes.append(contentsOf: repeatElement(0x20, count: EventLimits.lockRecordBytes - 1 - bytes.count))
        bytes.append(0x0A)
        return bytes
    }

    private func json(service: String) -> [UInt8] {
        var text = JSONText()
        text.field("version", 1)
        text.field("writer", writer)
        text.field("host", host)
        text.field("service", service)
        text.field("pid", pid)
        text.field("started_ms", started_ms)
        text.field("updated_ms", updated_ms)
        text.field("seq", seq)
        counts.appendFields(to: &text)
        text.field("closed", closed)
        return text.closed
    }

    /// Reads a lock file's bytes up to the closing brace; nil (counts unknown) where it is torn, empty or of another
    /// version.
    ///
    /// Unknown fields are ignored; of the fields only the writer and its counts must be there.
    package init?(_ bytes: some Collection<UInt8>) {
        guard let value = JSONValue.parse(prefixOf: bytes), value["version"]?.integer == 1,
            let writer = value["writer"]?.string, let counts = WriterCounts(value)
        else { return nil }
        self.init(
            writer: writer, host: value["host"]?.string ?? "", service: value["service"]?.string ?? "",
            pid: value["pid"]?.count ?? 0, started_ms: value["started_ms"]?.integer ?? 0,
            updated_ms: value["updated_ms"]?.integer ?? 0, seq: value["seq"]?.count ?? 0, counts: counts,
            closed: value["closed"]?.bool ?? false)
    }
}
