import EventModel
import EventSegments
import RecordBatches
import Testing

/// An outcome or feedback that waits for its prediction.
struct TestOutcome {
    var model = "iris"
    var id: String
    var type = EventType.outcome
    var name = "label"
    var time_ms: Int64 = 1_795_428_930_123 + 60_000
    var label: String?
    var number: Double?
    var value: Double?
    var currency: String?
    var score: Double?
}

/// A join of some outcomes with objects, in as many parts and by as many readers as asked for.
struct TestJoin {
    let result: JoinResult
    let dictionary: JoinDictionary
    /// Places of the outcomes that joined.
    let joined: [Int]
    /// Predictions that readers held, over all parts.
    let heldFinds: Int
    /// The outcomes that joined, in words, sorted.
    let joinedNames: [String]

    init(
        _ objects: [[UInt8]], _ outcomes: [TestOutcome], hours: Set<Int64> = [testHour_s], slices: [String] = [],
        dictionary: JoinDictionary? = nil, classes: Int = 1000, readers: Int = 1, parts: Int = 1
    ) throws {
        let models = dictionary?.models ?? Set(outcomes.map(\.model)).sorted()
        let dictionary = dictionary ?? JoinDictionary(open: models)
        self.dictionary = dictionary
        var result = JoinResult(models: models.count)
        var joined: [Int] = []
        var heldFinds = 0
        for part in 0..<parts {
            let table = OutcomeTable(models: models)
            for (place, outcome) in outcomes.enumerated()
            where outcome.id.utf8.reduce(0, { $0 &* 31 &+ Int($1) }) % parts == part {
                Self.append(outcome, place, models, to: table)
            }
            let readers = (0..<readers).map { _ in
                JoinReader(table, dictionary, hours: hours, slices: slices, mappings: [])
            }
            for (number, object) in objects.enumerated() { try Self.read(object, readers[number % readers.count]) }
            heldFinds += readers.reduce(0) { $0 + $1.heldFinds }
            let tally = JoinTally(readers, table, dictionary)
            result.merge(tally.result(classes: classes), classes: classes)
            tally.forEach { model, number, time_ms in
                #expect(models[model] == outcomes[Int(number)].model)
                if time_ms != nil { joined.append(Int(number)) }
            }
        }
        self.result = result
        self.joined = joined.sorted()
        self.heldFinds = heldFinds
        joinedNames = joined.map { "\(outcomes[$0])" }.sorted()
    }

    /// Reads an object.
    static func read(_ object: [UInt8], _ reader: JoinReader) throws {
        let manifest = try ObjectReader(object).manifest
        for segment in manifest.segments where reader.begin(segment) {
            try object[segment.offset..<(segment.offset + segment.compressedBytes)].withUnsafeBytes {
                try reader.append($0)
            }
            try reader.endSegment()
        }
    }

    static func append(_ outcome: TestOutcome, _ number: Int, _ models: [String], to table: OutcomeTable) {
        func lend(_ text: String?, _ body: (UnsafeRawBufferPointer?) -> Void) {
            guard let text else { return body(nil) }
            let bytes = Array(text.utf8) + [UInt8](repeating: 0xFF, count: 8)
            bytes.withUnsafeBytes { body(UnsafeRawBufferPointer(rebasing: $0.dropLast(8))) }
        }
        lend(outcome.name) { name in
            lend(outcome.id) { id in
                lend(outcome.label) { label in
                    lend(outcome.currency) { currency in
                        guard let name, let id else { return }
                        var fields = OutcomeTable.Fields(name: name, predictionID: id)
                        fields.model = models.firstIndex(of: outcome.model) ?? 0
                        fields.type = outcome.type
                        fields.number = Int64(number)
                        fields.time_ms = outcome.time_ms
                        fields.labelText = label
                        fields.labelNumber = outcome.number
                        fields.value = outcome.value
                        fields.currency = currency
                        fields.score = outcome.score
                        table.append(fields)
                    }
                }
            }
        }
    }

    /// A series' name.
    private func name(_ series: Int) -> String {
        let key = dictionary.series(series)
        let model = key.model < dictionary.models.count ? dictionary.models[key.model] : "other"
        return [model, key.version, key.variant, key.sliceKey, key.sliceValue].joined(separator: "/")
    }

    /// Rows of `outcome_hour` by series, without their classes.
    var outcomes: [String: OutcomeCounts] {
        Dictionary(
            uniqueKeysWithValues: result.outcomes.map {
                (name($0.key), $0.value.mapClasses(predicted: { _ in 0 }, label: { _ in 0 }))
            })
    }

    /// Counts of pairs of classes by series.
    var confusion: [String: Int64] {
        var out: [String: Int64] = [:]
        for (series, counts) in result.outcomes {
            for (pair, count) in counts.confusion {
                let label = pair.label < 0 ? result.newClasses[-1 - pair.label].value : dictionary.className(pair.label)
                out["\(name(series)) \(dictionary.className(pair.predicted))>\(label)", default: 0] += count
            }
        }
        return out
    }

    /// Rows of `named_outcome_hour`.
    var named: [String: NamedOutcomeCounts] {
        Dictionary(
            uniqueKeysWithValues: result.named.map { key, counts in
                ("\(name(key.series)) \(key.name.type) \(key.name.name) \(key.name.currency)", counts)
            })
    }

    /// Fails where another join says anything else, down to the last bit of the sums.
    func expectSame(_ other: TestJoin, _ what: String, _ location: SourceLocation = #_sourceLocation) {
        // Not as operands of the macro, which would print them whole.
        func same(_ isSame: Bool, _ part: String) { #expect(isSame, "\(part): \(what)", sourceLocation: location) }
        same(joinedNames == other.joinedNames, "what joined")
        same(outcomes == other.outcomes, "counts of labels")
        same(confusion == other.confusion, "pairs of classes")
        same(named == other.named, "counts of names")
        #expect(result.newClasses == other.result.newClasses, "\(what)", sourceLocation: location)
        #expect(result.repeated == other.result.repeated, "\(what)", sourceLocation: location)
        #expect(result.joinedCounts == other.result.joinedCounts, "\(what)", sourceLocation: location)
    }
}
