import EventModel
import Glibc

/// The file operations of one writer.
///
/// Every call says what failed by `errno`; nothing here decides or counts.
struct SegmentFiles {
    let directory: String
    let descriptors: Descriptors
    /// `fsync` of a segment; another in tests.
    var synchronise: @Sendable (Int32) -> Int32 = { fsync($0) }

    /// What ``SegmentMachine/Result`` calls `gone`, as a code of its own.
    static let gone: Int32 = -1
    /// What ``SegmentMachine/Result`` calls `inDoubt`, as a code of its own.
    static let inDoubt: Int32 = -2

    /// Set after each creation: the shipper's group must read, whatever the umask.
    private static let mode: mode_t = 0o640

    private func path(_ name: String) -> String { directory + "/" + name }

    // MARK: Lock file

    /// Creates, locks and fills the lock file.
    ///
    /// On return its 4096 bytes and its name are on the disk.
    func createLock(_ name: WriterName, _ record: LockRecord) -> Int32 {
        let path = path(name.lockFileName)
        let code = descriptors.openLockFile {
            var file = retrying { open(path, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, Self.mode) }
            if file < 0, errno == ENOENT, makeDirectory() {
                file = retrying { open(path, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, Self.mode) }
            }
            if file < 0 { return -errno }
            fchmod(file, Self.mode)
            if retrying({ flock(file, LOCK_EX | LOCK_NB) }) != 0 {
                let code = errno
                close(file)
                unlink(path)
                return -code
            }
            return file
        }
        if code < 0 { return -code }
        var failure = writeRecord(record)
        if failure == 0, fsync(descriptors.lockFile.number) != 0 { failure = errno }
        if failure == 0 { failure = syncDirectory() }
        if failure != 0 {
            descriptors.closeLockFile()
            unlink(path)
        }
        return failure
    }

    /// Rewrites the lock file if it is still ours; ``gone`` where it is not.
    func rewriteRecord(_ record: LockRecord, _ name: WriterName) -> Int32 {
        let held = isOurs(descriptors.lockFile, path(name.lockFileName))
        return held != 0 ? held : writeRecord(record)
    }

    /// Rewrites the lock file by one `pwrite`.
    func writeRecord(_ record: LockRecord) -> Int32 {
        let bytes = record.encoded()
        let written = bytes.withUnsafeBytes { bytes in
            retrying { pwrite(descriptors.lockFile.number, bytes.baseAddress, bytes.count, 0) }
        }
        if written == bytes.count { return 0 }
        return written < 0 ? errno : ENOSPC
    }

    func removeLock(_ name: WriterName) -> Int32 {
        let failed = unlink(path(name.lockFileName)) != 0
        let code = failed ? errno : syncDirectory()
        descriptors.closeLockFile()
        return code
    }

    // MARK: Segment

    /// Creates the segment; ``gone`` where the lock file was taken away or the number is taken.
    func openSegment(_ name: SegmentName) -> Int32 {
        let held = isOurs(descriptors.lockFile, path(name.writer.lockFileName))
        return held != 0 ? held : createSegment(name)
    }

    /// Creates the segment, whether or not there is a lock file.
    func createSegment(_ name: SegmentName) -> Int32 {
        let taken = numberIsFree(name)
        if taken != 0 { return taken }
        let path = path(name.fileName)
        let code = descriptors.openSegment {
            let file = retrying { open(path, O_CREAT | O_EXCL | O_RDWR | O_APPEND | O_CLOEXEC, Self.mode) }
            if file < 0 { return -errno }
            fchmod(file, Self.mode)
            return file
        }
        return code == -EEXIST ? Self.gone : -code
    }

    /// 0 where both files are still ours, ``gone`` where one is not.
    func check(_ name: SegmentName) -> Int32 {
        let held = isOurs(descriptors.lockFile, path(name.writer.lockFileName))
        return held != 0 ? held : isOurs(descriptors.segment, path(name.fileName))
    }

    /// Writes all bytes unless an error stops it.
    ///
    /// Returns how many were written, and the error or 0.
    func append(_ bytes: UnsafeRawBufferPointer) -> (written: Int, code: Int32) {
        var done = 0
        while done < bytes.count {
            let result = retrying {
                write(descriptors.segment.number, bytes.baseAddress.map { $0 + done }, bytes.count - done)
            }
            if result <= 0 { return (done, result < 0 ? errno : EIO) }
            done += result
        }
        return (done, 0)
    }

