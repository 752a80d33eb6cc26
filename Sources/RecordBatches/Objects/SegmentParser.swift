internal import EventModel
internal import EventSegments

/// What becomes of good events.
protocol EventSink: AnyObject {
    /// Takes an event that has passed all checks.
    ///
    /// - Parameters:
    ///   - segment: the segment's place in what the sink is filling.
    ///   - line: the line's number in the segment, from 1.
    func take(_ event: EventDecoder, segment: Int, line: Int)

    /// Whether the sink may have a use for the event of a native line, from its bytes alone; else it is not parsed.
    func mayTake(_ start: UnsafePointer<UInt8>, _ count: Int) -> Bool
}

extension EventSink {
    @inline(__always)
    func mayTake(_ start: UnsafePointer<UInt8>, _ count: Int) -> Bool { true }
}

/// Reads a segment's raw bytes line by line: good events go to a sink, all lines are counted.
final class SegmentParser<Sink: EventSink> {
    private let sink: Sink
    private let parser = JSONParser()
    private let decoder = EventDecoder()
    private let splitter = LineSplitter()
    private let reasons = RejectReason.allCases

    private var result: SegmentResult
    private var mapping: CompiledMapping?
    private var window = TimeWindow(sealed_ms: 0, replay: false)
    private var segment = 0
    private var line = 0
    /// How many rejected lines of each reason are kept.
    private var keptRejects = RejectLine.kept
    /// Begin of the last event's hour, and lines of that hour by type, not yet in ``result``.
    private var hour_s = Int64.min
    private let hourLines: UnsafeMutablePointer<Int64>

    init(sink: Sink, first: Manifest.Segment) {
        self.sink = sink
        result = SegmentResult(segment: first)
        hourLines = .allocate(capacity: EventType.allCases.count)
        hourLines.initialize(repeating: 0, count: EventType.allCases.count)
    }

    deinit {
        hourLines.deallocate()
    }

    /// Starts a segment.
    ///
    /// - Parameters:
    ///   - place: the segment's place in what the sink is filling.
    ///   - mapping: nil for native segments.
    ///   - keptRejects: how many rejected lines of each reason are kept for people.
    func begin(
        _ segment: Manifest.Segment, at place: Int, mapping: CompiledMapping?, keptRejects: Int = RejectLine.kept
    ) {
        self.keptRejects = keptRejects
        result = SegmentResult(segment: segment, mappingSHA256: mapping?.sha256)
        self.mapping = mapping
        window = TimeWindow(sealed_ms: segment.sealed_ms, replay: segment.replay)
        self.segment = place
        line = 0
        hour_s = .min
        hourLines.update(repeating: 0, count: EventType.allCases.count)
        splitter.reset()
    }

    /// How many hours of events the segment has so far, by type.
    var hours: Int { result.hours.count }

    /// Takes the segment's next bytes.
    func append(_ bytes: UnsafeRawBufferPointer) {
        splitter.append(bytes) { start, count, ending in take(start, count, ending) }
    }

    /// Ends the segment.
    func finish() -> SegmentResult {
        splitter.finish { start, count, ending in take(start, count, ending) }
        flushHour()
        return result
    }

    @inline(__always)
    private func take(_ start: UnsafePointer<UInt8>, _ count: Int, _ ending: LineSplitter.Ending) {
        line &+= 1
        do throws(Fault) {
            if ending != .newline {
                throw ending == .torn ? Fault(.torn_tail, .torn) : Fault(.too_long, .long)
            }
            if count == 0 || (start[0] <= 0x20 && Self.isBlank(start, count)) { throw Fault(.empty_line, .empty) }
            if mapping == nil, !sink.mayTake(start, count) { return }
            let root = try parser.parse(start, count: count)
            if let mapping {
                try decoder.decode(root, by: mapping, in: window)
            } else {
                try decoder.decode(root, in: window)
            }
            if decoder.type == .writer { try takeWriterLine(start, count) }
            let hour = Period.hour(ofMs: decoder.time_ms)
            if hour != hour_s {
                flushHour()
                hour_s = hour
            }
            hourLines[decoder.type.place] &+= 1
            sink.take(decoder, segment: segment, line: line)
        } catch {
            reject(error, start, count)
        }
    }

    private func takeWriterLine(_ start: UnsafePointer<UInt8>, _ count: Int) throws(Fault) {
        guard let writerLine = WriterLine(UnsafeBufferPointer(start: start, count: count)) else {
            throw Fault(.invalid_value, .writer)
        }
        result.writerLine = writerLine
    }

    private func flushHour() {
        for place in 0..<EventType.allCases.count where hourLines[place] > 0 {
            result.hours[HourType(hour_s: hour_s, type: EventType.at(place)), default: 0] += hourLines[place]
            hourLines[place] = 0
        }
    }

    @inline(never)
    private func reject(_ fault: Fault, _ start: UnsafePointer<UInt8>, _ count: Int) {
        let lines = result.rejects[fault.reason, default: 0] + 1
        result.rejects[fault.reason] = lines
        guard lines <= keptRejects else { return }
        let excerpt = Array(UnsafeBufferPointer(start: start, count: min(count, RejectLine.excerptBytes)))
        result.rejectLines.append(
            RejectLine(line: line, reason: fault.reason, detail: fault.detail, excerpt: excerpt))
    }

    private static func isBlank(_ start: UnsafePointer<UInt8>, _ count: Int) -> Bool {
        for place in 0..<count where start[place] != 0x20 && start[place] != 0x09 && start[place] != 0x0D {
            return false
        }
        return true
    }
}
