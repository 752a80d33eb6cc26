import TableStorage
import TestSupport
import Testing

/// Values at the edges of what libpq is handed and hands out, above all for AddressSanitizer.
@Suite(.enabled(if: TestServers.postgres != nil, "set NADI_TEST_POSTGRES, or use Tests/run"))
struct BoundaryTests {
    let database: TestDatabase
    init() throws { database = try TestDatabase(migrated: false) }

    @Test(arguments: [0, 1, 2, 7, 8, 15, 16, 4095, 4096, 4097, 1_048_576])
    func textsAndBytesOfEverySize(size: Int) throws {
        let connection = try database.connect()
        let text = String(repeating: "x", count: size)
        let bytes = (0..<size).map { UInt8(truncatingIfNeeded: $0) }
        let row = try connection.query(
            "SELECT $1::text, $2::bytea, $3::text[], length($1::text)", [.text(text), .bytes(bytes), .texts([text, text])])[0]
        #expect(row.text(0) == text && row.bytes(1) == bytes && row.texts(2) == [text, text])
        #expect(row.integer(3) == Int64(size))
    }

    @Test func resultsWithoutRowsColumnsOrValues() throws {
        let connection = try database.connect()
        #expect(try connection.query("SELECT").columns.isEmpty)
        #expect(try connection.query("SELECT 1 WHERE false").first == nil)
        let row = try connection.query("SELECT NULL::text, NULL::bigint, NULL::float8, ''::text, '{}'::bigint[]")[0]
        #expect(row.optionalText(0) == nil && row.optionalInteger(1) == nil && row.optionalReal(2) == nil)
        #expect(row.text(3).isEmpty && row.integers(4).isEmpty)
        #expect(try connection.query("").count == 0)
    }

    /// Rows that are larger than any buffer, none at all, and a result that is read after its connection is closed.
    @Test func copiesOfEverySize() throws {
        let connection = try database.connect()
        try connection.execute("CREATE TABLE t (a text, b bigint)")
        for size in [0, 1, 65_535, 65_536, 65_537, 3_000_000] {
            var writer = try connection.copy(into: "t", columns: ["a", "b"])
            writer.append(String(repeating: "\\", count: size))
            writer.append(Int64(size))
            try writer.endRow()
            try writer.finish()
        }
        var none = try connection.copy(into: "t", columns: ["a", "b"])
        try none.finish()
        let rows = try connection.query("SELECT length(a), b FROM t ORDER BY b")
        connection.close()
        #expect(rows.rows.map { $0.integer(0) } == rows.rows.map { $0.integer(1) })
        #expect(rows.count == 6)
    }

    /// A copy that nobody finished, and errors with long texts.
    @Test func whatIsLeftInTheMiddle() throws {
        let connection = try database.connect()
        try connection.execute("CREATE TABLE t (a text)")
        for _ in 0..<5 {
            do {
                var writer = try connection.copy(into: "t", columns: ["a"])
                writer.append("x")
                try writer.endRow()
            }
            #expect(throws: DatabaseError.self) {
                try connection.query("SELECT \(String(repeating: "no_such_column, ", count: 3000)) 1")
            }
        }
        #expect(try database.connect().query("SELECT count(*) FROM t")[0].integer(0) == 0)
    }
}
