import ArgumentParser
import ObjectStorage
import TableLoading
import TableStorage

/// The subcommand audit.
struct AuditCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "audit",
        abstract: "Balances what was written, stored and counted; names what is missing.",
        discussion: """
            Each side of an equation comes from another program's record: the writers' own counts, the hosts' reports, \
            the manifests of the objects, the ledger, and the aggregates read back. Exit status 1 as long as something \
            does not add up and was not accepted.
            """)

    @OptionGroup var shared: SharedOptions

    @Flag(help: "One JSON object instead of a table.")
    var json = false

    @Option(help: "Accept a finding, by the name that the audit gives it. It stays listed.")
    var acceptLost: String?

    @Option(help: "Why it is accepted.")
    var reason = "no reason given"

    func run() async throws {
        let configuration = try shared.configuration()
        let clean: Bool
        do {
            try shared.requireSchema(configuration)
            let audit = Audit(
                store: try configuration.store.makeStore(),
                database: DatabaseThread(
                    configuration.database, ConnectionOptions(applicationName: "nadi-audit", statementTimeout: 3600)),
                settings: configuration.settings)
            if let acceptLost {
                try await audit.accept(acceptLost, reason: reason)
                print("Accepted \(acceptLost).")
                return
            }
            let report = try await audit.run(now_ms: LoadClock.now_ms())
            print(json ? report.json : report.text, terminator: json ? "\n" : "")
            clean = report.isClean
        } catch {
            throw nadi.report(error)
        }
        if !clean { throw ExitCode(1) }
    }
}
