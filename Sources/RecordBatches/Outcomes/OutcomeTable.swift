/// An outcome or feedback that waits for its prediction, as the table holds it.
package struct WaitingOutcome: Sendable {
    /// The model's name.
    package var model: String
    package var predictionID: String
    /// `outcome` or `feedback`.
    package var type: EventType
    /// `label` is the truth that accuracy uses; others are only said to have joined.
    package var name: String
    package var time_ms: Int64
    package var labelText: String?
    package var labelNumber: Double?

    package init(
        model: String, predictionID: String, type: EventType, name: String, time_ms: Int64, labelText: String?,
        labelNumber: Double?
    ) {
        self.model = model
        self.predictionID = predictionID
        self.type = type
        self.name = name
        self.time_ms = time_ms
        self.labelText = labelText
        self.labelNumber = labelNumber
    }

    /// Whether it is the truth of a prediction.
    package var isLabel: Bool {
        type == .outcome && name == Defaults.outcomeName && (labelText != nil || labelNumber != nil)
    }
}

/// Waiting outcomes by model and prediction id, looked up by an event's bytes.
final class OutcomeTable {
    let outcomes: [WaitingOutcome]
    private var models = ByteTable()
    /// The number of a model, 4 bytes, and the prediction id.
    private var keys = ByteTable()
    /// Places in ``outcomes`` by number of the key.
    private(set) var places: [[Int]] = []
    private let buffer: UnsafeMutablePointer<UInt8>

    init(_ outcomes: [WaitingOutcome]) {
        self.outcomes = outcomes
        buffer = .allocate(capacity: 4 + EventDecoder.nameBytes + 16)
        buffer.initialize(repeating: 0, count: 4 + EventDecoder.nameBytes + 16)
        for (place, outcome) in outcomes.enumerated() {
            guard outcome.predictionID.utf8.count <= EventDecoder.nameBytes else { continue }
            let model = Self.withBytes(outcome.model) { models.intern($0) }
            let number = Self.withBytes(outcome.predictionID) { keys.intern(key(model, $0)) }
            if number == places.count { places.append([]) }
            places[number].append(place)
        }
    }

    deinit {
        models.destroy()
        keys.destroy()
        buffer.deallocate()
    }

    /// The number of a model that outcomes wait for.
    @inline(__always)
    func model(_ name: TextBytes) -> Int? { models.find(name) }

    /// The number of the prediction that outcomes wait for.
    @inline(__always)
    func find(_ model: Int, _ predictionID: TextBytes) -> Int? {
        guard predictionID.count <= EventDecoder.nameBytes else { return nil }
        return keys.find(key(model, predictionID))
    }

    @inline(__always)
    private func key(_ model: Int, _ id: TextBytes) -> TextBytes {
        UnsafeMutableRawPointer(buffer).storeBytes(of: Int32(truncatingIfNeeded: model), as: Int32.self)
        (buffer + 4).update(from: id.start, count: id.count)
        return TextBytes(start: UnsafePointer(buffer), count: 4 + id.count)
    }

    private static func withBytes<Result>(_ text: String, _ body: (TextBytes) -> Result) -> Result {
        let bytes = Array(text.utf8) + [UInt8](repeating: 0, count: 8)
        return bytes.withUnsafeBufferPointer { buffer in
            guard let start = buffer.baseAddress else { return body(.empty) }
            return body(TextBytes(start: start, count: buffer.count - 8))
        }
    }
}
