internal import Glibc

/// Which file or directory it is, under whatever name: the number of its device and of its inode.
///
/// A number is used again after the file is gone and no longer open.
package struct FileIdentity: Hashable, Sendable {
    private let device: UInt64
    private let inode: UInt64

    /// What a path leads to, links followed.
    ///
    /// - Throws: `SystemError` when there is nothing.
    package init(of path: String) throws(SystemError) {
        var status = stat()
        guard stat(path, &status) == 0 else { throw SystemError.current("open", path) }
        self.init(status)
    }

    init(_ status: stat) {
        device = UInt64(status.st_dev)
        inode = UInt64(status.st_ino)
    }
}
