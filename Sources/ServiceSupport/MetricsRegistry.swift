import Synchronization

/// The metrics of one program and their text exposition, version 0.0.4.
///
/// <https://prometheus.io/docs/instrumenting/exposition_formats/>. Reading never blocks a counter for longer than one
/// family's copy takes.
package final class MetricsRegistry: Sendable {
    /// The media type of ``exposition()``.
    package static let contentType = "text/plain; version=0.0.4; charset=utf-8"
    /// Buckets for the duration of requests over a network, in seconds.
    package static let requestSeconds = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30]

    private let families = Mutex<[MetricFamily]>([])
    private let refreshers = Mutex<[@Sendable () -> Void]>([])

    package init() {}

    /// Adds a counter; its name must end in `_total`.
    ///
    /// - Parameters:
    ///   - labels: the labels' names.
    ///   - limit: how many series it may have before the rest is counted as `other`.
    package func counter(_ name: String, _ help: String, labels: [String] = [], limit: Int = 100) -> Counter {
        precondition(name.hasSuffix("_total"), "counters end in _total")
        return Counter(family: add(name, help, .counter, labels, [], limit))
    }

    /// Adds a gauge.
    package func gauge(_ name: String, _ help: String, labels: [String] = [], limit: Int = 100) -> Gauge {
        Gauge(family: add(name, help, .gauge, labels, [], limit))
    }

    /// Adds a histogram.
    ///
    /// - Parameter bounds: the buckets' upper bounds, ascending, without infinity.
    package func histogram(
        _ name: String, _ help: String, labels: [String] = [], bounds: [Double] = MetricsRegistry.requestSeconds,
        limit: Int = 20
    ) -> Histogram {
        Histogram(family: add(name, help, .histogram, labels, bounds, limit))
    }

    /// Adds something to be called before each exposition, for gauges that are read and not kept.
    package func beforeExposition(_ refresh: @escaping @Sendable () -> Void) {
        refreshers.withLock { $0.append(refresh) }
    }

    /// Everything, in the order it was added, series sorted by their label values.
    package func exposition() -> String {
        for refresh in refreshers.withLock({ $0 }) { refresh() }
        var text = ""
        for family in families.withLock({ $0 }) { family.write(to: &text) }
        return text
    }

    private func add(
        _ name: String, _ help: String, _ kind: MetricFamily.Kind, _ labels: [String], _ bounds: [Double], _ limit: Int
    ) -> MetricFamily {
        let family = MetricFamily(
            name: name, help: help, kind: kind, labelNames: labels, bounds: bounds, limit: limit)
        families.withLock { families in
            precondition(!families.contains { $0.name == name }, "\(name) was added before")
            families.append(family)
        }
        return family
    }
}

extension MetricFamily {
    /// Appends the family's lines; a family without series gives none.
    fileprivate func write(to text: inout String) {
        let series = series.withLock { $0 }
        guard !series.isEmpty else { return }
        text += "# HELP \(name) \(MetricFamily.escape(help, quote: false))\n# TYPE \(name) \(kind.rawValue)\n"
        for (values, one) in series.sorted(by: { $0.key.lexicographicallyPrecedes($1.key) }) {
            let pairs = zip(labelNames, values).map { "\($0)=\"\(MetricFamily.escape($1, quote: true))\"" }
            guard kind == .histogram else {
                text += "\(name)\(MetricFamily.braces(pairs)) \(MetricFamily.number(one.value))\n"
                continue
            }
            for (bound, count) in zip(bounds, one.buckets) {
                text +=
                    "\(name)_bucket\(MetricFamily.braces(pairs + ["le=\"\(MetricFamily.number(bound))\""])) \(count)\n"
            }
            text += "\(name)_bucket\(MetricFamily.braces(pairs + ["le=\"+Inf\""])) \(one.count)\n"
            text += "\(name)_sum\(MetricFamily.braces(pairs)) \(MetricFamily.number(one.value))\n"
            text += "\(name)_count\(MetricFamily.braces(pairs)) \(one.count)\n"
        }
    }

    private static func braces(_ pairs: [String]) -> String {
        pairs.isEmpty ? "" : "{\(pairs.joined(separator: ","))}"
    }

    private static func number(_ value: Double) -> String {
        if value.isNaN { return "NaN" }
        if value.isInfinite { return value < 0 ? "-Inf" : "+Inf" }
        if value == value.rounded(), abs(value) < 9e15 { return String(Int64(value)) }
        return "\(value)"
    }

    private static func escape(_ text: String, quote: Bool) -> String {
        var result = ""
        for character in text.unicodeScalars {
            switch character {
            case "\\": result += "\\\\"
            case "\n": result += "\\n"
            case "\"" where quote: result += "\\\""
            default: result.unicodeScalars.append(character)
            }
        }
        return result
    }
}
