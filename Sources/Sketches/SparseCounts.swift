/// Counts by code, most codes absent: a histogram on fixed bins, or counts by dictionary number.
///
/// Codes are ascending and unique, counts are positive. Merging adds counts: exact, associative and commutative.
package struct SparseCounts: Equatable, Sendable {
    /// The codes that were seen, ascending.
    package private(set) var codes: [Int32]
    /// How often each was seen, parallel to ``codes``.
    package private(set) var counts: [Int64]

    /// Nothing counted.
    package init() {
        codes = []
        counts = []
    }

    /// Takes codes in any order, repeated ones added up; entries with a count of 0 are left out.
    package init(unordered entries: [(code: Int32, count: Int64)]) {
        self.init()
        codes.reserveCapacity(entries.count)
        counts.reserveCapacity(entries.count)
        for entry in entries.sorted(by: { $0.code < $1.code }) where entry.count > 0 {
            append(entry.code, entry.count)
        }
    }

    /// Whether nothing was counted.
    package var isEmpty: Bool { codes.isEmpty }

    /// All counts together.
    package var total: Int64 { counts.reduce(0, +) }

    /// The count of a code, 0 where it was not seen.
    ///
    /// A binary search.
    package subscript(code: Int32) -> Int64 {
        let place = place(of: code)
        return place < codes.count && codes[place] == code ? counts[place] : 0
    }

    /// Makes room for a number of codes.
    package mutating func reserveCapacity(_ capacity: Int) {
        codes.reserveCapacity(capacity)
        counts.reserveCapacity(capacity)
    }

    /// Counts a code that is not less than any before it.
    ///
    /// Constant time.
    package mutating func append(_ code: Int32, _ count: Int64) {
        if let last = codes.last {
            precondition(code >= last, "codes must be appended in ascending order")
            if last == code {
                counts[counts.count - 1] += count
                return
            }
        }
        codes.append(code)
        counts.append(count)
    }

    /// Counts a code.
    ///
    /// Linear in the number of codes where it is new.
    package mutating func add(_ code: Int32, _ count: Int64 = 1) {
        let place = place(of: code)
        if place < codes.count, codes[place] == code {
            counts[place] += count
        } else {
            codes.insert(code, at: place)
            counts.insert(count, at: place)
        }
    }

    /// Adds the counts of another.
    ///
    /// Linear in both.
    package mutating func merge(_ other: SparseCounts) {
        guard !other.isEmpty else { return }
        guard !isEmpty else {
            self = other
            return
        }
        if codes == other.codes {
            counts.withUnsafeMutableBufferPointer { mine in
                other.counts.withUnsafeBufferPointer { theirs in
                    for place in 0..<mine.count { mine[place] += theirs[place] }
                }
            }
            return
        }
        // The codes first, which say how many there are; a count's place follows from them.
        let room = codes.count + other.codes.count
        let merged = [Int32](unsafeUninitializedCapacity: room) { merged, count in
            count = Self.unite(codes, other.codes, into: merged)
        }
        counts = [Int64](unsafeUninitializedCapacity: merged.count) { sums, count in
            var left = 0
            var right = 0
            for place in 0..<merged.count {
                var sum: Int64 = 0
                if left < codes.count, codes[left] == merged[place] {
                    sum = counts[left]
                    left += 1
                }
                if right < other.codes.count, other.codes[right] == merged[place] {
                    sum += other.counts[right]
                    right += 1
                }
                sums.initializeElement(at: place, to: sum)
            }
            count = merged.count
        }
        codes = merged
    }

    /// Writes the codes of both, ascending and each once; answers how many.
    private static func unite(_ left: [Int32], _ right: [Int32], into out: UnsafeMutableBufferPointer<Int32>) -> Int {
        var count = 0
        var i = 0
        var j = 0
        while i < left.count, j < right.count {
            let a = left[i]
            let b = right[j]
            out.initializeElement(at: count, to: min(a, b))
            count += 1
            i += a <= b ? 1 : 0
            j += b <= a ? 1 : 0
        }
        for rest in left[i...] {
            out.initializeElement(at: count, to: rest)
            count += 1
        }
        for rest in right[j...] {
            out.initializeElement(at: count, to: rest)
            count += 1
        }
        return count
    }

    /// The counts under other codes, for dictionaries that number their entries anew.
    package func mapCodes(_ transform: (Int32) -> Int32) -> SparseCounts {
        SparseCounts(unordered: zip(codes, counts).map { (transform($0), $1) })
    }

    /// The code at a share of the counts, as `percentile_disc` chooses it.
    ///
    /// That is the first code at which the running count reaches `share` of the total; nil where nothing was counted.
    ///
    /// - Parameter share: 0 to 1.
    package func code(atShare share: Double) -> Int32? {
        let wanted = share * Double(total)
        var running: Int64 = 0
        for (code, count) in zip(codes, counts) {
            running += count
            if Double(running) >= wanted { return code }
        }
        return codes.last
    }

    /// The quantile of numbers counted under ``LogBins`` codes, within 1 % of `percentile_disc` of the numbers.
    ///
    /// - Parameter share: 0 to 1; 0.99 for the 99th percentile.
    package func quantile(_ share: Double) -> Double? {
        code(atShare: share).map(LogBins.representative)
    }

    private func place(of code: Int32) -> Int {
        var low = 0
        var high = codes.count
        while low < high {
            let middle = (low + high) / 2
            if codes[middle] < code { low = middle + 1 } else { high = middle }
        }
        return low
    }
}
