import Sketches
import Testing
import TestSupport

struct MomentsTests {
    /// Numbers around 1e9 with a standard deviation of about 1, as integers of 2^-20, so that exact sums fit in 128 bits.
    static func numbers(_ count: Int, seed: UInt64) -> (values: [Double], mean: Double, meanLow: Double, m2: Double) {
        var random = SeededGenerator(seed: seed)
        let scale = 1_048_576.0
        let offsets = (0..<count).map { _ in
            (0..<12).reduce(0) { sum, _ in sum + Int(random.next() % 1_048_576) } - 6 * 1_048_576
        }
        let sum = offsets.reduce(0, +)
        let squares = offsets.reduce(Int128(0)) { $0 + Int128($1) * Int128($1) }
        // m2 = sum d^2 - (sum d)^2 / n, exactly, then scaled.
        let exact = Int128(count) * squares - Int128(sum) * Int128(sum)
        return (
            offsets.map { 1e9 + Double($0) / scale }, 1e9, Double(sum) / Double(count) / scale,
            Double(exact) / Double(count) / scale / scale
        )
    }

    @Test(arguments: 1...5) func mergingInAnyOrderKeepsMeanAndVariance(seed: UInt64) {
        let count = 20_000
        let (values, mean, rest, m2) = Self.numbers(count, seed: seed)
        var random = SeededGenerator(seed: seed ^ 99)
        var parts: [Moments] = []
        var place = 0
        while place < count {
            let size = min(count - place, Int(random.next() % 400) + 1)
            var part = Moments()
            if random.next() % 2 == 0 {
                values[place..<(place + size)].withUnsafeBufferPointer { part.add($0) }
            } else {
                for value in values[place..<(place + size)] { part.add(value) }
            }
            parts.append(part)
            place += size
        }
        while parts.count > 1 {
            let other = parts.remove(at: Int(random.next() % UInt64(parts.count)))
            parts[Int(random.next() % UInt64(parts.count))].merge(other)
        }
        let moments = parts[0]
        #expect(moments.count == Int64(count))
        #expect((moments.meanHigh - mean + moments.meanLow - rest).magnitude < 1e-9)
        #expect((moments.m2 / m2 - 1).magnitude < 1e-9)
        #expect(moments.minimum == values.min() && moments.maximum == values.max())
    }

    @Test func nothingAndOneNumber() {
        var moments = Moments()
        #expect(moments.mean == nil && moments.variance == nil)
        moments.merge(Moments())
        #expect(moments == Moments())
        moments.add(-3)
        #expect(moments.mean == -3 && moments.variance == nil && moments.minimum == -3 && moments.maximum == -3)
    }

    @Test func hugeNumbersStayFinite() {
        let values: [Double] = [1.7e308, -1.7e308, 1.7e308, 0, -1.7e308, 1]
        var one = Moments()
        for value in values { one.add(value) }
        var block = Moments()
        values.withUnsafeBufferPointer { block.add($0) }
        for moments in [one, block] {
            #expect(moments.count == 6 && moments.meanHigh.isFinite && moments.meanLow.isFinite && moments.m2.isFinite)
            #expect(moments.minimum == -1.7e308 && moments.maximum == 1.7e308)
        }
    }
}
