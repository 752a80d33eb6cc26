import ArgumentParser
import Glibc
import ObjectStorage
import RecordBatches
import ServiceSupport
import TableLoading
import TableStorage

/// What every subcommand takes.
struct SharedOptions: ParsableArguments {
    @Option(name: [.short, .long], help: "The configuration file.")
    var config = "/etc/nadi/loader.yaml"

    @Option(help: "The folder of the migrations. Default: sql beside the program, /usr/share/nadi/sql, the checkout.")
    var sqlDirectory: String?

    func configuration() throws -> LoaderConfiguration {
        do {
            return try LoaderConfiguration(path: config, environment: Self.environment)
        } catch {
            StandardError.write("nadi: \(error)\n")
            throw ExitCode(64)
        }
    }

    func migrations() throws -> Migrations {
        let executable = Self.executable
        return try Migrations(directory: MigrationDirectory.find(explicit: sqlDirectory, executable: executable))
    }

    /// Sees to it that the database's schema is this program's.
    ///
    /// - Parameter writes: false where a read-only standby will do.
    func requireSchema(_ configuration: LoaderConfiguration, writes: Bool = true) throws {
        let options = ConnectionOptions(applicationName: "nadi", needsWritableServer: writes)
        let connection = try Connection(configuration.database, options)
        try migrations().requireCurrent(connection)
    }

    static var environment: [String: String] {
        var table: [String: String] = [:]
        var entry = environ
        while let text = entry.pointee {
            let pair = String(cString: text).split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            if pair.count == 2 { table[String(pair[0])] = String(pair[1]) }
            entry += 1
        }
        return table
    }

    /// The program's own path.
    static var executable: String {
        var buffer = [CChar](repeating: 0, count: 4096)
        let count = readlink("/proc/self/exe", &buffer, buffer.count - 1)
        guard count > 0 else { return CommandLine.arguments.first ?? "nadi" }
        return String(decoding: buffer[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}

/// Prints an error as the program's last words.
func report(_ error: any Error) -> ExitCode {
    StandardError.write("nadi: \(error)\n")
    return ExitCode(1)
}

/// The same, with the status 64 where an argument or the configuration is at fault.
func reportArguments(_ error: any Error) -> ExitCode {
    let isTheirs =
        error is ConditionError || error is ConfigurationError || (error as? LoadError)?.code == .configuration
    StandardError.write("nadi: \(error)\n")
    return ExitCode(isTheirs ? 64 : 1)
}
