import ArgumentParser
import ObjectStorage
import TableLoading

/// The subcommand check.
struct CheckCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check",
        abstract: "Says what must be mended before anything can be loaded, one line each.",
        discussion: "Looks at the configuration, the database (rights, schema, clock, partitions) and the store.")

    @OptionGroup var shared: SharedOptions

    func run() async throws {
        let configuration = try shared.configuration()
        var check = Check()
        var migrationError: String?
        do {
            _ = try MappingConfiguration.mappings(configuration.root)
            check.database(configuration.database, migrations: try shared.migrations(), now_ms: LoadClock.now_ms())
        } catch {
            migrationError = "\(error)"
        }
        do {
            await check.store(try configuration.store.makeStore(), prefix: configuration.settings.prefix)
        } catch {
            migrationError = "\(error)"
        }
        print(check.text, terminator: "")
        if let migrationError { print("FAILED   \(migrationError)") }
        if !check.isClean || migrationError != nil { throw ExitCode(1) }
    }
}
