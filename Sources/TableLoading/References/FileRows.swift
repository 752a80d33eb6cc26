internal import Compression
internal import EventModel
internal import Glibc
package import ModelStatistics
internal import RecordBatches

/// Reads the rows of a file into a ``ReferenceBuilder``: CSV, or JSON lines of native events or of flat objects; plain, gzip
/// or zstd, told apart by their first bytes.
package struct FileRows {
    /// How a file's rows are written.
    package enum Format: String, Sendable, CaseIterable {
        case csv, jsonl
    }

    let options: RowOptions
    let format: Format?
    let model: String
    let progress: (String) -> Void
    /// What a person should know of the reading, a sentence each.
    package private(set) var notes: [String] = []
    private var faults = 0
    private var firstFault = ""
    private var valueFaults: [String: (count: Int, first: String)] = [:]
    private var columnFor: [RowOptions.Role] = []
    private var featureFor: [Int] = []
    private var seenColumns: Set<String> = []
    private var otherModels = 0
    private var labels = LabelsByID()

    /// - Parameters:
    ///   - format: nil to tell by the first byte.
    ///   - model: of native events, only those of this model are taken.
    package init(
        options: RowOptions, format: Format? = nil, model: String, progress: @escaping (String) -> Void = { _ in }
    ) {
        self.options = options
        self.format = format
        self.model = model
        self.progress = progress
    }

    /// Reads a file.
    ///
    /// - Parameter path: `-` for the standard input.
    /// - Throws: ``LoadError`` with ``LoadError/Code/reference``.
    package mutating func read(path: String, into builder: inout ReferenceBuilder) throws {
        let file = path == "-" ? 0 : open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else {
            throw LoadError(
                .reference, "\(path) cannot be opened: \(String(cString: strerror(errno)))",
                remedy: "Name a CSV or JSON-lines file, or - for the standard input")
        }
        defer { if file != 0 { close(file) } }
        let decoder = Decoder()
        var sink: (any RowSink)?
        func take(_ piece: UnsafeRawBufferPointer) throws {
            guard !piece.isEmpty else { return }
            if sink == nil { sink = makeSink(piece, &builder) }
            try sink?.take(piece, &self, &builder)
        }
        var buffer = [UInt8](repeating: 0, count: 256 << 10)
        do {
            while true {
                let count = buffer.withUnsafeMutableBytes { Glibc.read(file, $0.baseAddress, $0.count) }
                if count < 0 {
                    if errno == EINTR { continue }
                    throw LoadError(
                        .reference, "it cannot be read: \(String(cString: strerror(errno)))",
                        remedy: "Name a file, not a folder")
                }
                if count == 0 { break }
                try buffer.withUnsafeBytes {
                    try decoder.decode(UnsafeRawBufferPointer(rebasing: $0[..<count])) { try take($0) }
                }
                progress("\(builder.rowsSeen) rows")
            }
            try decoder.finish { try take($0) }
        } catch let error as CompressionError {
            throw LoadError(.reference, "\(path) cannot be decompressed: \(error.reason)", remedy: error.remedy)
        } catch let error as LoadError {
            throw LoadError(error.code, "\(path): \(error.message)", remedy: error.remedy)
        }
        do {
            try sink?.finish(&self, &builder)
        } catch let error as LoadError {
            throw LoadError(error.code, "\(path): \(error.message)", remedy: error.remedy)
        }
        try check(path, &builder)
    }

    private func makeSink(_ piece: UnsafeRawBufferPointer, _ builder: inout ReferenceBuilder) -> any RowSink {
        let isJSON = piece.first { ![0xEF, 0xBB, 0xBF, 0x20, 0x09, 0x0D, 0x0A].contains($0) } == UInt8(ascii: "{")
        let chosen = format ?? (isJSON ? .jsonl : .csv)
        if chosen == .jsonl { return JSONSink() }
        builder.takeNumbersAsTexts()
        return CSVSink(delimiter: options.delimiter)
    }

    private mutating func check(_ path: String, _ builder: inout ReferenceBuilder) throws {
        labels.apply(to: &builder)
        if builder.rowsSeen == 0 {
            throw LoadError(
                .reference,
                otherModels > 0
                    ? "\(path) holds no prediction of the model \(model), but \(otherModels) of others"
                    : "\(path) holds no rows"
                        + (faults > 0 ? ": \(faults) lines cannot be read, first \(firstFault)" : ""),
                remedy: "A CSV file has a header and at least one row; JSON lines have an object in each line")
        }
        let absent = options.absent(Array(seenColumns))
        if let first = absent.first, !seenColumns.isEmpty {
            throw LoadError(
                .reference, "\(path) has no column \(first)",
                remedy: "It has: \(seenColumns.sorted().prefix(40).joined(separator: ", "))")
        }
        if faults > 0 { notes.append("\(faults) lines cannot be read and are left out, first \(firstFault)") }
        if otherModels > 0 { notes.append("\(otherModels) predictions of other models are left out") }
        for (column, fault) in valueFaults.sorted(by: { $0.key < $1.key }) {
            notes.append(
                "\(column): \(fault.count) values are not what was expected and count as none, first \(fault.first)")
        }
    }

    // MARK: What sinks say

    mutating func fault(_ line: Int, _ reason: String) {
        faults += 1
        if faults == 1 { firstFault = "line \(line): \(reason)" }
    }

    mutating func valueFault(_ column: String, _ line: Int, _ text: String) {
        var fault = valueFaults[column] ?? (0, "in line \(line): \(text.prefix(40))")
        fault.count += 1
        valueFaults[column] = fault
    }

    /// What a column is, and its place as a feature.
    mutating func column(_ name: String, _ builder: inout ReferenceBuilder) -> (RowOptions.Role, Int) {
        // No event can have such a name.
        if name.isEmpty || name.utf8.count > 256 || name.utf8.contains(0) {
            notes.append("the column \"\(name.prefix(40))\" is left out: a name has 1 to 256 bytes")
            return (.ignored, -1)
        }
        seenColumns.insert(name)
        let role = options.role(name)
        return (role, role == .feature ? builder.feature(name) : -1)
    }

    /// Takes a native event.
    mutating func take(_ event: EventView, _ names: () -> [String], _ builder: inout ReferenceBuilder) {
        if event.type == .outcome {
            guard event.isModel(model), event.name == "label", let id = event.predictionID, let label = event.label
            else {
                return
            }
            labels.add(label: ReferenceValue(label), id: id)
            return
        }
        guard event.type == .prediction, !event.isError else { return }
        guard event.isModel(model) else {
            otherModels += 1
            return
        }
        guard let row = builder.beginRow() else { return }
        builder.take(event, names: names)
        if let id = event.predictionID { labels.add(row: row, id: id) }
    }
}

