/// Which of the waiting segments go into the next object.
///
/// Every writer's oldest segment comes before any writer's second, so that one busy writer with a long backlog does not
/// keep the others waiting; among equals the older seal goes first.
struct BundleSelection: Equatable {
    /// What was chosen, in the order of the object.
    var segments: [SegmentID]
    /// The expected size of the object, in bytes.
    var expectedBytes: Int

    /// - Parameters:
    ///   - waiting: what may be chosen.
    ///   - target: the size to stop at, compressed, in bytes; at least one segment is chosen.
    ///   - ratio: how many compressed bytes a raw byte is expected to give.
    ///   - limit: the most segments.
    init(from waiting: [Candidate], target: Int, ratio: Double, limit: Int = 1_000) {
        let order = waiting.sorted { $0.id < $1.id }
        var rank: [String: Int] = [:]
        var ranked: [(rank: Int, candidate: Candidate)] = []
        ranked.reserveCapacity(order.count)
        for candidate in order {
            ranked.append((rank[candidate.id.writer, default: 0], candidate))
            rank[candidate.id.writer, default: 0] += 1
        }
        ranked.sort { left, right in
            if left.rank != right.rank { return left.rank < right.rank }
            if left.candidate.sealed_ms != right.candidate.sealed_ms {
                return left.candidate.sealed_ms < right.candidate.sealed_ms
            }
            return left.candidate.id < right.candidate.id
        }
        var expected = 0.0
        var chosen: [SegmentID] = []
        for (_, candidate) in ranked {
            if !chosen.isEmpty, chosen.count >= limit || expected >= Double(target) { break }
            chosen.append(candidate.id)
            expected += Double(candidate.rawBytes) * ratio
        }
        segments = chosen.sorted()
        expectedBytes = Int(expected)
    }
}
