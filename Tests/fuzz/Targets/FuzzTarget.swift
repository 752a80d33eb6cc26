/// What is fed with bytes that nobody vouches for: by libFuzzer (`Tests/fuzz/run`), and with the seeds that were kept by
/// every run of the tests.
///
/// A target returns whatever it is given. It stops the process where the code under test breaks one of its promises.
package enum FuzzTarget: String, CaseIterable, Sendable {
    /// Lines of events.
    case lines
    /// A mapping in YAML, a line `---`, then lines of a foreign log.
    case mappings
    /// The end of an object with its manifest, and whole objects.
    case objects
    /// Lock files, `writer` lines and hosts' reports.
    case records
    /// Configuration files of both programs.
    case configuration
    /// Listings and errors of S3, and XML in general.
    case listings
    /// zstd, gzip and plain streams.
    case streams
    /// Names of segments, writers, hosts and objects; times.
    case names

    /// Gives it one input.
    package func run(_ input: [UInt8]) {
        switch self {
        case .lines: LinesTarget.run(input)
        case .mappings: MappingsTarget.run(input)
        case .objects: ObjectsTarget.run(input)
        case .records: RecordsTarget.run(input)
        case .configuration: ConfigurationTarget.run(input)
        case .listings: ListingsTarget.run(input)
        case .streams: StreamsTarget.run(input)
        case .names: NamesTarget.run(input)
        }
    }
}

/// Stops the process, so that libFuzzer keeps the input and a test run fails loudly.
func demand(_ holds: Bool, _ sentence: @autoclosure () -> String) {
    if !holds { fatalError("a promise is broken: \(sentence())") }
}

extension Array where Element == UInt8 {
    /// The parts before and after the first `separator`; all and nothing where there is none.
    func cut(at separator: [UInt8]) -> (head: [UInt8], tail: [UInt8]) {
        guard count >= separator.count else { return (self, []) }
        for place in 0...(count - separator.count) where self[place..<place + separator.count].elementsEqual(separator)
        {
            return (Array(self[..<place]), Array(self[(place + separator.count)...]))
        }
        return (self, [])
    }
}
