internal import Glibc

/// An open file descriptor with one owner, closed when that owner goes.
struct Descriptor: ~Copyable {
    let number: Int32
    let path: String

    /// Opens a path, close-on-exec always.
    ///
    /// The corresponding C function is `open`.
    init(_ path: String, _ flags: Int32, mode: mode_t = 0o640) throws(SystemError) {
        var number: Int32
        repeat {
            number = open(path, flags | O_CLOEXEC, mode)
        } while number < 0 && errno == EINTR
        guard number >= 0 else { throw .current("open", path) }
        self.number = number
        self.path = path
    }

    deinit {
        _ = Glibc.close(number)
    }

    /// The file's size, kind and times.
    ///
    /// The corresponding C function is `fstat`.
    func status() throws(SystemError) -> stat {
        var status = stat()
        guard fstat(number, &status) == 0 else { throw .current("stat", path) }
        return status
    }

    /// Writes everything, however many calls that takes.
    func writeAll(_ bytes: UnsafeRawBufferPointer) throws(SystemError) {
        var written = 0
        while written < bytes.count {
            let count = write(number, bytes.baseAddress.map { $0 + written }, bytes.count - written)
            if count < 0 {
                if errno == EINTR { continue }
                throw .current("write", path)
            }
            written += count
        }
    }

    /// Reads until the buffer is full or the file ends; returns the number of bytes read.
    func readAll(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) throws(SystemError) -> Int {
        var filled = 0
        while filled < buffer.count {
            let count = pread(
                number, buffer.baseAddress.map { $0 + filled }, buffer.count - filled, off_t(offset + filled))
            if count < 0 {
                if errno == EINTR { continue }
                throw .current("read", path)
            }
            if count == 0 { break }
            filled += count
        }
        return filled
    }

    /// Makes the content durable.
    ///
    /// The corresponding C function is `fsync`, which is not repeated after a failure: the kernel may have dropped the
    /// pages it could not write.
    func sync() throws(SystemError) {
        guard fsync(number) == 0 else { throw .current("fsync", path) }
    }
}
