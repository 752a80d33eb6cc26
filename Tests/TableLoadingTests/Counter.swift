import Synchronization

/// A number that several tasks raise.
final class Counter: Sendable {
    private let atomic = Atomic(0)

    var value: Int { atomic.load(ordering: .relaxed) }

    /// Raises it by one; returns what it was.
    @discardableResult
    func add() -> Int { atomic.wrappingAdd(1, ordering: .relaxed).oldValue }
}
