internal import TableStorage

/// The objects that this run has claimed and not finished: their leases are renewed every third of their length, so
/// that no other loader takes over what still waits for its turn.
actor ObjectLeases {
    private let claims: ObjectClaims
    private var open: Set<Int64> = []
    private var renewal: Task<Void, Never>?

    init(_ claims: ObjectClaims) { self.claims = claims }

    deinit { renewal?.cancel() }

    /// Adds objects that were claimed just now.
    func hold(_ objects: [Int64]) {
        open.formUnion(objects)
        if renewal != nil || objects.isEmpty { return }
        let pause = Duration.milliseconds(max(50, claims.lease_s * 1000 / 3))
        renewal = Task { [weak self] in
            while !Task.isCancelled {
                do { try await Task.sleep(for: pause) } catch { return }
                await self?.renew()
            }
        }
    }

    /// Forgets objects that are loaded, set aside or given back.
    func drop(_ objects: [Int64]) { open.subtract(objects) }

    /// Gives back what is still held at the run's end.
    ///
    /// A database that does not answer leaves it to the leases' end.
    func end() async {
        renewal?.cancel()
        renewal = nil
        let objects = Array(open)
        open = []
        if !objects.isEmpty { try? await claims.release(objects) }
    }

    private func renew() async {
        // A renewal that fails is made up for by the next one, long before the lease ends.
        if !open.isEmpty { try? await claims.renew(Array(open)) }
    }
}
