import ArgumentParser
import ServiceSupport
import TableLoading
import TableStorage

/// The subcommand rejects.
struct RejectsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rejects",
        abstract: "Shows rejected lines: their text, place and reason.",
        discussion: """
            The first 20 lines of each segment and reason are kept, 200 bytes each, for 35 days; the counts below them \
            are complete. Dashboards' role cannot see the texts. --from and --to go by the seal of the lines' segments.
            """)

    @OptionGroup var shared: SharedOptions
    @OptionGroup var range: TimeRangeOptions

    @Option(help: "Only lines of this host.")
    var host: String?

    @Option(help: "Only lines of this writer.")
    var writer: String?

    @Option(help: "Only lines rejected for this reason, such as invalid_json.")
    var reason: String?

    @Option(help: "Most lines that are shown, newest first.")
    var limit: Int64 = 100

    @Flag(help: "One JSON object instead of a text.")
    var json = false

    func run() async throws {
        let configuration = try shared.configuration()
        do {
            try shared.requireSchema(configuration)
            let connection = try Connection(
                configuration.database,
                ConnectionOptions(applicationName: "nadi-rejects", statementTimeout: 600, needsWritableServer: false))
            var filter = RejectListing.Filter()
            filter.host = host
            filter.writer = writer
            filter.reason = reason
            filter.from_ms = range.from_ms
            filter.to_ms = range.to_ms
            filter.limit = max(0, limit)
            let listing = try RejectListing(filter, connection)
            print(json ? listing.json : listing.text, terminator: json ? "\n" : "")
        } catch {
            throw nadi.report(error)
        }
    }
}
