import ArgumentParser
import ObjectStorage
import RecordBatches
import ServiceSupport
import TableLoading

/// The subcommand rebuild.
struct RebuildCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rebuild",
        abstract: "Derives hours again from the bucket and swaps them in, one at a time.",
        discussion: """
            For a reference put in force for hours that are loaded already, a changed mapping, changed slices, or rows that \
            were altered. Loading goes on meanwhile. An interrupted rebuild with the same arguments, mappings, slices, caps \
            and references goes on where it stopped. A changed mapping needs --mapping, which takes all hours that its lines \
            leave and enter; one that yields outcomes cannot be rebuilt. The stored drift of the hours is computed anew.

            Exit status: 0 all is rebuilt, 1 not all: hours of which an object is gone are left as they are, hours whose \
            drift cannot be computed are tried again by the next load, and both are named; 64 wrong arguments or \
            configuration.
            """)

    @OptionGroup var shared: SharedOptions

    @Option(help: "First hour, such as 2026-11-23T10:00:00Z.")
    var from: String?

    @Option(help: "The hour to stop before.")
    var to: String?

    @Option(parsing: .upToNextOption, help: "Keys of objects: all hours that they had and have now.")
    var objects: [String] = []

    @Option(help: "The name of a mapping: all hours of the objects it was applied to.")
    var mapping: String?

    @Flag(help: "Begin anew where an interrupted rebuild with the same arguments could go on.")
    var restart = false

    func validate() throws {
        let scopes = [from != nil || to != nil, !objects.isEmpty, mapping != nil].count { $0 }
        if scopes != 1 { throw ValidationError("Say one of --from and --to, --objects, or --mapping") }
        if (from == nil) != (to == nil) { throw ValidationError("--from and --to go together") }
        for time in [from, to] {
            if let time, LooseTime.parse(time) == nil {
                throw ValidationError("'\(time)' is no time such as 2026-11-23T10:00:00Z")
            }
        }
    }

    func run() async throws {
        let configuration = try shared.configuration()
        let outcome: Rebuild.Report
        do {
            let mappings = try MappingConfiguration.mappings(configuration.root)
            try shared.requireSchema(configuration)
            let progress = Progress()
            let loader = Loader(
                store: try configuration.store.makeStore(), connectionString: configuration.database,
                settings: configuration.settings, mappings: mappings,
                progress: { text in progress.update(text) })
            outcome = try await Rebuild(loader, notice: { StandardError.write("nadi: \($0)\n") }).run(
                try scope(), restart: restart)
            progress.finish()
        } catch {
            throw report(error)
        }
        for closed in outcome.closed {
            StandardError.write("nadi: hour \(LoadClock.hourText(closed.hour_ms)) UTC: \(closed.reason)\n")
        }
        print("rebuilt \(outcome.hours) hours; drift of \(outcome.driftHours) hours")
        if !outcome.closed.isEmpty || !outcome.driftFailures.isEmpty { throw ExitCode(1) }
    }

    private func scope() throws -> Rebuild.Scope {
        if let mapping { return .mapping(mapping) }
        if !objects.isEmpty { return .objects(objects) }
        let begin = LooseTime.parse(from ?? "") ?? 0
        return .hours(from_ms: begin, to_ms: LooseTime.parse(to ?? "") ?? 0)
    }
}
