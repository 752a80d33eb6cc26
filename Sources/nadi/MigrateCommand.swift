import ArgumentParser
import TableLoading
import TableStorage

/// The subcommand migrate.
struct MigrateCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "migrate",
        abstract: "Makes or updates the schemas nadi_store and nadi.",
        discussion: """
            Applies the missing files of sql/, forward only, each in a transaction of its own, under an advisory lock; \
            several at once do no harm. Needs a user who may create schemas and roles. A schema that is newer than this \
            program, or whose files were altered, is refused.
            """)

    @OptionGroup var shared: SharedOptions

    @Flag(help: "Only say what is missing.")
    var dryRun = false

    func run() async throws {
        let configuration = try shared.configuration()
        do {
            let migrations = try shared.migrations()
            let connection = try Connection(
                configuration.database, ConnectionOptions(applicationName: "nadi-migrate", statementTimeout: 0))
            if dryRun {
                switch try migrations.state(connection) {
                case .current: print("The schema is current.")
                case .empty: print(migrations.steps.map(\.name).joined(separator: "\n"))
                case .behind(let names): print(names.joined(separator: "\n"))
                }
                return
            }
            let done = try migrations.apply(connection) { print("applied \($0)") }
            print(done.isEmpty ? "The schema is current." : "Applied \(done.count) migrations.")
        } catch {
            throw report(error)
        }
    }
}
