import Synchronization

/// A family of time series with one name, held by a ``MetricsRegistry``.
///
/// Label values are kept to a bound: once a family has as many series as it may have, further ones are counted in a
/// series whose label values are all `other`, so that no input can make the exposition grow.
final class MetricFamily: Sendable {
    enum Kind: String { case counter, gauge, histogram }

    let name: String
    let help: String
    let kind: Kind
    let labelNames: [String]
    let bounds: [Double]
    let limit: Int
    let series: Mutex<[[String]: Series]>

    struct Series {
        var value: Double
        var buckets: [Int]
        var count: Int
    }

    init(name: String, help: String, kind: Kind, labelNames: [String], bounds: [Double], limit: Int) {
        self.name = name
        self.help = help
        self.kind = kind
        self.labelNames = labelNames
        self.bounds = bounds
        self.limit = limit
        series = Mutex([:])
        if labelNames.isEmpty, kind != .gauge { change([]) { _ in } }
    }

    func change(_ labels: [String], _ body: (inout Series) -> Void) {
        precondition(labels.count == labelNames.count, "\(name) has the labels \(labelNames)")
        series.withLock { series in
            var key = labels
            if series[key] == nil, series.count >= limit { key = labels.map { _ in "other" } }
            body(&series[key, default: Series(value: 0, buckets: [Int](repeating: 0, count: bounds.count), count: 0)])
        }
    }

    func remove(_ labels: [String]) {
        series.withLock { $0[labels] = nil }
    }

    func value(_ labels: [String]) -> Double? {
        series.withLock { $0[labels]?.value }
    }
}

/// A number that only grows.
package struct Counter: Sendable {
    let family: MetricFamily

    /// Adds to the series with these label values.
    package func add(_ amount: Double = 1, _ labels: String...) {
        precondition(amount >= 0, "counters only grow")
        family.change(labels) { $0.value += amount }
    }

    /// The series' value; nil before it was first touched.
    package func value(_ labels: String...) -> Double? { family.value(labels) }
}

/// A number that goes up and down.
///
/// A gauge that was never set is not exposed.
package struct Gauge: Sendable {
    let family: MetricFamily

    /// Sets the series with these label values.
    package func set(_ value: Double, _ labels: String...) {
        family.change(labels) { $0.value = value }
    }

    /// Takes the series out of the exposition, for a thing that is no more.
    package func unset(_ labels: String...) { family.remove(labels) }

    /// The series' value; nil while it is not set.
    package func value(_ labels: String...) -> Double? { family.value(labels) }
}

/// Observations counted by upper bounds.
package struct Histogram: Sendable {
    let family: MetricFamily

    /// Counts one observation.
    package func observe(_ value: Double, _ labels: String...) {
        let bounds = family.bounds
        family.change(labels) { series in
            series.value += value
            series.count += 1
            for (index, bound) in bounds.enumerated() where value <= bound { series.buckets[index] += 1 }
        }
    }
}
