import Sketches
import TestSupport
import Testing

/// Sums that are the same to the last bit whatever the order and the parts.
struct ExactSumTests {
    private static func number(_ random: inout SeededGenerator, exponents: ClosedRange<Int>) -> Double {
        let number = Double(
            sign: random.next() % 2 == 0 ? .plus : .minus, exponent: Int.random(in: exponents, using: &random),
            significand: Double.random(in: 1..<2, using: &random))
        return number
    }

    @Test(arguments: [-8...8, -40...40, -1074...1023], 1...4 as ClosedRange<UInt64>)
    func anyOrderAndAnyPartsGiveTheSameBits(exponents: ClosedRange<Int>, seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        let numbers = (0..<2000).map { _ in Self.number(&random, exponents: exponents) }
        func sum(_ numbers: some Sequence<Double>) -> ExactSum {
            var sum = ExactSum()
            for number in numbers { sum.add(number) }
            return sum
        }
        let whole = sum(numbers)
        for _ in 0..<4 {
            let shuffled = numbers.shuffled(using: &random)
            let cut = Int.random(in: 0...numbers.count, using: &random)
            var parts = sum(shuffled[cut...])
            parts.merge(sum(shuffled[..<cut]))
            #expect(parts == whole)
            #expect(parts.value.bitPattern == whole.value.bitPattern)
        }
        // Neumaier's sum is right to a few units of the last place of the sum of magnitudes.
        var (plain, rest) = (0.0, 0.0)
        let scaled = numbers.map { $0 / 65_536 }
        for number in scaled {
            let next = plain + number
            rest += plain.magnitude >= number.magnitude ? (plain - next) + number : (number - next) + plain
            plain = next
        }
        let size = scaled.reduce(0) { $0 + $1.magnitude }
        #expect((whole.value / 65_536 - (plain + rest)).magnitude <= 1e-15 * size)
    }

    @Test func nothingIsLostAndNothingOverflows() {
        func sum(_ numbers: Double...) -> Double {
            var sum = ExactSum()
            for number in numbers { sum.add(number) }
            return sum.value
        }
        #expect(sum() == 0)
        #expect(sum(1, 1e100, 1, -1e100) == 2)
        #expect(sum(1e308, 1e308, -1e308) == 1e308)
        #expect(sum(1e308, 1e308) == .greatestFiniteMagnitude)
        #expect(sum(-1e308, -.infinity) == -.greatestFiniteMagnitude)
        #expect(sum(.leastNonzeroMagnitude, .leastNonzeroMagnitude) == 2 * .leastNonzeroMagnitude)
        #expect(sum(1, .leastNonzeroMagnitude, -1) == .leastNonzeroMagnitude)
        #expect(sum(0.1, 0.2, 0.3) == 0.6)
        #expect(sum(-2.5) == -2.5)
        #expect(sum(3e-5, 131_071, 131_073, 1e9) == 1_000_262_144.00003)
    }

    @Test(arguments: 1...4 as ClosedRange<UInt64>) func probabilitiesAddUpExactly(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        let numbers = (0..<5000).map { _ in
            let score = Double.random(in: 0...1, using: &random)
            return random.next() % 4 == 0 ? score * 1e-7 : score
        }
        var whole = FixedSum()
        var exact = ExactSum()
        for number in numbers {
            whole.add(number)
            exact.add(number)
        }
        let shuffled = numbers.shuffled(using: &random)
        var parts = [FixedSum](repeating: FixedSum(), count: 7)
        for (place, number) in shuffled.enumerated() { parts[place % 7].add(number) }
        var merged = FixedSum()
        for part in parts { merged.merge(part) }
        #expect(merged == whole)
        #expect((whole.value - exact.value).magnitude <= 1e-15 * exact.value)
        var signs = FixedSum()
        for number in [34.5, -0.25, 0, 1e-30, -34.25] { signs.add(number) }
        #expect(signs.value == 0)
    }
}
