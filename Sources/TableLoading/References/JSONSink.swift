internal import ModelStatistics
internal import RecordBatches

/// The rows of JSON lines: predictions of native events, or objects of members that are columns.
final class JSONSink: RowSink {
    private let reader = JSONLineReader()
    private var columns: [(role: RowOptions.Role, feature: Int)] = []

    /// Most names of members: who has more of them uses values as names.
    static let mostNames = 100_000

    func take(_ piece: UnsafeRawBufferPointer, _ rows: inout FileRows, _ builder: inout ReferenceBuilder) throws {
        try reader.append(piece) { try take($0, $1, &rows, &builder) }
    }

    func finish(_ rows: inout FileRows, _ builder: inout ReferenceBuilder) throws {
        try reader.finish { try take($0, $1, &rows, &builder) }
    }

    private func take(
        _ number: Int, _ line: JSONLine, _ rows: inout FileRows, _ builder: inout ReferenceBuilder
    ) throws {
        switch line {
        case .faulty(let reason): if !rows.isSecondReading { rows.fault(number, reason) }
        case .event(let event): try rows.take(event, line: number, { reader.names }, &builder)
        case .object(let members):
            guard !rows.isSecondReading, builder.beginRow() != nil else { return }
            members.forEach { name, value in
                while columns.count <= name {
                    columns.append(rows.column(reader.names[columns.count], &builder))
                }
                let (role, feature) = columns[name]
                if !builder.set(role, feature: feature, ReferenceValue(value)) {
                    rows.valueFault(reader.names[name], number, value.plainText)
                }
            }
        }
        if reader.names.count > Self.mostNames {
            throw LoadError(
                .reference, "up to line \(number) there are over \(Self.mostNames) different names of members",
                remedy: "Write what differs from line to line as values, not as names")
        }
    }
}
