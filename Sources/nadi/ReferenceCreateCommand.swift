import ArgumentParser
import ModelStatistics
import ObjectStorage
import RecordBatches
import ServiceSupport
import TableLoading
import TableStorage

/// The subcommand reference create.
struct ReferenceCreateCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "create",
        abstract: "Makes a reference from a CSV or JSON-lines file, or from a range of what was loaded.",
        discussion: """
            From a file (plain, gzip or zstd; - is the standard input). A CSV file has a header; an empty field or NaN is \
            missing, a number is written as in JSON (007 is a text). JSON lines are objects with a member for each column, or \
            Nadi's own events. The columns time, prediction, score and label are what they say, or others that you name; all \
            the rest are features:

              nadi reference create --model credit --name train --from-file train.csv --time timestamp \\
                --prediction y_pred --score y_pred_proba --label repaid --ignore id --activate

            Parquet: python -m nadi.parquet train.parquet | nadi reference create --rows - ...

            From what was loaded, labels included, read again from the bucket:

              nadi reference create --model credit --name october --from 2026-10-01T00:00:00Z --to 2026-11-01T00:00:00Z

            Nadi's own events, in a file or loaded, have fields of their own: no option names their columns; --ignore and \
            --kind name features.

            Kinds: a feature is numeric when at least 95 % of its values are numbers, else categorical. --kind f=numeric, \
            --kind f=categorical (numbers that stand for classes: each gets a group of its own, up to 50), --kind f=text \
            (numbers of a CSV file that the service sends as texts: 1.10 stays 1.10). A feature must be sent as the reference has it: other \
            values count as wrong type.

            At most --max-rows rows are used, of more a uniform sample, the same each time (memory: 8 bytes a value, each \
            different text once, and of events their ids and labels). Times give the reference its own spread from hour to hour, day to day and week to week, which real data need; labels give calibration and \
            performance. Everything is written in one transaction: a create that is killed leaves nothing.
            """)

    @OptionGroup var shared: SharedOptions

    @Option(help: "The model, as in events.")
    var model: String

    @Option(help: "The reference's name, unique for the model.")
    var name: String

    @Option(name: [.customLong("from-file"), .customLong("rows")], help: "The file, or - for the standard input.")
    var fromFile: String?

    @Option(help: "Of what was loaded: from this time of events on, such as 2026-10-01T00:00:00Z.")
    var from: String?

    @Option(help: "Of what was loaded: up to this time of events.")
    var to: String?

    @Option(
        name: .customLong("where"),
        help: "Of what was loaded: only predictions like this, such as 'version = \"3\"' (see nadi sample).")
    var condition: String?

    @Option(help: "How the file is written: csv or jsonl. Default: by its first character.")
    var format: String?

    @Option(help: "What separates fields of a CSV file: one character, or tab. Default: a comma.")
    var delimiter: String?

    @Option(help: "A text of a CSV file that says that a value is missing; may be repeated.")
    var missing: [String] = []

    @Option(help: "The column of the time: RFC 3339, a date, or seconds since 1970. Default: time.")
    var time: String?

    @Option(help: "The column of the prediction. Default: prediction.")
    var prediction: String?

    @Option(help: "The column of the score, the positive or predicted class's probability. Default: score.")
    var score: String?

    @Option(help: ArgumentHelp("The column of a class's probability; may be repeated.", valueName: "class=column"))
    var classScore: [String] = []

    @Option(help: "The column of the label, what was true. Default: label.")
    var label: String?

    @Option(help: "A column, or a feature of events, that is left out; may be repeated.")
    var ignore: [String] = []

    @Option(
        help: ArgumentHelp(
            "A feature's kind: numeric, categorical or text; may be repeated.", valueName: "feature=kind"))
    var kind: [String] = []

    @Option(help: "What the model answers: binary, multiclass, regression or other. Default: what the rows look like.")
    var task: String?

    @Option(help: "In binary tasks without predictions: from which score on a row is positive.")
    var threshold = 0.5

    @Option(help: "Most rows that are used.")
    var maxRows = 1_000_000

    @Flag(help: "Put it in force.")
    var activate = false

    @Option(help: "With --activate: the first hour of events. Default: the next full hour.")
    var effectiveFrom: String?

    func validate() throws {
        if (fromFile != nil) == (from != nil || to != nil) {
            throw ValidationError("Say --from-file, or --from and --to")
        }
        if (from == nil) != (to == nil) { throw ValidationError("--from and --to go together") }
        if let from, let to, try ReferenceCommand.time(from, "--from") >= ReferenceCommand.time(to, "--to") {
            throw ValidationError("--to must be later than --from")
        }
        if fromFile == nil, let option = fileOptions.first {
            throw ValidationError("\(option) says how a file is read: it has no meaning with --from and --to")
        }
        if condition != nil, fromFile != nil { throw ValidationError("--where goes with --from and --to") }
        if let effectiveFrom {
            do {
                try ReferenceActivation.requireHour(ReferenceCommand.time(effectiveFrom, "--effective-from"))
            } catch let error as LoadError {
                throw ValidationError(error.description)
            }
            if !activate { throw ValidationError("--effective-from goes with --activate") }
        }
        if let fault = ReferenceStore.fault(model: model) { throw ValidationError("--model \(fault)") }
        if let fault = ReferenceStore.fault(name: name) { throw ValidationError("--name \(fault)") }
        if maxRows < 1 || maxRows > 100_000_000 { throw ValidationError("--max-rows is from 1 to 100,000,000") }
        if !(0...1).contains(threshold) { throw ValidationError("--threshold is from 0 to 1") }
        if let format, FileRows.Format(rawValue: format) == nil { throw ValidationError("--format is csv or jsonl") }
        if let task, ReferenceTask(rawValue: task) == nil {
            throw ValidationError("--task is binary, multiclass, regression or other")
        }
        if let delimiter, delimiter != "tab", delimiter.utf8.count != 1 {
            throw ValidationError("--delimiter is one character, or tab")
        }
        _ = try kinds()
        _ = try rowOptions()
    }

    /// The options that were given and say something of files only.
    private var fileOptions: [String] {
        let named = [
            ("--format", format), ("--delimiter", delimiter), ("--time", time), ("--prediction", prediction),
            ("--score", score), ("--label", label),
        ]
        return named.filter { $0.1 != nil }.map(\.0) + (missing.isEmpty ? [] : ["--missing"])
            + (classScore.isEmpty ? [] : ["--class-score"])
    }

    private func kinds() throws -> [String: KindChoice] {
        var kinds: [String: KindChoice] = [:]
        for text in kind {
            guard let (feature, word) = pair(text, last: true), let choice = KindChoice(rawValue: word) else {
                throw ValidationError("--kind \(text): write feature=numeric, feature=categorical or feature=text")
            }
            kinds[feature] = choice
        }
        return kinds
    }

    private func rowOptions() throws -> RowOptions {
        var options = RowOptions()
        options.time = time
        options.prediction = prediction
        options.score = score
        options.label = label
        options.ignored = Set(ignore)
        options.missing = Set(missing)
        options.delimiter = delimiter.flatMap { $0 == "tab" ? 9 : $0.utf8.first }
        for text in classScore {
            guard let (className, column) = pair(text, last: false) else {
                throw ValidationError("--class-score \(text): write class=column")
            }
            options.classScores.append((className, column))
        }
        do {
            try options.check()
        } catch {
            throw ValidationError("\(error)")
        }
        return options
    }

    /// The two sides of the first or last equals sign.
    private func pair(_ text: String, last: Bool) -> (String, String)? {
        guard let place = last ? text.lastIndex(of: "=") : text.firstIndex(of: "=") else { return nil }
        let left = String(text[..<place])
        let right = String(text[text.index(after: place)...])
        return left.isEmpty || right.isEmpty ? nil : (left, right)
    }

    func run() async throws {
        let configuration = try shared.configuration()
        let progress = Progress()
        do {
            try shared.requireSchema(configuration)
            try requirePossible(configuration)
            let (builder, notes, source) = try await rows(configuration, progress)
            guard let reference = builder.build(progress: { progress.update($0) }) else {
                throw LoadError(.reference, "there are no rows", remedy: "Name another file or range")
            }
            progress.finish()
            // Reading takes its time: the connection is new, and the next full hour is the next one now.
            let connection = try ReferenceCommand.connection(configuration, writes: true)
            let activateFrom_ms =
                try !activate
                ? nil
                : effectiveFrom.map { try ReferenceCommand.time($0, "--effective-from") }
                    ?? ReferenceActivation.nextHour(LoadClock.now_ms(connection))
            let created = try ReferenceStore.create(
                reference, model: model, name: name, source: source, activateFrom_ms: activateFrom_ms,
                caps: configuration.settings.caps, connection)
            print("Reference \(created.id) \"\(name.onOneLine)\" of \(model.onOneLine): ", terminator: "")
            print(
                ReferenceSummary.text(reference, warnings: notes + reference.warnings + created.warnings),
                terminator: "")
            if let activateFrom_ms {
                let effect = try ReferenceActivation.effect(
                    model: ReferenceListing.model(model, connection), reference: created.id, from_ms: activateFrom_ms,
                    connection)
                print()
                ReferenceCommand.tell(effect, model: model, what: "The reference \(name)")
            } else {
                let words = "--model \(ShellWord.quoted(model)) \(ShellWord.quoted(name))"
                print("\nIt is not in force yet: nadi reference activate \(words)")
            }
        } catch {
            progress.finish()
            throw reportArguments(error)
        }
    }

    /// What can be refused before anything is read.
    private func requirePossible(_ configuration: LoaderConfiguration) throws {
        let connection = try ReferenceCommand.connection(configuration, writes: true)
        if fromFile == nil { _ = try ReferenceListing.model(model, connection) }
        try ReferenceStore.requireFree(name, model: model, connection)
        connection.close()
    }

    private func rows(
        _ configuration: LoaderConfiguration, _ progress: Progress
    ) async throws -> (ReferenceBuilder, notes: [String], source: String) {
        var options = ReferenceBuilder.Options()
        options.kinds = try kinds()
        options.mostRows = maxRows
        options.ignored = Set(ignore.map { ExactText($0) })
        // Some more than the model can have: which of them it has already is seen when they are admitted.
        options.mostFeatures = 2 * configuration.settings.caps.featuresPerModel
        options.mostCategories = configuration.settings.caps.categoriesPerFeature
        options.task = task.flatMap(ReferenceTask.init)
        options.threshold = threshold
        if let fromFile {
            var builder = ReferenceBuilder(options)
            var rows = FileRows(
                options: try rowOptions(), format: format.flatMap(FileRows.Format.init), model: model,
                progress: { text in progress.update(text) })
            try rows.read(path: fromFile, into: &builder)
            let file = fromFile.split(separator: "/").last.map(String.init) ?? fromFile
            return (builder, rows.notes, fromFile == "-" ? "standard input" : "file \(file)")
        }
        let begin = try ReferenceCommand.time(from ?? "", "--from")
        let end = try ReferenceCommand.time(to ?? "", "--to")
        let condition = try condition.map { try Condition($0) }
        let database = DatabaseThread(
            configuration.database, ConnectionOptions(applicationName: "nadi-reference", statementTimeout: 600))
        let predictions = RangePredictions(
            store: try configuration.store.makeStore(), database: database,
            mappings: try MappingConfiguration.mappings(configuration.root),
            progress: { text in progress.update(text) })
        let (builder, notes) = try await BucketRows(
            predictions, model: model, range: begin..<end, condition: condition
        ).read(options)
        await database.close()
        return (
            builder, notes,
            "loaded \(LoadClock.hourText(begin)) to \(LoadClock.hourText(end)) UTC"
                + (self.condition.map { " where \($0)" } ?? "")
        )
    }
}
