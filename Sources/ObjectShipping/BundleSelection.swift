/// Who had a turn when, so that turns go round over many objects.
package struct BundleTurns: Equatable, Sendable {
    /// How many objects were begun.
    var number = 0
    /// The object that last held a segment of the stream.
    var streams: [String: Int] = [:]
    /// The object that last held a segment of the writer.
    var writers: [String: Int] = [:]

    package init() {}

    /// Takes a turn back that came to nothing.
    mutating func giveBack(_ id: SegmentID, _ stream: String?) {
        writers[id.writer] = nil
        if let stream { streams[stream] = nil }
    }
}

/// Which of the waiting segments go into the next object.
///
/// Streams share an object by bytes. Within a stream three orders take turns, so that a backlog of whatever shape keeps
/// nobody waiting: round robin over the writers (every writer's oldest before any writer's second, whoever had no turn for
/// longest first), what is fresh (the newest of each writer), and what is old. Every second object begins with what is
/// fresh.
package struct BundleSelection: Equatable {
    /// What was chosen, in the order of the object.
    package private(set) var segments: [SegmentID] = []
    /// The expected size of the object, in bytes.
    package private(set) var expectedBytes = 0

    /// Chooses, and notes whose turn it was.
    ///
    /// Cost: sorts what waits.
    ///
    /// - Parameters:
    ///   - waiting: what may be chosen.
    ///   - target: the size to stop at, compressed, in bytes; at least one segment is chosen.
    ///   - ratio: how many compressed bytes a raw byte is expected to give.
    ///   - limit: the most segments.
    ///   - turns: who had a turn when.
    package init(
        from waiting: [Candidate], target: Int, ratio: Double, limit: Int = 1_000, turns: inout BundleTurns
    ) {
        turns.number += 1
        var queues: [String: [String: [Candidate]]] = [:]
        for candidate in waiting {
            queues[candidate.stream, default: [:]][candidate.id.writer, default: []].append(candidate)
        }
        var lines = queues.map { stream, writers in
            StreamLine(stream, writers, turns)
        }
        var expected = 0.0
        var chosen: [SegmentID] = []
        while chosen.isEmpty || (chosen.count < limit && expected < Double(target)) {
            guard let next = lines.indices.filter({ lines[$0].hasMore }).min(by: { lines[$0].isBefore(lines[$1]) })
            else { break }
            guard let candidate = lines[next].take(ratio: ratio) else { break }
            // One that would make it much too large waits for the next object, in which it is the first.
            if !chosen.isEmpty, expected + Double(candidate.rawBytes) * ratio > 1.5 * Double(target) { continue }
            chosen.append(candidate.id)
            expected += Double(candidate.rawBytes) * ratio
            turns.streams[candidate.stream] = turns.number
            turns.writers[candidate.id.writer] = turns.number
        }
        if turns.writers.count > 2 * queues.values.reduce(1_000, { $0 + $1.count }) {
            let known = Set(queues.values.flatMap(\.keys))
            turns.writers = turns.writers.filter { known.contains($0.key) }
        }
        segments = chosen.sorted()
        expectedBytes = Int(expected)
    }
}

/// One stream's segments in the order in which they are due.
private struct StreamLine {
    let stream: String
    let lastTurn: Int
    private var order: [Candidate]
    private var place = 0
    private var takenBytes = 0.0

    init(_ stream: String, _ writers: [String: [Candidate]], _ turns: BundleTurns) {
        self.stream = stream
        lastTurn = turns.streams[stream] ?? 0
        let queues = writers.map { writer, queue in
            WriterLine(lastTurn: turns.writers[writer] ?? 0, segments: queue.sorted { $0.id < $1.id })
        }
        // Whoever was in the last object comes after all others: it may always have the newest.
        let served = queues.filter { $0.lastTurn == turns.number - 1 && $0.lastTurn > 0 }
        let others = queues.filter { $0.lastTurn != turns.number - 1 || $0.lastTurn == 0 }
        let fresh =
            others.compactMap(\.segments.last).sorted(by: StreamLine.newer)
            + served.compactMap(\.segments.last).sorted(by: StreamLine.newer)
        let old = queues.flatMap(\.segments).sorted(by: StreamLine.older)
        // Fresh, round robin, fresh, old lead in turn.
        let leader = [0, 1, 0, 2][turns.number % 4]
        order = StreamLine.merge([fresh, StreamLine.roundRobin(queues), old], leader: leader)
    }

    private static func newer(_ left: Candidate, _ right: Candidate) -> Bool {
        left.sealed_ms != right.sealed_ms ? left.sealed_ms > right.sealed_ms : left.id < right.id
    }

    private static func older(_ left: Candidate, _ right: Candidate) -> Bool {
        left.sealed_ms != right.sealed_ms ? left.sealed_ms < right.sealed_ms : left.id < right.id
    }

    var hasMore: Bool { place < order.count }

    func isBefore(_ other: StreamLine) -> Bool {
        if takenBytes != other.takenBytes { return takenBytes < other.takenBytes }
        return lastTurn != other.lastTurn ? lastTurn < other.lastTurn : stream < other.stream
    }

    mutating func take(ratio: Double) -> Candidate? {
        guard hasMore else { return nil }
        place += 1
        takenBytes += max(1, Double(order[place - 1].rawBytes) * ratio)
        return order[place - 1]
    }

    /// Every writer's oldest, then every writer's second, and so on.
    private static func roundRobin(_ queues: [WriterLine]) -> [Candidate] {
        let queues = queues.sorted(by: WriterLine.rested)
        var order: [Candidate] = []
        order.reserveCapacity(queues.reduce(0) { $0 + $1.segments.count })
        var rest = queues.map { $0.segments[...] }
        while !rest.isEmpty {
            for index in rest.indices { order.append(rest[index].removeFirst()) }
            rest.removeAll(where: \.isEmpty)
        }
        return order
    }

    /// One of each order in turn, each segment once.
    private static func merge(_ orders: [[Candidate]], leader: Int) -> [Candidate] {
        var places = [Int](repeating: 0, count: orders.count)
        var merged: [Candidate] = []
        merged.reserveCapacity(orders[1].count)
        var seen = Set<SegmentID>()
        var turn = leader
        // The second order and the third hold every segment.
        while merged.count < orders[1].count {
            let index = turn % orders.count
            turn += 1
            while places[index] < orders[index].count {
                let candidate = orders[index][places[index]]
                places[index] += 1
                if seen.insert(candidate.id).inserted {
                    merged.append(candidate)
                    break
                }
            }
        }
        return merged
    }
}

/// One writer's segments, by number.
private struct WriterLine {
    let lastTurn: Int
    let segments: [Candidate]

    /// Whoever had no turn for longest comes first; among equals, who has waited for longest.
    static func rested(_ left: WriterLine, _ right: WriterLine) -> Bool {
        if left.lastTurn != right.lastTurn { return left.lastTurn < right.lastTurn }
        guard let one = left.segments.first, let two = right.segments.first else { return !left.segments.isEmpty }
        return one.sealed_ms != two.sealed_ms ? one.sealed_ms < two.sealed_ms : one.id < two.id
    }
}
