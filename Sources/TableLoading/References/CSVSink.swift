internal import ModelStatistics
internal import RecordBatches

/// The rows of a CSV file, whose first one names the columns.
final class CSVSink: RowSink {
    private var reader: CSVReader
    private var header: [Column]?

    private struct Column {
        var name: String
        var role = RowOptions.Role.ignored
        var feature = -1
        /// Whether its fields are texts whatever they look like.
        var isText = false
    }

    init(delimiter: UInt8) { reader = CSVReader(delimiter: delimiter) }

    func take(_ piece: UnsafeRawBufferPointer, _ rows: inout FileRows, _ builder: inout ReferenceBuilder) throws {
        try reader.append(piece) { try take($0, &rows, &builder) }
    }

    func finish(_ rows: inout FileRows, _ builder: inout ReferenceBuilder) throws {
        try reader.finish { try take($0, &rows, &builder) }
    }

    private func take(_ row: CSVReader.Row, _ rows: inout FileRows, _ builder: inout ReferenceBuilder) throws {
        guard let header else { return try begin(row, &rows, &builder) }
        guard row.count == header.count else {
            throw LoadError(
                .reference, "line \(row.line) has \(row.count) fields, the header \(header.count)",
                remedy: row.count == 1
                    ? "Is it separated by something else? See --delimiter" : "Quote fields that hold separators")
        }
        guard builder.beginRow() != nil else { return }
        for (place, column) in header.enumerated() where column.role != .ignored {
            let value = value(row.field(place), rows.options, isText: column.isText)
            if !builder.set(column.role, feature: column.feature, value) {
                rows.valueFault(column.name, row.line, row.text(place))
            }
        }
    }

    private func begin(_ row: CSVReader.Row, _ rows: inout FileRows, _ builder: inout ReferenceBuilder) throws {
        var header: [Column] = []
        var seen: Set<ExactText> = []
        for place in 0..<row.count {
            let name = row.text(place)
            // The index that pandas writes has no name.
            if name.isEmpty, place == 0 {
                header.append(Column(name: name))
                continue
            }
            guard seen.insert(ExactText(name)).inserted else {
                throw LoadError(
                    .reference, "two columns are called \(name)", remedy: "Give every column a name of its own")
            }
            let (role, feature) = rows.column(name, &builder)
            header.append(
                Column(
                    name: name, role: role, feature: feature,
                    isText: role == .feature && builder.choice(name) == .text))
        }
        self.header = header
    }

    /// What a field holds: nothing where it is empty or NaN, a number where JSON would write it so, a boolean where Python
    /// or JSON would.
    ///
    /// - Parameter isText: 1.10 and True stay as they are written.
    private func value(_ field: ArraySlice<UInt8>, _ options: RowOptions, isText: Bool) -> ReferenceValue {
        guard let first = field.first else { return .missing }
        if !isText, first == UInt8(ascii: "-") || (first >= 48 && first <= 57), let number = jsonNumber(field) {
            return options.missing.isEmpty || !options.missing.contains(String(decoding: field, as: UTF8.self))
                ? .number(number) : .missing
        }
        let text = String(decoding: field, as: UTF8.self)
        if options.missing.contains(text) { return .missing }
        switch text {
        case "NaN", "nan": return .missing
        case _ where isText: return .text(text)
        case "true", "True", "TRUE": return .bool(true)
        case "false", "False", "FALSE": return .bool(false)
        default: return .text(text)
        }
    }
}
