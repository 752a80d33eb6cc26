import ArgumentParser
import ObjectStorage
import RecordBatches
import ServiceSupport
import TableLoading
import TableStorage

/// The subcommand where.
struct WhereCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "where",
        abstract: "Finds a prediction: writer, segment, object, line, counted or rejected and why, its labels.",
        discussion: """
            Takes a prediction id (or the id of an event) and looks into the objects that may hold it: by the time in \
            the id (UUIDv7), by the hour of its labels, or by --from and --to. Every line with the id is shown. Also \
            takes a writer's name, <writer>-<number>, or a segment's file name, and says what the ledger knows of it.

            Exit status: 0 found, 1 not found (the answer says where it looked and what that means), 2 the bucket or \
            the database could not be asked, 64 wrong arguments or configuration.
            """)

    @OptionGroup var shared: SharedOptions
    @OptionGroup var range: TimeRangeOptions

    @Argument(help: "A prediction id, a writer, or a segment.")
    var name: String

    @Option(help: "The model's name, where several models use the same ids.")
    var model: String?

    @Flag(help: "One JSON object instead of a text.")
    var json = false

    func validate() throws {
        if name.isEmpty { throw ValidationError("The id is empty") }
    }

    func run() async throws {
        let configuration = try shared.configuration()
        let isFound: Bool
        do {
            let mappings = try MappingConfiguration.mappings(configuration.root)
            try shared.requireSchema(configuration, writes: false)
            let database = DatabaseThread(
                configuration.database,
                ConnectionOptions(applicationName: "nadi-where", statementTimeout: 600, needsWritableServer: false))
            let name = name
            if let story = try await database.run({ try WriterStory(name, $0) }) {
                print(json ? story.json : story.text, terminator: json ? "\n" : "")
                return
            }
            let progress = Progress()
            let finder = Where(
                store: try configuration.store.makeStore(), database: database, settings: configuration.settings,
                mappings: mappings, progress: { text in progress.update(text) })
            let report = try await finder.find(
                Where.Query(id: name, model: model, from_ms: range.from_ms, to_ms: range.to_ms))
            progress.finish()
            print(json ? report.json : report.text, terminator: json ? "\n" : "")
            isFound = report.isFound
        } catch {
            StandardError.write("nadi: \(error)\n")
            throw ExitCode((error as? LoadError)?.code == .configuration ? 64 : 2)
        }
        if !isFound { throw ExitCode(1) }
    }
}
