internal import EventModel

extension AuditReport {
    /// The verdict in the first line, then what is wrong, where, and what to do; then the equations and the hosts.
    package var text: String {
        // Sums say that something is wrong, the others say what: sums last.
        let sums = open.filter { $0.kind == "balance" }
        var out = verdict + "\n"
        for finding in causes.sorted(by: { $0.id < $1.id }) + sums { out += "\n" + finding.paragraph }
        let accepted = findings.filter { $0.isFailure && $0.accepted != nil }.sorted { $0.id < $1.id }
        for finding in accepted { out += "\n" + finding.paragraph }
        let notes = findings.filter { !$0.isFailure }.sorted { $0.id < $1.id }
        if !notes.isEmpty { out += "\nWorth knowing:\n" }
        for finding in notes { out += "  \(finding.text)\n" }
        out += "\n" + equations
        if !hosts.isEmpty { out += "\n" + hostTable }
        return out
    }

    /// What is wrong, without the sums that differ because of it.
    private var causes: [Finding] { open.filter { $0.kind != "balance" } }

    private var verdict: String {
        let open = causes.isEmpty ? open : causes
        var out: String
        if open.isEmpty {
            out = "CLEAN: every line" + (scope.host.map { " of host \($0)" } ?? "") + " is accounted for."
            let accepted = findings.count { $0.isFailure && $0.accepted != nil }
            if accepted > 0 { out += " \(accepted) \(accepted == 1 ? "loss is" : "losses are") accepted." }
        } else {
            out = "FAILED: \(open.count) \(open.count == 1 ? "thing does" : "things do") not add up"
            let hosts = Set(open.map(\.host).filter { !$0.isEmpty }).sorted()
            if !hosts.isEmpty {
                out += ", on host " + hosts.prefix(5).joined(separator: ", ") + (hosts.count > 5 ? ", ..." : "")
            }
            let lines = open.reduce(0) { $0 + ($1.lines ?? 0) }
            out += lines > 0 ? " (\(lines) lines concerned)." : "."
        }
        if let hours = scope.hours {
            out += " Looked at \(LoadClock.hourText(hours.lowerBound)) "
            out += (hours.upperBound == AuditScope.end_ms ? "" : "to \(LoadClock.hourText(hours.upperBound)) ") + "UTC"
            out += hours.upperBound == AuditScope.end_ms ? " and later only." : " only."
        }
        if scope.host != nil { out += " Tables are not kept by host: they were left out." }
        if let completeUntil_ms { out += " Complete until \(Timestamp.format(completeUntil_ms))" }
        if completeUntil_ms != nil {
            out += silentHosts.isEmpty ? "." : " (silent and left out: \(silentHosts.joined(separator: ", ")))."
        }
        return out
    }

    private var equations: String {
        let width = (balances.map(\.name.count).max() ?? 0) + 2
        var out = ""
        for balance in balances where balance.left.lines != 0 || balance.right.lines != 0 {
            let sign = balance.left.lines == balance.right.lines ? "=" : balance.mustBeEqual ? "≠" : "…"
            out +=
                balance.name.padded(width) + "\(balance.left.lines)".padded(14, right: true) + " \(balance.left.source)"
            out += "  \(sign)  \(balance.right.lines) \(balance.right.source)\n"
        }
        for balance in balances where balance.left.lines != balance.right.lines || balance.name == "killed writers" {
            if !balance.note.isEmpty { out += "  (\(balance.name): \(balance.note))\n" }
        }
        return out
    }

    private var hostTable: String {
        let shown = hosts.prefix(100)
        let width = max(6, (shown.map(\.name.count).max() ?? 0) + 2)
        var out = "host".padded(width) + "state".padded(9)
        for title in ["writers", "appended", "written", "dropped", "stored", "unshipped", "lost"] {
            out += title.padded(12, right: true)
        }
        out += "\n"
        for host in shown {
            out += host.name.padded(width) + host.status.padded(9)
            out += "\(host.writers)".padded(12, right: true)
            out += ((host.isLowerBound ? "≥ " : "") + "\(host.appended)").padded(12, right: true)
            for number in [host.written, host.dropped, host.stored, host.unshipped, host.lost] {
                out += "\(number)".padded(12, right: true)
            }
            out += "\n"
        }
        if hosts.count > shown.count { out += "and \(hosts.count - shown.count) more: see --json, or --host\n" }
        if shown.contains(where: \.isLowerBound) {
            out += "≥: a killed writer may have been handed more than it counted; what it held in memory is gone.\n"
        }
        return out
    }

    /// The same as one JSON object.
    package var json: String {
        var object = JSONText()
        object.field("clean", isClean)
        if let host = scope.host { object.field("host", host) }
        if let hours = scope.hours {
            object.field("from", Timestamp.format(hours.lowerBound))
            if hours.upperBound != AuditScope.end_ms { object.field("to", Timestamp.format(hours.upperBound)) }
        }
        if let completeUntil_ms { object.field("complete_until", Timestamp.format(completeUntil_ms)) }
        object.array("silent_hosts", silentHosts)
        object.array(
            "balances",
            balances.map { balance in
                var one = JSONText()
                one.field("name", balance.name)
                one.field("left_source", balance.left.source)
                one.field("left_lines", balance.left.lines)
                one.field("right_source", balance.right.source)
                one.field("right_lines", balance.right.lines)
                one.field("exact", balance.mustBeEqual)
                one.field("balanced", balance.isBalanced)
                return one
            })
        object.array(
            "findings",
            findings.map { finding in
                var one = JSONText()
                one.field("id", finding.id)
                one.field("text", finding.text)
                one.field("remedy", finding.remedy)
                if !finding.host.isEmpty { one.field("host", finding.host) }
                if !finding.writer.isEmpty { one.field("writer", finding.writer) }
                if let lines = finding.lines { one.field("lines", lines) }
                one.field("failure", finding.isFailure)
                if let accepted = finding.accepted { one.field("accepted", accepted) }
                return one
            })
        object.array(
            "hosts",
            hosts.map { host in
                var one = JSONText()
                one.field("host", host.name)
                one.field("state", host.status)
                if let reported_ms = host.reported_ms { one.field("reported", Timestamp.format(reported_ms)) }
                one.field("writers", host.writers)
                one.field("open_writers", host.openWriters)
                one.field("appended", host.appended)
                one.field("appended_is_lower_bound", host.isLowerBound)
                one.field("written", host.written)
                one.field("dropped", host.dropped)
                one.field("stored", host.stored)
                one.field("unshipped_lines", host.unshipped)
                one.field("unshipped_segments", host.unshippedSegments)
                one.field("accepted_lost", host.lost)
                return one
            })
        return String(decoding: object.closed, as: UTF8.self)
    }
}

extension AuditReport.Finding {
    /// What, where, what to do.
    fileprivate var paragraph: String {
        var out = "\((accepted == nil ? "FAILED" : "accepted").padded(10))\(id)\n    \(text)\n"
        if let accepted { return out + "    accepted \(accepted)\n" }
        var place: [String] = []
        if !host.isEmpty { place.append("host \(host)") }
        if let lines, lines > 0 { place.append("\(lines) lines") }
        if !place.isEmpty { out += "    where: \(place.joined(separator: ", "))\n" }
        return out + "    do: \(remedy)\n"
    }
}
