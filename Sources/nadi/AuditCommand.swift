import ArgumentParser
import ObjectStorage
import ServiceSupport
import TableLoading
import TableStorage

/// The subcommand audit.
struct AuditCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "audit",
        abstract: "Balances what was written, stored and counted; names what is missing.",
        discussion: """
            Each side of an equation comes from another program's record: the writers' own counts, the hosts' reports, \
            the manifests and names of the objects, the ledger, and the tables read back. The first line is the verdict; \
            then, for each thing that does not add up, what, where, and what to do. What is on its way for less than 15 \
            minutes is not missed yet. --from and --to take whole hours. An audit of everything is recorded for dashboards (nadi.audit_run, \
            nadi.audit_finding).

            A loss that cannot be mended can be accepted, with a reason: it stays listed, nothing is deleted, and \
            --withdraw takes the acceptance back.

            Exit status: 0 every line is accounted for, or its loss accepted; 1 something does not add up; 2 the audit \
            could not be made (database, bucket); 64 wrong arguments or configuration.
            """)

    @OptionGroup var shared: SharedOptions
    @OptionGroup var range: TimeRangeOptions

    @Flag(help: "One JSON object instead of a text.")
    var json = false

    @Option(help: "Only this host's writers and objects. Tables are not kept by host and are left out.")
    var host: String?

    @Option(help: "Accept a failure, by the name that the audit gives it; may be repeated.")
    var acceptLost: [String] = []

    @Option(help: "Why it is accepted.")
    var reason: String?

    @Option(help: "Who accepts or withdraws. Default: the user who runs this (SUDO_USER, USER).")
    var by: String?

    @Option(help: "Take back an acceptance, by the name of its finding.")
    var withdraw: String?

    @Flag(help: "List what was accepted, by whom, when and why, and what of it was withdrawn.")
    var accepted = false

    func validate() throws {
        if !acceptLost.isEmpty, reason?.isEmpty ?? true {
            throw ValidationError("--accept-lost needs --reason: it is recorded with the acceptance")
        }
        let acts = [!acceptLost.isEmpty, withdraw != nil, accepted].count { $0 }
        if acts > 1 { throw ValidationError("Say one of --accept-lost, --withdraw, --accepted") }
    }

    private var person: String {
        let environment = SharedOptions.environment
        return by ?? environment["SUDO_USER"] ?? environment["USER"] ?? ""
    }

    func run() async throws {
        let configuration = try shared.configuration()
        let clean: Bool
        do {
            try shared.requireSchema(configuration)
            let audit = Audit(
                store: try configuration.store.makeStore(),
                database: DatabaseThread(
                    configuration.database, ConnectionOptions(applicationName: "nadi-audit", statementTimeout: 3600)),
                settings: configuration.settings)
            if let withdraw {
                try await audit.withdraw(withdraw, by: person)
                print("Withdrawn: \(withdraw) is a failure again if it is still there.")
                return
            }
            if accepted {
                for one in try await audit.acceptances() { print(Self.line(one), terminator: "") }
                return
            }
            if !acceptLost.isEmpty {
                try await audit.accept(acceptLost, reason: reason ?? "", by: person, now_ms: LoadClock.now_ms())
                for one in acceptLost { print("Accepted \(one).") }
                return
            }
            let scope = AuditScope(host: host, from_ms: range.from_ms, to_ms: range.to_ms)
            let report = try await audit.run(scope, now_ms: LoadClock.now_ms())
            print(json ? report.json : report.text, terminator: json ? "\n" : "")
            clean = report.isClean
        } catch {
            StandardError.write("nadi: \(error)\n")
            throw ExitCode((error as? LoadError)?.code == .configuration ? 64 : 2)
        }
        if !clean { throw ExitCode(1) }
    }

    private static func line(_ one: Audit.Acceptance) -> String {
        var out = "\(one.finding)\n    \(one.evidence)\n"
        if let lines = one.lines { out += "    \(lines) lines\n" }
        out += "    accepted \(one.accepted): \(one.reason)\n"
        if let withdrawn = one.withdrawn { out += "    withdrawn \(withdrawn)\n" }
        return out
    }
}
