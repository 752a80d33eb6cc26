import ArgumentParser
import DurableIO
import Glibc
import ObjectStorage
import RecordBatches
import ServiceSupport
import TableLoading
import TableStorage

/// The subcommand load.
struct LoadCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "load",
        abstract: "Loads new objects: once, and then ends.",
        discussion: """
            New objects are what the bucket lists and the ledger does not have. Each batch is one transaction: a run \
            that is killed has counted a batch wholly or not at all. Any number of loaders may run at once. Objects that \
            cannot be read are set aside (poisoned), tried again later, and hold nobody up. At the end the hours whose labels \
            changed are joined, and the stored drift of those that changed is computed. Once a day the archive is searched \
            for the predictions of outcomes that carry no time: some hours in each run.

            Exit status: 0 all that could be loaded is loaded (poisoned and pending objects are told, and fail `nadi \
            audit`), 1 the store or the database failed.
            """)

    @OptionGroup var shared: SharedOptions

    @Flag(help: "List the whole bucket now, not once a day.")
    var all = false

    @Flag(help: "Join all hours whose labels changed, however few.")
    var joinNow = false

    @Flag(help: "Look for the hours of outcomes that carry no time: now, and in all hours.")
    var sweepNow = false

    @Flag(help: "Only show what the given files or keys would count and reject, and why.")
    var dryRun = false

    @Option(help: "With --dry-run: the mapping of files that are not objects, or native.")
    var format = "native"

    @Flag(help: "Go on for ever, with a pause between runs.")
    var daemon = false

    @Option(help: "With --daemon: seconds between runs.")
    var interval = 15

    @Argument(help: "With --dry-run: files, or keys of the bucket.")
    var items: [String] = []

    func validate() throws {
        if dryRun == items.isEmpty { throw ValidationError("--dry-run takes files or keys, and only it does") }
    }

    func run() async throws {
        let configuration = try shared.configuration()
        Signals.ignoreBrokenPipes()
        let mappings: [Mapping]
        do {
            mappings = try MappingConfiguration.mappings(configuration.root)
        } catch {
            StandardError.write("nadi: \(error)\n")
            throw ExitCode(64)
        }
        if dryRun {
            let aggregate = Aggregation.make(settings: configuration.settings, mappings: mappings)
            try await showDryRun(configuration, aggregate)
            return
        }
        try requireSchema(configuration)
        let stop = daemon ? StopFlag() : nil
        repeat {
            do {
                try await runOnce(configuration, mappings)
            } catch {
                writeMetrics(configuration, nil, exitCode: 1)
                if !daemon { throw report(error) }
                StandardError.write("nadi: \(error)\n")
            }
            await stop?.pause(seconds: interval)
            // Somebody may have migrated meanwhile: a newer schema is for a newer program.
            if let stop, !stop.isSet { try requireSchema(configuration) }
        } while stop.map { !$0.isSet } ?? false
    }

    /// A database that does not answer is no reason for a daemon to end: its next run says so.
    private func requireSchema(_ configuration: LoaderConfiguration) throws {
        do {
            try shared.requireSchema(configuration)
        } catch let error as DatabaseError where daemon && error.isRetryable {
            StandardError.write("nadi: \(error)\n")
        } catch {
            writeMetrics(configuration, nil, exitCode: 1)
            throw report(error)
        }
    }

    private func runOnce(
        _ configuration: LoaderConfiguration, _ mappings: [Mapping]
    ) async throws {
        let progress = Progress()
        let loader = Loader(
            store: try configuration.store.makeStore(), connectionString: configuration.database,
            settings: configuration.settings, mappings: mappings,
            progress: { text in progress.update(text) })
        let result = try await loader.load(reach: all ? .all : nil, joinNow: joinNow, sweepNow: sweepNow)
        progress.finish()
        await loader.close()
        tell(result)
        writeMetrics(configuration, result, exitCode: result.failed.isEmpty ? 0 : 1)
        if !result.failed.isEmpty, !daemon { throw ExitCode(1) }
    }

    private func tell(_ result: LoadReport) {
        for (key, reason) in result.poisoned { StandardError.write("nadi: poisoned: \(key): \(reason)\n") }
        for (key, mapping) in result.pending {
            StandardError.write("nadi: pending: \(key): unknown mapping \(mapping)\n")
        }
        for (key, reason) in result.failed { StandardError.write("nadi: left for the next run: \(key): \(reason)\n") }
        for (key, reason) in result.unreadableReports { StandardError.write("nadi: \(key): \(reason)\n") }
        if result.strangers > 0 {
            StandardError.write(
                "nadi: \(result.strangers) keys below events/ are no shipper's and are left alone, such as "
                    + "\(result.strangerKeys.joined(separator: ", "))\n")
        }
        for (kind, count) in result.refused.sorted(by: { $0.key < $1.key }) {
            StandardError.write("nadi: \(count) \(kind) are beyond the cap and counted under other\n")
        }
        if result.conflicts > 0 {
            StandardError.write("nadi: \(result.conflicts) segments conflict with loaded ones: see `nadi audit`\n")
        }
        if result.objects + result.sweptHours + result.joinedHours + result.driftHours > 0 || isatty(2) == 1 {
            let seconds = (result.seconds * 100).rounded() / 100
            print(
                "loaded \(result.objects) objects, \(result.segments) segments, \(result.lines) lines, "
                    + "\(result.rejectedLines) rejected, \(result.duplicates) duplicates in \(result.batches) batches; "
                    + "swept \(result.sweptHours) and joined \(result.joinedHours) hours; "
                    + "drift of \(result.driftHours) hours; \(seconds) s")
        }
    }

    private func writeMetrics(_ configuration: LoaderConfiguration, _ result: LoadReport?, exitCode: Int32) {
        guard let path = configuration.metricsFile else { return }
        let now = LoadClock.now_ms()
        let status = try? StatusReport(Connection(configuration.database), now_ms: now, isRecent: true)
        do {
            try LoadMetrics.write(
                path: path, report: result, exitCode: exitCode, now_ms: now,
                lastSuccess_ms: status?.lastSuccess_ms, completeUntil_ms: status?.completeUntil_ms,
                outcomes: status?.waiting)
        } catch {
            StandardError.write("nadi: metrics: \(error)\n")
        }
    }

    private func showDryRun(
        _ configuration: LoaderConfiguration, _ aggregate: @escaping AggregateObject
    ) async throws {
        let preview = LoadPreview(aggregate: aggregate)
        var failed = false
        for item in items {
            do {
                let bytes: [UInt8]
                if access(item, R_OK) == 0 {
                    bytes = try DurableFile.read(path: item)
                } else {
                    bytes = try await configuration.store.makeStore().get(item)
                }
                print(
                    try preview.describe(bytes, name: item, format: format, sealed_ms: LoadClock.now_ms()),
                    terminator: "")
            } catch {
                failed = true
                StandardError.write("nadi: \(item): \(error)\n")
            }
        }
        if failed { throw ExitCode(1) }
    }
}
