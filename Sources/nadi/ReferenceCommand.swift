import ArgumentParser
import EventModel
import ServiceSupport
import TableLoading
import TableStorage

/// The subcommand reference.
struct ReferenceCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "reference",
        abstract: "Makes and manages references: what drift is measured against.",
        discussion: """
            A reference is what a model's input, scores and answers were when it was trained or last known good: counts on \
            frozen bins, categories, calibration, and how far its own hours, days and weeks are apart. It never changes and \
            has a number. From a training file to drift:

              nadi reference create --model iris --name train-2026-11 --from-file train.csv --label species --activate
              nadi drift --model iris --from 2026-11-23T00:00:00Z --to 2026-11-24T00:00:00Z

            A reference is in force for hours of events from --effective-from on, until another one is. Hours are binned on \
            the edges of the one that is in force when they are first loaded; `nadi rebuild` bins them anew.

            Exit status: 0 done, 1 refused or failed (the message says what to do), 64 wrong arguments or configuration.
            """,
        subcommands: [
            ReferenceCreateCommand.self, ReferenceListCommand.self, ReferenceShowCommand.self,
            ReferenceActivateCommand.self, ReferenceDeleteCommand.self,
        ])

    /// A connection to the warehouse.
    static func connection(_ configuration: LoaderConfiguration, writes: Bool) throws -> Connection {
        try Connection(
            configuration.database,
            ConnectionOptions(applicationName: "nadi-reference", statementTimeout: 600, needsWritableServer: writes))
    }

    /// A time of an option, milliseconds since the epoch.
    static func time(_ text: String, _ option: String) throws -> Int64 {
        if let time = LooseTime.parse(text) { return time }
        throw ValidationError("\(option): '\(text)' is no time such as 2026-11-23T10:00:00Z")
    }

    /// What an activation means, in sentences.
    static func tell(_ effect: ReferenceActivation.Effect, model: String, what: String) {
        var range = "from \(LoadClock.hourText(effect.from_ms)) UTC on"
        if let until = effect.until_ms {
            range =
                "from \(LoadClock.hourText(effect.from_ms)) UTC until \(LoadClock.hourText(until)) UTC, when another one is"
        }
        print("\(what) is in force for events of \(model) \(range).".onOneLine)
        guard effect.otherHours > 0, let first = effect.firstOther_ms, let last = effect.lastOther_ms else { return }
        let to = LoadClock.rfcHour(last + LoadClock.hour_ms)
        print(
            "\(effect.otherHours) hours that are loaded already keep the edges that they were binned on. To bin them anew:\n"
                + "  nadi rebuild --from \(LoadClock.rfcHour(first)) --to \(to)")
    }
}

/// The subcommand reference list.
struct ReferenceListCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "Lists references: rows, labels, and for which hours each is in force.")

    @OptionGroup var shared: SharedOptions

    @Option(help: "Only references of this model.")
    var model: String?

    @Flag(help: "Deleted ones too.")
    var deleted = false

    @Flag(help: "A JSON object for each reference, one a line.")
    var json = false

    func run() async throws {
        let configuration = try shared.configuration()
        do {
            try shared.requireSchema(configuration, writes: false)
            let connection = try ReferenceCommand.connection(configuration, writes: false)
            let entries = try ReferenceListing.all(model: model, deleted: deleted, connection)
            if json {
                for entry in entries { print(entry.json) }
                return
            }
            if entries.isEmpty {
                print("There is no reference. `nadi reference create --help` says how to make one.")
                return
            }
            var table = TextTable(["id", "model", "name", "rows", "labels", "task", "hours", "made", "in force"])
            table.rightAligned = [0, 3, 4, 6]
            for entry in entries {
                table.add([
                    "\(entry.id)", entry.model, entry.name, "\(entry.rows)", "\(entry.labels)", entry.task,
                    "\(entry.hours)", LoadClock.hourText(entry.created_ms), entry.inForceText,
                ])
            }
            print(table.text, terminator: "")
        } catch {
            throw reportArguments(error)
        }
    }
}

/// The subcommand reference show.
struct ReferenceShowCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "show",
        abstract: "Shows a reference: features, bins, calibration, performance, own spread.",
        discussion: """
            --json gives all of it: edges, counts by bin, groups of the stability index (deciles), log bins, categories with \
            counts, score bins with labels and calibrated rates.
            """)

    @OptionGroup var shared: SharedOptions

    @Option(help: "The model, where several have a reference of the name.")
    var model: String?

    @Flag(help: "One JSON object instead of tables.")
    var json = false

    @Argument(help: "The reference's name or number.")
    var reference: String

    func run() async throws {
        let configuration = try shared.configuration()
        do {
            try shared.requireSchema(configuration, writes: false)
            let connection = try ReferenceCommand.connection(configuration, writes: false)
            let entry = try ReferenceListing.find(reference, model: model, connection)
            print(
                json
                    ? try ReferenceDescription.json(entry, connection) + "\n"
                    : try ReferenceDescription.text(entry, connection), terminator: "")
        } catch {
            throw reportArguments(error)
        }
    }
}

/// The subcommand reference activate.
struct ReferenceActivateCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "activate",
        abstract: "Puts a reference in force from an hour of events on, or none.",
        discussion: """
            Events are binned by event time. The default, the next full hour, leaves all loaded hours as they are; an \
            earlier hour does too, and the command says how `nadi rebuild` bins them anew. The same --effective-from again \
            replaces what was said of that hour.
            """)

    @OptionGroup var shared: SharedOptions

    @Option(help: "The model.")
    var model: String

    @Option(help: "The first hour of events, such as 2026-11-23T10:00:00Z. Default: the next full hour.")
    var effectiveFrom: String?

    @Flag(help: "No reference is in force from then on.")
    var none = false

    @Argument(help: "The reference's name or number.")
    var reference: String?

    func validate() throws {
        if none == (reference != nil) { throw ValidationError("Name a reference, or say --none") }
        if let effectiveFrom { _ = try ReferenceCommand.time(effectiveFrom, "--effective-from") }
    }

    func run() async throws {
        let configuration = try shared.configuration()
        do {
            try shared.requireSchema(configuration)
            let connection = try ReferenceCommand.connection(configuration, writes: true)
            let from_ms =
                try effectiveFrom.map { try ReferenceCommand.time($0, "--effective-from") }
                ?? ReferenceActivation.nextHour(LoadClock.now_ms(connection))
            let effect = try ReferenceActivation.activate(
                model: model, reference: none ? nil : reference, from_ms: from_ms, connection)
            ReferenceCommand.tell(
                effect, model: model, what: none ? "No reference" : "The reference \(reference ?? "")")
        } catch {
            throw reportArguments(error)
        }
    }
}

/// The subcommand reference delete.
struct ReferenceDeleteCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "delete",
        abstract: "Deletes a reference that is not in force and on whose edges no hour is binned.",
        discussion: """
            Its number stays taken and `nadi reference list --deleted` still names it; its name is free again. What refuses \
            says what to do first.
            """)

    @OptionGroup var shared: SharedOptions

    @Option(help: "The model, where several have a reference of the name.")
    var model: String?

    @Argument(help: "The reference's name or number.")
    var reference: String

    func run() async throws {
        let configuration = try shared.configuration()
        do {
            try shared.requireSchema(configuration)
            let connection = try ReferenceCommand.connection(configuration, writes: true)
            let entry = try ReferenceStore.delete(reference, model: model, connection)
            print("Deleted the reference \(entry.id) \"\(entry.name)\" of \(entry.model).".onOneLine)
        } catch {
            throw reportArguments(error)
        }
    }
}
