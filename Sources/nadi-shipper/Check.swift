import ArgumentParser
import Glibc
import ObjectShipping
import ServiceSupport

/// `nadi-shipper check`.
struct Check: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Try everything the shipper needs; tell what is wrong and how to mend it.",
        discussion: """
            Reads the configuration, tries rights, locks, space and file systems of the directories, looks for what \
            cannot be shipped, finds the credentials (and never shows them), and stores, proves and removes one small \
            object, checks/HOST.txt under the prefix. It may run beside the service.

            One line for each finding: ok, note or FAULT; of a note or fault its name, the evidence and the mend. The last \
            line says whether all is well. With --json: one JSON object for each, with verdict, name, text and mend.

            0: no fault. 1: a fault. 78: the configuration cannot be read.
            """)

    @OptionGroup var option: ConfigurationOption

    @Flag(help: "One JSON object for each finding instead of a line for people.")
    var json = false

    func run() async throws {
        let configuration: ShipperConfiguration
        let environment = ProcessEnvironment.all()
        do {
            let document = try ConfigurationDocument(path: option.config, environment: environment)
            configuration = try ShipperConfiguration(document, environment: environment)
        } catch {
            tell(.init(.fault, "configuration", "\(error)"))
            throw ExitCode(EX_CONFIG)
        }
        tell(.init(.good, "configuration", "configuration \(option.config)"))
        var faults = 0
        var notes = 0
        await ShipperCheck(configuration, environment: environment).run { finding in
            if finding.verdict == .fault { faults += 1 }
            if finding.verdict == .caution { notes += 1 }
            tell(finding)
        }
        if !json {
            let noted = notes == 0 ? "" : ", \(notes) to note"
            print(faults == 0 ? "all is well\(noted)" : "\(faults) faults\(noted)")
        }
        if faults > 0 { throw ExitCode(1) }
    }

    private func tell(_ finding: ShipperCheck.Finding) {
        print(json ? finding.json : finding.line)
    }
}
