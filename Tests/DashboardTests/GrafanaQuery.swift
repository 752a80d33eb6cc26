/// What Grafana does to a PostgreSQL statement before it sends it: template variables in the browser, then the macros
/// of the PostgreSQL data source in the server, in its order (macros.go, sql_engine.go).
struct GrafanaQuery {
    /// Milliseconds since the epoch.
    let from: Int64
    /// Milliseconds since the epoch.
    let to: Int64
    /// Seconds of `$__interval`.
    let interval: Int
    /// The selected values of each variable.
    let variables: [String: [String]]

    struct Failure: Error, CustomStringConvertible { let description: String }

    /// The statement that reaches PostgreSQL.
    func expand(_ statement: String) throws -> String {
        var text = try interpolate(statement)
        text = text.replacing("$__interval_ms", with: String(interval * 1000))
        text = text.replacing("$__interval", with: Self.format(interval))
        text = text.replacing("$__unixEpochFrom()", with: String(from / 1000))
        text = text.replacing("$__unixEpochTo()", with: String(to / 1000))
        var out = ""
        var rest = text[...]
        while let match = rest.firstMatch(of: /\$([_a-zA-Z0-9]+)\(([^\)]*)\)/) {
            out += rest[..<match.range.lowerBound]
            let arguments = match.2.split(separator: ",", omittingEmptySubsequences: false).map { Self.trim($0) }
            out += try macro(String(match.1), arguments, next: rest[match.range.upperBound...].first)
            rest = rest[match.range.upperBound...]
        }
        return out + rest
    }

    /// `${name:sqlstring}`: each value in quotes, quotes doubled, joined by commas.
    private func interpolate(_ statement: String) throws -> String {
        var out = ""
        var rest = statement[...]
        while let match = rest.firstMatch(of: /\$\{([a-zA-Z0-9_]+)(?::([a-z]+))?\}/) {
            guard match.2 == "sqlstring" else {
                throw Failure(description: "\(match.0) is not in the form ${name:sqlstring}")
            }
            guard let values = variables[String(match.1)] else {
                throw Failure(description: "unknown variable \(match.1)")
            }
            out += rest[..<match.range.lowerBound]
            out += values.map { "'" + $0.replacing("'", with: "''") + "'" }.joined(separator: ",")
            rest = rest[match.range.upperBound...]
        }
        return out + rest
    }

    private func macro(_ name: String, _ arguments: [String], next: Character?) throws -> String {
        let first = arguments.first ?? ""
        switch name {
        case "__time": return "\(first) AS \"time\""
        case "__timeEpoch": return "extract(epoch from \(first)) as \"time\""
        case "__timeFilter": return "\(first) BETWEEN '\(Self.rfc3339(from))' AND '\(Self.rfc3339(to))'"
        case "__timeFrom": return "'\(Self.rfc3339(from))'"
        case "__timeTo": return "'\(Self.rfc3339(to))'"
        case "__timeGroup", "__timeGroupAlias":
            guard arguments.count >= 2 else { throw Failure(description: "\(name) needs a column and an interval") }
            let width = try Self.seconds(arguments[1].replacing("'", with: ""))
            let alias = name == "__timeGroupAlias" || next == ","
            return "floor(extract(epoch from \(first))/\(width))*\(width)" + (alias ? " AS \"time\"" : "")
        case "__unixEpochFilter": return "\(first) >= \(from / 1000) AND \(first) <= \(to / 1000)"
        default: throw Failure(description: "unknown macro \"\(name)\"")
        }
    }

    private static func trim(_ text: Substring) -> String {
        var text = text
        while text.first == " " { text.removeFirst() }
        while text.last == " " { text.removeLast() }
        return String(text)
    }

    private static func seconds(_ text: String) throws -> Int {
        let units: [Character: Int] = ["s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800]
        guard let unit = text.last.flatMap({ units[$0] }), let count = Int(text.dropLast()) else {
            throw Failure(description: "cannot parse the interval \(text)")
        }
        return count * unit
    }

    /// Grafana's FormatInterval: the largest unit, by integer division.
    static func format(_ seconds: Int) -> String {
        for (size, unit) in [(31_536_000, "y"), (86400, "d"), (3600, "h"), (60, "m")] where seconds >= size {
            return "\(seconds / size)\(unit)"
        }
        return "\(seconds)s"
    }

    /// RFC 3339 in UTC as Go prints it: no fraction where it is zero.
    static func rfc3339(_ milliseconds: Int64) -> String {
        let days = Int(milliseconds.quotientAndRemainder(dividingBy: 86_400_000).quotient)
        let rest = Int(milliseconds % 86_400_000)
        // Howard Hinnant, "chrono-compatible low-level date algorithms", civil_from_days.
        let shifted = days + 719_468
        let era = shifted / 146_097
        let dayOfEra = shifted - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let monthIndex = (5 * dayOfYear + 2) / 153
        let month = monthIndex < 10 ? monthIndex + 3 : monthIndex - 9
        let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
        func two(_ value: Int) -> String { value < 10 ? "0\(value)" : "\(value)" }
        let fraction = rest % 1000
        let digits = String(1000 + fraction).dropFirst()
        var decimals = fraction == 0 ? "" : "." + digits
        while decimals.last == "0" { decimals.removeLast() }
        return "\(year)-\(two(month))-\(two(dayOfYear - (153 * monthIndex + 2) / 5 + 1))"
            + "T\(two(rest / 3_600_000)):\(two(rest / 60000 % 60)):\(two(rest / 1000 % 60))\(decimals)Z"
    }
}
