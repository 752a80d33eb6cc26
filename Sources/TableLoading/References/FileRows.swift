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
    private var seenColumns: Set<String> = []
    private var holdsEvents = false
    private var otherModels = 0
    private var labels = LabelsByID()
    /// Whether the file is read once more, for the labels that were too many to hold.
    private(set) var isSecondReading = false

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
    /// Memory: the builder's, and of native events as many labels as it keeps rows; a file with more labels is read twice.
    ///
    /// - Parameter path: `-` for the standard input.
    /// - Throws: ``LoadError`` with ``LoadError/Code/reference``.
    package mutating func read(path: String, into builder: inout ReferenceBuilder) throws {
        labels = LabelsByID(most: builder.mostRows)
        let isFile = try pour(path, &builder)
        if labels.mayLack {
            if isFile {
                isSecondReading = true
                _ = try pour(path, &builder)
            } else {
                notes.append(
                    "\(labels.dropped) labels found no room, and some may belong to predictions that came after them: put "
                        + "outcomes behind their predictions, or read a file")
            }
        }
        labels.apply(to: &builder)
        try check(path, &builder)
    }

    /// Reads everything once; says whether it can be read again.
    private mutating func pour(_ path: String, _ builder: inout ReferenceBuilder) throws -> Bool {
        let file = path == "-" ? 0 : open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else {
            throw LoadError(
                .reference, "\(path) cannot be opened: \(String(cString: strerror(errno)))",
                remedy: "Name a CSV or JSON-lines file, or - for the standard input")
        }
        defer { if file != 0 { close(file) } }
        var status = stat()
        let isFile = file != 0 && fstat(file, &status) == 0 && status.st_mode & S_IFMT == S_IFREG
        do {
            try pour(file, &builder)
        } catch let error as CompressionError {
            throw LoadError(.reference, "\(path) cannot be decompressed: \(error.reason)", remedy: error.remedy)
        } catch let error as LoadError {
            throw LoadError(error.code, "\(path): \(error.message)", remedy: error.remedy)
        }
        return isFile
    }

    private mutating func pour(_ file: Int32, _ builder: inout ReferenceBuilder) throws {
        let decoder = Decoder()
        var start = FileStart()
        var sink: (any RowSink)?
        func take(_ piece: UnsafeRawBufferPointer, isLast: Bool) throws {
            if let sink { return try sink.take(piece, &self, &builder) }
            guard let isJSON = start.looksLikeJSON(piece, isLast: isLast) else { return }
            let chosen = try makeSink(isJSON, &builder)
            sink = chosen
            try start.bytes(withMark: chosen is CSVSink).withUnsafeBytes { try chosen.take($0, &self, &builder) }
        }
        var buffer = [UInt8](repeating: 0, count: 256 << 10)
        while true {
            let count = buffer.withUnsafeMutableBytes { Glibc.read(file, $0.baseAddress, $0.count) }
            if count < 0 {
                let code = errno
                if code == EINTR { continue }
                throw LoadError(
                    .reference, "it cannot be read: \(String(cString: strerror(code)))",
                    remedy: code == EISDIR ? "Name a file, not a folder" : "See to the disk that it is on")
            }
            if count == 0 { break }
            try buffer.withUnsafeBytes {
                try decoder.decode(UnsafeRawBufferPointer(rebasing: $0[..<count])) { try take($0, isLast: false) }
            }
            progress("\(builder.rowsSeen) rows" + (isSecondReading ? ", labels" : ""))
        }
        try decoder.finish { try take($0, isLast: false) }
        try take(UnsafeRawBufferPointer(start: nil, count: 0), isLast: true)
        try sink?.finish(&self, &builder)
    }

    private func makeSink(_ isJSON: Bool, _ builder: inout ReferenceBuilder) throws -> any RowSink {
        guard (format ?? (isJSON ? .jsonl : .csv)) == .jsonl else {
            builder.takeNumbersAsTexts()
            return CSVSink(delimiter: options.delimiter ?? UInt8(ascii: ","))
        }
        let unused = options.delimiter != nil ? "--delimiter" : options.missing.isEmpty ? nil : "--missing"
        if let unused {
            throw LoadError(
                .reference, "it holds JSON lines, and \(unused) is for CSV files",
                remedy: "Leave \(unused) out; in JSON lines a value that is missing is null or absent")
        }
        return JSONSink()
    }

    private mutating func check(_ path: String, _ builder: inout ReferenceBuilder) throws {
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
        if holdsEvents, let first = builder.ignoredAbsent.first {
            throw LoadError(
                .reference, "no prediction in \(path) has a feature \(first), which --ignore names",
                remedy: "It has: \(builder.featureNames.sorted().prefix(40).joined(separator: ", "))")
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
        guard role == .feature else { return (role, -1) }
        let place = builder.feature(name)
        return (place < 0 ? .ignored : role, place)
    }

    /// Takes a native event.
    ///
    /// - Throws: ``LoadError`` with ``LoadError/Code/reference`` where options name columns, of which events have none.
    mutating func take(
        _ event: EventView, line: Int, _ names: () -> [String], _ builder: inout ReferenceBuilder
    ) throws(LoadError) {
        if !holdsEvents {
            holdsEvents = true
            if let option = options.columnOptions.first {
                throw LoadError(
                    .reference, "line \(line) is one of Nadi's events, which have no column for \(option)",
                    remedy: "Leave \(option) out: its fields say what they are; --ignore and --kind name features")
            }
        }
        if event.type == .outcome {
            guard event.isModel(model), event.name == "label", let id = event.predictionID, let label = event.label
            else {
                return
            }
            if isSecondReading {
                labels.setLabel(ReferenceValue(label), id: id, &builder)
            } else {
                labels.add(label: ReferenceValue(label), id: id, &builder)
            }
            return
        }
        guard !isSecondReading, event.type == .prediction, !event.isError else { return }
        guard event.isModel(model) else {
            otherModels += 1
            return
        }
        guard let row = builder.beginRow() else { return }
        builder.take(event, names: names)
        labels.add(row: row, id: event.predictionID)
    }
}

/// What rows of one format go to.
protocol RowSink: AnyObject {
    func take(_ piece: UnsafeRawBufferPointer, _ rows: inout FileRows, _ builder: inout ReferenceBuilder) throws
    func finish(_ rows: inout FileRows, _ builder: inout ReferenceBuilder) throws
}
