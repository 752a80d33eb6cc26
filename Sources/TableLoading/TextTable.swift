/// Columns of text, as wide as they need to be.
package struct TextTable {
    private var rows: [[String]]
    /// Columns whose cells stand to the right.
    package var rightAligned: Set<Int> = []

    package init(_ header: [String]) { rows = [header.map { $0.uppercased() }] }

    /// Adds a row; what would leave its cell or speak to the terminal is written out.
    package mutating func add(_ row: [String]) { rows.append(row.map { $0.onOneLine }) }

    package var text: String {
        let count = rows[0].count
        let widths = (0..<count).map { column in rows.map { $0[column].count }.max() ?? 0 }
        return rows.map { row in
            var line = row.enumerated().map { column, cell in
                cell.padded(widths[column], right: rightAligned.contains(column))
            }.joined(separator: "  ")
            while line.last == " " { line.removeLast() }
            return line + "\n"
        }.joined()
    }
}

extension String {
    /// The text with spaces up to a width.
    package func padded(_ width: Int, right: Bool = false) -> String {
        let spaces = String(repeating: " ", count: max(0, width - count))
        return right ? spaces + self : self + spaces
    }

    /// The text with control characters written out (`\n`, `\u{1B}`), and marks that turn the direction of writing.
    package var onOneLine: String {
        func isKept(_ scalar: Unicode.Scalar) -> Bool {
            switch scalar.value {
            case 0x20..<0x7F: true
            case 0...0x9F, 0x200E, 0x200F, 0x2028...0x202E, 0x2066...0x2069: false
            default: true
            }
        }
        if unicodeScalars.allSatisfy(isKept) { return self }
        var out = ""
        for scalar in unicodeScalars {
            switch scalar {
            case _ where isKept(scalar): out.unicodeScalars.append(scalar)
            case "\n": out += "\\n"
            case "\r": out += "\\r"
            case "\t": out += "\\t"
            default: out += "\\u{\(String(scalar.value, radix: 16, uppercase: true))}"
            }
        }
        return out
    }
}
