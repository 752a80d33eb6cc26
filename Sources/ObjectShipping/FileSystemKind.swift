package import DurableIO
import Glibc

/// The kind of file system a directory lies on, from `/proc/self/mountinfo` (proc(5)).
package struct FileSystemKind: Equatable, Sendable {
    /// Its type as the kernel names it, such as `ext4`.
    package let name: String
    /// Why no spool may lie there; nil when one may.
    package let refusal: String?
    /// What to be aware of; nil for nothing.
    package let caution: String?

    private static let network: Set<String> = [
        "nfs", "nfs4", "cifs", "smb3", "smbfs", "ceph", "afs", "9p", "coda", "ncpfs", "lustre", "gfs2", "ocfs2",
        "vboxsf",
        "gpfs", "beegfs", "virtiofs", "glusterfs", "orangefs", "fuse", "fuseblk",
    ]
    private static let passing: Set<String> = ["tmpfs", "ramfs", "overlay"]

    /// - Throws: `SystemError` when the path is not there.
    package init(of path: String) throws(SystemError) {
        guard let real = realpath(path, nil) else { throw SystemError.current("find the real path of", path) }
        defer { free(real) }
        let mounts = String(decoding: try DurableFile.read(path: "/proc/self/mountinfo"), as: UTF8.self)
        self.init(type: FileSystemKind.type(of: String(cString: real), mounts: mounts) ?? "unknown")
    }

    /// - Parameter type: a file system's type as the kernel names it.
    package init(type: String) {
        name = type
        let isNetwork = FileSystemKind.network.contains(type) || type.hasPrefix("fuse.")
        refusal =
            isNetwork
            ? "is on a network or user-space file system (\(type)), where locks and renames cannot be trusted: use a "
                + "local directory" : nil
        caution =
            FileSystemKind.passing.contains(type)
            ? "\(type) may be gone after a restart of the machine or the container" : nil
    }

    /// The type of the file system mounted nearest above a path; of several at one place the last one counts.
    ///
    /// - Parameters:
    ///   - path: an absolute path without links.
    ///   - mounts: the text of `mountinfo`.
    static func type(of path: String, mounts: String) -> String? {
        var best: (length: Int, type: String)?
        for line in mounts.split(separator: "\n") {
            let fields = line.split(separator: " ")
            guard fields.count > 6, let dash = fields.firstIndex(of: "-"), dash + 1 < fields.count else { continue }
            let place = fields[4].replacing("\\040", with: " ")
            let isAbove = place == "/" || path == place || path.hasPrefix(place + "/")
            if isAbove, place.utf8.count >= best?.length ?? 0 { best = (place.utf8.count, String(fields[dash + 1])) }
        }
        return best?.type
    }
}

/// How full the file system of a folder is (statvfs(3)).
package struct FileSystemSpace: Equatable, Sendable {
    /// Bytes in all.
    package let totalBytes: Int
    /// Bytes that ordinary users may still use.
    package let freeBytes: Int
    /// Inodes in all; 0 where the file system has no such limit.
    package let totalInodes: Int
    /// Inodes that ordinary users may still use.
    package let freeInodes: Int

    /// - Parameter path: a folder; nil when it cannot be asked.
    package init?(of path: String) {
        var status = statvfs()
        guard statvfs(path, &status) == 0 else { return nil }
        totalBytes = Int(status.f_blocks) * Int(status.f_frsize)
        freeBytes = Int(status.f_bavail) * Int(status.f_frsize)
        totalInodes = Int(status.f_files)
        freeInodes = Int(status.f_favail)
    }
}
