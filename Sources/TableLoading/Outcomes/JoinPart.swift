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
    /// How many candidates there are.
    let count: Int64
    let segments: [HourSources.Segment]
    let dictionary: JoinDictionary
    /// Memory for a part, in bytes.
    let memory: Int

    /// What is guessed for an outcome before its size is known, in bytes.
    static let guess = 128

    /// What an hour of so many outcomes takes, in bytes.
    static func need(_ count: Int64, slices: Int) -> Int {
        Int(min(count, 1 << 40)) * (guess + JoinTally.bytesPerPrediction(slices: slices))
    }

    /// Rows, and what becomes of the candidates.
    struct Joined: Sendable {
        var result: JoinResult
        var record: JoinRecord
    }

    /// Runs the join.
    /// - Throws: as ``JoinReading/read(_:)``; `DatabaseError`.
    func run() async throws -> Joined {
        let models = candidates.hour.models.count
        var joined = Joined(result: JoinResult(models: models), record: JoinRecord(candidates))
        if count == 0 { return joined }
        let need = Self.need(count, slices: loader.settings.sliceTags.count)
        var parts = max(1, (need + memory - 1) / memory)
        var part = 0
        while part < parts {
            guard let table = try await table(part, of: parts) else {
                // Outcomes are larger than was guessed.
                parts *= 2
                part = 0
                joined = Joined(result: JoinResult(models: models), record: JoinRecord(candidates))
                continue
            }
            try await join(table, into: &joined)
            part += 1
        }
        return joined
    }

    /// The candidates of a part; nil where they take more memory than there is and are more than a few.
    private func table(_ part: Int, of parts: Int) async throws -> OutcomeTable? {
        let expected = Int(count) / parts + Int(count) / parts / 16 + 16
        let find = JoinTally.bytesPerPrediction(slices: loader.settings.sliceTags.count)
        let limit = memory + memory / 4
        return try await loader.side.runWithRetries { connection in
            let table = OutcomeTable(models: candidates.hour.models.map(\.name), capacity: expected)
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