    /// Starts writing the segment's pages to the disk, so that sealing has less to wait for.
    func startWriteback(from offset: Int, count: Int) {
        LinuxCalls.startWriteback(descriptors.segment.number, from: offset, count: count)
    }

    /// Synchronises and renames the segment.
    ///
    /// After a failed `fsync` the file keeps its name and the code is ``inDoubt``: its bytes may be gone, and since the
    /// kernel reports that only once, a later `fsync` would not tell. The warning is the error then; else it is that of
    /// the directory's `fsync`, after the rename.
    ///
    /// - Parameter withoutLock: the lock file was taken away, and the segment is the writer's last.
    func seal(
        _ name: SegmentName, as target: SegmentName, withoutLock: Bool = false
    ) -> (code: Int32, warning: Int32) {
        guard descriptors.segment.status != nil else { return (Self.gone, 0) }
        if synchronise(descriptors.segment.number) != 0 { return (Self.inDoubt, errno) }
        let ours = withoutLock ? isOurs(descriptors.segment, path(name.fileName)) : check(name)
        if ours != 0 { return (ours, 0) }
        let free = numberIsFree(name)
        if free != 0 { return (free, 0) }
        if rename(path(name.fileName), path(target.fileName)) != 0 {
            return (errno == ENOENT ? Self.gone : errno, 0)
        }
        descriptors.closeSegment()
        return (0, syncDirectory())
    }

    /// The first bytes of the open segment, up to the end of a line; where the last line lacks nothing but its newline,
    /// with one.
    ///
    /// Works also when the file has no name any more. After a failed `fsync` the kernel still has the pages, marked
    /// clean; only where it has evicted them since would older bytes be read. That is accepted: to hold every event of
    /// a segment in memory for it would cost a service 16 MiB.
    func readBack(_ count: Int, lastIsWhole: Bool = false) -> [UInt8] {
        guard count > 0, descriptors.segment.status != nil else { return [] }
        var bytes = [UInt8](repeating: 0, count: count)
        var done = 0
        bytes.withUnsafeMutableBytes { bytes in
            while done < count {
                let result = retrying {
                    pread(descriptors.segment.number, bytes.baseAddress.map { $0 + done }, count - done, off_t(done))
                }
                if result <= 0 { break }
                done += result
            }
        }
        if lastIsWhole, done == count { return bytes + [0x0A] }
        let end = bytes[..<done].lastIndex(of: 0x0A).map { $0 + 1 } ?? 0
        bytes.removeSubrange(end...)
        return bytes
    }

    /// Whether the open segment still stands under its name.
    func standsSegment(_ name: SegmentName) -> Bool { isOurs(descriptors.segment, path(name.fileName)) == 0 }

    // MARK: Checks

    /// Makes the spool again that was there when the writer opened, for a group that it shares with the shipper.
    private func makeDirectory() -> Bool {
        let shared: mode_t = 0o2770
        guard mkdir(directory, shared) == 0 else { return errno == EEXIST }
        chmod(directory, shared)
        return true
    }

    /// 0 where the path names the file that is open, ``gone`` where it does not.
    private func isOurs(_ file: Descriptors.File, _ path: String) -> Int32 {
        guard let open = file.status else { return Self.gone }
        var named = stat()
        if stat(path, &named) != 0 { return errno == ENOENT || errno == ENOTDIR ? Self.gone : errno }
        let same = open.st_dev == named.st_dev && open.st_ino == named.st_ino && open.st_nlink > 0
        return same ? 0 : Self.gone
    }

    /// 0 where no sealed file of this writer and number exists.
    private func numberIsFree(_ name: SegmentName) -> Int32 {
        guard let listing = opendir(directory) else { return errno == ENOENT ? Self.gone : errno }
        defer { closedir(listing) }
        let prefix = "\(name.writer)-\(name.seq)-"
        let length = prefix.utf8.count
        while let entry = readdir(listing) {
            let matches = withUnsafePointer(to: &entry.pointee.d_name) { tuple in
                strncmp(UnsafeRawPointer(tuple).assumingMemoryBound(to: CChar.self), prefix, length) == 0
            }
            if matches { return Self.gone }
        }
        return 0
    }

    private func syncDirectory() -> Int32 {
        let file = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        if file < 0 { return errno }
        defer { close(file) }
        return fsync(file) == 0 ? 0 : errno
    }
}

/// Repeats a call that a signal interrupted.
private func retrying<T: SignedInteger>(_ call: () -> T) -> T {
    while true {
        let result = call()
        if result >= 0 || errno != EINTR { return result }
    }
}
