/// A prediction that an outcome waits for, as a reader found it.
struct JoinFind {
    struct Flags: OptionSet {
        let rawValue: UInt32
        /// Answer and label both say yes or no, in a task that asks for it.
        static let isBinary = Flags(rawValue: 1)
        static let isMulticlass = Flags(rawValue: 2)
        /// The answer is a class, unless binary in ``JoinFind/payload``.
        static let hasClass = Flags(rawValue: 4)
        /// The answer is a number, in ``JoinFind/payload``.
        static let hasNumber = Flags(rawValue: 8)
        /// The answer is yes.
        static let isPositive = Flags(rawValue: 16)
        /// The answer is the label.
        static let isRight = Flags(rawValue: 32)
        static let hasScore = Flags(rawValue: 64)
        /// The prediction failed: its outcomes join, and say nothing of the model.
        static let isFailed = Flags(rawValue: 128)
    }

    /// The segment's number for the reader.
    var segment: UInt32
    var line: UInt32
    /// The first outcome's place in the table.
    var outcome: UInt32
    /// The prediction's number in the table.
    var key: UInt32
    var time_ms: Int64
    /// The bits of a number, or a class's number in the dictionary.
    var payload: UInt64 = 0
    var score = 0.0
    var flags: Flags = []
}

/// What a reader found: records of one size in blocks, each followed by the numbers of its series.
///
/// Plain memory. ``destroy()`` must be called once.
struct JoinFinds {
    private(set) var count = 0
    /// How many series a prediction has: `all`, and one for each configured tag.
    let series: Int
    private let stride: Int
    private var blocks: [UnsafeMutableRawPointer] = []

    private static let seriesOffset = MemoryLayout<JoinFind>.size
    /// A block holds 2^14 finds.
    private static let shift = 14
    private static let perBlock = 1 << shift

    init(series: Int) {
        self.series = series
        stride = Self.stride(series: series)
    }

    func destroy() { for block in blocks { block.deallocate() } }

    /// Bytes of a find.
    static func stride(series: Int) -> Int { (seriesOffset + series * 4 + 7) / 8 * 8 }

    mutating func append(_ find: JoinFind, series numbers: UnsafePointer<Int32>) {
        if count == blocks.count * Self.perBlock {
            blocks.append(.allocate(byteCount: stride * Self.perBlock, alignment: 16))
        }
        count += 1
        replace(count - 1, find, series: numbers)
    }

    /// Puts a find in the place of another.
    mutating func replace(_ place: Int, _ find: JoinFind, series numbers: UnsafePointer<Int32>) {
        let target = at(place)
        target.storeBytes(of: find, as: JoinFind.self)
        (target + Self.seriesOffset).copyMemory(from: numbers, byteCount: series * 4)
    }

    @inline(__always)
    func find(_ place: Int) -> JoinFind { at(place).load(as: JoinFind.self) }

    /// The numbers of the find's series in the dictionary.
    @inline(__always)
    func seriesNumbers(_ place: Int) -> UnsafePointer<Int32> {
        UnsafePointer((at(place) + Self.seriesOffset).assumingMemoryBound(to: Int32.self))
    }

    @inline(__always)
    private func at(_ place: Int) -> UnsafeMutableRawPointer {
        blocks[place >> Self.shift] + (place & (Self.perBlock - 1)) * stride
    }
}
