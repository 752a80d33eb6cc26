internal import EventModel
package import ModelStatistics
internal import Sketches

/// What a data scientist wants to see of a new reference.
package enum ReferenceSummary {
    /// A table of the features, what labels say, and what to look at.
    package static func text(_ reference: Reference, warnings: [String]) -> String {
        var out = head(reference)
        var table = TextTable(["feature", "kind", "missing", "wrong type", "distinct", "range, or most frequent"])
        table.rightAligned = [2, 3, 4]
        for feature in reference.features {
            table.add([
                feature.isPrediction ? "(prediction)" : feature.name, feature.kind.rawValue,
                share(feature.missingCount, reference.rowCount), share(feature.wrongTypeCount, reference.rowCount),
                "\(feature.distinctCount)", range(feature),
            ])
        }
        if !reference.features.isEmpty { out += "\n" + table.text }
        out += scores(reference)
        if !warnings.isEmpty {
            out += "\nLook at:\n" + warnings.map { "  - \($0.onOneLine)\n" }.joined()
        }
        return out
    }

    private static func head(_ reference: Reference) -> String {
        var out = "\(reference.rowCount) rows"
        if reference.sampledFrom > reference.rowCount { out += " (a sample of \(reference.sampledFrom))" }
        if let first = reference.firstTime_ms, let last = reference.lastTime_ms {
            out += ", \(LoadClock.hourText(first)) to \(LoadClock.hourText(last)) UTC"
        }
        out += ", task \(reference.task.rawValue), \(reference.labelCount) labels\n"
        return out
    }

    private static func share(_ count: Int64, _ rows: Int) -> String {
        count == 0 ? "0" : percent(Double(count) / Double(rows))
    }

    /// `0.05 %`, `12 %`.
    package static func percent(_ share: Double) -> String {
        if share == 0 { return "0 %" }
        return "\(short(share * 100)) %"
    }

    /// Three significant digits, as people write them.
    package static func short(_ number: Double) -> String {
        let magnitude = number.magnitude
        guard number.isFinite, magnitude > 0 else { return number == 0 ? "0" : "\(number)" }
        if number == number.rounded(), magnitude < 1e7 { return String(Int64(number)) }
        if magnitude >= 1e7 || magnitude < 1e-4 {
            var exponent = 0
            var mantissa = magnitude
            while mantissa >= 10 { (mantissa, exponent) = (mantissa / 10, exponent + 1) }
            while mantissa < 1 { (mantissa, exponent) = (mantissa * 10, exponent - 1) }
            return (number < 0 ? "-" : "") + "\((mantissa * 100).rounded() / 100)e\(exponent)"
        }
        var scale = 1.0
        while magnitude * scale < 100, scale < 1e7 { scale *= 10 }
        let rounded = (number * scale).rounded() / scale
        return rounded == rounded.rounded() && magnitude >= 100 ? String(Int64(rounded)) : "\(rounded)"
    }

    private static func range(_ feature: Reference.Feature) -> String {
        if feature.kind == .numeric {
            guard feature.moments.count > 0, feature.quantiles.count == 3 else { return "-" }
            return "\(short(feature.moments.minimum)) .. \(short(feature.quantiles[1])) .. "
                + short(feature.moments.maximum)
        }
        let shown = feature.categories.prefix(3).map {
            "\($0.value.prefix(24)) \(percent(Double($0.count) / Double(max(1, feature.categoricalCount))))"
        }
        if shown.isEmpty { return "-" }
        return shown.joined(separator: ", ") + (feature.distinctCount > 3 ? ", ..." : "")
    }

    private static func scores(_ reference: Reference) -> String {
        var out = ""
        if !reference.performance.isEmpty {
            let whole = reference.performance.filter { $0.windowHours == 0 }
            out += "\nLabels say: " + whole.map { "\($0.measure) \(short($0.value))" }.joined(separator: ", ") + "\n"
        }
        for score in reference.scores {
            guard let errors = score.calibrationErrors else { continue }
            let name = score.className.map { "score of \($0.onOneLine)" } ?? "score"
            out +=
                "Calibration of the \(name): expected error \(short(errors.raw)), after isotonic regression "
                + "\(short(errors.isotonic)): \(score.isIsotonic ? "isotonic is used" : "the score is used as it is")\n"
        }
        return out
    }
}
