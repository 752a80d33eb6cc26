import Glibc

/// Fetches a page of an ``AdminServer`` on this machine: one GET over HTTP/1.0, blocking, with a time limit.
package enum AdminClient {
    /// The body of a page.
    ///
    /// - Parameters:
    ///   - address: the server's; an empty host means loopback.
    ///   - path: such as `/healthz`.
    ///   - seconds: how long each step may take.
    /// - Returns: the status code and body; nil when nobody answers.
    package static func get(_ address: HostAddress, path: String, seconds: Int = 2) -> (status: Int, body: String)? {
        let family = address.isIPv6 ? AF_INET6 : AF_INET
        let descriptor = socket(family, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var limit = timeval(tv_sec: seconds, tv_usec: 0)
        for option in [SO_RCVTIMEO, SO_SNDTIMEO] {
            setsockopt(descriptor, SOL_SOCKET, option, &limit, socklen_t(MemoryLayout<timeval>.size))
        }
        guard connect(descriptor, to: address) else { return nil }
        let request = Array("GET \(path) HTTP/1.1\r\nHost: \(address)\r\nConnection: close\r\n\r\n".utf8)
        guard send(descriptor, request, request.count, Int32(MSG_NOSIGNAL)) == request.count else { return nil }
        var answer: [UInt8] = []
        var piece = [UInt8](repeating: 0, count: 16_384)
        while answer.count < 16 << 20 {
            let count = recv(descriptor, &piece, piece.count, 0)
            if count <= 0 { break }
            answer.append(contentsOf: piece[..<count])
        }
        let text = String(decoding: answer, as: UTF8.self)
        guard let end = text.firstRange(of: "\r\n\r\n"),
            let status = Int(text.split(separator: " ").dropFirst().first ?? "")
        else { return nil }
        return (status, String(text[end.upperBound...]))
    }

    private static func connect(_ descriptor: Int32, to address: HostAddress) -> Bool {
        if address.isIPv6 {
            var target = sockaddr_in6()
            target.sin6_family = sa_family_t(AF_INET6)
            target.sin6_port = address.port.bigEndian
            guard inet_pton(AF_INET6, address.host, &target.sin6_addr) == 1 else { return false }
            return withUnsafePointer(to: &target) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    Glibc.connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in6>.size)) == 0
                }
            }
        }
        var target = sockaddr_in()
        target.sin_family = sa_family_t(AF_INET)
        target.sin_port = address.port.bigEndian
        let host = address.host.isEmpty ? "127.0.0.1" : address.host
        guard inet_pton(AF_INET, host, &target.sin_addr) == 1 else { return false }
        return withUnsafePointer(to: &target) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                Glibc.connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
            }
        }
    }
}
