internal import Glibc
internal import Synchronization

/// Prediction ids that somebody waits for, looked for by several readers at once.
///
/// Holds 63 bits of a hash for each id, 16 to 32 bytes in all: what is found is compared with the ids themselves by whoever
/// has them. An id is found once; one of 10^12 is taken for another's.
///
/// One thread adds, and then any number of ``PredictionFinder`` look.
package final class PredictionIDs: @unchecked Sendable {
    /// Numbers of models by name.
    let models: [String: Int64]
    /// At most half full: 0 for an empty place, else a hash, with the highest bit once it was found.
    private var places: UnsafeMutablePointer<Atomic<UInt64>>
    private var mask: Int
    private var used = 0
    private let left = Atomic(0)
    private let scratch: UnsafeMutablePointer<UInt8>
    private static let scratchBytes = EventDecoder.nameBytes + 16
    private static let foundBit: UInt64 = 1 << 63

    /// - Parameters:
    ///   - models: numbers by name.
    ///   - count: how many ids will be added; more may be.
    package init(models: [String: Int64], count: Int) {
        self.models = models
        var size = 1024
        while size < count * 2 { size *= 2 }
        mask = size - 1
        places = Self.allocate(size)
        scratch = .allocate(capacity: Self.scratchBytes)
        scratch.initialize(repeating: 0, count: Self.scratchBytes)
    }

    deinit {
        free(places)
        scratch.deallocate()
    }

    /// How many ids are still waited for.
    package var waiting: Int { left.load(ordering: .relaxed) }

    /// Adds an id that is waited for, once; longer ones than events may have are left out.
    package func add(model: Int64, predictionID: UnsafeBufferPointer<UInt8>) {
        guard predictionID.count <= EventDecoder.nameBytes else { return }
        if let start = predictionID.baseAddress { scratch.update(from: start, count: predictionID.count) }
        // What is hashed reads eight bytes at a time.
        (scratch + predictionID.count).update(repeating: 0, count: 8)
        if used * 2 > mask { grow() }
        let number = Self.number(model, TextBytes(start: UnsafePointer(scratch), count: predictionID.count))
        if insert(number) { left.add(1, ordering: .relaxed) }
    }

    /// What stands for an id: never 0, and without the highest bit.
    @inline(__always)
    static func number(_ model: Int64, _ id: TextBytes) -> UInt64 {
        let mixed = (id.hash ^ UInt64(bitPattern: model) &* 0x9E37_79B9_7F4A_7C15) &* 0xD6E8_FEB8_6659_FD93
        return max(1, (mixed ^ mixed >> 32) & ~foundBit)
    }

    /// Whether an id is waited for: it is no longer.
    @inline(__always)
    func take(_ number: UInt64) -> Bool {
        guard let place = find(number) else { return false }
        let (isTaken, _) = places[place].compareExchange(
            expected: number, desired: number | Self.foundBit, ordering: .relaxed)
        if isTaken { left.subtract(1, ordering: .relaxed) }
        return isTaken
    }

    /// Waits again for an id that was taken.
    func giveBack(_ number: UInt64) {
        guard let place = find(number) else { return }
        let (isBack, _) = places[place].compareExchange(
            expected: number | Self.foundBit, desired: number, ordering: .relaxed)
        if isBack { left.add(1, ordering: .relaxed) }
    }

    @inline(__always)
    private func find(_ number: UInt64) -> Int? {
        var place = Int(truncatingIfNeeded: number) & mask
        while true {
            let found = places[place].load(ordering: .relaxed)
            if found == 0 { return nil }
            if found & ~Self.foundBit == number { return place }
            place = (place &+ 1) & mask
        }
    }

    private func insert(_ number: UInt64) -> Bool {
        var place = Int(truncatingIfNeeded: number) & mask
        while true {
            let found = places[place].load(ordering: .relaxed)
            if found & ~Self.foundBit == number { return false }
            if found == 0 { break }
            place = (place &+ 1) & mask
        }
        places[place].store(number, ordering: .relaxed)
        used += 1
        return true
    }

    private func grow() {
        let (old, size) = (places, mask + 1)
        places = Self.allocate(size * 2)
        mask = size * 2 - 1
        used = 0
        for place in 0..<size {
            let number = old[place].load(ordering: .relaxed)
            if number != 0 { _ = insert(number) }
        }
        free(old)
    }

    /// Zeros, of which those that nobody touches take no memory.
    private static func allocate(_ size: Int) -> UnsafeMutablePointer<Atomic<UInt64>> {
        guard let zeros = calloc(size, MemoryLayout<UInt64>.stride) else {
            fatalError("no memory for \(size) prediction ids")
        }
        return zeros.bindMemory(to: Atomic<UInt64>.self, capacity: size)
    }
}
