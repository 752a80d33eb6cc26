internal import Sketches

/// Counts under ``LogBins`` codes by direct indexing: a window of the codes seen, for each sign.
///
/// Plain memory.
struct DenseBins {
    /// Counts of the codes from `base` on.
    private struct Window {
        var base: Int32 = 0
        var count: Int32 = 0
        var counts: UnsafeMutablePointer<UInt32>?
    }

    private var positive = Window()
    private var negative = Window()
    private var zero: UInt32 = 0

    func destroy() {
        positive.counts?.deallocate()
        negative.counts?.deallocate()
    }

    /// Counts a code.
    ///
    /// Returns how many bytes were allocated for it, mostly 0.
    @inline(__always)
    mutating func add(_ code: Int32) -> Int {
        if code > 0 { return Self.add(code, to: &positive) }
        if code < 0 { return Self.add(0 &- code, to: &negative) }
        zero &+= 1
        return 0
    }

    @inline(__always)
    private static func add(_ code: Int32, to window: inout Window) -> Int {
        let place = code &- window.base
        if UInt32(bitPattern: place) < UInt32(bitPattern: window.count), let counts = window.counts {
            counts[Int(place)] &+= 1
            return 0
        }
        return widen(code, &window)
    }

    @inline(never)
    private static func widen(_ code: Int32, _ window: inout Window) -> Int {
        let room = max(16, window.count / 2)
        var low = window.count == 0 ? code - room : window.base
        var high = window.count == 0 ? code + room : window.base + window.count
        if code < low { low = code - room }
        if code >= high { high = code + 1 + room }
        low = max(low, LogBins.positiveCodes.lowerBound)
        high = min(high, LogBins.positiveCodes.upperBound + 1)
        let count = high - low
        let counts = UnsafeMutablePointer<UInt32>.allocate(capacity: Int(count))
        counts.initialize(repeating: 0, count: Int(count))
        if let old = window.counts {
            (counts + Int(window.base - low)).update(from: old, count: Int(window.count))
            old.deallocate()
        }
        counts[Int(code - low)] += 1
        let added = Int(count - window.count) * 4
        window = Window(base: low, count: count, counts: counts)
        return added
    }

    /// The counts, as they are merged and stored.
    func sparse() -> SparseCounts {
        var sparse = SparseCounts()
        if let counts = negative.counts {
            for place in (0..<negative.count).reversed() where counts[Int(place)] > 0 {
                sparse.append(-(negative.base + place), Int64(counts[Int(place)]))
            }
        }
        if zero > 0 { sparse.append(0, Int64(zero)) }
        if let counts = positive.counts {
            for place in 0..<positive.count where counts[Int(place)] > 0 {
                sparse.append(positive.base + place, Int64(counts[Int(place)]))
            }
        }
        return sparse
    }
}
