import DurableIO
import Glibc

/// Paths by pattern: `*`, `?` and `[...]` within one part of the path, as glob(7).
enum Glob {
    /// The paths that match, sorted, each once; what cannot be read is left out.
    static func expand(_ patterns: [String]) -> [String] { look(patterns).paths }

    /// The paths that match, and a sentence for each pattern one of whose folders cannot be listed.
    ///
    /// A folder that is not there has no files, and is no fault.
    static func look(_ patterns: [String]) -> (paths: [String], faults: [String]) {
        var paths = Set<String>()
        var faults: [String] = []
        for pattern in patterns {
            if expand(pattern, flags: GLOB_ERR, into: &paths) { continue }
            _ = expand(pattern, flags: 0, into: &paths)
            let folder = fixedFolder(pattern)
            guard let directory = opendir(folder) else {
                if errno != ENOENT, errno != ENOTDIR { faults.append("\(SystemError.current("open folder", folder))") }
                continue
            }
            closedir(directory)
            // Listed by itself: what could not be listed lies below it, or could not be a moment ago.
            faults.append("a folder of \(pattern) cannot be listed: let this user read it")
        }
        return (paths.sorted(), faults)
    }

    /// Adds a pattern's paths; false when a folder could not be listed and `GLOB_ERR` asks to stop there.
    private static func expand(_ pattern: String, flags: Int32, into paths: inout Set<String>) -> Bool {
        var found = glob_t()
        defer { globfree(&found) }
        let result = glob(pattern, GLOB_NOSORT | flags, nil, &found)
        guard result == 0, let list = found.gl_pathv else { return result != GLOB_ABORTED }
        for index in 0..<Int(found.gl_pathc) {
            if let path = list[index] { paths.insert(String(cString: path)) }
        }
        return true
    }

    /// The folder above the first part of a pattern that is one.
    static func fixedFolder(_ pattern: String) -> String {
        var folder = ""
        for part in pattern.split(separator: "/").dropLast() {
            if part.contains(where: { "*?[".contains($0) }) { break }
            folder += "/" + part
        }
        return folder.isEmpty ? "/" : folder
    }

    /// Whether a path matches one of the patterns.
    static func matches(_ path: String, _ patterns: [String]) -> Bool {
        patterns.contains { fnmatch($0, path, FNM_PATHNAME) == 0 }
    }
}
