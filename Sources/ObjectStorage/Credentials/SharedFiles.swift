internal import DurableIO
internal import Glibc

/// The two files that AWS's tools share, and the profile in them that is used.
package struct SharedFiles: Hashable, Sendable {
    /// Holds keys; sections are `[name]`.
    package var credentialsPath: String?
    /// Holds settings and may hold keys; sections are `[default]` and `[profile name]`.
    package var configPath: String?
    /// The profile's name.
    package var profile: String
    /// Whether the configuration asks for these rather than for whatever there is.
    package var isExplicit: Bool

    /// Finds the files as AWS's tools do: `AWS_SHARED_CREDENTIALS_FILE`, `AWS_CONFIG_FILE`, `AWS_PROFILE`, `~/.aws`.
    ///
    /// - Parameters:
    ///   - environment: the variables.
    ///   - credentialsPath: a credentials file named by the configuration.
    ///   - profile: a profile named by the configuration.
    package init(environment: Environment, credentialsPath: String? = nil, profile: String? = nil) {
        let folder = environment["HOME"].map { "\($0)/.aws" }
        self.credentialsPath =
            credentialsPath ?? environment["AWS_SHARED_CREDENTIALS_FILE"] ?? folder.map { "\($0)/credentials" }
        configPath =
            credentialsPath == nil
            ? environment["AWS_CONFIG_FILE"] ?? folder.map { "\($0)/config" } : environment["AWS_CONFIG_FILE"]
        self.profile = profile ?? environment["AWS_PROFILE"] ?? "default"
        isExplicit = credentialsPath != nil || profile != nil
    }

    /// The paths there are.
    package var paths: [String] { [credentialsPath, configPath].compactMap { $0 } }

    /// The profile's settings from both files, those of the credentials file first; empty where neither names it.
    func settings() throws(StorageError) -> [String: String] {
        try profiles()[profile] ?? [:]
    }

    /// Every profile's settings from both files, those of the credentials file first.
    func profiles() throws(StorageError) -> Profiles {
        var merged = Profiles()
        for (path, isConfiguration) in [(configPath, true), (credentialsPath, false)] {
            guard let path else { continue }
            let bytes: [UInt8]
            do throws(SystemError) {
                bytes = try DurableFile.read(path: path, limit: 1 << 20)
            } catch {
                // A service may have keys in its environment and a home that it cannot look into (ProtectHome=).
                if error.isNotFound || !isExplicit && [EACCES, ENOTDIR].contains(error.code) { continue }
                throw StorageError(
                    .configuration, operation: "read credentials", code: "errno \(error.code)",
                    message: error.description)
            }
            for (section, settings) in SettingsFile.parse(String(decoding: bytes, as: UTF8.self)) {
                // `[profile name]` in the configuration file (but `[default]`), `[name]` in the credentials file.
                let name =
                    !isConfiguration || section == "default"
                    ? section : section.hasPrefix("profile ") ? String(section.dropFirst(8)) : nil
                if let name { merged.settings[name, default: [:]].merge(settings) { $1 } }
            }
        }
        return merged
    }

    /// What tells one state of the files from another.
    func fingerprint() -> [DirectoryEntry?] {
        [credentialsPath, configPath].map { path in
            // Secrets of Kubernetes are links to links, of which only the middle one changes.
            guard let path, let real = realpath(path, nil) else { return nil }
            defer { free(real) }
            return try? DurableFile.entry(String(cString: real))
        }
    }
}

/// The INI dialect of AWS's shared files.
enum SettingsFile {
    /// Settings by section and lower-case name.
    ///
    /// Indented lines, which belong to the setting above, become `above.name`; lines that are none of it are passed
    /// over, as AWS's tools do.
    static func parse(_ text: String) -> [String: [String: String]] {
        var sections: [String: [String: String]] = [:]
        var section: String?
        var above = ""
        for line in text.split(whereSeparator: \.isNewline) {
            let content = trim(line)
            if content.isEmpty || content.hasPrefix("#") || content.hasPrefix(";") { continue }
            if content.hasPrefix("["), let end = content.firstIndex(of: "]") {
                let words = content[content.index(after: content.startIndex)..<end].split(separator: " ")
                section = words.joined(separator: " ")
                if let section { sections[section] = sections[section] ?? [:] }
                above = ""
                continue
            }
            guard let section, let equals = content.firstIndex(of: "=") else { continue }
            let name = trim(content[..<equals]).lowercased()
            let value = trim(content[content.index(after: equals)...])
            let isIndented = line.first == " " || line.first == "\t"
            if isIndented, !above.isEmpty {
                sections[section]?["\(above).\(name)"] = value
            } else {
                sections[section]?[name] = value
                above = name
            }
        }
        return sections
    }
}
