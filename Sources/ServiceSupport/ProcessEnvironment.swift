import DurableIO

/// The environment this process was started with.
package enum ProcessEnvironment {
    /// All variables, from `/proc/self/environ`; what the program changed since then is not in it.
    package static func all() -> [String: String] {
        guard let bytes = try? DurableFile.read(path: "/proc/self/environ") else { return [:] }
        var variables: [String: String] = [:]
        for entry in bytes.split(separator: 0) {
            guard let equals = entry.firstIndex(of: UInt8(ascii: "=")) else { continue }
            let name = String(decoding: entry[..<equals], as: UTF8.self)
            variables[name] = String(decoding: entry[(equals + 1)...], as: UTF8.self)
        }
        return variables
    }
}
