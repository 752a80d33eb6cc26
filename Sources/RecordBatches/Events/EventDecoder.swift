internal import EventModel

/// What times a segment's events may have, from its manifest entry.
struct TimeWindow {
    /// Least and greatest event time, in milliseconds since the epoch.
    let least_ms: Int64
    let greatest_ms: Int64

    /// - Parameter replay: lifts the lower bound.
    init(sealed_ms: Int64, replay: Bool) {
        greatest_ms = sealed_ms.addingReportingOverflow(AggregationConfiguration.newest_ms).partialValue
        least_ms = replay ? .min : sealed_ms - AggregationConfiguration.oldest_ms
    }
}

/// Takes a line's JSON apart into the fields of an event, and refuses what is none.
///
/// The first occurrence of a key counts. Fields that the event's type does not have are ignored. All checks are made
/// before anything is aggregated, so that a refused line leaves nothing behind. Nothing is allocated for a good line.
final class EventDecoder {
    /// A member of `features` or `scores`.
    struct Member {
        let key: TextBytes
        let value: TapeValue
    }

    /// What changes from line to line.
    private struct State {
        var generation: UInt32 = 0
        var seenCount = 0
        var type = EventType.prediction
        var time_ms: Int64 = 0
        var time = EventTime()
        var featureCount = 0
        var layout = FeatureLayout()
    }

    /// Most features of an event.
    static let features = 4096
    /// Most tags of an event.
    static let tags = 8
    /// Most GPUs of an event.
    static let gpus = 64
    /// Longest name or id in bytes.
    static let nameBytes = 256

    let tables = FieldTables.shared
    private let state: UnsafeMutablePointer<State>
    private let values: UnsafeMutablePointer<TapeValue>
    /// ``State/generation`` of the line that set the field.
    private let stamps: UnsafeMutablePointer<UInt32>
    private let seen: UnsafeMutablePointer<UInt8>
    /// The field that the member of each place was in the line before.
    private let expected: UnsafeMutablePointer<UInt8>
    private let members: UnsafeMutablePointer<Member>

    init() {
        let fields = FieldTables.fieldCount
        state = .allocate(capacity: 1)
        state.initialize(to: State())
        values = .allocate(capacity: fields)
        stamps = .allocate(capacity: fields)
        stamps.initialize(repeating: 0, count: fields)
        seen = .allocate(capacity: fields)
        expected = .allocate(capacity: 64)
        expected.initialize(repeating: 0, count: 64)
        members = .allocate(capacity: Self.features)
    }

    deinit {
        state.pointee.layout.destroy()
        state.deallocate()
        values.deallocate()
        stamps.deallocate()
        seen.deallocate()
        expected.deallocate()
        members.deallocate()
    }

    // MARK: The event

    /// The event's type.
    @inline(__always)
    var type: EventType { state.pointee.type }

    /// The event's time in milliseconds since the epoch.
    @inline(__always)
    var time_ms: Int64 { state.pointee.time_ms }

    /// A field's value; nil where it is absent or null.
    @inline(__always)
    func value(_ field: Field) -> TapeValue? {
        let place = Int(field.rawValue)
        guard stamps[place] == state.pointee.generation, !values[place].isNull else { return nil }
        return values[place]
    }

    /// A field's value, null included.
    @inline(__always)
    func valueOrNull(_ field: Field) -> TapeValue? {
        let place = Int(field.rawValue)
        return stamps[place] == state.pointee.generation ? values[place] : nil
    }

    /// The text of a field that has been checked to be a string.
    @inline(__always)
    func text(_ field: Field) -> TextBytes? { value(field)?.text }

    /// The number of a field that has been checked to be one.
    @inline(__always)
    func number(_ field: Field) -> Double? { value(field)?.number }

    /// A prediction's features, in the line's order; a name may come twice, and the first counts.
    @inline(__always)
    var features: UnsafeBufferPointer<Member> {
        UnsafeBufferPointer(start: members, count: state.pointee.featureCount)
    }

    /// Stays the same from event to event as long as the names of ``features`` do, in their order.
    @inline(__always)
    var layout: UInt64 { state.pointee.layout.number }

    // MARK: Decoding

    /// Takes apart a native event.
    @inline(__always)
    func decode(_ root: TapeValue, in window: TimeWindow) throws(Fault) {
        guard root.kind == TapeValue.Kind.object else { throw Fault(.not_an_object, .notAnObject, kind: root.kind) }
        begin()
        let end = root.end
        var place = root.index + 1
        var member = 0
        while place < end {
            let key = root.at(place).text
            let value = root.at(place + 1)
            place = value.next
            let slot = member & 63
            member = member &+ 1
            var field = expected[slot]
            if field == FieldTables.none || !tables.keys[Int(field)].equals(key) {
                field = tables.field(key)
                expected[slot] = field
            }
            guard field != FieldTables.none else { continue }
            set(field, value)
        }
        try check(in: window)
    }

    /// Takes apart a line of a foreign log.
    func decode(_ root: TapeValue, by mapping: CompiledMapping, in window: TimeWindow) throws(Fault) {
        guard root.kind == TapeValue.Kind.object else { throw Fault(.not_an_object, .notAnObject, kind: root.kind) }
        begin()
        state.pointee.layout.forget()
        try mapping.stage(root, into: self)
        try check(in: window)
    }

