internal import EventModel

extension AuditReport {
    /// A table of the equations and one line for each finding, for people.
    package var text: String {
        var out = ""
        let width = (balances.map(\.name.count).max() ?? 0) + 2
        for balance in balances {
            let sign = balance.left.lines == balance.right.lines ? "=" : balance.mustBeEqual ? "≠" : "…"
            out += balance.name.padded(width)
            out += "\(balance.left.lines)".padded(14, right: true) + " " + balance.left.source
            out += "  \(sign)  " + "\(balance.right.lines) " + balance.right.source + "\n"
        }
        if !findings.isEmpty { out += "\n" }
        for finding in findings.sorted(by: { ($0.isFailure ? 0 : 1, $0.id) < ($1.isFailure ? 0 : 1, $1.id) }) {
            let mark = finding.accepted != nil ? "accepted" : finding.isFailure ? "FAILED" : "note"
            out += "\(mark.padded(9))\(finding.id)\n         \(finding.text)"
            if let accepted = finding.accepted {
                out += "\n         accepted \(accepted)"
            } else if finding.isFailure {
                out += "\n         \(finding.remedy)"
            }
            out += "\n"
        }
        out += "\n"
        let open = findings.count { $0.isFailure && $0.accepted == nil }
        out += open == 0 ? "Every line is accounted for." : "\(open) findings."
        if let completeUntil_ms {
            out += " Complete until \(Timestamp.format(completeUntil_ms))"
            out += silentHosts.isEmpty ? "." : " (silent and left out: \(silentHosts.joined(separator: ", ")))."
        }
        return out + "\n"
    }

    /// The same as one JSON object.
    package var json: String {
        var object = JSONText()
        object.field("clean", isClean)
        if let completeUntil_ms { object.field("complete_until", Timestamp.format(completeUntil_ms)) }
        var out = String(decoding: object.bytes, as: UTF8.self)
        out += ",\"silent_hosts\":[" + silentHosts.map(Self.quoted).joined(separator: ",") + "]"
        out +=
            ",\"balances\":["
            + balances.map { balance in
                var one = JSONText()
                one.field("name", balance.name)
                one.field("left_source", balance.left.source)
                one.field("left_lines", balance.left.lines)
                one.field("right_source", balance.right.source)
                one.field("right_lines", balance.right.lines)
                one.field("balanced", balance.isBalanced)
                return String(decoding: one.closed, as: UTF8.self)
            }.joined(separator: ",") + "]"
        out +=
            ",\"findings\":["
            + findings.map { finding in
                var one = JSONText()
                one.field("id", finding.id)
                one.field("text", finding.text)
                one.field("remedy", finding.remedy)
                if let lines = finding.lines { one.field("lines", lines) }
                one.field("failure", finding.isFailure)
                if let accepted = finding.accepted { one.field("accepted", accepted) }
                return String(decoding: one.closed, as: UTF8.self)
            }.joined(separator: ",") + "]}"
        return out
    }

    private static func quoted(_ text: String) -> String {
        var bytes: [UInt8] = []
        JSONText.append(text, to: &bytes)
        return String(decoding: bytes, as: UTF8.self)
    }
}

extension String {
    /// The text with spaces up to a width.
    package func padded(_ width: Int, right: Bool = false) -> String {
        let spaces = String(repeating: " ", count: max(0, width - count))
        return right ? spaces + self : self + spaces
    }
}