/// What rows of one format go to.
private protocol RowSink: AnyObject {
    func take(_ piece: UnsafeRawBufferPointer, _ rows: inout FileRows, _ builder: inout ReferenceBuilder) throws
    func finish(_ rows: inout FileRows, _ builder: inout ReferenceBuilder) throws
}

private final class CSVSink: RowSink {
    private var reader: CSVReader
    private var header: [(name: String, role: RowOptions.Role, feature: Int)]?

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
            let value = value(row.field(place), rows.options)
            if !builder.set(column.role, feature: column.feature, value) {
                rows.valueFault(column.name, row.line, row.text(place))
            }
        }
    }

    private func begin(_ row: CSVReader.Row, _ rows: inout FileRows, _ builder: inout ReferenceBuilder) throws {
        var header: [(name: String, role: RowOptions.Role, feature: Int)] = []
        var seen: Set<String> = []
        for place in 0..<row.count {
            let name = row.text(place)
            // The index that pandas writes has no name.
            if name.isEmpty, place == 0 {
                header.append((name, .ignored, -1))
                continue
            }
            guard seen.insert(name).inserted else {
                throw LoadError(
                    .reference, "two columns are called \(name)", remedy: "Give every column a name of its own")
            }
            let (role, feature) = rows.column(name, &builder)
            header.append((name, role, feature))
        }
        self.header = header
    }

    /// What a field holds: nothing where it is empty or NaN, a number where JSON would write it so, a boolean where Python
    /// or JSON would.
    private func value(_ field: ArraySlice<UInt8>, _ options: RowOptions) -> ReferenceValue {
        guard let first = field.first else { return .missing }
        if first == UInt8(ascii: "-") || (first >= 48 && first <= 57), let number = jsonNumber(field) {
            return options.missing.isEmpty || !options.missing.contains(String(decoding: field, as: UTF8.self))
                ? .number(number) : .missing
        }
        let text = String(decoding: field, as: UTF8.self)
        if options.missing.contains(text) { return .missing }
        switch text {
        case "NaN", "nan": return .missing
        case "true", "True", "TRUE": return .bool(true)
        case "false", "False", "FALSE": return .bool(false)
        default: return .text(text)
        }
    }
}

private final class JSONSink: RowSink {
    private let reader = JSONLineReader()
    private var columns: [(role: RowOptions.Role, feature: Int)] = []

    func take(_ piece: UnsafeRawBufferPointer, _ rows: inout FileRows, _ builder: inout ReferenceBuilder) throws {
        reader.append(piece) { take($0, $1, &rows, &builder) }
    }

    func finish(_ rows: inout FileRows, _ builder: inout ReferenceBuilder) throws {
        reader.finish { take($0, $1, &rows, &builder) }
    }

    private func take(_ number: Int, _ line: JSONLine, _ rows: inout FileRows, _ builder: inout ReferenceBuilder) {
        switch line {
        case .faulty(let reason): rows.fault(number, reason)
        case .event(let event): rows.take(event, { reader.names }, &builder)
        case .object(let members):
            guard builder.beginRow() != nil else { return }
            members.forEach { name, value in
                while columns.count <= name {
                    columns.append(rows.column(reader.names[columns.count], &builder))
                }
                let (role, feature) = columns[name]
                if !builder.set(role, feature: feature, ReferenceValue(value)) {
                    rows.valueFault(reader.names[name], number, "\(value)")
                }
            }
        }
    }
}
