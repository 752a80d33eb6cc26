package import EventModel

/// A value of a line, for those who want few of them and can afford a copy.
package enum EventValue: Equatable, Sendable {
    case number(Double)
    case text(String)
    case bool(Bool)
    case null
    /// An array or an object.
    case nested

    init(_ value: TapeValue) {
        switch value.kind {
        case TapeValue.Kind.string: self = .text(value.text.string)
        case TapeValue.Kind.yes: self = .bool(true)
        case TapeValue.Kind.no: self = .bool(false)
        case TapeValue.Kind.null: self = .null
        case TapeValue.Kind.object, TapeValue.Kind.array: self = .nested
        default: self = value.number.map { .number($0) } ?? .nested
        }
    }
}

/// Where a value stands in a prediction, looked up in many lines.
package struct EventPath: Sendable {
    enum Place {
        case field(Field)
        case feature(TextBytes)
        case tag(TextBytes)
        case classScore(TextBytes)
        case time
    }

    let place: Place

    /// A field of the event, by its name in the schema or `version`, `variant`, `model`; nil where there is none.
    package static func field(_ name: String) -> EventPath? {
        if name == "time" { return EventPath(place: .time) }
        let short = ["version": "model_version", "variant": "model_variant", "model": "model_name"]
        let key = short[name] ?? name
        guard let field = Field.allCases.first(where: { $0.key == key }) else { return nil }
        switch Field.kind(field, in: .prediction) {
        case .unknown, .schema, .type, .tags, .features, .scores, .object, .gpus, .dropped: return nil
        default: return EventPath(place: .field(field))
        }
    }

    /// A member of `features`.
    package static func feature(_ name: String) -> EventPath { EventPath(place: .feature(TextBytes(immortal: name))) }
    /// A member of `tags`.
    package static func tag(_ name: String) -> EventPath { EventPath(place: .tag(TextBytes(immortal: name))) }
    /// A member of `scores`.
    package static func classScore(_ name: String) -> EventPath {
        EventPath(place: .classScore(TextBytes(immortal: name)))
    }
}

/// An event as the loader reads it, native or mapped; valid until the next line.
package struct EventView {
    let decoder: EventDecoder
    private let names: NameTable

    init(_ decoder: EventDecoder, _ names: NameTable) {
        self.decoder = decoder
        self.names = names
    }

    package var type: EventType { decoder.type }
    /// Milliseconds since the epoch.
    package var time_ms: Int64 { decoder.time_ms }
    package var model: String { text("model_name") ?? "" }
    /// Whether the request failed: such predictions have no features that count.
    package var isError: Bool { decoder.text(.status)?.count == 5 }
    /// What outcomes name: the field `prediction_id`, else `id`.
    package var predictionID: String? { (decoder.text(.predictionID) ?? decoder.text(.id))?.string }
    package var prediction: EventValue? { decoder.valueOrNull(.prediction).map(EventValue.init) }
    package var score: Double? { decoder.number(.score) }
    package var threshold: Double? { decoder.number(.threshold) }
    /// Of an outcome.
    package var label: EventValue? { decoder.value(.label).map(EventValue.init) }
    /// Of an outcome.
    package var name: String? { decoder.text(.name)?.string }

    /// The word of the field `task`; where it is absent, what a boolean, a number or another prediction stands for.
    package var task: String? {
        if let task = decoder.text(.task) { return task.string }
        guard decoder.value(.prediction) != nil else { return nil }
        switch PredictionTask(decoder) {
        case .binary: return "binary"
        case .regression: return "regression"
        case .multiclass: return "multiclass"
        case .free, .other: return nil
        }
    }

    /// Whether the model's name is this one.
    package func isModel(_ name: String) -> Bool {
        guard let text = decoder.text(.modelName), text.count == name.utf8.count else { return false }
        return UnsafeBufferPointer(start: text.start, count: text.count).elementsEqual(name.utf8)
    }

    /// The value at a place; nil where it is absent.
    package func value(_ path: EventPath) -> EventValue? {
        switch path.place {
        case .time: return .number(Double(time_ms))
        case .field(let field): return decoder.value(field).map(EventValue.init)
        case .tag(let key): return decoder.value(.tags)?.member(key).map(EventValue.init)
        case .classScore(let key): return decoder.value(.scores)?.member(key).map(EventValue.init)
        case .feature(let key):
            for member in decoder.features where member.key.equals(key) { return EventValue(member.value) }
            return nil
        }
    }

    /// Hands out the features with numbers that stand for their names, see `names` of the reader.
    package func forEachFeature(_ body: (_ name: Int, EventValue) -> Void) {
        for member in decoder.features { body(names.number(member.key), EventValue(member.value)) }
    }

    /// Hands out the members of `scores` that are numbers.
    package func forEachClassScore(_ body: (_ name: Int, Double) -> Void) {
        guard let scores = decoder.value(.scores), scores.kind == TapeValue.Kind.object else { return }
        var place = scores.index + 1
        while place < scores.end {
            let key = scores.at(place).text
            let value = scores.at(place + 1)
            place = value.next
            if let score = value.number { body(names.number(key), score) }
        }
    }

    private func text(_ field: String) -> String? {
        guard case .field(let found) = EventPath.field(field)?.place else { return nil }
        return decoder.text(found)?.string
    }
}

/// Numbers for names that recur line by line.
final class NameTable {
    private var table = ByteTable()
    private(set) var names: [String] = []

    deinit { table.destroy() }

    func number(_ key: TextBytes) -> Int {
        let number = table.intern(key)
        if number == names.count { names.append(key.string) }
        return number
    }
}
