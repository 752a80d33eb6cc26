/// Limits of the connections to a store.
///
/// The defaults suit both a store in the next rack and one across an ocean.
package struct HTTPSettings: Hashable, Sendable {
    /// How long connecting (name, TCP, TLS) may take, seconds.
    package var connectTimeout_s = 10.0
    /// A transfer slower than `stallSpeed` for so long is given up, whole seconds.
    package var stallTime_s = 30
    /// Bytes per second.
    package var stallSpeed = 1024
    /// What any request may take, seconds, plus the time for its bytes at `slowestSpeed`.
    package var requestTimeout_s = 60.0
    /// Bytes per second.
    package var slowestSpeed = 65_536.0
    /// Requests in flight; more wait their turn.
    package var maxConnections = 8
    /// How long an idle connection may be used again, whole seconds: less than what stores and load balancers wait.
    package var maxIdle_s = 20
    /// How long a connection lives, whole seconds, so that a changed name resolution takes effect.
    package var maxLifetime_s = 300
    /// PUT bodies from this size on wait (for 1 s) for the store's word before they are sent.
    package var expectContinueBytes = 1 << 20
    /// A file of certificate authorities (PEM) that are trusted instead of the system's.
    package var caFile: String?
    /// Whether the store's certificate is checked.
    ///
    /// For tests in closed networks only.
    package var verifyTLS = true
    /// Whether the proxy that the environment names (`https_proxy`, `no_proxy`, ...) is used.
    package var usesProxy = true

    /// The defaults.
    package init() {}
}
