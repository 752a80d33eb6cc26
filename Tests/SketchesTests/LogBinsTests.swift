import Sketches
import Testing
import TestSupport

struct LogBinsTests {
    @Test func edgesBelongToTheBinTheyBegin() {
        for octave in -1022...1023 {
            for place in 0..<LogBins.binsPerOctave {
                let edge = Double(sign: .plus, exponent: octave, significand: LogBins.octaveEdges[place])
                let code = Int32(octave * 35 + place + 40_000)
                #expect(LogBins.code(edge) == code)
                #expect(LogBins.lower(code) == edge)
                if edge > 0x1p-1022 { #expect(LogBins.code(edge.nextDown) == code - 1) }
                #expect(LogBins.code(-edge) == -code)
            }
        }
    }

    @Test func codesAreMonotoneAndBracketTheNumber() {
        var random = SeededGenerator(seed: 1)
        var last: (number: Double, code: Int32)?
        let numbers = (0..<20_000).compactMap { _ -> Double? in
            let number = Double(bitPattern: random.next())
            return number.isFinite ? number : nil
        }
        for number in numbers.sorted() {
            let code = LogBins.code(number)
            if let last { #expect(code >= last.code, "\(last.number) and \(number)") }
            last = (number, code)
            guard number.magnitude >= 0x1p-1022 else { continue }
            #expect(LogBins.lower(code) <= number && number <= LogBins.upper(code))
            let answer = LogBins.representative(code)
            #expect(((answer - number) / number).magnitude <= 0.01)
            #expect(answer.isFinite)
        }
    }

    @Test func zeroSubnormalsAndExtremes() {
        #expect(LogBins.code(0) == 0 && LogBins.code(-0.0) == 0)
        #expect(LogBins.representative(0) == 0 && LogBins.lower(0) == 0)
        #expect(
            LogBins.code(Double.leastNonzeroMagnitude) == LogBins.code(0x1p-1022)
                && LogBins.code(-Double.leastNonzeroMagnitude) == -LogBins.code(0x1p-1022))
        #expect(LogBins.code(.greatestFiniteMagnitude) == LogBins.positiveCodes.upperBound)
        #expect(LogBins.code(0x1p-1022) == LogBins.positiveCodes.lowerBound)
        #expect(LogBins.upper(LogBins.positiveCodes.upperBound) == .infinity)
        #expect(LogBins.code(1) == 40_000)
        #expect(LogBins.lower(-40_000) == -LogBins.octaveEdges[1] && LogBins.upper(-40_000) == -1)
    }
}
