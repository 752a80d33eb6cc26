import Glibc
import ServiceSupport
import TestSupport
import Testing

/// A datagram socket as the service manager has it.
private final class Manager: Sendable {
    let descriptor: Int32

    init(path: String) throws {
        descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue), 0)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        var name = Array(path.utf8)
        let isAbstract = name.first == UInt8(ascii: "@")
        if isAbstract { name[0] = 0 }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: name) }
        let length = socklen_t(2 + name.count + (isAbstract ? 0 : 1))
        let result = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(descriptor, $0, length) }
        }
        try #require(result == 0)
        var limit = timeval(tv_sec: 5, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
    }

    deinit { close(descriptor) }

    func receive() -> String {
        var buffer = [UInt8](repeating: 0, count: 4096)
        let count = recv(descriptor, &buffer, buffer.count, 0)
        return count > 0 ? String(decoding: buffer[..<count], as: UTF8.self) : ""
    }
}

@Suite struct NotifySocketTests {
    @Test(arguments: [false, true]) func speaksTheProtocol(isAbstract: Bool) throws {
        let folder = try ScratchFolder()
        let path = isAbstract ? "@nadi-test-\(getpid())" : folder["notify"]
        let manager = try Manager(path: path)
        let socket = NotifySocket(environment: ["NOTIFY_SOCKET": path, "WATCHDOG_USEC": "3000000"])
        #expect(socket.watchdog == .seconds(3))
        socket.ready(status: "one\ntwo")
        #expect(manager.receive() == "READY=1\nSTATUS=one two")
        socket.alive()
        #expect(manager.receive() == "WATCHDOG=1")
        socket.stopping(status: "s", budget: .seconds(10))
        #expect(manager.receive() == "STOPPING=1\nSTATUS=s\nEXTEND_TIMEOUT_USEC=10000000")
        socket.reloading()
        #expect(manager.receive().hasPrefix("RELOADING=1\nMONOTONIC_USEC="))
    }

    @Test func doesNothingWithoutAManager() {
        let socket = NotifySocket(environment: [:])
        #expect(!socket.isPresent)
        #expect(socket.watchdog == nil)
        socket.ready(status: "nobody hears")
        NotifySocket(environment: ["NOTIFY_SOCKET": "/nonexistent/socket"]).alive()
    }

    @Test func theWatchdogOfAnotherProcessIsNotOurs() {
        let environment = ["WATCHDOG_USEC": "1000000", "WATCHDOG_PID": "1"]
        #expect(NotifySocket(environment: environment, process: 2).watchdog == nil)
        #expect(NotifySocket(environment: environment, process: 1).watchdog == .seconds(1))
    }
}
