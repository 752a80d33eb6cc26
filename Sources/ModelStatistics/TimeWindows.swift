/// The rows of hours, days and weeks (UTC, weeks from Monday on).
struct TimeWindows {
    /// Rows of one window, as places in ``TimeWindows/order``.
    typealias Window = Range<Int>

    /// Least rows of a window that says anything.
    static let leastRows = 200
    /// Least windows of a length that say anything.
    static let leastWindows = 8

    /// Rows that have a time, by it.
    let order: [Int]
    /// All windows of a length (1, 24, 168 hours), those with few rows too.
    private(set) var windows: [(hours: Int, windows: [Window])] = []

    /// Whether no row has a time.
    var isEmpty: Bool { order.isEmpty }

    /// - Parameter times: milliseconds since the epoch; `.min` where a row has none.
    init(_ times: [Int64]) {
        order = times.indices.filter { times[$0] != .min }.sorted { (times[$0], $0) < (times[$1], $1) }
        for hours in [1, 24, 168] {
            let length = Int64(hours) * 3_600_000
            // The epoch was a Thursday.
            let shift: Int64 = hours == 168 ? 3 * 86_400_000 : 0
            var found: [Window] = []
            var begin = 0
            var last = Int64.min
            for (place, row) in order.enumerated() {
                let time = times[row] &+ shift
                let window = (time - (time % length + length) % length) / length
                if window != last, place > begin {
                    found.append(begin..<place)
                    begin = place
                }
                last = window
            }
            if begin < order.count { found.append(begin..<order.count) }
            windows.append((hours, found))
        }
    }
}
