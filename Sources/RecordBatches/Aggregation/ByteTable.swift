/// A dictionary of texts: numbers them from 0 in the order they come.
///
/// Open addressing; copies each new text once.
///
/// Plain memory without reference counts, for the hot path. ``destroy()`` must be called once.
struct ByteTable {
    private struct Entry {
        let text: TextBytes
        let hash: UInt64
    }

    private(set) var count = 0
    private var entries: UnsafeMutablePointer<Entry>
    private var capacity = 16
    /// Number + 1 of the entry, 0 for none; twice as many as entries fit.
    private var slots: UnsafeMutablePointer<Int32>
    private var mask = 31
    /// The last text found, which the next one is compared with first.
    private var last = -1
    /// Bytes allocated by the table and its texts.
    private(set) var bytes = 16 * MemoryLayout<Entry>.stride + 32 * 4

    init() {
        entries = .allocate(capacity: capacity)
        slots = .allocate(capacity: mask + 1)
        slots.initialize(repeating: 0, count: mask + 1)
    }

    func destroy() {
        for place in 0..<count { entries[place].text.start.deallocate() }
        entries.deallocate()
        slots.deallocate()
    }

    /// The text of a number.
    @inline(__always)
    func text(_ number: Int) -> TextBytes { entries[number].text }

    /// The number of a text; nil where it is not in the table.
    @inline(__always)
    func find(_ text: TextBytes) -> Int? {
        if last >= 0, entries[last].text.equals(text) { return last }
        let hash = text.hash
        var slot = Int(truncatingIfNeeded: hash) & mask
        while slots[slot] != 0 {
            let number = Int(slots[slot]) &- 1
            if entries[number].hash == hash, entries[number].text.equals(text) { return number }
            slot = (slot &+ 1) & mask
        }
        return nil
    }

    /// The number of a text, a new one where it is not in the table.
    @inline(__always)
    mutating func intern(_ text: TextBytes) -> Int {
        if let number = find(text) {
            last = number
            return number
        }
        return add(text)
    }

    @inline(never)
    private mutating func add(_ text: TextBytes) -> Int {
        if count == capacity { grow() }
        let copy = UnsafeMutablePointer<UInt8>.allocate(capacity: text.count + 8)
        copy.update(from: text.start, count: text.count)
        (copy + text.count).initialize(repeating: 0, count: 8)
        let entry = Entry(text: TextBytes(start: UnsafePointer(copy), count: text.count), hash: text.hash)
        (entries + count).initialize(to: entry)
        insert(count, entry.hash)
        bytes += text.count + 24
        last = count
        count += 1
        return last
    }

    private func insert(_ number: Int, _ hash: UInt64) {
        var slot = Int(truncatingIfNeeded: hash) & mask
        while slots[slot] != 0 { slot = (slot + 1) & mask }
        slots[slot] = Int32(number + 1)
    }

    private mutating func grow() {
        let larger = UnsafeMutablePointer<Entry>.allocate(capacity: capacity * 2)
        larger.update(from: entries, count: count)
        entries.deallocate()
        entries = larger
        slots.deallocate()
        capacity *= 2
        mask = capacity * 2 - 1
        slots = .allocate(capacity: mask + 1)
        slots.initialize(repeating: 0, count: mask + 1)
        for number in 0..<count { insert(number, entries[number].hash) }
        bytes += capacity / 2 * MemoryLayout<Entry>.stride + capacity * 4
    }
}
