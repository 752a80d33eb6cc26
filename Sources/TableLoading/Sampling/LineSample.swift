internal import ModelStatistics
package import RecordBatches

/// A uniform sample of the lines that match, the same for the same lines in whatever order they are read.
///
/// Each line draws a number from its place and the seed; those with the least numbers stay.
package struct LineSample: Sendable {
    /// A line that was drawn.
    package struct Line: Sendable {
        /// Milliseconds since the epoch.
        package var time_ms: Int64
        package var place: RangePredictions.Place
        package var raw: [UInt8]
        /// What a table shows of it.
        package var cells: [EventValue?]
        fileprivate var draw: UInt64
    }

    package let size: Int
    private let seed: UInt64
    /// Lines that matched.
    package private(set) var matched = 0
    /// A heap, the greatest draw first.
    private var heap: [Line] = []

    package init(size: Int, seed: UInt64) {
        self.size = size
        self.seed = seed
    }

    /// The lines, by time and place.
    package var lines: [Line] {
        heap.sorted {
            ($0.time_ms, $0.place.writer, $0.place.seq, $0.place.line)
                < ($1.time_ms, $1.place.writer, $1.place.seq, $1.place.line)
        }
    }

    /// Takes a line that matches.
    package mutating func add(
        _ place: RangePredictions.Place, time_ms: Int64, _ raw: UnsafeBufferPointer<UInt8>, cells: () -> [EventValue?]
    ) {
        matched += 1
        guard size > 0 else { return }
        let draw = draw(place)
        if heap.count == size, draw >= heap[0].draw { return }
        let line = Line(time_ms: time_ms, place: place, raw: Array(raw), cells: cells(), draw: draw)
        if heap.count < size {
            heap.append(line)
            var child = heap.count - 1
            while child > 0, heap[(child - 1) / 2].draw < heap[child].draw {
                heap.swapAt(child, (child - 1) / 2)
                child = (child - 1) / 2
            }
            return
        }
        heap[0] = line
        var parent = 0
        while true {
            var greatest = parent
            for child in [2 * parent + 1, 2 * parent + 2]
            where child < heap.count && heap[child].draw > heap[greatest].draw { greatest = child }
            if greatest == parent { return }
            heap.swapAt(parent, greatest)
            parent = greatest
        }
    }

    private func draw(_ place: RangePredictions.Place) -> UInt64 {
        var hash = SplitMix.mixed(seed &+ 0x9E37_79B9_7F4A_7C15)
        for byte in place.writer.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
        hash = SplitMix.mixed(hash ^ UInt64(bitPattern: Int64(place.seq)))
        return SplitMix.mixed(hash ^ UInt64(bitPattern: Int64(place.line)) &* 0x9E37_79B9_7F4A_7C15)
    }
}
