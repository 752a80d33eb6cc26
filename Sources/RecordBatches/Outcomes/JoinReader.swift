internal import EventModel
package import EventSegments
internal import Glibc

/// Reads objects and keeps the predictions of some hours that outcomes wait for.
///
/// One thread at a time. Several readers may share a table and a dictionary; what they found goes to one ``JoinTally``.
package final class JoinReader: @unchecked Sendable {
    private let reader: SegmentReader<JoinSink>
    var sink: JoinSink { reader.sink }

    /// - Parameters:
    ///   - hours: begins of the hours to be joined, in seconds since the epoch; other predictions are passed over.
    ///   - slices: tags that become slices.
    package init(
        _ table: OutcomeTable, _ dictionary: JoinDictionary, hours: Set<Int64>, slices: [String], mappings: [Mapping]
    ) {
        reader = SegmentReader(JoinSink(table, dictionary, hours: hours, slices: slices), mappings: mappings)
    }

    /// How many predictions it holds, of those that outcomes name.
    package var heldFinds: Int { sink.finds.count }

    /// Starts a segment of an object; its frame goes to ``append(_:)``.
    ///
    /// Each segment must be read once by all readers of a join together, and what they found is of no use once one has thrown.
    ///
    /// - Returns: false where its mapping is not known: then nothing may be appended.
    package func begin(_ segment: Manifest.Segment) -> Bool {
        guard reader.begin(segment) else { return false }
        sink.begin(segment)
        return true
    }

    /// Takes the next bytes of the segment's frame, in pieces of any size.
    ///
    /// - Throws: ``ObjectError`` where it is not what its manifest says.
    package func append(_ compressed: UnsafeRawBufferPointer) throws { try reader.append(compressed) }

    /// Ends the segment.
    ///
    /// - Throws: as ``append(_:)``.
    package func endSegment() throws { try reader.endSegment() }
}

/// Collects the predictions that outcomes wait for.
final class JoinSink: EventSink {
    let table: OutcomeTable
    let dictionary: JoinDictionary
    private let names: JoinNames
    private let sliceKeys: [TextBytes]
    private let hours: Set<Int64>
    private var hour_s = Int64.min
    private var hourIsWanted = false
    private var segment: UInt32 = 0

    /// Segments by the number that finds name.
    private(set) var segments: [Manifest.Segment] = []
    private(set) var finds: JoinFinds
    /// Lines with a prediction id that another line read here has, by the model's number.
    private(set) var repeated: [Int64]
    /// By the prediction's number in the table the place of its find: of many lines with one id, one is held.
    private let places: UnsafeMutablePointer<UInt32>
    private static let none = UInt32.max
    /// The last answer of ``comesBefore(_:)`` for the segment at hand.
    private var compared = (segment: JoinSink.none, isBehind: false)

    init(_ table: OutcomeTable, _ dictionary: JoinDictionary, hours: Set<Int64>, slices: [String]) {
        self.table = table
        self.dictionary = dictionary
        self.hours = hours
        sliceKeys = slices.map { TextBytes(immortal: $0) }
        names = JoinNames(dictionary, slices: slices)
        finds = JoinFinds(series: 1 + slices.count)
        repeated = [Int64](repeating: 0, count: table.models.count)
        places = .allocate(capacity: max(1, table.keys))
        places.initialize(repeating: Self.none, count: max(1, table.keys))
    }

    deinit {
        finds.destroy()
        places.deallocate()
        for key in sliceKeys { key.start.deallocate() }
    }

    func begin(_ segment: Manifest.Segment) {
        self.segment = UInt32(truncatingIfNeeded: segments.count)
        segments.append(segment)
        compared.segment = Self.none
    }

    /// Whether the segment at hand comes before another one by writer and number.
    @inline(__always)
    private func comesBefore(_ other: UInt32) -> Bool {
        if other == segment { return false }
        if other != compared.segment {
            let (mine, theirs) = (segments[Int(segment)], segments[Int(other)])
            compared = (other, JoinSink.comesBefore(mine, theirs))
        }
        return compared.isBehind
    }

    /// The order of segments in which the first line with a prediction id counts: by writer and number.
    static func comesBefore(_ one: Manifest.Segment, _ two: Manifest.Segment) -> Bool {
        ExactText.same(one.writer, two.writer) ? one.seq < two.seq : ExactText(one.writer) < ExactText(two.writer)
    }

    // MARK: Lines

    /// Lines of a look at whether looking before parsing is worth it, and how many of them.
    private var looks = 0
    private var passes = 0
    /// Lines that are parsed without a look.
    private var blind = 0
    private static let looksAtATime = 4096

    /// Most lines of a trickle's hours name no prediction that outcomes wait for, and finding that out in their bytes costs a
    /// fraction of parsing them.
    @inline(__always)
    func mayTake(_ start: UnsafePointer<UInt8>, _ count: Int) -> Bool {
        if blind > 0 {
            blind &-= 1
            return true
        }
        let passes = mayHold(start, count)
        looks &+= 1
        if passes { self.passes &+= 1 }
        if looks == Self.looksAtATime {
            if self.passes > Self.looksAtATime / 2 { blind = 16 * Self.looksAtATime }
            (looks, self.passes) = (0, 0)
        }
        return passes
    }

