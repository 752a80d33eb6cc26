import Glibc

/// Checks of the directory that are made once, when a writer opens.
enum SpoolDirectory {
    /// The path from the root on: a service may change its working directory later.
    static func absolute(_ path: String) -> String {
        if path.utf8.first == UInt8(ascii: "/") { return path }
        guard let working = getcwd(nil, 0) else { return path }
        defer { free(working) }
        return String(cString: working) + "/" + path
    }

    /// Throws where the directory cannot be a spool: absent, no directory, not writable, or on a network file system,
    /// where locks and renames do not hold.
    static func check(_ path: String) throws(EventWriterError) {
        var status = stat()
        if stat(path, &status) != 0 { throw EventWriterError(.directory, path: path, errno: errno) }
        guard status.st_mode & S_IFMT == S_IFDIR else {
            throw EventWriterError(.directory, path: path, errno: ENOTDIR)
        }
        if access(path, W_OK | X_OK) != 0 { throw EventWriterError(.directory, path: path, errno: errno) }
        if let type = LinuxCalls.fileSystemType(path), networkTypes.contains(type) {
            throw EventWriterError(.networkFileSystem, path: path, errno: 0)
        }
    }

    /// `f_type` of NFS, SMB, CIFS, SMB2, 9P, AFS, Ceph, Lustre, Coda.
    private static let networkTypes: Set<UInt32> = [
        0x6969, 0x517B, 0xFF53_4D42, 0xFE53_4D42, 0x0102_1997, 0x5346_414F, 0x00C3_6400, 0x0BD0_0BD0, 0x7375_7245,
    ]
}
