import EventWriting
import Glibc
import Testing

@testable import EventWriting

struct NumberTextTests {
    static func text(_ value: Double) -> String {
        withUnsafeTemporaryAllocation(byteCount: 64, alignment: 16) { buffer in
            guard let start = buffer.baseAddress else { return "" }
            let count = DoubleText.write(value, to: start)
            return String(decoding: UnsafeRawBufferPointer(start: start, count: count), as: UTF8.self)
        }
    }

    static func text(_ value: Int) -> String {
        withUnsafeTemporaryAllocation(byteCount: 64, alignment: 16) { buffer in
            guard let start = buffer.baseAddress else { return "" }
            let count = IntegerText.write(value, to: start)
            return String(decoding: UnsafeRawBufferPointer(start: start, count: count), as: UTF8.self)
        }
    }

    /// The significant digits of a decimal text.
    static func digits(_ text: String) -> String {
        let mantissa = text.prefix { $0 != "e" && $0 != "E" }.filter(\.isNumber)
        let leading = mantissa.drop { $0 == "0" }
        return String(leading.reversed().drop { $0 == "0" }.reversed())
    }

    @Test(
        arguments: [
            (0, "0.0"), (-0.0, "-0.0"), (1, "1.0"), (1.4, "1.4"), (0.98, "0.98"), (-12.5, "-12.5"), (100, "100.0"),
            (1e15, "1000000000000000.0"), (1e16, "1e16"), (123456789012345680, "1.2345678901234568e17"), (0.05, "0.05"),
            (0.00001, "0.00001"), (0.000012, "0.000012"), (0.0000012, "1.2e-6"), (1e-7, "1e-7"), (5e-324, "5e-324"),
            (1.7976931348623157e308, "1.7976931348623157e308"), (2.2250738585072014e-308, "2.2250738585072014e-308"),
            (0.1 + 0.2, "0.30000000000000004"), (2.0 / 3, "0.6666666666666666"),
            (9007199254740993, "9007199254740992.0"),
            (1234.5678, "1234.5678"), (4.35, "4.35"), (1e22, "1e22"), (1e23, "1e23"), (9.5e-5, "0.000095"),
        ] as [(Double, String)])
    func known(value: Double, expected: String) {
        #expect(Self.text(value) == expected)
    }

    @Test func everyPatternReadsBackInTheFewestDigits() {
        var random = SystemRandomNumberGenerator()
        var wrong: [String] = []
        func check(_ value: Double) {
            guard value.isFinite else { return }
            let text = Self.text(value)
            if Double(text)?.bitPattern != value.bitPattern || Self.digits(text) != Self.digits(value.description)
                || text.utf8.count > DoubleText.maximumBytes
            {
                wrong.append("\(text) for \(value), bits \(value.bitPattern)")
            }
        }
        for _ in 0..<60_000 {
            check(Double(bitPattern: random.next()))
            check(Double(Int.random(in: -1_000_000...1_000_000, using: &random)) / 1000)
            check(Double.random(in: -1...1, using: &random))
        }
        for exponent in 0..<2047 as Range<UInt64> {
            for fraction in [0, 1, 0xF_FFFF_FFFF_FFFF, 0x8_0000_0000_0000] as [UInt64] {
                check(Double(bitPattern: exponent << 52 | fraction))
            }
        }
        for power in -330...308 { if let value = Double("1e\(power)") { check(value) } }
        #expect(wrong.isEmpty, "\(wrong.prefix(5))")
    }

    @Test func integers() {
        var values = [0, 1, 9, 10, 99, 100, .max, .min, -1, -10]
        var power = 1
        for _ in 0..<18 {
            power *= 10
            values += [power - 1, power, power + 1, -power]
        }
        for value in values { #expect(Self.text(value) == String(value)) }
    }
}
