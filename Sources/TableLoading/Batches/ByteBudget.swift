/// Bounds the bytes that workers hold at the same time: who would exceed it waits; one that is larger than all of it works
/// alone.
actor ByteBudget {
    private let limit: Int
    private var used = 0
    private var waiting: [(bytes: Int, go: CheckedContinuation<Void, Never>)] = []

    init(_ limit: Int) { self.limit = limit }

    /// Waits for room, first come, first served.
    func take(_ bytes: Int) async {
        if waiting.isEmpty, used == 0 || used + bytes <= limit {
            used += bytes
            return
        }
        await withCheckedContinuation { waiting.append((bytes, $0)) }
    }

    /// Gives room back.
    func give(_ bytes: Int) {
        used -= bytes
        while let next = waiting.first, used == 0 || used + next.bytes <= limit {
            waiting.removeFirst()
            used += next.bytes
            next.go.resume()
        }
    }
}
