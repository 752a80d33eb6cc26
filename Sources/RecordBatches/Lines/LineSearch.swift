package import EventModel
internal import EventSegments
internal import Glibc

/// A line that bears an id, and what the loader makes of it.
package struct FoundLine: Sendable, Equatable {
    /// The line's number in the segment, from 1.
    package let line: Int
    /// What kind of event it is; nil where it could not be read.
    package let type: EventType?
    /// The event's time, milliseconds since the epoch; nil where it could not be read.
    package let time_ms: Int64?
    /// The model's name and version; empty where there is none.
    package let model: String
    package let version: String
    /// The outcome's or feedback's name; empty for others.
    package let name: String
    /// Why it was rejected; nil where it counts.
    package let reason: RejectReason?
    /// Such as `latency_seconds is a string`; empty where it counts.
    package let detail: String
    /// The line's first bytes.
    package let excerpt: [UInt8]
}

/// Finds the lines of segments that bear an id: as prediction id, or as the event's own.
///
/// Reads as the loader does, native lines and foreign ones; of lines that cannot be read it knows those in which the id
/// stands between quotes. One thread at a time.
package final class LineSearch {
    private let id: [UInt8]
    private let mappings: [String: CompiledMapping]
    private let parser = JSONParser()
    private let decoder = EventDecoder()
    private let splitter = LineSplitter()
    /// Whether JSON may write the id in other bytes than its own.
    private let mayBeEscaped: Bool

    /// - Parameter id: at least one character.
    package init(id: String, mappings: [Mapping]) {
        self.id = Array(id.utf8)
        mayBeEscaped = !self.id.allSatisfy { (0x20..<0x7F).contains($0) && $0 != 0x22 && $0 != 0x5C && $0 != 0x2F }
        self.mappings = Dictionary(
            mappings.map { ($0.name, CompiledMapping($0)) }, uniquingKeysWith: { first, _ in first })
    }

    /// Whether segments of a format can be read.
    package func knows(_ format: String) -> Bool { format == "native" || mappings[format] != nil }

    /// Searches one segment of an object.
    /// - Throws: ``ObjectError`` where anything differs from the manifest.
    package func search(_ object: ObjectReader, segment index: Int) throws(ObjectError) -> [FoundLine] {
        let segment = object.manifest.segments[index]
        let window = TimeWindow(sealed_ms: segment.sealed_ms, replay: segment.replay)
        let mapping = mappings[segment.format]
        var found: [FoundLine] = []
        var line = 0
        func take(_ start: UnsafePointer<UInt8>, _ count: Int, _ ending: LineSplitter.Ending) {
            line += 1
            guard mayBeEscaped || holds(start, count, id) else { return }
            if let one = judge(start, count, ending, line, window, mapping) { found.append(one) }
        }
        splitter.reset()
        try object.read(index) { piece in splitter.append(piece, take) }
        splitter.finish(take)
        return found
    }

    private func judge(
        _ start: UnsafePointer<UInt8>, _ count: Int, _ ending: LineSplitter.Ending, _ line: Int, _ window: TimeWindow,
        _ mapping: CompiledMapping?
    ) -> FoundLine? {
        let excerpt = Array(UnsafeBufferPointer(start: start, count: min(count, RejectLine.excerptBytes)))
        do throws(Fault) {
            if ending != .newline {
                throw ending == .torn ? Fault(.torn_tail, .torn) : Fault(.too_long, .long)
            }
            let root = try parser.parse(start, count: count)
            if let mapping {
                try decoder.decode(root, by: mapping, in: window)
            } else {
                try decoder.decode(root, in: window)
            }
            guard isSought(.predictionID) || isSought(.id) else { return nil }
            return FoundLine(
                line: line, type: decoder.type, time_ms: decoder.time_ms, model: text(.modelName),
                version: text(.modelVersion), name: text(.name), reason: nil, detail: "", excerpt: excerpt)
        } catch {
            guard holds(start, count, [0x22] + id + [0x22]) else { return nil }
            return FoundLine(
                line: line, type: nil, time_ms: nil, model: "", version: "", name: "", reason: error.reason,
                detail: error.detail, excerpt: excerpt)
        }
    }

    private func isSought(_ field: Field) -> Bool {
        guard let value = decoder.value(field), value.kind == TapeValue.Kind.string else { return false }
        let text = value.text
        return text.count == id.count && memcmp(text.start, id, id.count) == 0
    }

    private func text(_ field: Field) -> String {
        guard let value = decoder.value(field), value.kind == TapeValue.Kind.string else { return "" }
        return value.text.string
    }

    private func holds(_ start: UnsafePointer<UInt8>, _ count: Int, _ bytes: [UInt8]) -> Bool {
        guard let first = bytes.first, count >= bytes.count else { return false }
        var place = 0
        while place <= count - bytes.count,
            let hit = memchr(start + place, Int32(first), count - bytes.count + 1 - place)
        {
            if memcmp(hit, bytes, bytes.count) == 0 { return true }
            place = UnsafeRawPointer(hit) - UnsafeRawPointer(start) + 1
        }
        return false
    }
}
