import EventModel
import Glibc

extension SegmentMachine {
    /// Both clocks at one moment, in milliseconds: since the epoch, and one that never jumps.
    struct Now: Equatable {
        var wall_ms: Int64
        var steady_ms: Int64
    }

    /// One operation of the shell.
    enum Action: Equatable {
        /// Create the lock file (it must not exist), lock it, write it whole, synchronise it and the directory.
        case createLock(WriterName, LockRecord)
        /// Make sure that the lock file is still ours and no file of this number exists; create the segment.
        case openSegment(SegmentName)
        /// Make sure that the files are still ours; write waiting lines until `limit` bytes are reached at a line's end.
        case write(limit: Int, newlineFirst: Bool)
        /// Make sure that the files are still ours; write this line.
        case writeLine(WriterLine, newlineFirst: Bool)
        /// Synchronise the segment, make sure that it is still ours, rename it, synchronise the directory.
        case seal(SegmentName, SegmentName)
        /// Make sure that the lock file is still ours; rewrite it in place.
        case record(LockRecord)
        /// Unlink and close the lock file, synchronise the directory.
        case removeLock(WriterName)
        /// Forget the lines that wait.
        case dropWaiting
        /// The files were taken away, or are in doubt: end the old writer if its segment is still there (only the lock file
        /// is not), else read back the segment's first `keep` bytes as waiting lines; close both files, make a new name.
        case becomeNew(keep: Int)
        /// Nothing to do before that time on the steady clock, or before something happens.
        case rest(until_ms: Int64?)
        /// The writer has ended.
        case finished
    }

    /// What one `write` left in the file.
    struct Write: Equatable {
        /// The newline that ends a fragment was written.
        var repaired = false
        /// Bytes after it.
        var bytes = 0
        /// Newlines among those bytes.
        var lines = 0
        /// Whether the last of those bytes is a newline.
        var endsLine = true
        /// `errno`, or 0 where all was written.
        var code: Int32 = 0
    }

    /// What an action came to.
    enum Result: Equatable {
        case done
        case failed(Int32)
        case wrote(Write)
        /// A file of ours is gone, was replaced, or its number is taken.
        case gone
        /// The segment's `fsync` failed: its bytes may be gone, and a second `fsync` would not tell.
        case inDoubt
        case dropped(lines: Int)
        /// A new name; `isTold` where the old one's end segment or lock file tells all its counts.
        case renamed(WriterName, isTold: Bool = false)
    }
}

extension DropCounts {
    /// Lines dropped because of a file system error: `disk_full` for ENOSPC, EDQUOT and EFBIG, else `io_error`.
    init(reason code: Int32, lines: Int) {
        switch code {
        case ENOSPC, EDQUOT, EFBIG: self.init(disk_full: lines)
        default: self.init(io_error: lines)
        }
    }
}
