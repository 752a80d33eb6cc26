package import TableStorage

/// A database of a test's own on the test server, with all migrations applied, dropped when the last reference goes.
package final class TestDatabase: Sendable {
    /// libpq URI of the new database, as the server's superuser.
    package let uri: String
    /// The database's name.
    package let name: String
    private let server: String

    /// Makes a database; `migrated: false` leaves it empty.
    package init(migrated: Bool = true) throws {
        guard let server = TestServers.postgres else {
            throw DatabaseError(
                sqlState: "08001", message: "NADI_TEST_POSTGRES is not set", remedy: "Use Tests/run",
                operation: "making a test database")
        }
        self.server = server
        let random = String(UInt64.random(in: 0...UInt64.max), radix: 36)
        name = "nadi_test_\(random)"
        uri = Self.replaceDatabase(server, name)
        try Connection(server).execute("CREATE DATABASE \(name)")
        if migrated {
            _ = try Migrations(directory: Self.sqlDirectory).apply(connect())
        }
    }

    /// A copy of another test's database, to which nobody may be connected.
    package init(copyOf other: TestDatabase) throws {
        server = other.server
        let random = String(UInt64.random(in: 0...UInt64.max), radix: 36)
        name = "nadi_test_\(random)"
        uri = Self.replaceDatabase(server, name)
        try Connection(server).execute("CREATE DATABASE \(name) TEMPLATE \(other.name)")
    }

    deinit {
        try? Connection(server).execute("DROP DATABASE IF EXISTS \(name) WITH (FORCE)")
    }

    /// A new connection to the database.
    package func connect() throws -> Connection { try Connection(uri, ConnectionOptions(applicationName: "nadi-test")) }

    /// The checkout's `sql`.
    package static var sqlDirectory: String {
        #filePath.split(separator: "/").dropLast(3).map { "/" + $0 }.joined() + "/sql"
    }

    private static func replaceDatabase(_ uri: String, _ name: String) -> String {
        let query = uri.firstIndex(of: "?").map { String(uri[$0...]) } ?? ""
        let head = uri.prefix { $0 != "?" }
        guard let slash = head.lastIndex(of: "/") else { return uri }
        return head[...slash] + name + query
    }
}
