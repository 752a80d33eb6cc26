package import DurableIO
import EventModel
package import EventSegments
import Glibc

/// One look at the spool directories: what waits, who writes, and who died.
package struct SpoolScan: Sendable {
    /// Sealed segments.
    package var candidates: [Candidate] = []
    /// Writers that have not ended, or whose end is not removed yet, by name.
    package var writers: [HostReport.Writer] = []
    /// The open segments that hold something: how many, their bytes, and when the oldest may have begun.
    package var openSegments = 0
    package var openBytes = 0
    package var oldestOpen_ms: Int64?
    /// Lock files, open segments and sealed ones: whether anything is there at all.
    package var isEmpty = true
    /// Writers that were ended by this scan.
    package var adopted: [String] = []
    /// Bytes of all segments.
    package var spoolBytes = 0
    /// Damaged segments that were put aside.
    package var damaged = 0
    /// What could not be read or done, one sentence each.
    package var faults: [String] = []
    /// Whether every directory could be read and none is out of reach; else some of what is here was found by an
    /// earlier scan.
    package var isReadable = false
    /// Whether at least one directory could be read.
    package var isPartlyReadable = false
    /// Whether every directory was read by this scan or an earlier one, so that no writer is left out.
    package var isKnown = false

    /// Adds what was found in another directory.
    fileprivate mutating func add(_ part: SpoolScan) {
        candidates += part.candidates
        writers += part.writers
        openSegments += part.openSegments
        openBytes += part.openBytes
        oldestOpen_ms = [oldestOpen_ms, part.oldestOpen_ms].compactMap { $0 }.min()
        isEmpty = isEmpty && part.isEmpty
        adopted += part.adopted
        spoolBytes += part.spoolBytes
        damaged += part.damaged
        faults += part.faults
        isReadable = isReadable && part.isReadable
        isPartlyReadable = isPartlyReadable || part.isReadable || part.isPartlyReadable
        isKnown = isKnown && part.isKnown
    }
}

/// Reads spool directories again and again.
///
/// A directory that cannot be read counts as what it held when it last could be: its writers have not ended, and what
/// was waiting waits.
///
/// A sealed segment's file may go once it is proven, except where the number of an adopted writer's end would be lost:
/// the newest segment of a writer stays until its lock record, an open segment or a later one shows that the writer
/// went on, and an end segment stays until its writer's lock file is gone.
package final class SpoolReader {
    private var folders: [SpoolPath]

    /// - Parameters:
    ///   - directories: the spool directories.
    ///   - deadAfter_ms: how long a writer must have been silent to count as dead, milliseconds.
    ///   - locks: the locks of the directories that are held already; the others are taken once they can be.
    package init(directories: [String], deadAfter_ms: Int64, locks: [String: FileLock] = [:]) {
        folders = directories.map {
            SpoolPath(directory: $0, deadAfter_ms: deadAfter_ms, lock: locks[$0])
        }
    }

    /// Reads the directories; nothing a single file does makes the others fail.
    ///
    /// - Parameters:
    ///   - now_ms: the wall clock.
    ///   - steady_ms: a clock that only goes forward.
    package func scan(now_ms: Int64, steady_ms: Int64) -> SpoolScan {
        var scan = SpoolScan()
        scan.isReadable = true
        scan.isKnown = true
        for index in folders.indices { scan.add(folders[index].scan(now_ms: now_ms, steady_ms: steady_ms)) }
        scan.writers.sort { $0.writer < $1.writer }
        return scan
    }
}

/// The lock that keeps two shippers from working on one spool: they would end each other's dead writers.
///
/// It is on the directory itself, and needs neither space nor an inode.
package enum SpoolLock {
    /// - Returns: the lock; nil while another shipper holds it.
    /// - Throws: `SystemError` when the directory is not there or may not be read.
    package static func attempt(_ directory: String) throws(SystemError) -> FileLock? {
        guard let real = realpath(directory, nil) else { throw SystemError.current("open folder", directory) }
        defer { free(real) }
        return try FileLock.attempt(path: String(cString: real), create: false)
    }

    /// Whether a shipper works on a directory at this moment.
    package static func isTaken(_ directory: String) -> Bool {
        do { return try attempt(directory) == nil } catch { return false }
    }
}
