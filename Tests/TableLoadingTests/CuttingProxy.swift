import Dispatch
import DurableIO
import Glibc
import Synchronization

/// Stands between a loader and its database on loopback, and cuts the connection around the COMMIT of a batch.
final class CuttingProxy: Sendable {
    /// When the connection is cut.
    enum Cut: String, CaseIterable, Sendable {
        /// COMMIT never reaches the server.
        case beforeCommit
        /// COMMIT is sent on and both sides are cut at once.
        case withCommit
        /// The server has committed and answered; the answer never reaches the loader.
        case beforeAnswer
    }

    /// Where loaders connect to.
    let port: UInt16
    private let listener: Int32
    private let server: UInt16
    private let cut: Cut
    private let left: Atomic<Int>
    private let done = Atomic(0)

    /// Listens on a free port and passes everything on to the server's, apart from the first `times` commits of batches.
    init(server: UInt16, cut: Cut, times: Int) throws {
        self.server = server
        self.cut = cut
        left = Atomic(times)
        let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        self.listener = listener
        var address = Self.loopback(0)
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let bound = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { raw in
                Glibc.bind(listener, raw, length) == 0 && listen(listener, 16) == 0
                    && getsockname(listener, raw, &length) == 0
            }
        }
        guard bound else { throw SystemError.current("listen", "127.0.0.1") }
        port = UInt16(bigEndian: address.sin_port)
        DispatchQueue(label: "proxy").async { [self] in
            while true {
                let client = accept(listener, nil, nil)
                if client < 0 { return }
                self.serve(client)
            }
        }
    }

    /// How many connections were cut.
    var cuts: Int { done.load(ordering: .relaxed) }

    /// Takes no more connections.
    func stop() {
        shutdown(listener, Int32(SHUT_RDWR))
        close(listener)
    }

    private static func loopback(_ port: UInt16) -> sockaddr_in {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr = in_addr(s_addr: UInt32(0x7F00_0001).bigEndian)
        return address
    }

    /// One loader's connection.
    private final class Link: Sendable {
        let client: Int32
        let upstream: Int32
        /// Whether a batch's rows of the ledger went through since the last COMMIT.
        let isBatch = Atomic(false)
        /// Whether the next answer is swallowed.
        let isSwallowing = Atomic(false)

        init(_ client: Int32, _ upstream: Int32) {
            self.client = client
            self.upstream = upstream
        }

        deinit {
            close(client)
            close(upstream)
        }

        func end() {
            shutdown(client, Int32(SHUT_RDWR))
            shutdown(upstream, Int32(SHUT_RDWR))
        }
    }

    private func serve(_ client: Int32) {
        let upstream = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = Self.loopback(server)
        let connected = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(upstream, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
            }
        }
        let link = Link(client, upstream)
        if !connected { return link.end() }
        DispatchQueue(label: "to server").async {
            Self.pump(link.client) { self.passOn($0, link) }
            link.end()
        }
        DispatchQueue(label: "to loader").async {
            Self.pump(link.upstream) { bytes in
                if link.isSwallowing.load(ordering: .acquiring) { return false }
                return Self.send(bytes, to: link.client)
            }
            link.end()
        }
    }

    private func passOn(_ bytes: ArraySlice<UInt8>, _ link: Link) -> Bool {
        if Self.contains(bytes, "COPY nadi_store.segment_hour") { link.isBatch.store(true, ordering: .relaxed) }
        guard Self.contains(bytes, "COMMIT"), link.isBatch.exchange(false, ordering: .relaxed),
            left.wrappingSubtract(1, ordering: .relaxed).oldValue > 0
        else { return Self.send(bytes, to: link.upstream) }
        done.wrappingAdd(1, ordering: .relaxed)
        switch cut {
        case .beforeCommit: return false
        case .withCommit:
            _ = Self.send(bytes, to: link.upstream)
            return false
        case .beforeAnswer:
            link.isSwallowing.store(true, ordering: .releasing)
            return Self.send(bytes, to: link.upstream)
        }
    }

    /// Reads until the end or until `body` has had enough.
    private static func pump(_ descriptor: Int32, _ body: (ArraySlice<UInt8>) -> Bool) {
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            let count = read(descriptor, &buffer, buffer.count)
            if count <= 0 || !body(buffer[..<count]) { return }
        }
    }

    private static func send(_ bytes: ArraySlice<UInt8>, to descriptor: Int32) -> Bool {
        var rest = bytes
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
            if count <= 0 { return false }
            rest = rest.dropFirst(count)
        }
        return true
    }

    private static func contains(_ bytes: ArraySlice<UInt8>, _ text: String) -> Bool {
        let pattern = Array(text.utf8)
        guard bytes.count >= pattern.count else { return false }
        return (bytes.startIndex...(bytes.endIndex - pattern.count)).contains { place in
            bytes[place] == pattern[0] && bytes[place..<(place + pattern.count)].elementsEqual(pattern)
        }
    }
}
