import Sketches
import Testing
import TestSupport

struct ScoreBinsTests {
    @Test func theEdgesAreTheUnionOfBothSets() {
        #expect(ScoreBins.count == 200)
        #expect(ScoreBins.edges.first == 0 && ScoreBins.edges.last == 1)
        #expect(zip(ScoreBins.edges, ScoreBins.edges.dropFirst()).allSatisfy { $1 - $0 > 1e-12 })
        for percent in 0...100 { #expect(ScoreBins.edges.contains(Double(percent) / 100)) }
        // The odds of the logit-spaced ones are a geometric sequence of ratio (1e6 - 1)^(1/50).
        let logit = ScoreBins.edges.filter { !$0.isZero && $0 < 0.01 }
        for (left, right) in zip(logit, logit.dropFirst()) {
            #expect(((right / (1 - right)) / (left / (1 - left)) - 1.318_257_0).magnitude < 1e-6)
        }
    }

    @Test func edgesBelongToTheBinTheyBegin() {
        for (bin, edge) in ScoreBins.edges.dropLast().enumerated() {
            #expect(ScoreBins.bin(edge) == bin)
            if bin > 0 { #expect(ScoreBins.bin(edge.nextDown) == bin - 1) }
            #expect(ScoreBins.bin(edge.nextUp) == bin)
        }
        #expect(
            ScoreBins.bin(1) == 199 && ScoreBins.bin(1.0.nextDown) == 199
                && ScoreBins.bin(Double.leastNonzeroMagnitude) == 0)
    }

    @Test func theTableAgreesWithASearch() {
        var random = SeededGenerator(seed: 2)
        for round in 0..<30_000 {
            var score = Double.random(in: 0...1, using: &random)
            if round % 3 == 0 { score *= score * score * score }
            if round % 3 == 1 { score = 1 - score * score * score * score }
            let expected = (ScoreBins.edges.firstIndex { $0 > score } ?? 200) - 1
            #expect(ScoreBins.bin(score) == min(expected, 199), "\(score)")
        }
    }
}
