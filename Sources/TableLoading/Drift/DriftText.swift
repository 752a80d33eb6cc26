internal import EventModel

extension DriftReport {
    /// A table for people; the first line is the verdict.
    package var text: String {
        var out = "\(verdict)\n"
        out += "\(question.model), \(LoadClock.hourText(from_ms)) to \(LoadClock.hourText(to_ms)) UTC, against "
        switch question.baseline {
        case "previous": out += "the range of the same length before\n"
        case "last_week": out += "the same hours a week earlier\n"
        default:
            out +=
                reference.map {
                    "reference '\($0.name)' (\(Self.grouped($0.rows)) rows, in force since \(LoadClock.hourText($0.effectiveFrom_ms)))\n"
                } ?? "no reference: none is in force (nadi reference create)\n"
        }
        out += "\n"
        // Against another baseline there is no since.
        let isDated = question.baseline == "reference"
        var table = TextTable(
            ["feature", "state", "PSI", "noise", "spread", "n then", "n now", "missing"]
                + (isDated ? ["since", ""] : [""]))
        table.rightAligned = [2, 3, 4, 5, 6]
        for row in rows {
            table.add(
                [
                    row.name, row.state, Self.number(row.measures["psi"]), Self.number(row.measures["psi_noise"]),
                    Self.number(row.measures["psi_spread"]), Self.grouped(row.baselineCount),
                    Self.grouped(row.currentCount), Self.missing(row),
                ] + (isDated ? [row.since_ms.map(LoadClock.hourText) ?? ""] : []) + [Self.explanation(row)])
        }
        out += table.text
        if rows.isEmpty { out += "(no feature has come, and no score)\n" }
        let complete = completeUntil_ms.map { LoadClock.hourText($0) + " UTC" }
        out += "\ncomplete until \(complete ?? "unknown: no host has reported")"
        if let complete = completeUntil_ms, complete < to_ms { out += ": events of the range may be missing" }
        if let sinceFailure { out += "\nsince when could not be told: \(sinceFailure)" }
        return out + "\n"
    }

    private var verdict: String {
        let bad = drifted
        if !bad.isEmpty {
            return "DRIFTED: "
                + bad.map { row in
                    row.name.onOneLine + (row.since_ms.map { " (since \(LoadClock.hourText($0)))" } ?? "")
                }.joined(separator: ", ")
        }
        let judged = rows.count { ["stable", "shifted"].contains($0.state) }
        if judged == 0 { return "Nothing can be said: " + (rows.first.map { $0.state } ?? "no data") }
        let rest = rows.count - judged
        return "No drift in \(judged) of \(rows.count) features"
            + (rest > 0 ? "; of the others too little is known" : "")
    }

    /// The same as one JSON object; numbers that are null are left out.
    package var json: String {
        var object = JSONText()
        object.field("model", question.model)
        object.field("from", Timestamp.format(from_ms))
        object.field("to", Timestamp.format(to_ms))
        object.field("baseline", question.baseline)
        if let reference {
            object.object("reference") { inner in
                inner.field("name", reference.name)
                inner.field("rows", reference.rows)
                inner.field("effective_from", Timestamp.format(reference.effectiveFrom_ms))
            }
        }
        if let completeUntil_ms { object.field("complete_until", Timestamp.format(completeUntil_ms)) }
        object.field("drifted", drifted.count)
        if let sinceFailure { object.field("since_failure", sinceFailure) }
        object.array(
            "features",
            rows.map { row in
                var one = JSONText()
                one.field("role", row.role)
                one.field("name", row.feature)
                one.field("kind", row.kind)
                one.field("state", row.state)
                if let since_ms = row.since_ms { one.field("since", Timestamp.format(since_ms)) }
                one.field("baseline_count", row.baselineCount)
                one.field("current_count", row.currentCount)
                for measure in Self.measures {
                    if let value = row.measures[measure] { one.field(measure, value) }
                }
                one.field("reason", row.reason)
                one.field("moved_bins", row.moved)
                return one
            })
        return String(decoding: object.closed, as: UTF8.self)
    }

    /// Which bins moved, and what else did: the reason alone where it says more than that the distribution moved.
    private static func explanation(_ row: Row) -> String {
        if row.moved.isEmpty || !["drifted", "shifted"].contains(row.state) { return row.reason }
        return row.reason == "distribution" ? row.moved : "\(row.reason): \(row.moved)"
    }

    private static func missing(_ row: Row) -> String {
        guard let then = row.measures["baseline_missing_rate"], let now = row.measures["current_missing_rate"] else {
            return row.measures["current_missing_rate"].map(ReferenceSummary.percent) ?? "-"
        }
        let (a, b) = (ReferenceSummary.percent(then), ReferenceSummary.percent(now))
        return a == b ? a : "\(a) to \(b)"
    }

    /// Three decimals; `-` for what is not known.
    private static func number(_ value: Double?) -> String {
        guard let value, value.isFinite, value < 1e12 else { return "-" }
        let thousandths = Int64((value * 1000).rounded())
        let digits = String(1000 + thousandths % 1000).dropFirst()
        return "\(thousandths / 1000).\(digits)"
    }

    /// `12,345`.
    private static func grouped(_ number: Int64) -> String {
        var digits = Array(String(number).reversed())
        for place in stride(from: 3, to: digits.count + digits.count / 3, by: 4) where place < digits.count {
            digits.insert(",", at: place)
        }
        return String(digits.reversed())
    }
}
