internal import RecordBatches
internal import TableStorage

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
    /// What an outcome takes at least, in bytes.
    private static let least = 64

    /// Rows, and what becomes of the candidates.
    struct Joined: Sendable {
        var result: JoinResult
        var record: JoinRecord
    }

    /// What an outcome and what finds its prediction take, in bytes.
    private static func each(_ settings: LoadSettings) -> Int {
        guess + JoinTally.bytesPerPrediction(slices: settings.sliceTags.count, readers: max(1, settings.parallelism))
    }

    /// Whether so many outcomes are likely to fit into memory at once.
    static func fits(_ count: Int64, memory: Int, _ settings: LoadSettings) -> Bool {
        Int(count) * each(settings) <= memory
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
    /// - Throws: as ``JoinReading/read(_:)``; `DatabaseError`; ``LoadError`` with ``LoadError/Code/tooLarge`` where no number of
    ///   parts is enough.
    func runInParts() async throws -> Joined {
        let count = try await loader.side.runWithRetries(except: JoinPass.slow) { try candidates.count($0) }
        var parts = max(2, (Int(count) * Self.each(loader.settings) + memory - 1) / memory)
        while true {
            var joined = nothing
            var part = 0
            while part < parts, let table = try await table(part, of: parts) {
                try await join(table, into: &joined)
                part += 1
            }
            if part == parts { return joined }
            // Outcomes are larger than was guessed; those of one prediction cannot be parted.
            parts *= 2
            let largest = try await loader.side.runWithRetries(except: JoinPass.slow) { try candidates.largest($0) }
            if Int(largest) * Self.least > memory || parts > 2 * count {
                throw LoadError(
                    .tooLarge,
                    "\(largest) outcomes of one prediction take more than the \(memory >> 10) KiB in which an hour is joined",
                    remedy: "Find who sends so many names for one prediction id; the hour's other outcomes wait for it")
            }
        }
    }

    /// The candidates of a part; nil where they take more memory than there is and are more than a few.
    private func table(_ part: Int, of parts: Int) async throws -> OutcomeTable? {
        let find = Self.each(loader.settings) - Self.guess
        let limit = parts == 1 ? memory : memory + memory / 4
        return try await loader.side.runWithRetries(except: JoinPass.slow) { connection in
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
        // Millions that were not found are neither held nor written in one statement.
        let most = loader.settings.join.lostAtATime
        while joined.record.lostCount >= most {
            let lost = joined.record.takeLost(most: most)
            try await loader.database.runWithRetries(except: JoinPass.slow) { try lost.writeAhead($0) }
        }
    }
}
