import ArgumentParser
import EventModel
import ObjectStorage
import ServiceSupport
import TableLoading
import TableStorage

/// The subcommand verify.
struct VerifyCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify",
        abstract: "Reads objects again and proves them against their manifests, their keys and the ledger.",
        discussion: """
            Every frame is decompressed: its bytes, lines and SHA-256 must be the manifest's, the key must be the \
            manifest's, and the ledger must hold the same segments. Nothing is changed. Memory does not depend on the \
            size of the bucket or of an object; all of the bucket is read once, which costs traffic: --sample reads less.

            Exit status: 0 everything that was read is whole, 1 something is not (each object by name, with what to do).
            """)

    @OptionGroup var shared: SharedOptions

    @Option(help: "First hour of the keys (when lines were shipped), RFC 3339, such as 2026-11-23T10:00:00Z.")
    var from: String?

    @Option(help: "The hour to stop before, RFC 3339.")
    var to: String?

    @Option(help: "Read only this share of the objects, chosen anew each time, such as 5%.")
    var sample = "100%"

    @Flag(help: "One JSON object instead of lines.")
    var json = false

    @Flag(help: "Without the database: objects against their own manifests and keys.")
    var bucketOnly = false

    func validate() throws {
        for time in [from, to] {
            if let time, LooseTime.parse(time) == nil {
                throw ValidationError("'\(time)' is no time such as 2026-11-23T10:00:00Z")
            }
        }
        if share == nil { throw ValidationError("'\(sample)' is no share such as 5%") }
    }

    private var share: Double? {
        guard let number = Double(sample.hasSuffix("%") ? sample.dropLast() : sample[...]), number > 0, number <= 100
        else { return nil }
        return number / 100
    }

    func run() async throws {
        let configuration = try shared.configuration()
        Signals.ignoreBrokenPipes()
        let result: VerifyReport
        do {
            if !bucketOnly { try shared.requireSchema(configuration) }
            let database = DatabaseThread(
                configuration.database,
                ConnectionOptions(applicationName: "nadi-verify", needsWritableServer: false))
            let progress = Progress()
            let verification = Verification(
                store: try configuration.store.makeStore(), database: bucketOnly ? nil : database,
                prefix: configuration.settings.prefix, parallelism: configuration.settings.parallelism,
                progress: { text in progress.update(text) })
            var scope = Verification.Scope()
            scope.from_ms = from.flatMap { LooseTime.parse($0) }
            scope.to_ms = to.flatMap { LooseTime.parse($0) }
            if scope.from_ms != nil, scope.to_ms == nil { scope.to_ms = LoadClock.now_ms() + 2 * LoadClock.day_ms }
            scope.share = share ?? 1
            result = try await verification.run(scope)
            progress.finish()
            if !bucketOnly { await database.close() }
        } catch {
            throw report(error)
        }
        print(json ? result.json : result.text, terminator: json ? "\n" : "")
        if !result.isClean { throw ExitCode(1) }
    }
}