    /// No only if no key `id` or `prediction_id`, at whatever place, has a value that is looked for.
    ///
    /// A line with an escape, a space before a value or a value that is no string is parsed.
    private func mayHold(_ start: UnsafePointer<UInt8>, _ count: Int) -> Bool {
        // Each model costs a look into the table.
        if table.models.count > 8 { return true }
        let end = start + count
        var place = start
        while let found = JSONParser.nextID(place, end) {
            // Behind the string's end.
            let next = found + 3
            switch (found.pointee, next.pointee) {
            case (UInt8(ascii: "\\"), _): return true
            case (_, UInt8(ascii: ",")), (_, UInt8(ascii: "}")), (_, UInt8(ascii: "]")): place = next
            case (_, UInt8(ascii: ":")):
                let value = next + 2
                guard next[1] == UInt8(ascii: "\""), value < end, let close = memchr(value, 0x22, end - value) else {
                    return true
                }
                let length = UnsafeRawPointer(close) - UnsafeRawPointer(value)
                if table.mayHold(TextBytes(start: value, count: length)) { return true }
                // There may be an escape in it.
                place = value
            default: return true
            }
        }
        return false
    }

    func take(_ event: EventDecoder, segment: Int, line: Int) {
        guard event.type == .prediction, let name = event.text(.modelName) else { return }
        let hour = Period.hour(ofMs: event.time_ms)
        if hour != hour_s {
            hour_s = hour
            hourIsWanted = hours.contains(hour)
        }
        guard hourIsWanted, let model = table.model(name),
            let id = event.text(.predictionID) ?? event.text(.id), id.count <= EventDecoder.nameBytes,
            let outcome = table.find(model, id)
        else { return }
        keep(event, model, outcome, line)
    }

    private func keep(_ event: EventDecoder, _ model: Int, _ first: OutcomeRecord, _ line: Int) {
        let header = first.header
        let known = places[Int(header.key)]
        if known != Self.none {
            repeated[Int(header.model)] &+= 1
            guard comesBefore(finds.find(Int(known)).segment) else { return }
        }
        var find = JoinFind(
            segment: segment, line: UInt32(truncatingIfNeeded: line), outcome: first.place, key: header.key,
            time_ms: event.time_ms)
        let isError = event.text(.status)?.count == 5
        if isError {
            find.flags.insert(.isFailed)
        } else {
            if let score = event.number(.score) {
                find.score = score
                find.flags.insert(.hasScore)
            }
            addAnswer(event, model, first, &find)
        }
        let series = names.series(event, model, sliceKeys)
        if known != Self.none {
            finds.replace(Int(known), find, series: series)
        } else {
            places[Int(header.key)] = UInt32(truncatingIfNeeded: finds.count)
            finds.append(find, series: series)
        }
    }

    private func addAnswer(_ event: EventDecoder, _ model: Int, _ first: OutcomeRecord, _ find: inout JoinFind) {
        let task = PredictionTask(event)
        switch task {
        case .binary, .multiclass:
            let label = label(first)
            let answer = event.value(.prediction)
            let text = answer.flatMap { names.classText($0) }
            let verdict: Verdict? = if let answer, text != nil { Verdict(answer) } else { nil }
            if task == .multiclass {
                find.flags.insert(.isMulticlass)
            } else if verdict != .neither,
                let flags = label?.header.flags, !flags.isDisjoint(with: [.labelIsYes, .labelIsNo])
            {
                // Names of classes (ham, spam) say neither: nobody knows which of them the score is of.
                find.flags.insert(.isBinary)
            }
            guard let text else { return }
            find.flags.insert(.hasClass)
            if verdict == .yes { find.flags.insert(.isPositive) }
            let isBinary = find.flags.contains(.isBinary)
            if !isBinary { find.payload = UInt64(truncatingIfNeeded: names.classNumber(text, model: model)) }
            if let label {
                let isRight =
                    isBinary ? (verdict == .yes) == label.header.flags.contains(.labelIsYes) : isSame(text, label)
                if isRight { find.flags.insert(.isRight) }
            }
        case .regression, .other:
            guard let number = event.value(.prediction)?.number else { return }
            find.flags.insert(.hasNumber)
            find.payload = number.bitPattern
        case .free: return
        }
    }

    /// The prediction's label, of which there is one at most.
    private func label(_ first: OutcomeRecord) -> OutcomeRecord? {
        var record = first
        while !record.header.flags.contains(.isLabel) {
            let next = record.header.next
            if next == 0 { return nil }
            record = table.record(next)
        }
        return record
    }

    private func isSame(_ text: TextBytes, _ label: OutcomeRecord) -> Bool {
        let header = label.header
        if header.label > 0 { return table.texts.text(Int(header.label) - 1).equals(text) }
        guard let number = label.labelNumber else { return false }
        return names.numberText.write(number).equals(text)
    }
}
