internal import EventModel
package import EventSegments

/// Reads objects and keeps the predictions of some hours that outcomes wait for.
///
/// One thread at a time. Several readers may share a table and a dictionary; what they found goes to one ``JoinTally``.
package final class JoinReader: @unchecked Sendable {
    let sink: JoinSink
    private let mappings: [String: CompiledMapping]
    private var parser: SegmentParser<JoinSink>?
    private var proof: SegmentProof?

    /// - Parameters:
    ///   - hours: begins of the hours to be joined, in seconds since the epoch; other predictions are passed over.
    ///   - slices: tags that become slices.
    package init(
        _ table: OutcomeTable, _ dictionary: JoinDictionary, hours: Set<Int64>, slices: [String], mappings: [Mapping]
    ) {
        sink = JoinSink(table, dictionary, hours: hours, slices: slices)
        self.mappings = Dictionary(
            mappings.map { ($0.name, CompiledMapping($0)) }, uniquingKeysWith: { first, _ in first })
    }

    /// Starts an object, which counts once it is ended.
    package func beginObject() { sink.beginObject() }

    /// Forgets what the object at hand has yielded.
    package func dropObject() {
        proof = nil
        sink.dropObject()
    }

    /// Starts a segment of the object; its frame goes to ``append(_:)``.
    ///
    /// Each segment must be read once by all readers of a join together.
    ///
    /// - Returns: false where its mapping is not known: then nothing may be appended.
    package func begin(_ segment: Manifest.Segment) -> Bool {
        let mapping = mappings[segment.format]
        guard segment.format == Manifest.nativeFormat || mapping != nil else { return false }
        let parser = parser ?? SegmentParser(sink: sink, first: segment)
        self.parser = parser
        parser.begin(
            segment, at: 0, mapping: segment.format == Manifest.nativeFormat ? nil : mapping, keptRejects: 0)
        sink.begin(segment)
        proof = SegmentProof(segment)
        return true
    }

    /// Takes the next bytes of the segment's frame, in pieces of any size.
    ///
    /// - Throws: ``ObjectError`` where it is not what its manifest says.
    package func append(_ compressed: UnsafeRawBufferPointer) throws {
        guard let parser, let proof else { return }
        try proof.append(compressed) { parser.append($0) }
    }

    /// Ends the segment.
    ///
    /// - Throws: as ``append(_:)``.
    package func endSegment() throws {
        guard let parser, let proof else { return }
        try proof.finish { parser.append($0) }
        self.proof = nil
        _ = parser.finish()
    }
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
    /// Predictions of the hours, by the model's number.
    private(set) var predictions: [Int64]
    private var findsBefore = 0
    private var predictionsBefore: [Int64] = []

    init(_ table: OutcomeTable, _ dictionary: JoinDictionary, hours: Set<Int64>, slices: [String]) {
        self.table = table
        self.dictionary = dictionary
        self.hours = hours
        sliceKeys = slices.map { TextBytes(immortal: $0) }
        names = JoinNames(dictionary, slices: slices)
        finds = JoinFinds(series: 1 + slices.count)
        predictions = [Int64](repeating: 0, count: table.models.count)
    }

    deinit {
        finds.destroy()
        for key in sliceKeys { key.start.deallocate() }
    }

    func beginObject() {
        findsBefore = finds.count
        predictionsBefore = predictions
    }

    func dropObject() {
        finds.truncate(to: findsBefore)
        predictions = predictionsBefore
    }

    func begin(_ segment: Manifest.Segment) {
        self.segment = UInt32(truncatingIfNeeded: segments.count)
        segments.append(segment)
    }

    func take(_ event: EventDecoder, segment: Int, line: Int) {
        guard event.type == .prediction, let name = event.text(.modelName) else { return }
        let hour = Period.hour(ofMs: event.time_ms)
        if hour != hour_s {
            hour_s = hour
            hourIsWanted = hours.contains(hour)
        }
        guard hourIsWanted, let model = table.model(name) else { return }
        predictions[model] &+= 1
        guard let id = event.text(.predictionID) ?? event.text(.id), id.count <= EventDecoder.nameBytes,
            let outcome = table.find(model, id)
        else { return }
        keep(event, model, outcome, line)
    }

    private func keep(_ event: EventDecoder, _ model: Int, _ first: OutcomeRecord, _ line: Int) {
        let header = first.header
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
        finds.append(find, series: names.series(event, model, sliceKeys))
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

/// Numbers of the names that a reader meets, remembered by their bytes.
final class JoinNames {
    private let dictionary: JoinDictionary
    private let slices: [String]
    private var seriesKeys = ByteTable()
    /// The series of each key: `all`, then one for each slice.
    private var seriesNumbers: UnsafeMutablePointer<Int32>
    private var seriesRoom = 64
    private var classKeys = ByteTable()
    private var classNumbers: [Int32] = []
    private let buffer: UnsafeMutablePointer<UInt8>
    /// Writes a label's number as a class.
    let numberText = ClassText()
    private let answerText = ClassText()

    /// Most keys that are remembered.
    private static let most = 65_536

    init(_ dictionary: JoinDictionary, slices: [String]) {
        self.dictionary = dictionary
        self.slices = slices
        seriesNumbers = .allocate(capacity: seriesRoom * (1 + slices.count))
        // Each part has at most 256 bytes, and two for its length.
        let bytes = 64 + (EventDecoder.nameBytes + 2) * (4 + slices.count) + (1 << 20)
        buffer = .allocate(capacity: bytes)
        buffer.initialize(repeating: 0, count: bytes)
    }

    deinit {
        seriesKeys.destroy()
        classKeys.destroy()
        seriesNumbers.deallocate()
        buffer.deallocate()
    }

    // MARK: Series

    /// The prediction's series, in a list that lives until the next call.
    func series(_ event: EventDecoder, _ model: Int, _ sliceKeys: [TextBytes]) -> UnsafePointer<Int32> {
        var end = 4
        UnsafeMutableRawPointer(buffer).storeBytes(of: Int32(truncatingIfNeeded: model), as: Int32.self)
        put(event.text(.modelVersion) ?? .empty, &end)
        put(event.text(.modelVariant) ?? Defaults.variant, &end)
        put(event.text(.environment) ?? Defaults.environment, &end)
        if !sliceKeys.isEmpty {
            let tags = event.value(.tags)
            for key in sliceKeys { put(Self.slice(tags?.member(key)), &end) }
        }
        let key = TextBytes(start: UnsafePointer(buffer), count: end)
        if seriesKeys.count >= Self.most, seriesKeys.find(key) == nil {
            seriesKeys.destroy()
            seriesKeys = ByteTable()
        }
        let known = seriesKeys.count
        let number = seriesKeys.intern(key)
        let width = 1 + slices.count
        if number == known { resolve(number, key, model) }
        return UnsafePointer(seriesNumbers + number * width)
    }

    @inline(__always)
    private func put(_ text: TextBytes, _ end: inout Int) {
        UnsafeMutableRawPointer(buffer + end).storeBytes(of: UInt16(truncatingIfNeeded: text.count), as: UInt16.self)
        (buffer + end + 2).update(from: text.start, count: text.count)
        end &+= 2 &+ text.count
    }

    private static let missing = TextBytes(immortal: SliceName.missing)
    private static let other = TextBytes(immortal: SliceName.other)

    private static func slice(_ tag: TapeValue?) -> TextBytes {
        guard let tag, tag.kind == TapeValue.Kind.string else { return missing }
        return tag.text.count > EventDecoder.nameBytes ? other : tag.text
    }

    /// Asks the dictionary for a key's series.
    @inline(never)
    private func resolve(_ number: Int, _ key: TextBytes, _ model: Int) {
        let width = 1 + slices.count
        if number == seriesRoom {
            let larger = UnsafeMutablePointer<Int32>.allocate(capacity: seriesRoom * 2 * width)
            larger.update(from: seriesNumbers, count: seriesRoom * width)
            seriesNumbers.deallocate()
            seriesNumbers = larger
            seriesRoom *= 2
        }
        var place = 4
        func next() -> String {
            let count = Int(UnsafeRawPointer(key.start + place).loadUnaligned(as: UInt16.self))
            defer { place += 2 + count }
            return TextBytes(start: key.start + place + 2, count: count).string
        }
        var series = SeriesKey(
            model: model, version: next(), variant: next(), environment: next(), sliceKey: SliceName.all,
            sliceValue: SliceName.all)
        let target = seriesNumbers + number * width
        target.initialize(to: dictionary.find(series))
        for (slice, key) in slices.enumerated() {
            series.sliceKey = key
            series.sliceValue = next()
            (target + 1 + slice).initialize(to: dictionary.find(series))
        }
    }

    // MARK: Classes

    /// The class that a classifier's answer names; nil where it names none. Lives until the next call.
    func classText(_ answer: TapeValue) -> TextBytes? {
        switch answer.kind {
        case TapeValue.Kind.string: answer.text
        case TapeValue.Kind.yes: Defaults.yes
        case TapeValue.Kind.no: Defaults.no
        default: answer.number.map { answerText.write($0) }
        }
    }

    /// The class's number, ``JoinDictionary/otherClass`` where it was not admitted.
    func classNumber(_ text: TextBytes, model: Int) -> Int32 {
        let raw = UnsafeMutableRawPointer(buffer)
        raw.storeBytes(of: Int32(truncatingIfNeeded: model), as: Int32.self)
        (buffer + 4).update(from: text.start, count: text.count)
        let key = TextBytes(start: UnsafePointer(buffer), count: 4 + text.count)
        if let known = classKeys.find(key) { return classNumbers[known] }
        if classKeys.count >= Self.most {
            classKeys.destroy()
            classKeys = ByteTable()
            classNumbers = []
        }
        let number = dictionary.find(class: text.string, model: model) ?? JoinDictionary.otherClass
        _ = classKeys.intern(key)
        classNumbers.append(number)
        return number
    }
}
