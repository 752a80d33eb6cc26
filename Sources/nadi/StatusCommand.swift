import ArgumentParser
import TableLoading
import TableStorage

/// The subcommand status.
struct StatusCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status",
        abstract: "Shows the last run, the ledger, the hosts and until when everything is complete.")

    @OptionGroup var shared: SharedOptions

    func run() async throws {
        let configuration = try shared.configuration()
        do {
            let connection = try Connection(
                configuration.database,
                ConnectionOptions(applicationName: "nadi-status", needsWritableServer: false))
            try shared.migrations().requireCurrent(connection)
            print(try StatusReport(connection, now_ms: LoadClock.now_ms()).text, terminator: "")
        } catch {
            throw report(error)
        }
    }
}
