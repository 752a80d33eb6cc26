internal import Sketches

/// Measures how far a feature's own hours, days and weeks are from the whole of it.
struct FeatureSpread {
    /// Each row's group of the stability index; -1 where it has no value of its kind.
    private var groups: [Int32] = []
    private var groupCounts: [Int64] = []
    private var isMissing: [Bool] = []
    private var numbers: [Double] = []
    private var categories: [Int32] = []
    private var categoryCounts: [Int64] = []

    /// A feature.
    init(rows: Int, feature: Reference.Feature, column: ReferenceColumn, categories codes: CategoryCodes) {
        if feature.kind == .numeric {
            let bins = feature.bins
            let edges = EdgeBins(edges: bins.edges)
            numbers = [Double](repeating: .nan, count: rows)
            groups = [Int32](repeating: -1, count: rows)
            for row in 0..<rows {
                guard case .number(let number) = column.cell(row) else { continue }
                numbers[row] = number
                groups[row] = Int32(bins.deciles[edges.bin(number)])
            }
            groupCounts = [Int64](repeating: 0, count: (bins.deciles.last ?? -1) + 1)
        } else {
            categories = codes.rows
            categoryCounts = codes.counts
            groups = codes.rows.map { $0 < 0 ? -1 : codes.groups[Int($0)] }
            // What is beyond the list is one group more, which also takes what is unseen.
            groupCounts = [Int64](repeating: 0, count: feature.categories.count + 1)
        }
        for group in groups where group >= 0 { groupCounts[Int(group)] += 1 }
        // As in `nadi_store.drift_rows`: a value of another type is no usable one.
        isMissing = groups.map { $0 < 0 }
    }

    /// A score.
    ///
    /// - Parameter groups: each row's group, -1 for rows without a score.
    init(scoreGroups groups: [Int32]) {
        self.groups = groups
        isMissing = groups.map { $0 < 0 }
        groupCounts = [Int64](repeating: 0, count: Int(groups.max() ?? -1) + 1)
        for group in groups where group >= 0 { groupCounts[Int(group)] += 1 }
    }

    /// The spreads by length of window; of lengths with too few windows there is none.
    func spreads(_ windows: TimeWindows, feature: Int?) -> [Reference.Spread] {
        windows.windows.compactMap { spread(windows.order, $0.windows, $0.hours, feature) }
    }

    private func spread(
        _ order: [Int], _ windows: [TimeWindows.Window], _ hours: Int, _ feature: Int?
    ) -> Reference.Spread? {
        let large = windows.filter { $0.count >= TimeWindows.leastRows }
        guard large.count >= TimeWindows.leastWindows else { return nil }
        var spread = Reference.Spread(
            feature: feature, windowHours: hours, windowCount: large.count, psi: 0, share: 0, missingLow: 1,
            missingHigh: 0, unseen: 0, outOfRange: 0)
        let all = groupCounts.reduce(0, +)
        let outer = outerBounds(order, windows)
        for (place, window) in windows.enumerated() where window.count >= TimeWindows.leastRows {
            var counts = [Int64](repeating: 0, count: groupCounts.count)
            var missing = 0
            var outside = 0
            for index in window {
                let row = order[index]
                if isMissing[row] { missing += 1 }
                if groups[row] >= 0 { counts[Int(groups[row])] += 1 }
                if !numbers.isEmpty, numbers[row] < outer[place].low || numbers[row] > outer[place].high {
                    outside += 1
                }
            }
            let rate = Double(missing) / Double(window.count)
            spread.missingLow = min(spread.missingLow, rate)
            spread.missingHigh = max(spread.missingHigh, rate)
            let present = counts.reduce(0, +)
            guard present >= TimeWindows.leastRows else { continue }
            spread.psi = max(spread.psi, stabilityIndex(counts))
            for (a, b) in zip(groupCounts, counts) {
                let change = Double(b) / Double(present) - Double(a) / Double(all)
                spread.share = max(spread.share, change.magnitude)
            }
            spread.outOfRange = max(spread.outOfRange, Double(outside) / Double(present))
            spread.unseen = max(spread.unseen, Double(unseen(order, window)) / Double(present))
        }
        return spread
    }

    /// The index of a window against the whole.
    ///
    /// Of categories, those with fewer than five values to be expected on the smaller side are one group with what is not
    /// listed, as in `nadi_store.drift_cells`.
    private func stabilityIndex(_ counts: [Int64]) -> Double {
        guard !categories.isEmpty else { return populationStabilityIndex(groupCounts, counts) }
        let all = Double(groupCounts.reduce(0, +))
        let now = Double(counts.reduce(0, +))
        let share = min(all, now) / (all + now)
        var left: [Int64] = []
        var right: [Int64] = []
        var rest: (Int64, Int64) = (0, 0)
        for (place, (a, b)) in zip(groupCounts, counts).enumerated() {
            if place == counts.count - 1 || Double(a + b) * share < 5 {
                rest = (rest.0 + a, rest.1 + b)
            } else {
                left.append(a)
                right.append(b)
            }
        }
        if rest.0 + rest.1 > 0 {
            left.append(rest.0)
            right.append(rest.1)
        }
        return populationStabilityIndex(left, right)
    }

    /// Rows of a window in categories that no other row has.
    private func unseen(_ order: [Int], _ window: TimeWindows.Window) -> Int64 {
        guard !categories.isEmpty else { return 0 }
        var own: [Int32: Int64] = [:]
        for index in window where categories[order[index]] >= 0 { own[categories[order[index]], default: 0] += 1 }
        return own.reduce(0) { $0 + ($1.value == categoryCounts[Int($1.key)] ? $1.value : 0) }
    }

    /// The least and the greatest number outside of each window.
    private func outerBounds(_ order: [Int], _ windows: [TimeWindows.Window]) -> [(low: Double, high: Double)] {
        guard !numbers.isEmpty else { return [] }
        let bounds = windows.map { window in
            var low = Double.infinity
            var high = -Double.infinity
            for index in window where !numbers[order[index]].isNaN {
                low = min(low, numbers[order[index]])
                high = max(high, numbers[order[index]])
            }
            return (low: low, high: high)
        }
        // The two least and the two greatest: the second where a window holds the first.
        let lows = bounds.indices.sorted { (bounds[$0].low, $0) < (bounds[$1].low, $1) }
        let highs = bounds.indices.sorted { (bounds[$0].high, $0) > (bounds[$1].high, $1) }
        return bounds.indices.map { place in
            guard bounds.count > 1 else { return (-Double.infinity, Double.infinity) }
            return (
                bounds[lows[0] == place ? lows[1] : lows[0]].low, bounds[highs[0] == place ? highs[1] : highs[0]].high
            )
        }
    }
}
