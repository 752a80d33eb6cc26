internal import DurableIO

/// The numbered files of `sql/`, applied forward only, each in a transaction of its own under one advisory lock, and
/// remembered with their SHA-256 in `nadi_store.schema_migration`.
package struct Migrations: Sendable {
    /// One file `NNNN_what_it_does.sql`.
    package struct Step: Sendable {
        /// The file's number.
        package let version: Int
        /// The file's name.
        package let name: String
        /// The statements.
        package let text: String
    }

    /// What the database says about itself.
    package enum State: Equatable, Sendable {
        /// No table of ours.
        case empty
        /// The steps that are missing, by name.
        case behind([String])
        /// Every step of ours and no other.
        case current
    }

    /// All steps in order.
    package let steps: [Step]

    /// Reads the files of a directory.
    /// - Throws: ``MigrationError`` for no files or a number used twice; `SystemError`.
    package init(directory: String) throws {
        var steps: [Step] = []
        for entry in try DurableFile.list(directory) where entry.isRegular && entry.name.hasSuffix(".sql") {
            let digits = entry.name.prefix(while: \.isNumber)
            guard digits.count == 4, let version = Int(digits), entry.name.dropFirst(4).first == "_" else { continue }
            let bytes = try DurableFile.read(path: directory + "/" + entry.name, limit: 4 << 20)
            steps.append(Step(version: version, name: entry.name, text: String(decoding: bytes, as: UTF8.self)))
        }
        steps.sort { $0.version < $1.version }
        guard !steps.isEmpty else {
            throw MigrationError(
                code: .noFiles, message: "\(directory) holds no migration",
                remedy: "Name the directory that holds 0001_create_schemas_and_roles.sql with --sql-directory")
        }
        for (one, next) in zip(steps, steps.dropFirst()) where one.version == next.version {
            throw MigrationError(
                code: .noFiles, message: "\(one.name) and \(next.name) bear the same number",
                remedy: "Remove the one that is not part of the release")
        }
        self.steps = steps
    }

    /// Compares the database with the files.
    /// - Throws: ``MigrationError`` for a schema that is newer than the files or was altered; ``DatabaseError``.
    package func state(_ connection: Connection) throws -> State {
        try state(applied: appliedSteps(connection), connection)
    }

    /// Throws unless the database is current.
    /// - Throws: ``MigrationError``, ``DatabaseError``.
    package func requireCurrent(_ connection: Connection) throws {
        switch try state(connection) {
        case .current: return
        case .empty:
            throw MigrationError(
                code: .behind, message: "database \(connection.database) has no tables of ours",
                remedy: "Run `nadi migrate` as a user who may create schemas and roles")
        case .behind(let names):
            throw MigrationError(
                code: .behind,
                message: "database \(connection.database) lacks \(names.count) migrations, from \(names[0]) on",
                remedy: "Run `nadi migrate`")
        }
    }

    /// Applies what is missing and returns the names of the steps applied.
    ///
    /// Several programs may do so at once.
    /// - Throws: ``MigrationError``, ``DatabaseError``.
    package func apply(_ connection: Connection, progress: (String) -> Void = { _ in }) throws -> [String] {
        var done: [String] = []
        while let step = try applyNext(connection) {
            progress(step)
            done.append(step)
        }
        return done
    }

    private func applyNext(_ connection: Connection) throws -> String? {
        try connection.transaction {
            try connection.query("SELECT pg_advisory_xact_lock($1, $2)", [1_851_876_457, 1])
            let applied = try appliedSteps(connection)
            _ = try state(applied: applied, connection)
            guard let step = steps.first(where: { applied[$0.version] == nil }) else { return nil }
            if let newest = applied.keys.max(), step.version < newest {
                throw MigrationError(
                    code: .altered, message: "\(step.name) is missing though \(newest) is applied",
                    remedy: "Migrations go forward only: give the new file the next free number")
            }
            do {
                try connection.execute(step.text)
            } catch let error as DatabaseError {
                throw MigrationError(code: .failed, message: "\(step.name): \(error)", remedy: "Nothing of it was kept")
            }
            guard connection.isInTransaction else {
                throw MigrationError(
                    code: .failed, message: "\(step.name) ends its transaction",
                    remedy: "Remove COMMIT and ROLLBACK from the file; it may be half applied")
            }
            try connection.query(
                "INSERT INTO nadi_store.schema_migration (version, name, sha256) "
                    + "VALUES ($1, $2, sha256(convert_to($3, 'UTF8')))",
                [.integer(Int64(step.version)), .text(step.name), .text(step.text)])
            return step.name
        }
    }

    private func appliedSteps(_ connection: Connection) throws -> [Int: Applied] {
        let table = try connection.query("SELECT to_regclass('nadi_store.schema_migration') IS NOT NULL")
        guard table[0].boolean(0) else { return [:] }
        let rows = try connection.query("SELECT version, name, sha256 FROM nadi_store.schema_migration").rows
        return Dictionary(
            uniqueKeysWithValues: rows.map { (Int($0.integer(0)), Applied(name: $0.text(1), sha256: $0.bytes(2))) })
    }

    private struct Applied {
        let name: String
        let sha256: [UInt8]
    }

    private func state(applied: [Int: Applied], _ connection: Connection) throws -> State {
        if applied.isEmpty {
            let foreign = try connection.query("SELECT to_regnamespace('nadi_store') IS NOT NULL")
            if foreign[0].boolean(0) {
                throw MigrationError(
                    code: .altered, message: "schema nadi_store exists but records no migration",
                    remedy: "It was made by hand or by psql: drop schemas nadi_store and nadi, then `nadi migrate`")
            }
            return .empty
        }
        let known = Dictionary(uniqueKeysWithValues: steps.map { ($0.version, $0) })
        for (version, row) in applied.sorted(by: { $0.key < $1.key }) {
            guard let step = known[version] else {
                throw MigrationError(
                    code: .newer, message: "the database has migration \(row.name), which this program does not know",
                    remedy: "The schema is newer than the program: install the newer release")
            }
            let expected = try connection.query("SELECT sha256(convert_to($1, 'UTF8'))", [.text(step.text)])
            if expected[0].bytes(0) != row.sha256 {
                throw MigrationError(
                    code: .altered, message: "\(step.name) is not the file that was applied to the database",
                    remedy: "Restore the released file; changes go into a new migration")
            }
        }
        let missing = steps.filter { applied[$0.version] == nil }.map(\.name)
        return missing.isEmpty ? .current : .behind(missing)
    }
}
