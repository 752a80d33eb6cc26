import ModelStatistics
import Sketches
import TableLoading
import TableStorage
import TestSupport
import Testing

/// A reference's own spread is measured as drift against it is.
@Suite(.enabled(if: TestServers.postgres != nil, "set NADI_TEST_POSTGRES, or use Tests/run"))
struct ReferenceSpreadTests {
    private struct Row {
        let hour: Int
        let number: Double?
        let code: Double
        let word: String
        let score: Double
    }

    private static func rows(_ seed: UInt64) -> [Row] {
        var random = SeededGenerator(seed: seed)
        return (0..<10).flatMap { hour in
            (0..<300).map { row in
                // Hours differ, and some words are rare.
                let base = Double.random(in: 0...1, using: &random) + Double(hour) / 30
                let rare = Int.random(in: 0..<60, using: &random)
                return Row(
                    hour: hour, number: row % 40 == 0 ? nil : base * base,
                    code: Double(Int.random(in: 0...4, using: &random)),
                    word: rare < 8 ? "rare\(rare)" : "w\((rare + hour / 5) % 4)", score: min(1, base * 0.7))
            }
        }
    }

    @Test func theLargestIndexOfItsHoursIsWhatDriftComputes() throws {
        let rows = Self.rows(41)
        var builder = ReferenceBuilder()
        let places = ["number", "code", "word"].map { builder.feature($0) }
        for row in rows {
            _ = builder.beginRow()
            builder.setTime(1_700_006_400_000 + Int64(row.hour) * 3_600_000)
            builder.set(places[0], row.number.map { .number($0) } ?? .missing)
            builder.set(places[1], .number(row.code))
            builder.set(places[2], .text(row.word))
            builder.setScore(row.score)
        }
        let reference = try #require(builder.build())
        let database = try TestDatabase()
        let connection = try database.connect()
        _ = try ReferenceStore.create(
            reference, model: "m", name: "r", source: "test", caps: LoadSettings.Caps(), connection)
        #expect(reference.spreads.count == 4 && reference.spreads.allSatisfy { $0.windowCount == 10 })
        for spread in reference.spreads {
            var largest = 0.0
            for hour in 0..<10 {
                largest = max(largest, try index(spread, reference, rows.filter { $0.hour == hour }, connection))
            }
            #expect((largest - spread.psi).magnitude < 1e-12 && spread.psi > 0.01, "\(spread) \(largest)")
        }
    }

    /// What drift's own function says of some rows against the reference.
    private func index(
        _ spread: Reference.Spread, _ reference: Reference, _ rows: [Row], _ connection: Connection
    ) throws -> Double {
        var baseline: [Double] = []
        var current: [Double] = []
        var groups = SQLValue.null
        var kind = "score"
        if let place = spread.feature {
            let feature = reference.features[place]
            kind = feature.kind.rawValue
            if feature.kind == .numeric {
                let edges = EdgeBins(edges: feature.bins.edges)
                baseline = feature.bins.counts.map(Double.init)
                current = [Double](repeating: 0, count: baseline.count)
                for row in rows {
                    if let value = feature.name == "code" ? row.code : row.number { current[edges.bin(value)] += 1 }
                }
                groups = .integers(feature.bins.deciles.map(Int64.init))
            } else {
                baseline = feature.categories.map { Double($0.count) }
                current = feature.categories.map { category in Double(rows.count { $0.word == category.value }) }
            }
        } else {
            let score = reference.scores[0]
            baseline = score.counts.map(Double.init)
            current = score.bins.map { bin in Double(rows.count { ScoreBins.bin($0.score) == bin }) }
        }
        let ends = SQLValue.reals(baseline.indices.map(Double.init))
        return try connection.query(
            """
            SELECT psi FROM nadi_store.drift_measures(
                $1, $2::float8[], $3::float8[], $4::int[], $5::float8[], $5::float8[], false, $6::float8, $7::float8, 1, 1)
            """,
            [
                .text(kind), .reals(baseline), .reals(current), groups, ends, .real(baseline.reduce(0, +)),
                .real(current.reduce(0, +)),
            ])[0].real(0)
    }
}
