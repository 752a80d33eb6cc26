import ArgumentParser
import EventModel
import ServiceSupport
import TableLoading
import TableStorage

/// The subcommand drift.
struct DriftCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "drift",
        abstract:
            "Says which inputs, predictions and scores of a model are no longer what they were, by how much, since when.",
        discussion: """
            Compares the last 24 hours (up to the last hour that is complete), or --from and --to, with the reference in \
            force (nadi reference), with the range before, or with the same hours a week earlier. One row a feature, worst \
            first:

              drifted     PSI is above its noise, at least 0.2, and above what the reference's own windows of that length \
            show (spread); or as much with the share missing, unseen or out of range. Worth an alert.
              shifted     above what chance does (once in 100,000), but small. Worth knowing.
              stable      no change that can be told from chance.
              too_few     fewer than 200 values on a side: nothing is said. Take a longer range.
              too_coarse  the fixed bins are too wide for this feature: create a reference, and rebuild the hours.
              no_reference  nothing to compare with: nadi reference create, or --baseline previous.

            PSI (population stability index) is how far two distributions are apart: under 0.1 little, over 0.2 much. noise \
            is the PSI that chance alone exceeds once in 100,000 with so few values. `since` is the first hour (or day) of \
            the present run of `drifted`. Drift is not yet harm: nadi.performance and nadi.estimate_and_truth say what it \
            costs. In SQL: nadi.drift, nadi.drift_bins, nadi.drift_over_time.

            Examples:
              nadi drift --model iris
              nadi drift --model iris --last 7d --features petal_length,petal_width
              nadi drift --model iris --baseline last_week --variants champion --slice country=de --json

            Exit status: 0 nothing is drifted, 3 something is, 2 the database could not be asked, 64 wrong arguments or \
            configuration.
            """)

    @OptionGroup var shared: SharedOptions
    @OptionGroup var range: TimeRangeOptions

    @Option(help: "The model's name.")
    var model: String

    @Option(help: "The range's length, such as 6h or 7d, where --from is not given. Default: 24h.")
    var last: String?

    @Option(
        help: "reference, previous (the range of the same length before) or last_week (the same hours a week earlier).")
    var baseline = "reference"

    @Option(help: "Only these features, separated by commas; prediction and score are names too.")
    var features: String?

    @Option(help: "Only these versions, separated by commas.")
    var versions: String?

    @Option(help: "Only these variants, separated by commas, such as champion.")
    var variants: String?

    @Option(help: "Only these environments, separated by commas.")
    var environments: String?

    @Option(help: "Only these values of one tag: country=de, or country=de,fr.")
    var slice: String?

    @Flag(help: "One JSON object instead of a table.")
    var json = false

    func validate() throws {
        if !["reference", "previous", "last_week"].contains(baseline) {
            throw ValidationError("--baseline '\(baseline)' is none of reference, previous, last_week")
        }
        if let last {
            guard let length = Units.duration(last), length >= .seconds(3600) else {
                throw ValidationError("--last '\(last)' is no length of at least an hour, such as 24h or 7d")
            }
            if range.from != nil && range.to != nil {
                throw ValidationError("--last has no meaning beside --from and --to: leave one of them out")
            }
        }
        if let from = range.from_ms, let to = range.to_ms, from >= to {
            throw ValidationError("--from is not before --to")
        }
        if let slice, slice.split(separator: "=", maxSplits: 1).count < 2 {
            throw ValidationError("--slice '\(slice)' is not TAG=VALUE")
        }
    }

    private var question: DriftReport.Question {
        func list(_ text: String?) -> [String] { (text ?? "").split(separator: ",").map(String.init) }
        var question = DriftReport.Question(model: model)
        question.from_ms = range.from_ms
        question.to_ms = range.to_ms
        if let length = last.flatMap(Units.duration) { question.last_ms = length.components.seconds * 1000 }
        question.baseline = baseline
        question.features = list(features)
        question.versions = list(versions)
        question.variants = list(variants)
        question.environments = list(environments)
        if let slice {
            let parts = slice.split(separator: "=", maxSplits: 1).map(String.init)
            question.slice = (parts[0], list(parts[1]))
        }
        return question
    }

    func run() async throws {
        let configuration = try shared.configuration()
        let isDrifted: Bool
        do {
            let connection = try Connection(
                configuration.database,
                ConnectionOptions(applicationName: "nadi-drift", statementTimeout: 60, needsWritableServer: false))
            try shared.migrations().requireCurrent(connection)
            let report = try DriftReport(question, connection, now_ms: LoadClock.now_ms(connection))
            print(json ? report.json : report.text, terminator: json ? "\n" : "")
            isDrifted = !report.drifted.isEmpty
        } catch {
            StandardError.write("nadi: \(error)\n")
            throw ExitCode((error as? LoadError)?.code == .configuration ? 64 : 2)
        }
        if isDrifted { throw ExitCode(3) }
    }
}
