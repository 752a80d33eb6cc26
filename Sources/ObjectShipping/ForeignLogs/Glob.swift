import Glibc

/// Paths by pattern: `*`, `?` and `[...]` within one part of the path, as glob(7).
enum Glob {
    /// The paths that match, sorted, each once; what cannot be read is left out.
    static func expand(_ patterns: [String]) -> [String] {
        var paths = Set<String>()
        for pattern in patterns {
            var found = glob_t()
            defer { globfree(&found) }
            guard glob(pattern, GLOB_NOSORT, nil, &found) == 0, let list = found.gl_pathv else { continue }
            for index in 0..<Int(found.gl_pathc) {
                if let path = list[index] { paths.insert(String(cString: path)) }
            }
        }
        return paths.sorted()
    }

    /// Whether a path matches one of the patterns.
    static func matches(_ path: String, _ patterns: [String]) -> Bool {
        patterns.contains { fnmatch($0, path, FNM_PATHNAME) == 0 }
    }
}
