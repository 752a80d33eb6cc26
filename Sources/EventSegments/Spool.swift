package import DurableIO
package import EventModel

/// What one reading of a spool directory found, told apart by name.
///
/// The directory is the truth: no index, no inode and no state beside it says what is still to be shipped.
package struct Spool: Sendable {
    /// A sealed segment.
    package struct SealedFile: Equatable, Sendable {
        /// What its name says.
        package let name: SegmentName
        /// Its size in bytes.
        package let size: Int
    }

    /// A segment that is being written, or whose writer died.
    package struct OpenFile: Equatable, Sendable {
        /// What its name says.
        package let name: SegmentName
        /// Its size in bytes when the directory was read.
        package let size: Int
        /// When it was last written, milliseconds since the epoch.
        package let modified_ms: Int64
    }

    /// A writer's lock file.
    package struct LockFile: Equatable, Sendable {
        /// The writer that it belongs to.
        package let writer: WriterName
        /// When it was last written, milliseconds since the epoch.
        package let modified_ms: Int64
    }

    /// The directory that was read.
    package let directory: String
    /// The sealed segments, by writer and number.
    package let sealed: [SealedFile]
    /// The open segments, by writer and number.
    package let open: [OpenFile]
    /// The lock files, by writer.
    package let locks: [LockFile]
    /// Segments that were found damaged and put aside: never shipped, never touched.
    package let damaged: [SealedFile]
    /// Names of segments and lock files that are no regular files: links are not followed.
    package let irregular: [String]
    /// Names of everything else: never shipped, never touched.
    package let others: [String]

    /// What is added to the name of a damaged segment.
    package static let damagedSuffix = ".damaged"

    /// Reads a directory.
    ///
    /// Files that appear or vanish meanwhile may be in the result or not.
    ///
    /// Cost: one `readdir` and one `fstatat` for each entry; memory grows with the number of files.
    ///
    /// - Throws: `SystemError` when the directory cannot be read.
    package init(reading directory: String) throws {
        self.init(directory: directory, entries: try DurableFile.list(directory))
    }

    /// Sorts entries of a directory.
    package init(directory: String, entries: [DirectoryEntry]) {
        var sealed: [SealedFile] = []
        var open: [OpenFile] = []
        var locks: [LockFile] = []
        var damaged: [SealedFile] = []
        var irregular: [String] = []
        var others: [String] = []
        for entry in entries {
            if entry.isRegular, let name = SegmentName(entry.name) {
                if name.isOpen {
                    open.append(OpenFile(name: name, size: entry.size, modified_ms: entry.modified_ms))
                } else {
                    sealed.append(SealedFile(name: name, size: entry.size))
                }
            } else if entry.isRegular, let writer = WriterName(lockFileName: entry.name) {
                locks.append(LockFile(writer: writer, modified_ms: entry.modified_ms))
            } else if entry.isRegular, entry.name.hasSuffix(Spool.damagedSuffix),
                let name = SegmentName(String(entry.name.dropLast(Spool.damagedSuffix.utf8.count))), !name.isOpen
            {
                damaged.append(SealedFile(name: name, size: entry.size))
            } else if !entry.isRegular,
                SegmentName(entry.name) != nil || WriterName(lockFileName: entry.name) != nil
            {
                irregular.append(entry.name)
            } else {
                others.append(entry.name)
            }
        }
        self.directory = directory
        self.sealed = sealed.sorted { $0.name < $1.name }
        self.open = open.sorted { $0.name < $1.name }
        self.locks = locks.sorted { $0.writer < $1.writer }
        self.damaged = damaged.sorted { $0.name < $1.name }
        self.irregular = irregular.sorted()
        self.others = others.sorted()
    }
}
