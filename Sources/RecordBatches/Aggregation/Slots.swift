internal import Sketches

/// What the hot path adds to, in plain memory: no reference counts, no arrays, pointers that stay where they are.

/// One leaf's requests in a minute, or in an hour that is too old for minutes.
struct RequestSlot {
    let leaf: Int32
    let isHour: Bool
    let time_s: Int64
    var requests: Int64 = 0
    var predictions: Int64 = 0
    var errors: Int64 = 0
    var failed: Int64 = 0
    var latencyCount: Int64 = 0
    var latencySum = 0.0
    var latency = DenseBins()

    init(leaf: Int32, isHour: Bool, time_s: Int64) {
        self.leaf = leaf
        self.isHour = isHour
        self.time_s = time_s
    }
}

/// One leaf's values of a feature in an hour.
///
/// Numbers gather in a small buffer and are added 15 at a time.
struct FeatureSlot {
    static let bufferCount = 15

    var buffered = 0
    /// Behind the count, so that an addition mostly touches one line of the processor's cache.
    var buffer = InlineArray<15, Double>(repeating: 0)
    /// Shared by all leaves of a base.
    let base: UnsafeMutablePointer<BaseFeature>
    /// Numbers by bin of the base's edges; nil where it has none.
    let edgeCounts: UnsafeMutablePointer<UInt32>?
    var moments = Moments()
    var categorical: Int64 = 0
    var null: Int64 = 0
    var wrongType: Int64 = 0
    var other: Int64 = 0
    /// Counts by the feature's own numbers of categories.
    var categories: UnsafeMutablePointer<UInt32>?
    var categoryCapacity = 0

    init(base: UnsafeMutablePointer<BaseFeature>) {
        self.base = base
        if let edges = base.pointee.edges {
            let counts = UnsafeMutablePointer<UInt32>.allocate(capacity: edges.pointee.count)
            counts.initialize(repeating: 0, count: edges.pointee.count)
            edgeCounts = counts
        } else {
            edgeCounts = nil
        }
    }

    /// How much memory it takes when it is made, in bytes; a guess.
    var bytes: Int { 512 + (base.pointee.edges.map { $0.pointee.count * 4 } ?? 0) }

    func destroy() {
        edgeCounts?.deallocate()
        categories?.deallocate()
    }

    /// Adds a number.
    ///
    /// Returns how many bytes were allocated for it.
    @inline(__always)
    mutating func add(_ number: Double, _ table: LogBins.Table) -> Int {
        buffer[unchecked: buffered] = number
        buffered &+= 1
        return buffered == Self.bufferCount ? flush(table) : 0
    }

    /// Adds what is buffered.
    ///
    /// Returns how many bytes were allocated for it.
    @inline(never)
    mutating func flush(_ table: LogBins.Table) -> Int {
        var added = 0
        let edges = base.pointee.edges?.pointee
        buffer.span.withUnsafeBufferPointer { buffer in
            let numbers = UnsafeBufferPointer(rebasing: buffer[..<buffered])
            for number in numbers { added &+= base.pointee.bins.add(table.code(number)) }
            if let edgeCounts, let edges {
                for number in numbers { edgeCounts[edges.bin(number)] &+= 1 }
            }
            moments.add(numbers)
        }
        buffered = 0
        return added
    }

    /// Counts a category.
    ///
    /// Returns how many bytes were allocated for it.
    @inline(__always)
    mutating func count(category: Int) -> Int {
        categorical &+= 1
        if category < categoryCapacity, let categories {
            categories[category] &+= 1
            return 0
        }
        return grow(category)
    }

    @inline(never)
    private mutating func grow(_ category: Int) -> Int {
        let capacity = max(8, category + 1 + category / 2)
        let larger = UnsafeMutablePointer<UInt32>.allocate(capacity: capacity)
        larger.initialize(repeating: 0, count: capacity)
        if let categories {
            larger.update(from: categories, count: categoryCapacity)
            categories.deallocate()
        }
        larger[category] += 1
        let added = (capacity - categoryCapacity) * 4
        categories = larger
        categoryCapacity = capacity
        return added
    }
}

/// One score bin.
struct ScoreSlot {
    var count: Int64 = 0
    var sum = 0.0
    var positiveCount: Int64 = 0
    var positiveSum = 0.0

    @inline(__always)
    mutating func add(_ score: Double, positive: Bool) {
        count &+= 1
        sum += score
        if positive {
            positiveCount &+= 1
            positiveSum += score
        }
    }
}

