internal import Sketches

/// Counts labels joined with predictions, by series.
final class OutcomeCounter {
    private let table: OutcomeTable
    private let dictionary: JoinDictionary
    /// Most new classes of one model.
    private let most: Int
    /// By the series' number; made when it is met.
    private var series: [SeriesCounts?]

    // Classes of labels. A class that the dictionary lacks is -1 less its place in `newClasses`.
    /// By model and the label's text; ``unknown`` where it was not asked for.
    private var textClasses: [[Int32]]
    private var numberClasses: [[UInt64: Int32]]
    private var newClasses: [CategoryKey] = []
    private var newPlaces: [CategoryKey: Int32] = [:]
    private var isDropped: [Bool] = []
    private var capped: [CappedNames]

    private static let unknown = Int32.min
    /// Most numbers of labels whose classes are remembered.
    private static let mostNumbers = 65_536

    init(_ table: OutcomeTable, _ dictionary: JoinDictionary, classes: Int) {
        self.table = table
        self.dictionary = dictionary
        most = classes
        series = [SeriesCounts?](repeating: nil, count: dictionary.seriesCount)
        textClasses = [[Int32]](repeating: [], count: table.models.count)
        numberClasses = [[UInt64: Int32]](repeating: [:], count: table.models.count)
        capped = [CappedNames](repeating: CappedNames(classes), count: table.models.count)
    }

    /// Counts one joined pair under the prediction's series.
    func add(
        _ find: JoinFind, _ label: OutcomeRecord, _ header: OutcomeRecord.Header,
        to numbers: UnsafeBufferPointer<Int32>
    ) {
        if find.flags.contains(.isFailed) {
            for number in numbers where number >= 0 { seriesCounts(Int(number)).failedLabelled &+= 1 }
            return
        }
        let delay_ms = max(0, header.time_ms - find.time_ms)
        let delayCode = LogBins.code(Double(delay_ms) / 1000)
        let hasClass = find.flags.contains(.hasClass)
        let isBinary = find.flags.contains(.isBinary)
        let labelClass = hasClass && !isBinary ? labelClass(label, header) : 0
        let labelNumber = find.flags.contains(.hasNumber) ? label.labelNumber : nil
        // What the score is the probability of, and whether that came true.
        let hasLoss =
            find.flags.contains(.hasScore) && (isBinary || (find.flags.contains(.isMulticlass) && hasClass))
        let cameTrue = isBinary ? header.flags.contains(.labelIsYes) : find.flags.contains(.isRight)
        let loss = hasLoss ? Self.logLoss(cameTrue, find.score) : 0
        for number in numbers where number >= 0 {
            let counts = seriesCounts(Int(number))
            counts.labelled &+= 1
            counts.delay_ms &+= Int128(delay_ms)
            _ = counts.delay.add(delayCode)
            if hasClass {
                counts.addClass(find, header.flags, labelClass)
            } else if let labelNumber {
                counts.addError(Double(bitPattern: find.payload), labelNumber)
            }
            if hasLoss { counts.addScore(find.score, isBinary: isBinary, cameTrue: cameTrue, loss: loss) }
        }
    }

    @inline(__always)
    private func seriesCounts(_ number: Int) -> SeriesCounts {
        if let counts = series[number] { return counts }
        let counts = SeriesCounts()
        series[number] = counts
        return counts
    }

    /// -(y ln p + (1 - y) ln(1 - p)), p clipped to [1e-15, 1 - 1e-15].
    private static func logLoss(_ cameTrue: Bool, _ score: Double) -> Double {
        let clipped = min(max(score, 1e-15), 1 - 1e-15)
        return -naturalLogarithm(cameTrue ? clipped : 1 - clipped)
    }

    // MARK: Classes of labels

    @inline(__always)
    private func labelClass(_ label: OutcomeRecord, _ header: OutcomeRecord.Header) -> Int32 {
        let model = Int(header.model)
        if header.label > 0 {
            let text = Int(header.label) - 1
            if text < textClasses[model].count, textClasses[model][text] != Self.unknown {
                return current(textClasses[model][text])
            }
            if textClasses[model].isEmpty {
                textClasses[model] = [Int32](repeating: Self.unknown, count: table.texts.count)
            }
            let found = number(of: table.texts.text(text).string, model: model)
            textClasses[model][text] = found
            return found
        }
        let bits = (label.labelNumber ?? 0).bitPattern
        if let known = numberClasses[model][bits] { return current(known) }
        if numberClasses[model].count >= Self.mostNumbers { numberClasses[model] = [:] }
        let found = number(of: ClassText.string(label.labelNumber ?? 0), model: model)
        numberClasses[model][bits] = found
        return found
    }

    @inline(__always)
    private func current(_ number: Int32) -> Int32 {
        number < 0 && isDropped[Int(-1 - number)] ? JoinDictionary.otherClass : number
    }

    private func number(of text: String, model: Int) -> Int32 {
        if let known = dictionary.find(class: text, model: model) { return known }
        guard capped[model].admit(ExactText(text)) else { return JoinDictionary.otherClass }
        let key = CategoryKey(feature: model, value: text)
        if let place = newPlaces[key] { return -1 - place }
        newPlaces[key] = Int32(truncatingIfNeeded: newClasses.count)
        newClasses.append(key)
        isDropped.append(false)
        if capped[model].isFull { cut(model) }
        return current(Int32(truncatingIfNeeded: -newClasses.count))
    }

