internal import EventModel
package import EventSegments

/// Joins waiting outcomes with the predictions of some hours, by reading these hours' objects again.
///
/// Of several lines with one prediction id the first by writer, segment and line joins, whatever the order in which
/// objects are read. The outcomes must be the newest of their prediction and name, as the table holds them.
package final class OutcomeJoiner {
    private let sink: JoinSink
    private let mappings: [String: CompiledMapping]
    private var parser: SegmentParser<JoinSink>?

    /// - Parameters:
    ///   - outcomes: what waits, and what has joined these hours before: an hour's rows are made anew.
    ///   - hours: begins of the hours to be joined, in seconds since the epoch; other predictions are passed over.
    ///   - configuration: which tags are slices; hours are those of the argument.
    package init(
        _ outcomes: [WaitingOutcome], hours: Set<Int64>, configuration: AggregationConfiguration = .init(),
        mappings: [Mapping] = []
    ) {
        sink = JoinSink(OutcomeTable(outcomes), hours: hours, slices: configuration.slices)
        self.mappings = Dictionary(
            mappings.map { ($0.name, CompiledMapping($0)) }, uniquingKeysWith: { first, _ in first })
    }

    /// Reads an object.
    ///
    /// Each segment must be read once: give `isWanted` what the ledger says is loaded.
    ///
    /// - Throws: ``ObjectError`` where anything differs from the manifest: then nothing of this object counts.
    package func add(
        _ object: [UInt8], where isWanted: (Manifest.Segment) -> Bool = { _ in true }
    ) throws(ObjectError) {
        let reader = try ObjectReader(object)
        sink.beginObject()
        for (index, segment) in reader.manifest.segments.enumerated() where isWanted(segment) {
            let mapping = mappings[segment.format]
            guard segment.format == Manifest.nativeFormat || mapping != nil else { continue }
            let parser = parser ?? SegmentParser(sink: sink, first: segment)
            self.parser = parser
            parser.begin(segment, at: 0, mapping: segment.format == Manifest.nativeFormat ? nil : mapping)
            sink.begin(segment)
            do {
                try reader.read(index) { parser.append($0) }
            } catch {
                sink.dropObject()
                throw error
            }
            _ = parser.finish()
        }
        sink.keepObject()
    }

    /// What joined in all objects read so far.
    package func result() -> JoinResult { sink.result() }
}

/// A prediction that an outcome waits for.
struct JoinCandidate {
    /// The answer of a prediction.
    enum Answer {
        case none
        case number(Double)
        case text(String)
        case bool(Bool)
    }

    let writer: String
    let seq: Int
    let line: Int
    /// Number in the ``OutcomeTable``.
    let key: Int
    let time_ms: Int64
    let model: String
    let version: String
    let variant: String
    let environment: String
    /// Values of the configured tags.
    let slices: [String]
    let task: PredictionTask
    let answer: Answer
    let score: Double?

    /// Whether this line comes first.
    func precedes(_ other: JoinCandidate) -> Bool {
        if !ExactText.same(writer, other.writer) { return ExactText(writer) < ExactText(other.writer) }
        return (seq, line) < (other.seq, other.line)
    }
}

/// Collects the predictions that outcomes wait for.
final class JoinSink: EventSink {
    let table: OutcomeTable
    let slices: [String]
    private let sliceKeys: [TextBytes]
    private let hours: Set<Int64>
    private var hour_s = Int64.min
    private var hourIsWanted = false
    private var segment: Manifest.Segment?

    private(set) var candidates: [JoinCandidate] = []
    private(set) var predictions: [JoinResult.ModelHour: Int64] = [:]
    private var candidatesBefore = 0
    private var predictionsBefore: [JoinResult.ModelHour: Int64] = [:]
    /// Lines of the last model and hour, not yet in ``predictions``.
    private var models = ByteTable()
    private var lastModel = -1
    private var lastHour_s = Int64.min
    private var lastCount: Int64 = 0

    init(_ table: OutcomeTable, hours: Set<Int64>, slices: [String]) {
        self.table = table
        self.hours = hours
        self.slices = slices
        sliceKeys = slices.map { TextBytes(immortal: $0) }
    }

    deinit {
        models.destroy()
        for key in sliceKeys { key.start.deallocate() }
    }

    func beginObject() {
        flush()
        candidatesBefore = candidates.count
        predictionsBefore = predictions
    }

    func keepObject() { flush() }

    func dropObject() {
        flush()
        candidates.removeSubrange(candidatesBefore...)
        predictions = predictionsBefore
    }

    func begin(_ segment: Manifest.Segment) { self.segment = segment }

    private func flush() {
        if lastCount > 0 {
            let key = JoinResult.ModelHour(model: models.text(lastModel).string, hour_s: lastHour_s)
            predictions[key, default: 0] += lastCount
        }
        lastCount = 0
    }

    func take(_ event: EventDecoder, segment: Int, line: Int) {
        guard event.type == .prediction, let model = event.text(.modelName) else { return }
        let hour = Period.hour(ofMs: event.time_ms)
        if hour != hour_s {
            hour_s = hour
            hourIsWanted = hours.contains(hour)
        }
        guard hourIsWanted else { return }
        let number = models.intern(model)
        if number != lastModel || hour != lastHour_s {
            flush()
            lastModel = number
            lastHour_s = hour
        }
        lastCount += 1
        guard let known = table.model(model), let id = event.text(.predictionID) ?? event.text(.id),
            let key = table.find(known, id)
        else { return }
        keep(event, model, key, line)
    }

    private func keep(_ event: EventDecoder, _ model: TextBytes, _ key: Int, _ line: Int) {
        guard let segment else { return }
        var answer = JoinCandidate.Answer.none
        if let prediction = event.value(.prediction) {
            switch prediction.kind {
            case TapeValue.Kind.string: answer = .text(prediction.text.string)
            case TapeValue.Kind.yes: answer = .bool(true)
            case TapeValue.Kind.no: answer = .bool(false)
            default: if let number = prediction.number { answer = .number(number) }
            }
        }
        let tags = event.value(.tags)
        let isError = event.text(.status)?.count == 5
        candidates.append(
            JoinCandidate(
                writer: segment.writer, seq: segment.seq, line: line, key: key, time_ms: event.time_ms,
                model: model.string, version: event.text(.modelVersion)?.string ?? "",
                variant: (event.text(.modelVariant) ?? Defaults.variant).string,
                environment: (event.text(.environment) ?? Defaults.environment).string,
                slices: sliceKeys.map { Self.slice(tags?.member($0)) },
                task: PredictionTask(event), answer: isError ? .none : answer,
                score: isError ? nil : event.number(.score)))
    }

    private static func slice(_ tag: TapeValue?) -> String {
        guard let tag, tag.kind == TapeValue.Kind.string else { return SliceName.missing }
        return tag.text.count > EventDecoder.nameBytes ? SliceName.other : tag.text.string
    }
}
