import FlyingFox
import FlyingSocks
import FoundationEssentials
import Glibc

/// The little HTTP server beside a service: `/metrics`, `/healthz` and what else it is given.
///
/// It has no authentication and no TLS, so it is to be bound to loopback unless the network is trusted.
package struct AdminServer: Sendable {
    /// What a page answers.
    package struct Page: Sendable {
        /// Whether the answer is 200; else 503.
        package var isGood: Bool
        /// The media type.
        package var contentType: String
        /// The body.
        package var body: String

        package init(isGood: Bool = true, contentType: String = "text/plain; charset=utf-8", body: String) {
            self.isGood = isGood
            self.contentType = contentType
            self.body = body
        }
    }

    private let address: HostAddress
    private let pages: [String: @Sendable () async -> Page]

    /// - Parameters:
    ///   - address: where to listen.
    ///   - pages: what to answer by path, such as `/healthz`.
    package init(address: HostAddress, pages: [String: @Sendable () async -> Page]) {
        self.address = address
        self.pages = pages
    }

    /// Listens until the task is cancelled.
    ///
    /// - Throws: when the address cannot be bound.
    package func run() async throws {
        let server: HTTPServer
        if address.isIPv6 {
            server = HTTPServer(
                address: try sockaddr_in6.inet6(ip6: address.host, port: address.port), timeout: 15,
                logger: .disabled)
        } else if address.host.isEmpty {
            server = HTTPServer(
                address: sockaddr_in.inet(port: address.port), timeout: 15, logger: .disabled)
        } else {
            server = HTTPServer(
                address: try sockaddr_in.inet(ip4: address.host, port: address.port), timeout: 15,
                logger: .disabled)
        }
        for (path, page) in pages {
            await server.appendRoute(HTTPRoute("GET \(path)")) { _ in
                let page = await page()
                return HTTPResponse(
                    statusCode: page.isGood ? .ok : .serviceUnavailable,
                    headers: [.contentType: page.contentType], body: Data(page.body.utf8))
            }
        }
        try await server.run()
    }
}
