import Glibc

/// The C library's allocator, told to give large buffers back.
package enum HeapTuning {
    /// Makes every buffer of 128 KiB or more a mapping of its own, which goes back to the system when it is freed, and
    /// limits the heaps that threads have to themselves.
    ///
    /// glibc raises that limit up to 32 MiB by itself once a large buffer was freed: what large objects leave behind then
    /// stays with the process (84 instead of 51 MiB for segments of 16 MiB that do not compress). To be called first; does
    /// nothing where the C library has no `mallopt(3)`.
    package static func returnLargeBuffers() {
        typealias Option = @convention(c) (Int32, Int32) -> Int32
        guard let symbol = dlsym(nil, "mallopt") else { return }
        let set = unsafeBitCast(symbol, to: Option.self)
        let (trimThreshold, mapThreshold, mostHeaps): (Int32, Int32, Int32) = (-1, -3, -8)
        _ = set(mapThreshold, 128 << 10)
        _ = set(trimThreshold, 128 << 10)
        _ = set(mostHeaps, 2)
    }
}
