/// An address to listen on or to connect to: `127.0.0.1:9464`, `[::1]:9464`, or `:9464` for every interface.
package struct HostAddress: Equatable, Sendable, CustomStringConvertible {
    /// The numeric host; empty for every interface.
    package let host: String
    /// The port.
    package let port: UInt16
    /// Whether the host is an IPv6 address.
    package let isIPv6: Bool

    /// Reads an address; nil when it has no port, or a host that is not numeric.
    package init?(_ text: String) {
        guard let colon = text.lastIndex(of: ":"), let port = UInt16(text[text.index(after: colon)...]) else {
            return nil
        }
        var host = text[..<colon]
        if host == "localhost" { host = "127.0.0.1" }
        isIPv6 = host.hasPrefix("[") && host.hasSuffix("]")
        if isIPv6 {
            host = host.dropFirst().dropLast()
        } else if host.contains(":") {
            return nil
        } else if !host.isEmpty {
            let parts = host.split(separator: ".", omittingEmptySubsequences: false)
            guard parts.count == 4, parts.allSatisfy({ UInt8($0) != nil }) else { return nil }
        }
        self.host = String(host)
        self.port = port
    }

    package var description: String { isIPv6 ? "[\(host)]:\(port)" : "\(host):\(port)" }

    /// Whether only programs of this machine can connect.
    package var isLoopback: Bool { host.hasPrefix("127.") || host == "::1" }
}
