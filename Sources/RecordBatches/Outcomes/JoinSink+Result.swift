internal import Sketches

extension JoinSink {
    /// Joins the candidates.
    func result() -> JoinResult {
        keepObject()
        var build = JoinBuilder(table: table, slices: slices)
        build.result.predictions = predictions
        var first: [Int: JoinCandidate] = [:]
        for candidate in candidates {
            guard let other = first[candidate.key] else {
                first[candidate.key] = candidate
                continue
            }
            let isFirst = candidate.precedes(other)
            let later = isFirst ? other : candidate
            if isFirst { first[candidate.key] = candidate }
            build.result.repeated[
                .init(model: later.model, hour_s: Period.hour(ofMs: later.time_ms)), default: 0] += 1
        }
        // In one order, so that sums of doubles come out alike however objects were read.
        for candidate in first.values.sorted(by: { $0.precedes($1) }) { build.add(candidate) }
        build.result.joined.sort { $0.outcome < $1.outcome }
        return build.result
    }
}

/// Makes rows of joined pairs.
private struct JoinBuilder {
    let table: OutcomeTable
    let slices: [String]
    var result = JoinResult()
    private var models: [ExactText: Int] = [:]
    private var series: [SeriesKey: Int] = [:]
    private var features: [FeatureKey: Int] = [:]
    private var categories: [CategoryKey: Int] = [:]

    init(table: OutcomeTable, slices: [String]) {
        self.table = table
        self.slices = slices
    }

    private static func place<Key: Hashable>(_ key: Key, _ places: inout [Key: Int], _ list: inout [Key]) -> Int {
        if let place = places[key] { return place }
        places[key] = list.count
        list.append(key)
        return list.count - 1
    }

    private mutating func model(_ name: String) -> Int {
        if let place = models[ExactText(name)] { return place }
        models[ExactText(name)] = result.models.count
        result.models.append(name)
        return result.models.count - 1
    }

    private mutating func category(_ value: String, model: Int) -> Int {
        let feature = Self.place(
            FeatureKey(model: model, role: .prediction, name: FeatureKey.predictionName), &features, &result.features)
        return Self.place(CategoryKey(feature: feature, value: value), &categories, &result.categories)
    }

    mutating func add(_ candidate: JoinCandidate) {
        let hour_s = Period.hour(ofMs: candidate.time_ms)
        for place in table.places[candidate.key] {
            let outcome = table.outcomes[place]
            result.joined.append(.init(outcome: place, hour_s: hour_s))
            guard outcome.isLabel else { continue }
            let model = model(candidate.model)
            let counts = counts(candidate, outcome, model)
            for key in keys(candidate, model) {
                let series = Self.place(key, &series, &result.series)
                result.outcomeHours[TimeKey(series: series, time_s: hour_s), default: .init()].merge(counts)
            }
        }
    }

    private func keys(_ candidate: JoinCandidate, _ model: Int) -> [SeriesKey] {
        var key = SeriesKey(
            model: model, version: candidate.version, variant: candidate.variant,
            environment: candidate.environment, sliceKey: SliceName.all, sliceValue: SliceName.all)
        var keys = [key]
        for (slice, value) in zip(slices, candidate.slices) {
            key.sliceKey = slice
            key.sliceValue = value
            keys.append(key)
        }
        return keys
    }

    /// One joined pair as counts.
    private mutating func counts(
        _ candidate: JoinCandidate, _ outcome: WaitingOutcome, _ model: Int
    ) -> OutcomeCounts {
        var counts = OutcomeCounts()
        counts.labelled = 1
        let delay = max(0, Double(outcome.time_ms - candidate.time_ms) / 1000)
        counts.delayCount = 1
        counts.delaySum = delay
        counts.delay.add(LogBins.code(delay))

        let labelIsPositive = outcome.labelText.map { Positive.holds($0) } ?? ((outcome.labelNumber ?? 0) >= 0.5)
        let labelText = outcome.labelText ?? outcome.labelNumber.map { ClassText.string($0) } ?? ""
        var isRight: Bool?
        switch candidate.task {
        case .binary, .multiclass:
            if let text = candidate.answer.text {
                let right =
                    candidate.task == .binary
                    ? candidate.answer.isPositive == labelIsPositive : ExactText.same(text, labelText)
                isRight = right
                counts.classified = 1
                counts.correct = right ? 1 : 0
                counts.confusion[
                    .init(predicted: category(text, model: model), label: category(labelText, model: model))] = 1
            }
        case .regression, .other:
            if case .number(let prediction) = candidate.answer, let label = outcome.labelNumber {
                let error = finiteSum(prediction, -label)
                counts.errorCount = 1
                counts.errorSum = error
                counts.errorAbsSum = error.magnitude
                counts.errorSquareSum = min(error * error, .greatestFiniteMagnitude)
            }
        case .free: break
        }

        // What the score is the probability of, and whether that came true.
        guard let score = candidate.score else { return counts }
        let cameTrue: Bool
        switch candidate.task {
        case .binary: cameTrue = labelIsPositive
        case .multiclass:
            guard let isRight else { return counts }
            cameTrue = isRight
        case .regression, .free, .other: return counts
        }
        let y = cameTrue ? 1.0 : 0.0
        var sums = OutcomeCounts.ScoreSums()
        sums.count = 1
        sums.sumY = y
        sums.sumP = score
        sums.sumPP = score * score
        sums.sumPY = score * y
        counts.scores[Int32(ScoreBins.bin(score))] = sums
        counts.logLossCount = 1
        counts.logLossSum = Self.logLoss(cameTrue, score)
        return counts
    }

    /// -(y ln p + (1 - y) ln(1 - p)), p clipped to [1e-15, 1 - 1e-15].
    private static func logLoss(_ cameTrue: Bool, _ score: Double) -> Double {
        let clipped = min(max(score, 1e-15), 1 - 1e-15)
        return -naturalLogarithm(cameTrue ? clipped : 1 - clipped)
    }
}

extension JoinCandidate.Answer {
    /// The class that a classifier's answer names.
    var text: String? {
        switch self {
        case .none: nil
        case .number(let number): ClassText.string(number)
        case .text(let text): text
        case .bool(let flag): flag ? "true" : "false"
        }
    }

    var isPositive: Bool {
        switch self {
        case .none: false
        case .number(let number): number >= 0.5
        case .text(let text): Positive.holds(text)
        case .bool(let flag): flag
        }
    }
}
