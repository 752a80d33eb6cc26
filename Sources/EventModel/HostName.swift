import Glibc

/// The host's name as it stands in writer names, object keys and reports.
package enum HostName {
    /// The normal form: characters outside `[A-Za-z0-9.-]` become `-`, letters become lower case, at most 64 bytes.
    ///
    /// An empty name becomes `unknown`: a writer's name must not begin with the separator.
    package static func normalise(_ name: String) -> String {
        var bytes: [UInt8] = []
        for scalar in name.unicodeScalars.prefix(EventLimits.hostBytes) {
            switch scalar {
            case "A"..."Z": bytes.append(UInt8(scalar.value) | 0x20)
            case "a"..."z", "0"..."9", ".", "-": bytes.append(UInt8(scalar.value))
            default: bytes.append(UInt8(ascii: "-"))
            }
        }
        return bytes.isEmpty ? "unknown" : String(decoding: bytes, as: UTF8.self)
    }

    /// The kernel's host name in normal form.
    ///
    /// Corresponds to `gethostname`.
    package static func current() -> String {
        var buffer = [UInt8](repeating: 0, count: 256)
        let result = buffer.withUnsafeMutableBytes { bytes -> CInt in
            guard let start = bytes.baseAddress else { return -1 }
            return gethostname(start.assumingMemoryBound(to: CChar.self), bytes.count - 1)
        }
        guard result == 0 else { return normalise("") }
        return normalise(String(decoding: buffer.prefix { $0 != 0 }, as: UTF8.self))
    }
}