    /// Puts the new classes beyond the cap under `other`.
    private func cut(_ model: Int) {
        for text in capped[model].cut() {
            guard let place = newPlaces.removeValue(forKey: CategoryKey(feature: model, value: text.text)) else {
                continue
            }
            isDropped[Int(place)] = true
        }
        for counts in series { counts?.renumber { self.current($0) } }
    }

    func finish(_ result: inout JoinResult) {
        for model in capped.indices { cut(model) }
        for (number, counts) in series.enumerated() {
            guard let counts else { continue }
            result.outcomes[number] = counts.counts()
        }
        let kept = Set(newPlaces.keys)
        result.newClasses = newClasses
        result.renumber(to: JoinResult.capped(kept, most: most))
    }
}

/// The counts of one series in the making.
final class SeriesCounts {
    var labelled: Int64 = 0
    var failedLabelled: Int64 = 0
    var delay_ms: Int128 = 0
    var delay = DenseBins()
    private var classes = OutcomeCounts()
    private var logLoss = FixedSum()
    private var logLossCount: Int64 = 0
    /// Of binary tasks, and of others, where the score is the chance that the predicted class is right.
    private var scores: UnsafeMutablePointer<OutcomeCounts.ScoreSums>?
    private var classScores: UnsafeMutablePointer<OutcomeCounts.ScoreSums>?
    /// Counts of pairs of classes with small numbers, by predicted and label; then all others.
    private let pairs: UnsafeMutablePointer<Int64>
    private var otherPairs: [UInt64: Int64] = [:]
    private static let small = 16

    init() {
        pairs = .allocate(capacity: Self.small * Self.small)
        pairs.initialize(repeating: 0, count: Self.small * Self.small)
    }

    deinit {
        delay.destroy()
        pairs.deallocate()
        for sums in [scores, classScores] {
            sums?.deinitialize(count: ScoreBins.count)
            sums?.deallocate()
        }
    }

    @inline(__always)
    func addClass(_ find: JoinFind, _ label: OutcomeRecord.Flags, _ labelClass: Int32) {
        classes.classified &+= 1
        if find.flags.contains(.isRight) { classes.correct &+= 1 }
        if find.flags.contains(.isBinary) {
            let isPositive = find.flags.contains(.isPositive)
            classes.binary &+= 1
            if isPositive { classes.predictedPositive &+= 1 }
            if label.contains(.labelIsYes) {
                classes.labelPositive &+= 1
                if isPositive { classes.truePositive &+= 1 }
            }
            return
        }
        let predicted = UInt32(truncatingIfNeeded: find.payload)
        if predicted < Self.small, UInt32(bitPattern: labelClass) < Self.small {
            pairs[Int(predicted) * Self.small + Int(labelClass)] &+= 1
        } else {
            otherPairs[UInt64(predicted) << 32 | UInt64(UInt32(bitPattern: labelClass)), default: 0] += 1
        }
    }

    func addError(_ prediction: Double, _ label: Double) {
        let error = finiteSum(prediction, -label)
        classes.errorCount &+= 1
        classes.error.add(error)
        classes.errorAbs.add(error.magnitude)
        classes.errorSquare.add(error.finiteSquare)
        classes.errorLabel.add(label)
        classes.errorLabelSquare.add(label.finiteSquare)
    }

    @inline(__always)
    func addScore(_ score: Double, isBinary: Bool, cameTrue: Bool, loss: Double) {
        let sums = (isBinary ? scores : classScores) ?? makeScores(isBinary)
        sums[ScoreBins.bin(score)].add(score, cameTrue: cameTrue)
        logLossCount &+= 1
        logLoss.add(loss)
    }

    private func makeScores(_ isBinary: Bool) -> UnsafeMutablePointer<OutcomeCounts.ScoreSums> {
        let made = UnsafeMutablePointer<OutcomeCounts.ScoreSums>.allocate(capacity: ScoreBins.count)
        made.initialize(repeating: .init(), count: ScoreBins.count)
        if isBinary { scores = made } else { classScores = made }
        return made
    }

    /// Gives classes of labels that the dictionary lacks their current numbers.
    func renumber(_ current: (Int32) -> Int32) {
        var moved: [UInt64: Int64] = [:]
        for (pair, count) in otherPairs {
            let label = Int32(bitPattern: UInt32(truncatingIfNeeded: pair))
            moved[(pair >> 32) << 32 | UInt64(UInt32(bitPattern: current(label))), default: 0] += count
        }
        otherPairs = moved
    }

    func counts() -> OutcomeCounts {
        var counts = classes
        counts.labelled = labelled
        counts.failedLabelled = failedLabelled
        counts.delayCount = labelled
        counts.delay_ms = delay_ms
        counts.delay = delay.sparse()
        counts.logLossCount = logLossCount
        counts.logLoss = logLoss
        for bin in 0..<ScoreBins.count {
            if let scores, scores[bin].count > 0 { counts.scores[Int32(bin)] = scores[bin] }
            if let classScores, classScores[bin].count > 0 { counts.scores[-1 - Int32(bin)] = classScores[bin] }
        }
        for predicted in 0..<Self.small {
            for label in 0..<Self.small where pairs[predicted * Self.small + label] > 0 {
                counts.confusion[.init(predicted: predicted, label: label), default: 0] +=
                    pairs[predicted * Self.small + label]
            }
        }
        for (pair, count) in otherPairs {
            let label = Int(Int32(bitPattern: UInt32(truncatingIfNeeded: pair)))
            counts.confusion[.init(predicted: Int(pair >> 32), label: label), default: 0] += count
        }
        return counts
    }
}
