import Synchronization

/// A number that several tasks raise.
final class Counter: Sendable {
    private let atomic = Atomic(0)

    var value: Int { atomic.load(ordering: .relaxed) }

    func add() { atomic.wrappingAdd(1, ordering: .relaxed) }
}
