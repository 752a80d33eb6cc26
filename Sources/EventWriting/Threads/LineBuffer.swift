import Glibc

/// Memory for whole lines that wait to be written: allocated once and touched once, so that filling it never faults.
struct LineBuffer {
    let base: UnsafeMutableRawPointer
    let capacity: Int
    /// Bytes in use.
    var count = 0
    /// Lines in use.
    var lines = 0

    init(capacity: Int) {
        self.capacity = capacity
        base = .allocate(byteCount: capacity, alignment: 4096)
        memset(base, 0, capacity)
    }

    @inline(__always)
    func hasRoom(_ bytes: Int) -> Bool { count + bytes <= capacity }

    @inline(__always)
    mutating func append(_ bytes: UnsafeRawBufferPointer) {
        guard let start = bytes.baseAddress else { return }
        (base + count).copyMemory(from: start, byteCount: bytes.count)
        count += bytes.count
        lines += 1
    }

    mutating func clear() {
        count = 0
        lines = 0
    }
}
