internal import Sketches

/// What label rate to expect of a score: isotonic regression on score bins where that helps, else the score itself.
struct Calibration {
    /// The label rate expected of each score bin.
    let calibrated: [Double]
    let isIsotonic: Bool
    /// Expected calibration error on held-out halves.
    let errors: (raw: Double, isotonic: Double)

    /// Counts of rows with a score and a label on score bins.
    struct Counts {
        var counts = [Double](repeating: 0, count: ScoreBins.count)
        var sums = [Double](repeating: 0, count: ScoreBins.count)
        var labels = [Double](repeating: 0, count: ScoreBins.count)

        mutating func add(_ score: Double, _ isTrue: Bool) {
            let bin = ScoreBins.bin(score)
            counts[bin] += 1
            sums[bin] += score
            if isTrue { labels[bin] += 1 }
        }

        /// The regression over the bins that have rows.
        var regression: IsotonicRegression {
            let bins = counts.indices.filter { counts[$0] > 0 }
            return IsotonicRegression(
                places: bins.map { sums[$0] / counts[$0] }, means: bins.map { labels[$0] / counts[$0] },
                weights: bins.map { counts[$0] })
        }
    }

    /// - Parameter pairs: at least one score and whether it came true, in the rows' order.
    init(_ pairs: [(probability: Double, isTrue: Bool)]) {
        var whole = Counts()
        var halves = [Counts(), Counts()]
        for (place, pair) in pairs.enumerated() {
            whole.add(pair.probability, pair.isTrue)
            halves[Self.half(place)].add(pair.probability, pair.isTrue)
        }
        // Each row is judged by the regression of the half that it is not in.
        let others = [halves[1].regression, halves[0].regression]
        let heldOut = pairs.enumerated().map { place, pair in
            let regression = others[Self.half(place)]
            let value = regression.places.isEmpty ? pair.probability : regression.value(at: pair.probability)
            return (probability: value, isTrue: pair.isTrue)
        }
        errors = (expectedCalibrationError(pairs), expectedCalibrationError(heldOut))
        isIsotonic = errors.isotonic < errors.raw
        let regression = whole.regression
        let isotonic = isIsotonic
        calibrated = (0..<ScoreBins.count).map { bin in
            let mean =
                whole.counts[bin] > 0
                ? whole.sums[bin] / whole.counts[bin] : (ScoreBins.edges[bin] + ScoreBins.edges[bin + 1]) / 2
            return isotonic ? regression.value(at: mean) : mean
        }
    }

    /// Which half a row is in: by its place, but not by turns, as rows may alternate.
    private static func half(_ place: Int) -> Int { Int(SplitMix.mixed(UInt64(place) &+ 77) & 1) }
}
