import TableStorage
import TestSupport
import Testing

@Suite(.enabled(if: TestServers.postgres != nil, "set NADI_TEST_POSTGRES, or use Tests/run"))
struct ConnectionTests {
    let database: TestDatabase
    init() throws { database = try TestDatabase(migrated: false) }

    @Test func parametersComeBackAsTheyWent() throws {
        let connection = try database.connect()
        let text = "quote ' and \\ and \"{,}\" and \t\n é 🦢"
        let result = try connection.query(
            """
            SELECT $1::text, $2::bigint, $3::float8, $4::bool, $5::bytea, $6::timestamptz, $7::bigint[], $8::text[],
                   $9::text, $10::timestamptz[], $11::date
            """,
            [
                .text(text), .integer(.min), .real(0.1), .boolean(true), .bytes([0, 1, 254, 255]),
                .time(1_795_405_256_123), .integers([1, -2, .max]), .texts([text, "", "NULL", "a,b"]), .null,
                .times([0, 1]), .time(-86_400_000),
            ])
        let row = result[0]
        #expect(row.text(0) == text)
        #expect(row.integer(1) == .min)
        #expect(row.real(2) == 0.1)
        #expect(row.boolean(3))
        #expect(row.bytes(4) == [0, 1, 254, 255])
        #expect(row.time(5) == 1_795_405_256_123)
        #expect(row.integers(6) == [1, -2, .max])
        #expect(row.texts(7) == [text, "", "NULL", "a,b"])
        #expect(row.optionalText(8) == nil)
        #expect(row.text(9) == "{\"1970-01-01 00:00:00+00\",\"1970-01-01 00:00:00.001+00\"}")
        #expect(row.time(10) == -86_400_000)
    }

    @Test(arguments: [Int64(0), 1, -1, 951_782_400_000, 951_868_799_999, 4_102_444_800_000, -2_208_988_800_000])
    func timesAgreeWithTheServer(time: Int64) throws {
        let connection = try database.connect()
        let row = try connection.query(
            "SELECT $1::timestamptz, (extract(epoch FROM $1::timestamptz) * 1000)::bigint", [.time(time)])[0]
        #expect(row.time(0) == time)
        #expect(row.integer(1) == time)
    }

    @Test func zeroCharactersBecomeReplacements() throws {
        let connection = try database.connect()
        #expect(try connection.query("SELECT $1::text", [.text("a\u{0}b")])[0].text(0) == "a\u{FFFD}b")
    }

    @Test func copyEscapesAndCounts() throws {
        let connection = try database.connect()
        try connection.execute(
            "CREATE TEMP TABLE t (i bigint, r float8, s text, b bytea, t timestamptz, a int[], ra float8[], f bool)")
        var writer = try connection.copy(into: "t", columns: ["i", "r", "s", "b", "t", "a", "ra", "f"])
        let text = "back\\slash\ttab\nline\rreturn \\N é"
        for index in 0..<20_000 {
            writer.append(index)
            writer.append(0.1 + Double(index))
            writer.append(index == 7 ? nil : text)
            writer.append(bytes: [1, 0, 255])
            writer.append(time: Int64(index))
            writer.append([index, -1])
            writer.append([1e-300, 0.1])
            writer.append(true)
            try writer.endRow()
        }
        try writer.finish()
        let row = try connection.query(
            "SELECT count(*), count(*) FILTER (WHERE s = $1), sum(i), max(a[1]), min(ra[1]), (array_agg(b))[1] FROM t",
            [.text(text)])[0]
        #expect(row.integer(0) == 20_000)
        #expect(row.integer(1) == 19_999)
        #expect(row.integer(2) == 199_990_000)
        #expect(row.integer(3) == 19_999)
        #expect(row.real(4) == 1e-300)
        #expect(row.bytes(5) == [1, 0, 255])
    }

    @Test func copyOfARefusedRowLeavesAUsableConnection() throws {
        let connection = try database.connect()
        try connection.execute("CREATE TEMP TABLE t (i int CHECK (i < 5))")
        var writer = try connection.copy(into: "t", columns: ["i"])
        writer.append(9)
        try writer.endRow()
        #expect(throws: DatabaseError.self) { try writer.finish() }
        #expect(try connection.query("SELECT count(*) FROM t")[0].integer(0) == 0)
        var second = try connection.copy(into: "t", columns: ["i"])
        second.append(1)
        try second.endRow()
        second.cancel()
        #expect(try connection.query("SELECT count(*) FROM t")[0].integer(0) == 0)
    }

    @Test func errorsCarryStateAndRollBack() throws {
        let connection = try database.connect()
        try connection.execute("CREATE TEMP TABLE t (i int PRIMARY KEY)")
        let error = #expect(throws: DatabaseError.self) {
            try connection.transaction {
                try connection.query("INSERT INTO t VALUES (1)")
                try connection.query("INSERT INTO t VALUES (1)")
            }
        }
        #expect(error?.sqlState == "23505")
        #expect(error?.isRetryable == false)
        #expect(try connection.query("SELECT count(*) FROM t")[0].integer(0) == 0)
    }

    @Test func aTerminatedBackendIsALostConnection() throws {
        let connection = try database.connect()
        let other = try database.connect()
        try other.query("SELECT pg_terminate_backend($1)", [.integer(Int64(connection.processIdentifier))])
        let error = #expect(throws: DatabaseError.self) { try connection.query("SELECT pg_sleep(1)") }
        #expect(error?.isConnectionLost == true)
        #expect(error?.isRetryable == true)
        #expect(!connection.isUsable)
        try connection.reconnect()
        #expect(try connection.query("SELECT 1")[0].integer(0) == 1)
    }

    @Test func lockTimeoutIsRetryable() throws {
        let one = try database.connect()
        let two = try Connection(database.uri, ConnectionOptions(lockTimeout: 1))
        try one.execute("CREATE TABLE held (i int)")
        try one.execute("BEGIN; LOCK TABLE held")
        let error = #expect(throws: DatabaseError.self) { try two.query("SELECT * FROM held") }
        #expect(error?.sqlState == "55P03")
        #expect(error?.isRetryable == true)
        try one.execute("ROLLBACK")
    }

    @Test func refusedConnectionsNameTheRemedy() {
        let error = #expect(throws: DatabaseError.self) { try Connection("postgresql://127.0.0.1:1/none") }
        #expect(error?.isConnectionLost == true)
        #expect(error?.description.contains("connection string") == true)
    }

    @Test func threadsReopenTheirConnection() async throws {
        let thread = DatabaseThread(database.uri)
        let first = try await thread.run { $0.processIdentifier }
        let other = try database.connect()
        try other.query("SELECT pg_terminate_backend($1)", [.integer(Int64(first))])
        _ = try? await thread.run { try $0.query("SELECT pg_sleep(1)").count }
        let second = try await thread.run { try $0.query("SELECT pg_backend_pid()")[0].integer(0) }
        #expect(second != Int64(first))
        await thread.close()
    }
}
