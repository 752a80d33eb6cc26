import ArgumentParser
import Glibc
import ObjectStorage
import RecordBatches
import ServiceSupport
import TableLoading
import TableStorage

/// The subcommand sample.
struct SampleCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "sample",
        abstract: "Shows real lines from the bucket: the events behind a red tile.",
        discussion: """
            Reads the model's predictions of a range of event time again and prints a uniform sample of those that match, \
            as they were written (lines of foreign logs too), oldest first; then, on standard error, how many matched of how \
            many. The same question gives the same lines; --seed gives others.

            --where 'petal_length > 6 and country = "de"'
            --where 'version in ("3", "4") and not (score >= 0.2 and score <= 0.8)'
            --where 'features.age is missing or tags.region != "eu"'

            Comparisons are = != < <= > >= with a number, a text between quotes, true or false; in (...); is missing, is not \
            missing; and, or, not, parentheses. A comparison with a missing value does not hold. Names are fields of the \
            event (prediction, score, version, variant, environment, latency_seconds, status, time, prediction_id, ...), \
            else features, else tags; features.x, tags.x and scores.x say which. Names with other characters go between \
            backquotes.

            Exit status: 0 also where nothing matches, 1 the bucket or the database failed or an object cannot be read, 64 \
            wrong arguments or configuration.
            """)

    @OptionGroup var shared: SharedOptions

    @Option(help: "The model.")
    var model: String

    @Option(help: "From this time of events on, such as 2026-11-23T10:00:00Z.")
    var from: String

    @Option(help: "Up to this time of events.")
    var to: String

    @Option(name: .customLong("where"), help: "Which predictions; all if it is absent.")
    var condition: String?

    @Option(name: .short, help: "Most lines that are shown, up to 1,000.")
    var n = 20

    @Option(help: "Another number gives another sample.")
    var seed: UInt64 = 1

    @Flag(help: "A table of time, version, prediction, score and the names in --where, instead of the lines.")
    var table = false

    func validate() throws {
        if !(1...1000).contains(n) { throw ValidationError("-n is from 1 to 1000") }
        if try ReferenceCommand.time(from, "--from") >= ReferenceCommand.time(to, "--to") {
            throw ValidationError("--to must be later than --from")
        }
    }

    func run() async throws {
        let configuration = try shared.configuration()
        let progress = Progress()
        let summary: RangePredictions.Summary
        do {
            let condition = try condition.map { try Condition($0) }
            let mappings = try MappingConfiguration.mappings(configuration.root)
            try shared.requireSchema(configuration, writes: false)
            let database = DatabaseThread(
                configuration.database,
                ConnectionOptions(applicationName: "nadi-sample", statementTimeout: 600, needsWritableServer: false))
            let model = model
            _ = try await database.run { try ReferenceListing.model(model, $0) }
            let predictions = RangePredictions(
                store: try configuration.store.makeStore(), database: database, mappings: mappings,
                progress: { text in progress.update(text) })
            var sample = LineSample(size: n, seed: seed)
            let range = try ReferenceCommand.time(from, "--from")..<ReferenceCommand.time(to, "--to")
            let columns = ["version", "prediction", "score"].filter { condition?.names.contains($0) != true }
            let paths = columns.compactMap { EventPath.field($0) }
            summary = try await predictions.forEach(model: model, range) { event, place, raw, _ in
                guard condition?.holds(event) ?? true else { return }
                sample.add(place, time_ms: event.time_ms, raw) {
                    paths.map { event.value($0) }
                        + (condition.map { one in one.names.indices.map { one.value($0, of: event) } } ?? [])
                }
            }
            await database.close()
            progress.finish()
            show(sample, columns: columns + (condition?.names ?? []))
            // The lines before what is said of them, also where both go to one file.
            fflush(nil)
            StandardError.write(
                "\(sample.lines.count) of \(sample.matched) predictions that match, of \(summary.predictions) in "
                    + "\(summary.objects) objects\n")
        } catch {
            progress.finish()
            throw reportArguments(error)
        }
        for (key, reason) in summary.unread { StandardError.write("nadi: \(key): \(reason)\n") }
        if !summary.unread.isEmpty { throw ExitCode(1) }
    }

    private func show(_ sample: LineSample, columns: [String]) {
        guard table else {
            for line in sample.lines { print(String(decoding: line.raw, as: UTF8.self)) }
            return
        }
        var table = TextTable(["time"] + columns)
        for line in sample.lines {
            table.add([LoadClock.secondText(line.time_ms)] + line.cells.map { Self.text($0) })
        }
        print(table.text, terminator: "")
    }

    private static func text(_ value: EventValue?) -> String {
        switch value {
        case nil, .null: "-"
        case .number(let number): ReferenceSummary.short(number)
        case let value?: value.plainText
        }
    }
}
