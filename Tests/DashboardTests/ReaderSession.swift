import TableStorage
import TestSupport

extension TestDatabase {
    /// A connection that may do what a dashboard's may.
    func connectAsReader() throws -> Connection {
        let connection = try connect()
        try connection.becomeReader()
        return connection
    }

    /// Runs a file of `Tests/Fixtures/sql` as the database's owner.
    func run(fixture name: String) throws {
        try connect().execute(try Checkout.text("Tests/Fixtures/sql/\(name)"))
    }
}

extension Connection {
    /// From now on it may do what a dashboard's may.
    func becomeReader() throws {
        try execute(
            """
            SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY;
            SET statement_timeout = '15s'; SET timezone = 'UTC'; SET jit = off; SET ROLE nadi_reader
            """)
    }
}

/// Where the server is missing, these tests say so instead of failing.
enum Servers {
    static var missing: String { "set NADI_TEST_POSTGRES, or use Tests/run" }
    static var postgres: Bool { TestServers.postgres != nil }
}
