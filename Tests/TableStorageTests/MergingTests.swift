import TableStorage
import TestSupport
import Testing

/// The SQL that merges rows, against sums over the whole.
@Suite(.enabled(if: TestServers.postgres != nil, "set NADI_TEST_POSTGRES, or use Tests/run"))
struct MergingTests {
    let database: TestDatabase
    init() throws { database = try TestDatabase() }

    @Test func countsMergeByBin() throws {
        let connection = try database.connect()
        let row = try connection.query(
            "SELECT bins, counts FROM nadi_store.merge_counts('{-5,1,3}', '{1,1,2}', '{1,2}', '{10,20}')")[0]
        #expect(row.integers(0) == [-5, 1, 2, 3])
        #expect(row.integers(1) == [1, 11, 20, 2])
        let one = try connection.query("SELECT bins, counts FROM nadi_store.merge_counts('{}', '{}', '{4}', '{2}')")[0]
        #expect(one.integers(0) == [4])
    }

    @Test func momentsKeepSmallDeviationsOfALargeMean() throws {
        let connection = try database.connect()
        var generator = SeededGenerator(seed: 7)
        let deviations = (0..<400).map { _ in Double.random(in: -1...1, using: &generator) }
        var state: (n: Int64, high: Double, low: Double, m2: Double) = (0, 0, 0, 0)
        for deviation in deviations {
            let row = try connection.query(
                "SELECT * FROM nadi_store.merge_moments($1, $2, $3, $4, 1, $5, 0, 0)",
                [.integer(state.n), .real(state.high), .real(state.low), .real(state.m2), .real(1e9 + deviation)])[0]
            state = (state.n + 1, row.real(0), row.real(1), row.real(2))
        }
        let exact = deviations.map { (1e9 + $0) - 1e9 }
        let mean = exact.reduce(0, +) / Double(exact.count)
        let m2 = exact.reduce(0) { $0 + ($1 - mean) * ($1 - mean) }
        #expect(abs(((state.high - 1e9) + state.low) - mean) < 1e-9)
        #expect(abs(state.m2 - m2) < 1e-9 * m2)
    }

    @Test func partitionsAreMadeOnceAndDroppedByAge() throws {
        let connection = try database.connect()
        for day in ["2026-01-01", "2026-01-02", "2026-01-01"] {
            try connection.query("SELECT nadi_store.ensure_partition('request_minute', $1::date)", [.text(day)])
        }
        let dropped = try connection.query("SELECT nadi_store.drop_partitions('request_minute', '2026-01-02')")
        #expect(dropped[0].integer(0) == 1)
        #expect(throws: DatabaseError.self) {
            try connection.query("SELECT nadi_store.ensure_partition('host', '2026-01-01')")
        }
    }
}
