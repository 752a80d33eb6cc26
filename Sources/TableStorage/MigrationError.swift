/// Why a schema was refused or a migration did not go through.
package struct MigrationError: Error, Sendable, CustomStringConvertible {
    /// What kind of refusal it is.
    package struct Code: Hashable, Sendable {
        private let name: String
        private init(_ name: String) { self.name = name }
        /// No usable migration files.
        package static let noFiles = Code("noFiles")
        /// The schema lacks migrations.
        package static let behind = Code("behind")
        /// The schema has migrations that the program does not know.
        package static let newer = Code("newer")
        /// A migration's file is not the one that was applied, or the schema was made by other means.
        package static let altered = Code("altered")
        /// A migration's statements failed.
        package static let failed = Code("failed")
    }

    /// What kind of refusal it is.
    package let code: Code
    /// What was found.
    package let message: String
    /// What to do.
    package let remedy: String

    package var description: String { "\(message). \(remedy)" }
}
