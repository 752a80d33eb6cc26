internal import RecordBatches
internal import TableStorage

/// How a candidate of a join is called in the joiner's table: the row's number, where it stands, and whether an earlier join
/// looked for its prediction there and did not find it.
struct CandidateNumber {
    /// `outcome_no`.
    var number: Int64
    /// Hours from the joined one to the row's: -1, 0 or 1.
    var home: Int64
    var wasUnmatched: Bool

    init(number: Int64, home: Int64, wasUnmatched: Bool) {
        self.number = number
        self.home = home
        self.wasUnmatched = wasUnmatched
    }

    /// Of ``packed``.
    init(packed: Int64) {
        number = packed >> 3
        home = (packed >> 1 & 3) - 1
        wasUnmatched = packed & 1 == 1
    }

    var packed: Int64 { number << 3 | (home + 1) << 1 | (wasUnmatched ? 1 : 0) }
}

/// Joins an hour in as many parts as memory asks for, each of the outcomes whose prediction ids have one remainder, and each
/// by reading the hour's objects.
struct JoinHour: Sendable {
    let loader: Loader
    let candidates: JoinCandidates
    let segments: [HourSources.Segment]
    let dictionary: JoinDictionary
    /// Memory for outcomes and what joins them, in bytes.
    let memory: Int

    /// What is guessed for an outcome before its size is known, in bytes.
    private static let guess = 128

    /// Rows, and what becomes of the candidates.
    struct Joined: Sendable {
        var result: JoinResult
        var record: JoinRecord
    }

    private var nothing: Joined {
        Joined(result: JoinResult(models: candidates.hour.models.count), record: JoinRecord(candidates))
    }

    /// Joins the hour in one part; nil where its outcomes take more memory than there is.
    /// - Throws: as ``JoinReading/read(_:)``; `DatabaseError`.
    func runAtOnce() async throws -> Joined? {
        var joined = nothing
        guard let table = try await table(0, of: 1) else { return nil }
        try await join(table, into: &joined)
        return joined
    }

    /// Joins the hour in several parts.
    /// - Throws: as ``JoinReading/read(_:)``; `DatabaseError`.
    func runInParts() async throws -> Joined {
        let count = try await loader.side.runWithRetries { try candidates.count($0) }
        let each = Self.guess + JoinTally.bytesPerPrediction(slices: loader.settings.sliceTags.count)
        var parts = max(2, (Int(count) * each + memory - 1) / memory)
        while true {
            var joined = nothing
            var part = 0
            while part < parts, let table = try await table(part, of: parts) {
                try await join(table, into: &joined)
                part += 1
            }
            if part == parts { return joined }
            // Outcomes are larger than was guessed.
            parts *= 2
        }
    }

    /// The candidates of a part; nil where they take more memory than there is and are more than a few.
    private func table(_ part: Int, of parts: Int) async throws -> OutcomeTable? {
        let find = JoinTally.bytesPerPrediction(slices: loader.settings.sliceTags.count)
        let limit = parts == 1 ? memory : memory + memory / 4
        return try await loader.side.runWithRetries { connection in
            let table = OutcomeTable(models: candidates.hour.models.map(\.name))
            func isTooLarge() -> Bool { table.count > 1000 && table.memory + table.count * find > limit }
            var isOver = false
            try candidates.fill(table, part: part, of: parts, connection) {
                if table.count & 0xFFF == 0 { isOver = isOver || isTooLarge() }
                return !isOver
            }
            return isOver ? nil : table
        }
    }

    private func join(_ table: OutcomeTable, into joined: inout Joined) async throws {
        if table.count == 0 { return }
        let reading = JoinReading(
            loader: loader, hour_ms: candidates.hour.hour_ms, table: table, dictionary: dictionary)
        let tally = JoinTally(try await reading.read(segments), table, dictionary)
        let classes = loader.settings.caps.categoriesPerFeature
        joined.result.merge(tally.result(classes: classes), classes: classes)
        tally.forEach { model, packed, time_ms in
            joined.record.add(
                model: candidates.hour.models[model].id, CandidateNumber(packed: packed), isJoined: time_ms != nil)
        }
    }
}
