/// An event that is being written, straight into the line: the way to log without allocating.
///
///     log.append(.prediction(model: "iris", version: "1.0", score: 0.98)) { event in
///         event.features {
///             $0.add("petal_length", 1.4)
///             $0.add("colour", "blue")
///         }
///         event.tags { $0.add("region", "eu") }
///     }
///
/// Each group may be given once, either here or in the event's own properties; a second one makes the event invalid.
public struct EventFields: ~Copyable {
    var line: LineEncoder
    private var groups: UInt8 = 0

    init(line: consuming LineEncoder) {
        self.line = line
    }

    consuming func takeLine() -> LineEncoder { line }

    /// The model's input by name.
    public mutating func features(_ build: (inout NamedFields) -> Void) {
        group(1, ",\"features\":{", kind: .features, build)
    }

    /// Slice dimensions of low cardinality, at most 8; numbers and flags become text.
    public mutating func tags(_ build: (inout NamedFields) -> Void) {
        group(2, ",\"tags\":{", kind: .tags, build)
    }

    /// Probabilities by class.
    public mutating func scores(_ build: (inout NamedFields) -> Void) {
        group(4, ",\"scores\":{", kind: .scores, build)
    }

    /// Anything else worth keeping: archived, never aggregated.
    public mutating func extra(_ build: (inout NamedFields) -> Void) {
        group(8, ",\"extra\":{", kind: .features, build)
    }

    private mutating func group(
        _ bit: UInt8, _ opening: StaticString, kind: NamedFields.Kind, _ build: (inout NamedFields) -> Void
    ) {
        if groups & bit != 0 {
            line.isInvalid = true
            return
        }
        groups |= bit
        line.append(opening)
        // Lent to the group and taken back: both are types that cannot be copied, so neither can be kept.
        var inner = NamedFields(event: self, kind: kind)
        build(&inner)
        if inner.count > kind.limit { inner.event.line.isInvalid = true }
        self = inner.takeEvent()
        line.append("}")
    }
}

/// One group of named values in an event that is being written.
public struct NamedFields: ~Copyable {
    enum Kind {
        case features, tags, scores

        /// Most values of a group, by the schema.
        var limit: Int {
            switch self {
            case .tags: 8
            case .features: 4096
            case .scores: .max
            }
        }
    }

    var event: EventFields
    private let kind: Kind
    /// Values so far.
    private(set) var count = 0

    init(event: consuming EventFields, kind: Kind) {
        self.event = event
        self.kind = kind
    }

    consuming func takeEvent() -> EventFields { event }

    /// Adds a number.
    ///
    /// One that is not finite becomes `null`, which counts as missing.
    ///
    /// In tags it becomes its shortest text, or is left out.
    public mutating func add(_ name: String, _ value: Double) {
        switch kind {
        case .tags: addTag(name, value)
        case .scores:
            key(name, fits: true)
            event.line.append(probability: value)
        case .features:
            key(name, fits: true)
            event.line.append(value)
        }
    }

    /// Adds an integer, in tags as text.
    public mutating func add(_ name: String, _ value: Int) {
        if kind == .scores { return add(name, Double(value)) }
        key(name, fits: true)
        if kind == .tags { event.line.append("\"") }
        event.line.append(value)
        if kind == .tags { event.line.append("\"") }
    }

    @inline(never)
    private mutating func addTag(_ name: String, _ value: Double) {
        guard value.isFinite else { return }
        key(name, fits: true)
        event.line.append(quotedNumber: value)
    }

    /// Adds a text: a category or a tag's value.
    public mutating func add(_ name: String, _ value: String) {
        key(name, fits: kind != .scores)
        event.line.append(quoted: value)
    }

    /// Adds a flag, in tags as text.
    public mutating func add(_ name: String, _ value: Bool) {
        if kind == .tags { return add(name, value ? "true" : "false") }
        key(name, fits: kind == .features)
        event.line.append(value)
    }

    /// Says that the value is missing; a missing tag is left out.
    public mutating func addMissing(_ name: String) {
        if kind == .tags { return }
        key(name, fits: true)
        event.line.append("null")
    }

    /// Adds any value.
    ///
    /// A list of one scalar is that scalar. Any other list becomes `null` in features, and makes the event invalid in
    /// tags and scores.
    public mutating func add(_ name: String, _ value: FieldValue) {
        switch value {
        case .text(let text): add(name, text)
        case .number(let number): add(name, number)
        case .integer(let integer): add(name, integer)
        case .flag(let flag): add(name, flag)
        case .missing: addMissing(name)
        case .list(let values):
            if let scalar = FieldValue.onlyScalar(of: values) { return add(name, scalar) }
            if kind != .features { event.line.isInvalid = true }
            addMissing(name)
        }
    }

    @inline(__always)
    private mutating func key(_ name: String, fits: Bool) {
        if !fits { event.line.isInvalid = true }
        if count > 0 { event.line.append(",") }
        count += 1
        event.line.append(name: name)
        event.line.append(":")
    }
}
