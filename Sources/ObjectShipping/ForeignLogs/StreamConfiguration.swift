import ServiceSupport

/// One kind of foreign log: which files, and what they are called.
package struct StreamConfiguration: Equatable, Sendable {
    /// `[a-z0-9_]+`, part of the writers' names.
    package var name: String
    /// Globs of rotated files.
    package var paths: [String]
    /// Globs of files to leave alone.
    package var exclude: [String]
    /// The name of the loader's mapping.
    package var format: String
    /// How long a file must have been left alone, milliseconds.
    package var quiet_ms: Int64
    /// Whether files are removed once they are proven.
    package var deletesAfterShipping: Bool

    package init(
        name: String, paths: [String], exclude: [String] = [], format: String? = nil, quiet_ms: Int64 = 10_000,
        deletesAfterShipping: Bool = false
    ) {
        self.name = name
        self.paths = paths
        self.exclude = exclude
        self.format = format ?? name
        self.quiet_ms = quiet_ms
        self.deletesAfterShipping = deletesAfterShipping
    }

    static func streams(_ root: ConfigurationSection) throws(ConfigurationError) -> [StreamConfiguration] {
        let keys = ["name", "paths", "exclude", "format", "quiet", "delete_after_shipping"]
        var streams: [StreamConfiguration] = []
        for section in try root.sections("streams", keys: keys) ?? [] {
            let name = try section.requiredString("name")
            guard isName(name), name != Candidate.nativeStream else {
                throw section.error("name", "is '\(name)'; use up to 32 of a-z, 0-9 and '_', and not 'native'")
            }
            guard !streams.contains(where: { $0.name == name }) else {
                throw section.error("name", "is '\(name)', which another stream has already")
            }
            let paths = try section.strings("paths") ?? []
            guard !paths.isEmpty, paths.allSatisfy({ $0.hasPrefix("/") }) else {
                throw section.error("paths", "must be a list of absolute globs, such as [/var/log/app/requests.log*]")
            }
            let format = try section.string("format") ?? name
            guard isName(format), format != Candidate.nativeStream else {
                throw section.error("format", "is '\(format)'; use up to 32 of a-z, 0-9 and '_', and not 'native'")
            }
            streams.append(
                StreamConfiguration(
                    name: name, paths: paths, exclude: try section.strings("exclude") ?? [], format: format,
                    quiet_ms: try section.duration("quiet", in: .milliseconds(100) ... .seconds(86_400))?.milliseconds
                        ?? 10_000,
                    deletesAfterShipping: try section.bool("delete_after_shipping") ?? false))
        }
        return streams
    }

    private static func isName(_ text: String) -> Bool {
        (1...32).contains(text.utf8.count)
            && text.utf8.allSatisfy {
                (UInt8(ascii: "a")...UInt8(ascii: "z")).contains($0)
                    || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0)
                    || $0 == UInt8(ascii: "_")
            }
    }
}
