internal import DurableIO

/// Lists the files below a folder as keys, ascending by bytes, without walking what the prefix or the start rule out.
struct DirectoryWalk {
    let root: String
    let prefix: [UInt8]
    let startAfter: [UInt8]
    let limit: Int
    private var objects: [ObjectInfo] = []
    private var isTruncated = false

    init(root: String, prefix: String, startAfter: String?, limit: Int) {
        self.root = root
        self.prefix = Array(prefix.utf8)
        self.startAfter = Array((startAfter ?? "").utf8)
        self.limit = limit
    }

    /// Whether a name is one of a file being written.
    static func isTemporary(_ name: Substring) -> Bool {
        name.hasPrefix(".") && name.hasSuffix(".tmp")
    }

    mutating func run() throws -> ObjectPage {
        guard try DurableFile.entry(root) != nil else {
            throw StorageError(.noSuchBucket, operation: "LIST", message: "the folder \(root) is gone")
        }
        try walk(folder: root, key: "")
        return ObjectPage(objects: objects, isTruncated: isTruncated)
    }

    private mutating func walk(folder: String, key: String) throws(SystemError) {
        var entries: [DirectoryEntry]
        do throws(SystemError) {
            entries = try DurableFile.list(folder)
        } catch {
            // Another process may have removed it meanwhile.
            if error.isNotFound, folder != root { return }
            throw error
        }
        // A folder sorts as its files do: with a slash after its name.
        func sortKey(_ entry: DirectoryEntry) -> String { entry.isDirectory ? entry.name + "/" : entry.name }
        entries.sort { sortKey($0).utf8.lexicographicallyPrecedes(sortKey($1).utf8) }
        for entry in entries where !isTruncated {
            let entryKey = key + sortKey(entry)
            let bytes = Array(entryKey.utf8)
            if entry.isDirectory {
                let canMatch = bytes.starts(with: prefix) || prefix.starts(with: bytes)
                let isBefore =
                    bytes.lexicographicallyPrecedes(startAfter) && !startAfter.starts(with: bytes)
                if canMatch, !isBefore { try walk(folder: "\(folder)/\(entry.name)", key: entryKey) }
            } else if entry.isRegular, bytes.starts(with: prefix), startAfter.lexicographicallyPrecedes(bytes),
                !Self.isTemporary(entry.name[...])
            {
                if objects.count == limit {
                    isTruncated = true
                    return
                }
                objects.append(
                    ObjectInfo(key: entryKey, size: entry.size, etag: nil, modified_ms: entry.modified_ms))
            }
        }
    }
}
