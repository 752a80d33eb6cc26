import Glibc

/// The service manager's notification socket (sd_notify(3)), without libsystemd.
///
/// Outside a service manager every call does nothing; errors are never fatal, as the protocol demands.
package struct NotifySocket: Sendable {
    private let path: String?
    /// How often the service manager expects a sign of life; nil when it does not watch this process.
    package let watchdog: Duration?

    /// Takes the socket and the watchdog's interval from the environment.
    ///
    /// - Parameters:
    ///   - environment: `NOTIFY_SOCKET`, `WATCHDOG_USEC` and `WATCHDOG_PID`.
    ///   - process: this process's number, which `WATCHDOG_PID` must be if it is set.
    package init(environment: [String: String], process: Int32 = getpid()) {
        path = environment["NOTIFY_SOCKET"].flatMap { $0.hasPrefix("/") || $0.hasPrefix("@") ? $0 : nil }
        let isForUs = environment["WATCHDOG_PID"].map { $0 == String(process) } ?? true
        watchdog = environment["WATCHDOG_USEC"].flatMap { Int64($0) }.flatMap {
            $0 > 0 && isForUs ? .microseconds($0) : nil
        }
    }

    /// Whether a service manager listens.
    package var isPresent: Bool { path != nil }

    /// The service has started.
    package func ready(status: String) { send("READY=1\nSTATUS=\(NotifySocket.line(status))") }

    /// One line on what the service is doing.
    package func status(_ text: String) { send("STATUS=\(NotifySocket.line(text))") }

    /// A sign of life.
    ///
    /// To be sent only when the service's work has really moved.
    package func alive() { send("WATCHDOG=1") }

    /// The service is about to stop.
    ///
    /// - Parameter budget: how much longer than the manager's own limit the stop may take.
    package func stopping(status: String, budget: Duration? = nil) {
        var text = "STOPPING=1\nSTATUS=\(NotifySocket.line(status))"
        if let budget { text += "\nEXTEND_TIMEOUT_USEC=\(budget.components.seconds * 1_000_000)" }
        send(text)
    }

    /// The configuration is being read again; `ready` must follow, also when the new one is refused.
    package func reloading() { send("RELOADING=1\nMONOTONIC_USEC=\(SystemTime.monotonic_ns() / 1_000)") }

    private static func line(_ text: String) -> String {
        String(text.map { $0.isNewline ? " " : $0 })
    }

    private func send(_ text: String) {
        guard let path else { return }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        var name = Array(path.utf8)
        if name.first == UInt8(ascii: "@") { name[0] = 0 }
        guard name.count < MemoryLayout.size(ofValue: address.sun_path) else { return }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: name) }
        let isAbstract = name.first == 0
        let length = MemoryLayout<sa_family_t>.size + name.count + (isAbstract ? 0 : 1)
        let descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { return }
        defer { close(descriptor) }
        let bytes = Array(text.utf8)
        withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                _ = sendto(
                    descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL) | Int32(MSG_DONTWAIT), address,
                    socklen_t(length))
            }
        }
    }
}
