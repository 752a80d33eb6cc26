package import Sketches

/// The frozen edges of one reference, by feature.
package final class EdgeSet: Sendable {
    /// The reference's number.
    package let id: Int32
    private let features: [ExactText: EdgeBins]
    private let prediction: EdgeBins?

    /// - Parameters:
    ///   - features: by name, those of input features that have edges.
    ///   - prediction: those of a regression's predictions.
    package init(id: Int32, features: [(name: String, bins: EdgeBins)], prediction: EdgeBins? = nil) {
        self.id = id
        self.features = Dictionary(
            features.map { (ExactText($0.name), $0.bins) }, uniquingKeysWith: { first, _ in first })
        self.prediction = prediction
    }

    /// The edges of a feature; nil where the reference has none.
    package func bins(_ role: FeatureKey.Role, _ name: String) -> EdgeBins? {
        role == .prediction ? prediction : features[ExactText(name)]
    }
}

/// Which edge set a model's hours are on.
package struct EdgeTimeline: Equatable, Sendable {
    /// Hours from `from_s` until before `until_s`, begins in seconds since the epoch.
    package struct Span: Equatable, Sendable {
        package var from_s: Int64
        package var until_s: Int64
        package var edgeSet: Int32

        package init(from_s: Int64, until_s: Int64, edgeSet: Int32) {
            self.from_s = from_s
            self.until_s = until_s
            self.edgeSet = edgeSet
        }
    }

    /// From which instant on which set holds, for hours that nothing has fixed yet, ascending.
    private let activations: [Span]
    /// Hours that were fixed on another one, ascending, none twice.
    private let exceptions: [Span]

    /// - Parameters:
    ///   - activations: the set in force from an instant on, until the next; 0 for none. In any order.
    ///   - exceptions: hours with another set than that; in any order, none twice.
    package init(activations: [(from_s: Int64, edgeSet: Int32)], exceptions: [Span] = []) {
        self.activations = activations.sorted { $0.from_s < $1.from_s }
            .map { Span(from_s: $0.from_s, until_s: .max, edgeSet: $0.edgeSet) }
        self.exceptions = exceptions.sorted { $0.from_s < $1.from_s }
    }

    /// The edge set of an hour.
    package func edgeSet(_ hour_s: Int64) -> Int32 {
        if let span = Self.last(exceptions, hour_s), hour_s < span.until_s { return span.edgeSet }
        return Self.last(activations, hour_s)?.edgeSet ?? EdgeCounts.none
    }

    /// The sets of hours from an instant on, exceptions left out.
    package func edgeSets(from_s: Int64) -> Set<Int32> {
        Set(activations.filter { $0.from_s > from_s }.map(\.edgeSet))
            .union([Self.last(activations, from_s)?.edgeSet ?? EdgeCounts.none])
            .subtracting([EdgeCounts.none])
    }

    /// The last span that begins at an instant or before.
    private static func last(_ spans: [Span], _ time_s: Int64) -> Span? {
        var (low, high) = (0, spans.count)
        while low < high {
            let middle = (low + high) / 2
            if spans[middle].from_s <= time_s { low = middle + 1 } else { high = middle }
        }
        return low > 0 ? spans[low - 1] : nil
    }
}

/// The references that aggregation bins numbers on: for each model, which edge set each hour is on, and the sets.
///
/// An input of aggregation that never changes; another one is another object, and only the same object is equal.
package final class References: Equatable, Sendable {
    /// No references.
    package static let none = References(timelines: [], edgeSets: [])

    private let timelines: [ExactText: EdgeTimeline]
    private let edgeSets: [Int32: EdgeSet]

    /// - Parameters:
    ///   - timelines: by model; the model `other` has none, whatever is given.
    ///   - edgeSets: not all of those that the timelines name need be here: see ``EventAggregator/missingEdgeSets``.
    package init(timelines: [(model: String, timeline: EdgeTimeline)], edgeSets: [EdgeSet]) {
        self.timelines = Dictionary(
            timelines.filter { $0.model != Aggregates.other }.map { (ExactText($0.model), $0.timeline) },
            uniquingKeysWith: { first, _ in first })
        self.edgeSets = Dictionary(edgeSets.map { ($0.id, $0) }, uniquingKeysWith: { first, _ in first })
    }

    /// Other timelines with the edge sets that are here already.
    package convenience init(
        timelines: [(name: String, timeline: EdgeTimeline)], edgeSetsOf references: References
    ) {
        self.init(
            timelines: timelines.map { (model: $0.name, timeline: $0.timeline) },
            edgeSets: Array(references.edgeSets.values))
    }

    /// The same timelines with more edge sets.
    package init(_ references: References, adding more: [EdgeSet]) {
        timelines = references.timelines
        edgeSets = references.edgeSets.merging(more.map { ($0.id, $0) }, uniquingKeysWith: { first, _ in first })
    }

    /// Whether no hour of any model is on edges.
    package var isEmpty: Bool { timelines.isEmpty }

    /// The edge set of a model's hour.
    package func edgeSet(model: String, hour_s: Int64) -> Int32 {
        timelines[ExactText(model)]?.edgeSet(hour_s) ?? EdgeCounts.none
    }

    /// An edge set that is here.
    package func edges(_ edgeSet: Int32) -> EdgeSet? { edgeSets[edgeSet] }

    package static func == (left: References, right: References) -> Bool { left === right }
}
