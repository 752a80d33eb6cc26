import DurableIO
import Glibc
import Synchronization

/// An HTTP server on the loopback that answers by a script, keeps what it was asked, and can misbehave.
final class ScriptedServer: Sendable {
    struct Request: Sendable {
        var method = ""
        var target = ""
        var headers: [String: String] = [:]
        var body: [UInt8] = []
        var connection = 0
    }

    enum Step: Sendable {
        /// A whole answer; its length is added unless the headers hold one.
        case answer(Int, [String: String] = [:], String = "")
        /// A whole answer, then the connection is closed without a word about it.
        case answerAndClose(Int, [String: String] = [:], String = "")
        /// Bytes as they are, then the connection is closed.
        case bytesAndClose(String)
        /// The connection is closed without an answer.
        case close
        /// An answer after a delay, seconds.
        case delayed(Double, Int)
        /// Nothing until the client goes.
        case silence
        /// The head of an answer of so many bytes, then one byte now and then, until the client goes.
        case drip(Int)
        /// What a function says of the request.
        case route(@Sendable (Request) -> Step)
    }

    private struct State {
        var requests: [Request] = []
        var script: [Step]
        var connections = 0
        var openConnections = 0
        var mostOpenConnections = 0
    }

    let port: UInt16
    private let listener: Int32
    private let state: Mutex<State>

    var endpoint: String { "http://127.0.0.1:\(port)" }
    var requests: [Request] { state.withLock { $0.requests } }
    var connections: Int { state.withLock { $0.connections } }
    var mostOpenConnections: Int { state.withLock { $0.mostOpenConnections } }

    /// Starts; the last step of the script is repeated.
    init(_ script: [Step]) throws {
        (listener, port) = try Self.listen()
        state = Mutex(State(script: script))
        let listener = listener
        startThread { [weak self] in
            while true {
                let socket = accept(listener, nil, nil)
                guard socket >= 0, let self else { break }
                let number = self.state.withLock { state in
                    state.connections += 1
                    state.openConnections += 1
                    state.mostOpenConnections = max(state.mostOpenConnections, state.openConnections)
                    return state.connections
                }
                startThread { [weak self] in
                    self?.serve(socket, number)
                    close(socket)
                    self?.state.withLock { $0.openConnections -= 1 }
                }
            }
            close(listener)
        }
    }

    deinit {
        shutdown(listener, Int32(SHUT_RDWR))
    }

    /// A port that nobody listens on, at least a moment ago.
    static func freePort() throws -> UInt16 {
        let (socket, port) = try listen()
        close(socket)
        return port
    }

    static func listen() throws -> (Int32, UInt16) {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | 0o2_000_000, 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let code = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                bind(descriptor, address, length) == 0 && Glibc.listen(descriptor, 64) == 0
                    ? getsockname(descriptor, address, &length) : -1
            }
        }
        guard code == 0 else { throw SystemError.current("listen on", "127.0.0.1") }
        return (descriptor, UInt16(bigEndian: address.sin_port))
    }

    /// A connection to a port of the loopback; negative if there is none.
    static func connect(to port: UInt16) -> Int32 {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | 0o2_000_000, 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        address.sin_port = port.bigEndian
        let code = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                Glibc.connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        if code == 0 { return descriptor }
        close(descriptor)
        return -1
    }

    private func serve(_ socket: Int32, _ number: Int) {
        var buffer: [UInt8] = []
        while var request = read(socket, &buffer) {
            request.connection = number
            let step = state.withLock { state in
                state.requests.append(request)
                return state.script.count > 1 ? state.script.removeFirst() : state.script[0]
            }
            var chosen = step
            while case .route(let route) = chosen { chosen = route(request) }
            switch chosen {
            case .route: return
            case .drip(let length):
                write(socket, Array("HTTP/1.1 200 OK\r\netag: \"1\"\r\ncontent-length: \(length)\r\n\r\n".utf8))
                for _ in 0..<length {
                    guard write(socket, [120]) else { return }
                    usleep(200_000)
                }
            case .answer(let status, let headers, let body):
                send(socket, status, headers, request.method == "HEAD" ? "" : body)
            case .answerAndClose(let status, let headers, let body):
                send(socket, status, headers, body)
                return
            case .bytesAndClose(let text):
                write(socket, Array(text.utf8))
                return
            case .close: return
            case .delayed(let delay_s, let status):
                usleep(UInt32(delay_s * 1_000_000))
                send(socket, status, ["etag": "\"1\""], "")
            case .silence:
                var byte: UInt8 = 0
                _ = recv(socket, &byte, 1, 0)
                return
            }
        }
    }

    private func send(_ socket: Int32, _ status: Int, _ headers: [String: String], _ body: String) {
        var text = "HTTP/1.1 \(status) Scripted\r\n"
        for (name, value) in headers { text += "\(name): \(value)\r\n" }
        if headers["content-length"] == nil { text += "content-length: \(body.utf8.count)\r\n" }
        write(socket, Array((text + "\r\n" + body).utf8))
    }

    /// False once the client has gone.
    @discardableResult
    private func write(_ socket: Int32, _ bytes: [UInt8]) -> Bool {
        var sent = 0
        while sent < bytes.count {
            let count = bytes.withUnsafeBytes {
                Glibc.send(socket, $0.baseAddress.map { $0 + sent }, bytes.count - sent, Int32(MSG_NOSIGNAL))
            }
            if count <= 0 { return false }
            sent += count
        }
        return true
    }

    private func read(_ socket: Int32, _ buffer: inout [UInt8]) -> Request? {
        var chunk = [UInt8](repeating: 0, count: 65_536)
        func more() -> Bool {
            let count = recv(socket, &chunk, chunk.count, 0)
            if count > 0 { buffer += chunk[..<count] }
            return count > 0
        }
        let end = Array("\r\n\r\n".utf8)
        var headLength: Int?
        while headLength == nil {
            headLength = buffer.indices.first { buffer[$0...].starts(with: end) }
            if headLength == nil, !more() { return nil }
        }
        guard let headLength else { return nil }
        let lines = String(decoding: buffer[..<headLength], as: UTF8.self).split(separator: "\r\n")
        let words = lines[0].split(separator: " ")
        var request = Request(method: String(words[0]), target: String(words[1]))
        for line in lines.dropFirst() {
            let parts = line.split(separator: ":", maxSplits: 1)
            let value = parts.count > 1 ? String(parts[1].drop { $0 == " " }) : ""
            request.headers[parts[0].lowercased()] = value
        }
        buffer.removeFirst(headLength + 4)
        if request.headers["expect"] != nil { write(socket, Array("HTTP/1.1 100 Continue\r\n\r\n".utf8)) }
        let length = Int(request.headers["content-length"] ?? "0") ?? 0
        while buffer.count < length { if !more() { return nil } }
        request.body = Array(buffer[..<length])
        buffer.removeFirst(length)
        return request
    }
}

/// Runs a body that blocks on a thread of its own.
func startThread(_ body: @escaping @Sendable () -> Void) {
    final class Box: Sendable {
        let body: @Sendable () -> Void
        init(_ body: @escaping @Sendable () -> Void) { self.body = body }
    }
    var thread = pthread_t()
    pthread_create(
        &thread, nil,
        { raw in
            if let raw { Unmanaged<Box>.fromOpaque(raw).takeRetainedValue().body() }
            return nil
        }, Unmanaged.passRetained(Box(body)).toOpaque())
    pthread_detach(thread)
}
