/// Count, mean, sum of squared deviations, least and greatest of some finite numbers.
///
/// The mean is an unevaluated sum of two doubles, so that numbers around 1e9 with a standard deviation of 1 keep mean and
/// variance to 1e-9 in whatever order parts are merged (pairwise update of Chan, Golub and LeVeque, 1979). A number beyond
/// 1e120 makes the sum of squares 1e300 for good, which says that there is no variance; the mean goes on. So no NaN or
/// infinity arises, here or in the database, which does the same, and thousands of such sums still add up.
package struct Moments: Equatable, Sendable {
    /// How many numbers.
    package var count: Int64
    /// The mean, rounded to a double; 0 where there are no numbers.
    package var meanHigh: Double
    /// What the rounding of ``meanHigh`` left over.
    package var meanLow: Double
    /// The sum of squared deviations from the mean.
    package var m2: Double
    /// The least number; infinity where there are none.
    package var minimum: Double
    /// The greatest number; minus infinity where there are none.
    package var maximum: Double

    /// No numbers.
    @inlinable
    package init() {
        self.init(count: 0, meanHigh: 0, meanLow: 0, m2: 0, minimum: .infinity, maximum: -.infinity)
    }

    /// The moments as stored.
    @inlinable
    package init(
        count: Int64, meanHigh: Double, meanLow: Double, m2: Double, minimum: Double, maximum: Double
    ) {
        self.count = count
        self.meanHigh = meanHigh
        self.meanLow = meanLow
        self.m2 = m2
        self.minimum = minimum
        self.maximum = maximum
    }

    /// The greatest magnitude of a number whose deviations are squared.
    @inlinable package static var squarable: Double { 1e120 }
    /// The sum of squares that says that there is no variance.
    @inlinable package static var noVariance: Double { 1e300 }

    /// Whether a number is beyond what can be squared.
    @usableFromInline var isExtreme: Bool {
        m2 >= Self.noVariance || maximum > Self.squarable || minimum < -Self.squarable
    }

    /// The mean; nil where there are no numbers.
    package var mean: Double? { count > 0 ? meanHigh + meanLow : nil }

    /// The sample variance (divisor n - 1); nil where there are fewer than two numbers, or one beyond 1e120.
    package var variance: Double? { count > 1 && m2 < Self.noVariance ? m2 / Double(count - 1) : nil }

    /// Adds one number.
    @inlinable
    package mutating func add(_ number: Double) {
        merge(Moments(count: 1, meanHigh: number, meanLow: 0, m2: 0, minimum: number, maximum: number))
    }

    /// Adds some numbers in two passes over them: cheaper and more exact than one by one.
    @inlinable
    package mutating func add(_ numbers: UnsafeBufferPointer<Double>) {
        guard let pivot = numbers.first else { return }
        var least = pivot
        var greatest = pivot
        var sum = 0.0
        for number in numbers {
            least = number < least ? number : least
            greatest = number > greatest ? number : greatest
            sum += number - pivot
        }
        let count = Double(numbers.count)
        let shift = sum / count
        var squares = 0.0
        for number in numbers {
            let deviation = (number - pivot) - shift
            squares += deviation * deviation
        }
        guard least >= -Self.squarable, greatest <= Self.squarable else {
            for number in numbers { add(number) }
            return
        }
        let (high, low) = Self.sum(pivot, shift)
        merge(
            Moments(
                count: Int64(numbers.count), meanHigh: high, meanLow: low, m2: squares, minimum: least,
                maximum: greatest))
    }

    /// Adds the numbers of another.
    @inlinable
    package mutating func merge(_ other: Moments) {
        guard other.count > 0 else { return }
        guard count > 0 else {
            self = other
            if isExtreme { m2 = Self.noVariance }
            return
        }
        let mine = Double(count)
        let theirs = Double(other.count)
        let all = mine + theirs
        let wasExtreme = isExtreme || other.isExtreme
        count += other.count
        minimum = other.minimum < minimum ? other.minimum : minimum
        maximum = other.maximum > maximum ? other.maximum : maximum
        if wasExtreme {
            // The mean lies between the extremes, whatever rounding says; quarters, so that no sum overflows.
            let quarter = meanHigh / 4 * (mine / all) + other.meanHigh / 4 * (theirs / all)
            meanHigh = 4 * Swift.max(-4.494e307, Swift.min(4.494e307, quarter))
            meanLow = 0
            m2 = Self.noVariance
            return
        }
        let delta = (other.meanHigh - meanHigh) + (other.meanLow - meanLow)
        m2 += other.m2 + delta * delta * (mine / all * theirs)
        let (high, rest) = Self.sum(meanHigh, delta * (theirs / all))
        (meanHigh, meanLow) = Self.sum(high, rest + meanLow)
    }

    /// The rounded sum of two numbers and its rounding error (Knuth's two-sum).
    @inlinable @inline(__always)
    static func sum(_ left: Double, _ right: Double) -> (high: Double, low: Double) {
        let high = left + right
        let part = high - left
        return (high, (left - (high - part)) + (right - part))
    }
}
