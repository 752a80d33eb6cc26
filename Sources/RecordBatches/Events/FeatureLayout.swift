/// The names of the last lines' features, place by place.
///
/// A service writes its features in one order: where a line's names are those of the line before, they need no second
/// check, and what was found out about them still holds.
///
/// Plain memory.
struct FeatureLayout {
    /// How many places are remembered; events with more features are checked name by name.
    static let places = 512
    /// Longest name that is remembered, in bytes.
    private static let nameBytes = 56
    private static let stride = nameBytes + 8

    /// Changes whenever a name or the number of names does.
    private(set) var number: UInt64 = 1
    private var count = -1
    /// Lengths of the names; -1, which no name has, where none is remembered.
    private let counts: UnsafeMutablePointer<Int16>
    private let names: UnsafeMutablePointer<UInt8>

    init() {
        counts = .allocate(capacity: Self.places)
        counts.initialize(repeating: -1, count: Self.places)
        names = .allocate(capacity: Self.places * Self.stride)
        names.initialize(repeating: 0, count: Self.places * Self.stride)
    }

    func destroy() {
        counts.deallocate()
        names.deallocate()
    }

    /// Whether that place has this name.
    @inline(__always)
    func holds(_ name: TextBytes, at place: Int) -> Bool {
        guard place < Self.places else { return false }
        return TextBytes(start: names + place &* Self.stride, count: Int(counts[place])).equals(name)
    }

    /// Gives the place another name, which has been checked.
    @inline(never)
    mutating func set(_ name: TextBytes, at place: Int) {
        number &+= 1
        guard place < Self.places else { return }
        guard name.count <= Self.nameBytes else {
            counts[place] = -1
            return
        }
        (names + place * Self.stride).update(from: name.start, count: name.count)
        counts[place] = Int16(name.count)
    }

    /// Says how many names the line had.
    @inline(__always)
    mutating func end(count: Int) {
        if count != self.count {
            number &+= 1
            self.count = count
        }
    }

    /// Says that the line's names come from elsewhere, each line's its own.
    mutating func forget() {
        number &+= 1
        count = -1
    }
}