    private func begin() {
        state.pointee.generation &+= 1
        if state.pointee.generation == 0 {
            stamps.update(repeating: 0, count: FieldTables.fieldCount)
            state.pointee.generation = 1
        }
        state.pointee.seenCount = 0
        state.pointee.featureCount = 0
    }

    /// Sets a field that is not yet set.
    @inline(__always)
    func set(_ field: UInt8, _ value: TapeValue) {
        let place = Int(field)
        guard stamps[place] != state.pointee.generation else { return }
        stamps[place] = state.pointee.generation
        values[place] = value
        seen[state.pointee.seenCount] = field
        state.pointee.seenCount &+= 1
    }

    /// Whether the next feature's name is that of the line before at this place, and so a good one.
    @inline(__always)
    func isExpectedFeature(_ key: TextBytes) -> Bool {
        state.pointee.layout.holds(key, at: state.pointee.featureCount)
    }

    /// Expects the next feature's name, which has been checked, from the next line too.
    func expectFeature(_ key: TextBytes) { state.pointee.layout.set(key, at: state.pointee.featureCount) }

    /// Says that all features have been added.
    @inline(__always)
    func endFeatures() { state.pointee.layout.end(count: state.pointee.featureCount) }

    /// Adds a feature.
    @inline(__always)
    func addFeature(_ key: TextBytes, _ value: TapeValue) throws(Fault) {
        guard state.pointee.featureCount < Self.features else { throw Fault(.invalid_value, .tooMany, .features) }
        (members + state.pointee.featureCount).initialize(to: Member(key: key, value: value))
        state.pointee.featureCount &+= 1
    }

    // MARK: Checks

    @inline(__always)
    private func check(in window: TimeWindow) throws(Fault) {
        try checkSchema()
        try checkType()
        guard let time = value(.time) else { throw Fault(.missing_field, .missing, .time) }
        state.pointee.time_ms = try readTime(time, .time)
        guard time_ms >= window.least_ms else { throw Fault(.time_out_of_range, .tooOld, .time) }
        guard time_ms <= window.greatest_ms else { throw Fault(.time_out_of_range, .tooNew, .time) }
        let kinds = tables.kinds + type.place &* FieldTables.fieldCount
        for place in 0..<state.pointee.seenCount {
            let field = seen[place]
            let value = values[Int(field)]
            let kind = kinds[Int(field)]
            if value.isNull || kind == .unknown { continue }
            if kind == .name, value.kind == TapeValue.Kind.string {
                let text = value.text
                if text.count > 0, text.count <= Self.nameBytes, !text.holdsNUL { continue }
            }
            try check(value, field, kind)
        }
        try checkRequired()
    }

    private func checkSchema() throws(Fault) {
        guard let schema = value(.schema) else { throw Fault(.missing_field, .missing, .schema) }
        guard let number = schema.number, number == number.rounded() else {
            throw Fault(.wrong_type, schema.number == nil ? .kind : .integer, .schema, kind: schema.kind)
        }
        guard number == Double(EventLimits.schemaVersion) else { throw Fault(.unknown_schema, .schema, .schema) }
    }

    @inline(__always)
    private func checkType() throws(Fault) {
        guard let value = value(.type) else { throw Fault(.missing_field, .missing, .type) }
        guard value.kind == TapeValue.Kind.string else { throw Fault(.wrong_type, .kind, .type, kind: value.kind) }
        let text = value.text
        if tables.types[state.pointee.type.place].equals(text) { return }
        for place in 0..<EventType.allCases.count where tables.types[place].equals(text) {
            state.pointee.type = EventType.at(place)
            return
        }
        throw Fault(.unknown_type, .type, .type)
    }

    @inline(__always)
    func readTime(_ value: TapeValue, _ field: Field) throws(Fault) -> Int64 {
        guard value.kind == TapeValue.Kind.string else { throw Fault(.wrong_type, .kind, field, kind: value.kind) }
        guard let time = state.pointee.time.read(value.text) else { throw Fault(.invalid_time, .time, field) }
        return time
    }

    /// The least that each type must have.
    @inline(__always)
    private func checkRequired() throws(Fault) {
        switch type {
        case .prediction, .deployment:
            try require(.modelName)
            try require(.modelVersion)
        case .outcome:
            try require(.predictionID)
            try require(.modelName)
            try require(.label, or: .value)
        case .feedback:
            try require(.predictionID)
            try require(.modelName)
            try require(.name)
            if value(.score) == nil { try require(.label, or: .explanation) }
        case .resource:
            try require(.intervalSeconds)
            try require(.service, or: .source)
        case .writer:
            for field in [Field.writer, .service, .segment, .appended, .written, .dropped, .end, .adopted] {
                try require(field)
            }
        }
    }

    @inline(__always)
    private func require(_ field: Field) throws(Fault) {
        guard value(field) != nil else { throw Fault(.missing_field, .missing, field) }
    }

    private func require(_ field: Field, or other: Field) throws(Fault) {
        guard value(field) != nil || value(other) != nil else {
            throw Fault(.missing_field, .missingOneOf, field)
        }
    }
}
