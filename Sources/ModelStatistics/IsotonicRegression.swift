/// The nearest function that never falls: weighted least squares by pool-adjacent-violators.
///
/// After Ayer, Brunk, Ewing, Reid and Silverman (1955); what scikit-learn's `IsotonicRegression` computes.
package struct IsotonicRegression: Equatable, Sendable {
    /// Ascending places with a value.
    package let places: [Double]
    /// The value at each place, never falling.
    package let values: [Double]

    /// - Parameters:
    ///   - places: ascending, all different.
    ///   - means: what was seen at each.
    ///   - weights: positive.
    package init(places: [Double], means: [Double], weights: [Double]) {
        var blocks: [(mean: Double, weight: Double, count: Int)] = []
        for (mean, weight) in zip(means, weights) {
            blocks.append((mean, weight, 1))
            while blocks.count > 1, blocks[blocks.count - 2].mean >= blocks[blocks.count - 1].mean {
                let last = blocks.removeLast()
                let before = blocks[blocks.count - 1]
                let weight = before.weight + last.weight
                blocks[blocks.count - 1] = (
                    (before.mean * before.weight + last.mean * last.weight) / weight, weight, before.count + last.count
                )
            }
        }
        self.places = places
        values = blocks.flatMap { [Double](repeating: $0.mean, count: $0.count) }
    }

    /// The value at a place: linear between those that are known, constant beyond them; 0 where nothing is known.
    package func value(at place: Double) -> Double {
        guard let first = places.first, let last = places.last else { return 0 }
        if place <= first { return values[0] }
        if place >= last { return values[values.count - 1] }
        var low = 0
        var high = places.count - 1
        while high - low > 1 {
            let middle = (low + high) / 2
            if places[middle] <= place { low = middle } else { high = middle }
        }
        let share = (place - places[low]) / (places[high] - places[low])
        return values[low] + (values[high] - values[low]) * share
    }
}

/// The expected calibration error: over ten groups of equally many rows by what was predicted, the mean distance between
/// the mean prediction and the label rate.
///
/// As NannyML computes it. Equal predictions stay in one group.
///
/// - Parameter pairs: a probability and whether it came true, in any order.
/// - Returns: 0 where there are no rows.
package func expectedCalibrationError(_ pairs: [(probability: Double, isTrue: Bool)], groups: Int = 10) -> Double {
    if pairs.isEmpty { return 0 }
    let sorted = pairs.sorted { $0.probability < $1.probability }
    var error = 0.0
    var begin = 0
    var group = 1
    while begin < sorted.count {
        var end = max(begin + 1, group * sorted.count / groups)
        while end < sorted.count, sorted[end].probability == sorted[end - 1].probability { end += 1 }
        var predicted = 0.0
        var came = 0.0
        for pair in sorted[begin..<end] {
            predicted += pair.probability
            if pair.isTrue { came += 1 }
        }
        error += (predicted - came).magnitude
        begin = end
        while group * sorted.count / groups <= begin, group < groups { group += 1 }
    }
    return error / Double(sorted.count)
}
