import Glibc

/// Three calls of glibc that the `Glibc` module does not import, found by name.
///
/// Where one is missing, nothing happens: each only improves on what works without it.
enum LinuxCalls {
    /// The kind of file system that a path lies on (`f_type` of `statfs`); nil where it cannot be told.
    static func fileSystemType(_ path: String) -> UInt32? {
        typealias Call = @convention(c) (UnsafePointer<CChar>, UnsafeMutableRawPointer) -> CInt
        guard let call = find("statfs") else { return nil }
        // struct statfs has 120 bytes on 64-bit Linux; its first member is f_type, a long.
        return withUnsafeTemporaryAllocation(byteCount: 512, alignment: 16) { buffer in
            guard let start = buffer.baseAddress, unsafeBitCast(call, to: Call.self)(path, start) == 0 else {
                return nil
            }
            return UInt32(truncatingIfNeeded: start.load(as: Int.self))
        }
    }

    /// Starts writing a file's pages to the disk without waiting for them.
    static func startWriteback(_ file: Int32, from offset: Int, count: Int) {
        typealias Call = @convention(c) (CInt, Int64, Int64, CUnsignedInt) -> CInt
        let startOnly: CUnsignedInt = 2  // SYNC_FILE_RANGE_WRITE
        guard let call = syncFileRange else { return }
        _ = unsafeBitCast(call, to: Call.self)(file, Int64(offset), Int64(count), startOnly)
    }

    /// Names the calling thread, for `top` and debuggers.
    static func nameThread(_ name: String) {
        typealias Call = @convention(c) (pthread_t, UnsafePointer<CChar>) -> CInt
        guard let call = find("pthread_setname_np") else { return }
        _ = unsafeBitCast(call, to: Call.self)(pthread_self(), name)
    }

    nonisolated(unsafe) private static let syncFileRange = find("sync_file_range")

    private static func find(_ name: String) -> UnsafeMutableRawPointer? { dlsym(nil, name) }
}
