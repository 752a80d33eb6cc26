import Glibc

/// The formulas of the SQL, written a second time from raw samples, so that each checks the other.
enum PlainStatistics {
    /// LogBins' code of a number: 35 bins per octave, 40000 added, sign kept.
    static func code(_ value: Double) -> Int {
        if value == 0 { return 0 }
        let size = abs(value)
        var bin = Int((log2(size) * 35).rounded(.down))
        if pow(2, Double(bin) / 35) > size { bin -= 1 }
        if pow(2, Double(bin + 1) / 35) <= size { bin += 1 }
        return value > 0 ? bin + 40000 : -(bin + 40000)
    }

    /// PSI of the second sample against the first, over any labels, with half a count in every cell.
    static func psi(_ first: [Int], _ second: [Int]) -> (psi: Double, cells: Int) {
        var cells: [Int: (Double, Double)] = [:]
        for label in first { cells[label, default: (0, 0)].0 += 1 }
        for label in second { cells[label, default: (0, 0)].1 += 1 }
        let half = 0.5 * Double(cells.count)
        let sum = cells.values.reduce(0) { sum, cell in
            let p = (cell.0 + 0.5) / (Double(first.count) + half)
            let q = (cell.1 + 0.5) / (Double(second.count) + half)
            return sum + (p - q) * log(p / q)
        }
        return (sum, cells.count)
    }

    /// Each code's decile of the first sample, by the middle of the ranks that share it; unseen codes go where they
    /// would lie.
    static func deciles(of codes: [Int], by first: [Int]) -> [Int] {
        let sorted = first.sorted()
        var ranks: [Int: Int] = [:]
        return codes.map { code in
            if let known = ranks[code] { return known }
            let below = sorted.count { $0 < code }
            let equal = sorted.count { $0 == code }
            let middle = Double(below) + Double(equal) / 2
            let decile = min(9, Int((10 * middle / Double(sorted.count)).rounded(.down)))
            ranks[code] = decile
            return decile
        }
    }

    /// The largest gap between the two samples' distribution functions.
    static func gap(_ first: [Int], _ second: [Int]) -> Double {
        let a = first.sorted()
        let b = second.sorted()
        var i = 0
        var j = 0
        var gap = 0.0
        while i < a.count || j < b.count {
            let next = min(i < a.count ? a[i] : .max, j < b.count ? b[j] : .max)
            while i < a.count, a[i] == next { i += 1 }
            while j < b.count, b[j] == next { j += 1 }
            gap = max(gap, abs(Double(i) / Double(a.count) - Double(j) / Double(b.count)))
        }
        return gap
    }

    /// Kolmogorov's tail, summed until nothing changes.
    static func kolmogorov(_ lambda: Double) -> Double {
        if lambda < 0.05 { return 1 }
        var sum = 0.0
        for k in 1...10000 {
            sum += (k % 2 == 1 ? 2 : -2) * exp(-2 * Double(k * k) * lambda * lambda)
        }
        return min(1, max(0, sum))
    }

    /// The probability that chi-square exceeds `x`: the upper incomplete gamma function, by its series or Lentz's
    /// continued fraction.
    static func chiSquareTail(_ x: Double, freedom: Int) -> Double {
        let a = Double(freedom) / 2
        let z = x / 2
        let scale = exp(-z + a * log(z) - lgamma(a))
        if z < a + 1 {
            var term = 1 / a
            var sum = term
            for n in 1..<2000 {
                term *= z / (a + Double(n))
                sum += term
            }
            return 1 - sum * scale
        }
        var b = z + 1 - a
        var c = 1e300
        var d = 1 / b
        var h = d
        for n in 1..<2000 {
            let an = -Double(n) * (Double(n) - a)
            b += 2
            d = 1 / (an * d + b)
            c = b + an / c
            h *= d * c
        }
        return h * scale
    }

    /// The value that chi-square exceeds once in 100,000.
    static func chiSquareLimit(freedom: Int) -> Double {
        var low = 0.0
        var high = 100 + 10 * Double(freedom)
        for _ in 0..<200 {
            let middle = (low + high) / 2
            if chiSquareTail(middle, freedom: freedom) > 1e-5 { low = middle } else { high = middle }
        }
        return low
    }

    /// A standard normal number from two uniform ones (Box and Muller).
    static func normal(_ generator: inout some RandomNumberGenerator) -> Double {
        let u = Double.random(in: 1e-12...1, using: &generator)
        let v = Double.random(in: 0...1, using: &generator)
        return sqrt(-2 * log(u)) * cos(2 * Double.pi * v)
    }
}
