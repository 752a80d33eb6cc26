import ArgumentParser
import Glibc
import ObjectShipping
import ServiceSupport

/// The option that all commands have.
struct ConfigurationOption: ParsableArguments {
    @Option(name: .long, help: "The configuration, a YAML file.", completion: .file(extensions: ["yaml"]))
    var config = "/etc/nadi/shipper.yaml"

    /// Reads the configuration; a fault in it is told with its line and ends the program with status 78 (EX_CONFIG).
    func load() throws -> (configuration: ShipperConfiguration, environment: [String: String]) {
        let environment = ProcessEnvironment.all()
        do {
            let document = try ConfigurationDocument(path: config, environment: environment)
            return (try ShipperConfiguration(document, environment: environment), environment)
        } catch {
            StandardError.write("nadi-shipper: \(error)\n")
            throw ExitCode(EX_CONFIG)
        }
    }
}