/// A growing list of pointers by number, nil where nothing is yet.
///
/// Plain memory.
struct PointerList<Pointee> {
    private(set) var items: UnsafeMutablePointer<UnsafeMutablePointer<Pointee>?>?
    private(set) var capacity = 0

    init() {}

    @inline(__always)
    subscript(number: Int) -> UnsafeMutablePointer<Pointee>? {
        guard number < capacity, let items else { return nil }
        return items[number]
    }

    mutating func set(_ number: Int, _ pointer: UnsafeMutablePointer<Pointee>) {
        if number >= capacity {
            let larger = UnsafeMutablePointer<UnsafeMutablePointer<Pointee>?>.allocate(capacity: number * 3 / 2 + 8)
            larger.initialize(repeating: nil, count: number * 3 / 2 + 8)
            if let items {
                larger.update(from: items, count: capacity)
                items.deallocate()
            }
            items = larger
            capacity = number * 3 / 2 + 8
        }
        items?[number] = pointer
    }

    func destroy() { items?.deallocate() }
}

/// One leaf's hour: its features and scores.
struct HourSlot {
    let leaf: Int32
    let hour_s: Int64
    let base: UnsafeMutablePointer<BaseHour>
    /// By the model's numbers of features.
    var features = PointerList<FeatureSlot>()
    /// ``ScoreBins/count`` of them.
    var scores: UnsafeMutablePointer<ScoreSlot>?
    /// By the classes' numbers, ``ScoreBins/count`` and one more each.
    var classes = PointerList<ScoreSlot>()

    init(leaf: Int32, hour_s: Int64, base: UnsafeMutablePointer<BaseHour>) {
        self.leaf = leaf
        self.hour_s = hour_s
        self.base = base
    }
}

/// What all leaves of a base have in common in an hour.
struct BaseHour {
    let base: Int32
    let hour_s: Int64
    /// The edge set that the model's hour is on.
    let edgeSet: Int32
    /// That set, which the configuration keeps alive; nil where there is none.
    let edges: Unmanaged<EdgeSet>?
    /// By the model's numbers of features.
    var features = PointerList<BaseFeature>()

    init(base: Int32, hour_s: Int64, edgeSet: Int32, edges: EdgeSet?) {
        self.base = base
        self.hour_s = hour_s
        self.edgeSet = edgeSet
        self.edges = edges.map { .passUnretained($0) }
    }
}

/// What all leaves of a base have in common of a feature in an hour: its log bins, which only the slice `all` keeps, and
/// the edges that each leaf counts on.
struct BaseFeature {
    var bins = DenseBins()
    let edges: UnsafePointer<EdgeBins.Table>?

    init(edges: UnsafePointer<EdgeBins.Table>?) { self.edges = edges }
}

/// A combination of model, version, variant, environment and the values of all configured tags.
///
/// Rows of slices are sums over leaves, so that an event is added once however many tags there are.
struct LeafSlot {
    let base: Int32
    let model: UnsafeMutablePointer<ModelSlot>
    var request: UnsafeMutablePointer<RequestSlot>?
    var hour: UnsafeMutablePointer<HourSlot>?

    init(base: Int32, model: UnsafeMutablePointer<ModelSlot>) {
        self.base = base
        self.model = model
    }
}

/// A model's dictionaries.
struct ModelSlot {
    /// Names of input features; a feature's number is its name's + ``firstInput``.
    var names = ByteTable()
    var features = PointerList<FeatureDictionary>()
    /// The feature that each place of `features` was in the event before.
    var expected: UnsafeMutablePointer<Int32>
    static let expectedCount = FeatureLayout.places
    /// The layout whose names, each once, are ``expected``.
    var layout: UInt64 = 0
    /// The number of the prediction itself.
    static let prediction = 0
    /// The number under which the classes of the field `scores` have a dictionary of their own, so that their cap and
    /// the predictions' do not disturb each other.
    static let classes = 1
    static let firstInput = 2

    init() {
        expected = .allocate(capacity: Self.expectedCount)
        expected.initialize(repeating: -1, count: Self.expectedCount)
    }
}

/// A feature's dictionary of categories.
struct FeatureDictionary {
    var table = ByteTable()
    /// The event that had this feature last, so that a second one of that name is left out.
    var event: UInt64 = 0
    /// Set once there are far more than the cap: what is behind it in byte order is beyond the cap for certain.
    var bound: TextBytes?
    /// How many categories make the next bound due.
    var boundDue = 0
}
