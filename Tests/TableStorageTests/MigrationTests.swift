import DurableIO
import TableStorage
import TestSupport
import Testing

@Suite(.enabled(if: TestServers.postgres != nil, "set NADI_TEST_POSTGRES, or use Tests/run"))
struct MigrationTests {
    let database: TestDatabase
    let folder: ScratchFolder
    init() throws {
        database = try TestDatabase(migrated: false)
        folder = try ScratchFolder()
        for entry in try DurableFile.list(TestDatabase.sqlDirectory) where entry.name.hasSuffix(".sql") {
            let bytes = try DurableFile.read(path: TestDatabase.sqlDirectory + "/" + entry.name)
            try DurableFile.replace(path: folder[entry.name], bytes: bytes)
        }
    }

    private func add(_ name: String, _ text: String) throws {
        try DurableFile.replace(path: folder[name], bytes: Array(text.utf8))
    }

    @Test func applyOnceAndThenNothing() throws {
        let migrations = try Migrations(directory: folder.path)
        let connection = try database.connect()
        #expect(try migrations.state(connection) == .empty)
        #expect(try migrations.apply(connection) == migrations.steps.map(\.name))
        #expect(try migrations.state(connection) == .current)
        #expect(try migrations.apply(connection).isEmpty)
        try add("9000_add_one.sql", "CREATE TABLE nadi_store.one (i int);")
        let longer = try Migrations(directory: folder.path)
        #expect(try longer.state(connection) == .behind(["9000_add_one.sql"]))
        #expect(try longer.apply(connection) == ["9000_add_one.sql"])
        let error = #expect(throws: MigrationError.self) { try migrations.requireCurrent(connection) }
        #expect(error?.code == .newer)
        #expect(error?.description.contains("9000_add_one.sql") == true)
    }

    @Test func anAlteredFileIsRefused() throws {
        let connection = try database.connect()
        _ = try Migrations(directory: folder.path).apply(connection)
        try add("0005_create_loader_state.sql", "SELECT 1;")
        let error = #expect(throws: MigrationError.self) {
            try Migrations(directory: folder.path).requireCurrent(connection)
        }
        #expect(error?.code == .altered)
        #expect(error?.description.contains("0005_create_loader_state.sql") == true)
    }

    @Test func aFailedFileLeavesNothing() throws {
        let connection = try database.connect()
        try add("9000_fail.sql", "CREATE TABLE nadi_store.half (i int); SELECT 1 / 0;")
        let error = #expect(throws: MigrationError.self) { try Migrations(directory: folder.path).apply(connection) }
        #expect(error?.code == .failed)
        #expect(try connection.query("SELECT to_regclass('nadi_store.half') IS NULL")[0].boolean(0))
        #expect(try Migrations(directory: folder.path).state(connection) == .behind(["9000_fail.sql"]))
    }

    @Test func severalAtOnceApplyEachStepOnce() async throws {
        let migrations = try Migrations(directory: folder.path)
        let uri = database.uri
        let applied = try await withThrowingTaskGroup(of: [String].self) { group in
            for _ in 0..<4 {
                group.addTask { try await DatabaseThread(uri).run { try migrations.apply($0) } }
            }
            return try await group.reduce(into: [String]()) { $0 += $1 }
        }
        #expect(applied.sorted() == migrations.steps.map(\.name))
    }

    @Test func anEmptyDirectoryIsRefused() throws {
        let empty = try ScratchFolder()
        #expect(throws: MigrationError.self) { try Migrations(directory: empty.path) }
    }
}
