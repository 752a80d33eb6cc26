import ModelStatistics
import Sketches
import TestSupport
import Testing

/// Scores, calibration, performance and the spread between windows.
struct ReferenceScoreTests {
    /// Rows of a binary model, ten an hour, whose score is `distort` of the true rate.
    private static func binary(
        _ count: Int, _ random: inout SeededGenerator, distort: (Double) -> Double = { $0 }
    ) -> (builder: ReferenceBuilder, rows: [(score: Double, label: Bool)]) {
        var builder = ReferenceBuilder()
        var rows: [(score: Double, label: Bool)] = []
        for row in 0..<count {
            let rate = Double.random(in: 0...1, using: &random)
            let label = Double.random(in: 0...1, using: &random) < rate
            let score = distort(rate)
            rows.append((score, label))
            _ = builder.beginRow()
            builder.setTime(Int64(row) * 360_000)
            builder.setScore(score)
            builder.setPrediction(.number(score >= 0.5 ? 1 : 0))
            builder.setLabel(label ? .text("true") : .number(0))
        }
        return (builder, rows)
    }

    @Test func scoresAreCountedAsTheLoaderCountsThem() throws {
        var random = SeededGenerator(seed: 3)
        let (builder, rows) = Self.binary(4000, &random)
        let reference = try #require(builder.build())
        let score = try #require(reference.scores.first)
        #expect(reference.task == .binary && score.className == nil && reference.labelCount == 4000)
        for (place, bin) in score.bins.enumerated() {
            let inside = rows.filter { ScoreBins.bin($0.score) == bin }
            #expect(score.counts[place] == Int64(inside.count))
            #expect(Expected.isClose(score.sums[place], inside.reduce(0) { $0 + $1.score }))
            #expect(score.positiveCounts[place] == Int64(inside.count { $0.score >= 0.5 }))
            #expect(score.labelCounts[place] == Int64(inside.count))
            #expect(score.labelSums[place] == Double(inside.count { $0.label }))
        }
        let measures = PerformanceMeasures.binary(
            predicted: rows.map { $0.score >= 0.5 }, labels: rows.map(\.label), scores: rows.map(\.score))
        for one in reference.performance where one.windowHours == 0 { #expect(measures[one.measure] == one.value) }
        #expect(reference.performance.count { $0.windowHours == 0 } == 5)
        // Ten rows an hour are too few, 240 a day are not.
        #expect(Set(reference.performance.map(\.windowHours)) == [0, 24])
        let days = (0..<16).map { Array(rows[($0 * 240)..<($0 * 240 + 240)]) }
        let values = days.map { day in Double(day.count { ($0.score >= 0.5) == $0.label }) / 240 }
        let mean = values.reduce(0, +) / 16
        let deviation = (values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / 16).squareRoot()
        let accuracy = try #require(reference.performance.first { $0.measure == "accuracy" && $0.windowHours == 24 })
        #expect(accuracy.windowCount == 16 && Expected.isClose(accuracy.deviation, deviation))
    }

    @Test func aDistortedScoreIsCalibratedAndAGoodOneIsNot() throws {
        var random = SeededGenerator(seed: 4)
        let (bad, _) = Self.binary(20_000, &random, distort: { $0 * $0 })
        let distorted = try #require(bad.build())
        #expect(distorted.calibration == .isotonic)
        let calibrated = try #require(distorted.scores[0].calibrated)
        #expect(calibrated.count == ScoreBins.count)
        #expect(zip(calibrated, calibrated.dropFirst()).allSatisfy { $0 <= $1 })
        for (bin, rate) in calibrated.enumerated() {
            let score = (ScoreBins.edges[bin] + ScoreBins.edges[bin + 1]) / 2
            #expect((rate - score.squareRoot()).magnitude < 0.15, "\(score): \(rate)")
        }
        // Bins without rows lie between their neighbours.
        var sparse = ReferenceBuilder()
        for row in 0..<2000 {
            _ = sparse.beginRow()
            let high = row % 2 == 0
            sparse.setScore(high ? 0.905 : 0.105)
            sparse.setPrediction(.bool(high))
            sparse.setLabel(.bool(high ? row % 4 == 0 : row % 5 == 0))
        }
        let between = try #require(sparse.build())
        let rates = try #require(between.scores[0].calibrated)
        #expect(between.calibration == .isotonic)
        let middle = rates[ScoreBins.bin(0.505)]
        #expect(Expected.isClose(middle, (rates[ScoreBins.bin(0.105)] + rates[ScoreBins.bin(0.905)]) / 2, 0.01))
        #expect(rates[0] == rates[ScoreBins.bin(0.105)] && rates[199] == rates[ScoreBins.bin(0.905)])

        // A score that is its own rate, in few rows: isotonic regression would learn noise.
        var honest = ReferenceBuilder()
        for row in 0..<1000 {
            _ = honest.beginRow()
            let level = Double(row % 10) / 10 + 0.05
            honest.setScore(level)
            honest.setPrediction(.bool(level > 0.5))
            honest.setLabel(.bool(Double(row / 10) < level * 100))
        }
        let plain = try #require(honest.build())
        #expect(plain.calibration == .identity)
        let same = try #require(plain.scores[0].calibrated)
        #expect(Expected.isClose(same[ScoreBins.bin(0.35)], 0.35))
        var silent = ReferenceBuilder()
        _ = silent.beginRow()
        silent.setScore(0.4)
        #expect(silent.build()?.calibration == Reference.Calibration.none)
        #expect(silent.build()?.scores.first?.calibrated == nil)
    }

    @Test func classesHaveScoresOfTheirOwn() throws {
        var builder = ReferenceBuilder()
        let labels = Expected.all("classes.labels")
        let predicted = Expected.all("classes.predicted")
        for row in labels.indices {
            _ = builder.beginRow()
            builder.setPrediction(.number(predicted[row]))
            builder.setLabel(.text("\(Int(labels[row]))"))
            for name in 0..<4 {
                let score = Expected.all("classes.scores\(name)")[row]
                builder.setClassScore("\(name)", score)
                if Double(name) == predicted[row] { builder.setScore(score) }
            }
        }
        let reference = try #require(builder.build())
        #expect(reference.task == .multiclass && reference.scores.map(\.className) == [nil, "0", "1", "2", "3"])
        for name in ["accuracy", "precision", "recall", "f1", "roc_auc"] {
            let value = reference.performance.first { $0.measure == name }?.value
            #expect(Expected.isClose(value ?? -1, Expected.one("classes.\(name)")), "\(name)")
        }
        // The field score came true where the predicted class was right; a class's where it was the label.
        let right = zip(labels, predicted).count { $0 == $1 }
        #expect(reference.scores[0].labelSums.reduce(0, +) == Double(right))
        #expect(reference.scores[2].labelSums.reduce(0, +) == Double(labels.count { $0 == 1 }))
        #expect(reference.scores[2].positiveCounts.reduce(0, +) == Int64(predicted.count { $0 == 1 }))
        var many = ReferenceBuilder()
        _ = many.beginRow()
        for name in 0..<25 { many.setClassScore("c\(name)", 0.04) }
        let capped = try #require(many.build())
        #expect(capped.scores.count == 20 && capped.warnings.contains { $0.contains("scores of 25 classes") })
    }

    @Test func theSpreadIsTheLargestOfTheWindows() throws {
        var random = SeededGenerator(seed: 9)
        var builder = ReferenceBuilder()
        let (number, text) = (builder.feature("n"), builder.feature("t"))
        var hours: [[(number: Double?, text: String)]] = []
        for hour in 0..<12 {
            let count = hour == 11 ? 150 : 250
            var rows: [(number: Double?, text: String)] = []
            for row in 0..<count {
                let value: Double? = row % (hour + 5) == 0 ? nil : Double.random(in: 0...1, using: &random)
                rows.append(
                    (hour == 3 && row == 1 ? 7 : value, hour == 2 && row < 10 ? "rare\(row % 2)" : "t\(row % 3)"))
            }
            hours.append(rows)
            for row in rows {
                _ = builder.beginRow()
                builder.setTime(1_700_006_400_000 + Int64(hour) * 3_600_000)
                if let value = row.number {
                    builder.set(number, .number(value))
                } else if hour == 0 {
                    builder.set(number, .text("a word is no usable value, as for nadi.drift"))
                }
                builder.set(text, .text(row.text))
            }
        }
        let reference = try #require(builder.build())
        #expect(reference.spreads.count == 2, "hours only: there is one day and one week")
        let numbers = try #require(reference.spreads.first { $0.feature == 0 })
        let feature = reference.features[0]
        let edges = EdgeBins(edges: feature.bins.edges)
        let groups = (feature.bins.deciles.last ?? 0) + 1
        func counts(_ rows: [(number: Double?, text: String)]) -> [Int64] {
            var counts = [Int64](repeating: 0, count: groups)
            for case let value? in rows.map(\.number) { counts[feature.bins.deciles[edges.bin(value)]] += 1 }
            return counts
        }
        let whole = counts(hours.flatMap { $0 })
        let large = hours.prefix(11)
        #expect(numbers.windowCount == 11 && numbers.windowHours == 1)
        #expect(numbers.psi == large.map { populationStabilityIndex(whole, counts($0)) }.max())
        let missing = large.map { rows in Double(rows.count { $0.number == nil }) / Double(rows.count) }
        #expect(numbers.missingLow == missing.min() && numbers.missingHigh == missing.max())
        #expect(numbers.outOfRange > 0 && numbers.unseen == 0)
        let texts = try #require(reference.spreads.first { $0.feature == 1 })
        #expect(Expected.isClose(texts.unseen, 10.0 / 250) && texts.outOfRange == 0)
        #expect(texts.share > 0.015 && texts.psi > 0)
    }

    @Test func withoutTimesOrWithFewWindowsThereIsNoSpread() throws {
        var random = SeededGenerator(seed: 5)
        let (builder, _) = Self.binary(600, &random)
        let reference = try #require(builder.build())
        #expect(reference.spreads.isEmpty && reference.warnings.contains { $0.contains("no spread") })
    }
}
