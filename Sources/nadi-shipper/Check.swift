import ArgumentParser
import ObjectShipping

/// `nadi-shipper check`.
struct Check: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Try everything the shipper needs; tell what is wrong and how to mend it.",
        discussion: """
            Reads the configuration, tries rights, locks and file systems of the directories, finds the credentials \
            (and never shows them), and stores, proves and removes one small object, checks/HOST.txt under the prefix.

            One line for each: ok, note or FAULT. Ends with 1 when there is a fault.
            """)

    @OptionGroup var option: ConfigurationOption

    func run() async throws {
        let (configuration, environment) = try option.load()
        print("ok     configuration \(option.config)")
        var faults = 0
        await ShipperCheck(configuration, environment: environment).run { finding in
            if finding.verdict == .fault { faults += 1 }
            let verdict = finding.verdict.rawValue
            print(verdict + String(repeating: " ", count: max(1, 7 - verdict.count)) + finding.text)
        }
        if faults > 0 { throw ExitCode(1) }
    }
}
