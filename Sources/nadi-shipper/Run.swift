import ArgumentParser
import DurableIO
import EventSegments
import Glibc
import Logging
import ObjectShipping
import ObjectStorage
import ServiceSupport

/// `nadi-shipper run`.
struct Run: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Ship until SIGTERM, or once through.",
        discussion: """
            Ends with 0 after SIGTERM or SIGINT; what is sealed is shipped first, within the configured time. A second \
            signal ends it at once; nothing is lost by that.

            SIGHUP reads the configuration again. Streams, log level, the numbers, and how the store is reached \
            (endpoint, region, addressing, credentials_file, profile, ca_bundle) change at once; host, spool, state, \
            store.url, dead_after and admin change with a restart, and so do credentials of the environment. A changed \
            credentials file is noticed without a signal. A configuration with a fault changes nothing.

            With --once: 0 when nothing is left, 1 when something could not be shipped in time.
            75: another shipper works on the spool. 78: the configuration is wrong.
            """)

    @OptionGroup var option: ConfigurationOption

    @Flag(help: "Ship what is sealed and finished now, and end.")
    var once = false

    @Option(help: "With --once: how long to try, such as 60s.", transform: duration)
    var wait: Duration = .seconds(60)

    func run() async throws {
        HeapTuning.returnLargeBuffers()
        var (configuration, environment) = try option.load()
        configuration.machine.isOnce = once
        LogOutput.bootstrap(level: configuration.logLevel, environment: environment)
        let logger = Logger(label: "nadi-shipper")
        let notify = NotifySocket(environment: environment)
        Signals.ignoreBrokenPipes()
        try refuseNetworkFileSystems(configuration)
        let locks = try takeLocks(configuration, logger)
        let store: any ObjectStore
        do {
            store = try configuration.store.makeStore(environment: Environment(environment))
        } catch {
            StandardError.write("nadi-shipper: \(error)\n")
            throw ExitCode(EX_CONFIG)
        }
        let registry = MetricsRegistry()
        ProcessMetrics.add(to: registry, started_ms: SystemTime.now_ms())
        let shipper = Shipper(
            configuration, store: store, registry: registry, notify: notify, logger: logger, locks: consume locks)
        logger.notice(
            "shipping",
            metadata: [
                "version": "\(Shipper.version)", "host": "\(configuration.host)", "store": "\(configuration.store.url)",
                "spools": "\(configuration.spools.joined(separator: ","))",
            ])
        let stop_ms = configuration.machine.stop_ms
        let signals = Task { await listen(shipper, logger, notify, stop_ms: stop_ms) }
        let admin = once ? nil : serve(shipper, registry, configuration, logger)
        let timeout = once ? Task { await limit(shipper) } : nil
        let isComplete = await shipper.run()
        for task in [signals, timeout].compactMap({ $0 }) { task.cancel() }
        admin?.cancel()
        logger.notice("ended", metadata: ["waiting": "\(shipper.status.waiting.count)"])
        if once, !isComplete { throw ExitCode(1) }
    }

    private func limit(_ shipper: Shipper) async {
        try? await Task.sleep(for: wait)
        if !Task.isCancelled { shipper.stop() }
    }

    private func listen(_ shipper: Shipper, _ logger: Logger, _ notify: NotifySocket, stop_ms: Int64) async {
        var isStopping = false
        for await signal in Signals.stream([SIGTERM, SIGINT, SIGHUP]) {
            if signal == SIGHUP {
                if !isStopping { reload(shipper, logger, notify) }
                continue
            }
            if isStopping { Glibc.exit(128 + signal) }
            isStopping = true
            logger.notice("stopping; a second signal ends at once")
            shipper.stop()
            // A disk that hangs holds its reader for ever: what is not stored stays in the spool.
            DetachedThread.start {
                usleep(UInt32(clamping: (stop_ms + Run.stopGrace_ms) * 1_000))
                StandardError.write("nadi-shipper: a disk or the store hangs: ended without waiting for it\n")
                _exit(1)
            }
        }
    }

    /// How much longer than `stop_within` the end may take before the program ends without waiting, milliseconds: a report
    /// that is under way has 10 s, the last one 5 s.
    private static let stopGrace_ms: Int64 = 18_000

    /// Reads the configuration again.
    private func reload(_ shipper: Shipper, _ logger: Logger, _ notify: NotifySocket) {
        notify.reloading()
        defer { notify.ready(status: shipper.status.line(now_ms: SystemTime.now_ms())) }
        do {
            let environment = ProcessEnvironment.all()
            let document = try ConfigurationDocument(path: option.config, environment: environment)
            let new = try ShipperConfiguration(document, environment: environment)
            let store = try new.store.makeStore(environment: Environment(environment))
            LogOutput.setLevel(new.logLevel)
            let late = shipper.reload(new, store: store)
            logger.notice(
                "the configuration is read again",
                metadata: late.isEmpty ? [:] : ["needs_restart": "\(late.joined(separator: ","))"])
        } catch {
            logger.error("the configuration is not taken over; the old one stays", metadata: ["reason": "\(error)"])
        }
    }

    private func serve(
        _ shipper: Shipper, _ registry: MetricsRegistry, _ configuration: ShipperConfiguration, _ logger: Logger
    ) -> Task<Void, Never>? {
        guard let address = configuration.admin else { return nil }
        if !address.isLoopback {
            logger.warning(
                "the admin pages have no password and are open to the network", metadata: ["address": "\(address)"])
        }
        let server = AdminServer(
            address: address,
            pages: [
                "/metrics": {
                    AdminServer.Page(contentType: MetricsRegistry.contentType, body: registry.exposition())
                },
                "/healthz": {
                    let health = shipper.status.health(now_ms: SystemTime.now_ms())
                    return AdminServer.Page(isGood: health.isGood, body: health.text)
                },
                "/status": {
                    let page = shipper.status.page(now_ms: SystemTime.now_ms())
                    return AdminServer.Page(
                        contentType: "application/json", body: String(decoding: page, as: UTF8.self))
                },
            ])
        return Task {
            var backoff = 0
            while !Task.isCancelled {
                do {
                    try await server.run()
                } catch {
                    if Task.isCancelled { return }
                    backoff += 1
                    logger.error(
                        "the admin pages cannot be served; shipping goes on",
                        metadata: ["address": "\(address)", "reason": "\(error)"])
                    try? await Task.sleep(for: Backoff(base: .seconds(1)).delay(failures: backoff, random: 1))
                }
            }
        }
    }

    private func refuseNetworkFileSystems(_ configuration: ShipperConfiguration) throws {
        for spool in configuration.spools {
            guard let refusal = try? FileSystemKind(of: spool).refusal else { continue }
            StandardError.write("nadi-shipper: spool \(spool) \(refusal)\n")
            throw ExitCode(EX_CONFIG)
        }
    }

    /// One shipper at a time works on a spool: two would end each other's dead writers.
    ///
    /// A spool that is not there now is locked once it is: the others are shipped meanwhile, and the host's report tells.
    private func takeLocks(_ configuration: ShipperConfiguration, _ logger: Logger) throws -> [String: FileLock] {
        var locks: [String: FileLock] = [:]
        for spool in configuration.spools {
            do {
                guard let lock = try SpoolLock.attempt(spool) else {
                    StandardError.write("nadi-shipper: another shipper works on \(spool): stop it first\n")
                    throw ExitCode(EX_TEMPFAIL)
                }
                locks[spool] = lock
                // Of a shipper that was killed while it ended a writer; nobody else makes such files in a spool.
                _ = try DurableFile.removeTemporaries(in: spool)
            } catch let error as SystemError {
                logger.error("a spool cannot be read", metadata: ["spool": "\(spool)", "reason": "\(error)"])
            }
        }
        return locks
    }
}

/// A length of time of the command line.
private func duration(_ text: String) throws -> Duration {
    guard let duration = Units.duration(text) else {
        throw ValidationError("'\(text)' is not a time with its unit, such as 500ms, 30s or 5m")
    }
    return duration
}
