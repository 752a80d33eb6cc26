internal import DurableIO
internal import Glibc

/// Chunks of bytes in a file that has no name, and is gone with its last owner: room that is not memory.
///
/// Used by one thread at a time; that makes it safe to send.
final class SpillFile: @unchecked Sendable {
    private let descriptor: Int32
    private let directory: String
    private var sizes: [Int] = []

    /// Makes the file in a folder that should be on a disk: a `tmpfs` is memory.
    /// - Throws: `SystemError`.
    init(in directory: String) throws {
        self.directory = directory
        var template = Array("\(directory)/nadi-rows-XXXXXX".utf8CString)
        let number = mkstemp(&template)
        guard number >= 0 else { throw SystemError.current("make a temporary file in", directory) }
        unlink(template)
        _ = fcntl(number, F_SETFD, FD_CLOEXEC)
        descriptor = number
    }

    deinit { close(descriptor) }

    /// How many chunks were appended.
    var count: Int { sizes.count }

    /// Appends a chunk.
    /// - Throws: `SystemError`, such as for a full disk.
    func append(_ chunk: [UInt8]) throws {
        var offset = sizes.reduce(0, +)
        sizes.append(chunk.count)
        var written = 0
        while written < chunk.count {
            let count = chunk.withUnsafeBytes {
                pwrite(descriptor, $0.baseAddress.map { $0 + written }, chunk.count - written, off_t(offset))
            }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { throw SystemError.current("write rows into a temporary file in", directory) }
            written += count
            offset += count
        }
    }

    /// Hands out the chunks in their order.
    /// - Throws: `SystemError`, and what `body` throws.
    func forEach(_ body: ([UInt8]) throws -> Void) throws {
        var offset = 0
        for size in sizes {
            var chunk = [UInt8](repeating: 0, count: size)
            var filled = 0
            while filled < size {
                let count = chunk.withUnsafeMutableBytes {
                    pread(descriptor, $0.baseAddress.map { $0 + filled }, size - filled, off_t(offset + filled))
                }
                if count < 0, errno == EINTR { continue }
                guard count > 0 else { throw SystemError.current("read rows from a temporary file in", directory) }
                filled += count
            }
            offset += size
            try body(chunk)
        }
    }

    /// `TMPDIR`, else `/var/tmp`, which is on a disk where `/tmp` may be memory.
    static var directory: String {
        guard let path = getenv("TMPDIR").map({ String(cString: $0) }), !path.isEmpty else { return "/var/tmp" }
        return path
    }
}
