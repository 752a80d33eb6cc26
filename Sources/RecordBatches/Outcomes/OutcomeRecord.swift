/// One outcome in an ``OutcomeTable``: a header, the numbers it has, and the prediction's id. Lives as long as the table.
struct OutcomeRecord {
    struct Flags: OptionSet {
        let rawValue: UInt16
        static let hasNumber = Flags(rawValue: 1)
        static let hasValue = Flags(rawValue: 2)
        static let hasScore = Flags(rawValue: 4)
        /// The truth of a prediction.
        static let isLabel = Flags(rawValue: 8)
        /// The label is yes as a class.
        static let labelIsYes = Flags(rawValue: 16)
        /// The outcome says yes, or no; see ``Verdict``.
        static let positive = Flags(rawValue: 32)
        static let negative = Flags(rawValue: 64)
        /// The label is no as a class; neither of the two where it is no answer to a question of yes or no.
        static let labelIsNo = Flags(rawValue: 128)

        static func label(_ verdict: Verdict) -> Flags {
            switch verdict {
            case .yes: .labelIsYes
            case .no: .labelIsNo
            case .neither: []
            }
        }
    }

    struct Header {
        /// The place of the prediction's next outcome; 0 for none.
        var next: UInt32 = 0
        /// The prediction's number.
        var key: UInt32 = 0
        var time_ms: Int64 = 0
        /// What the caller calls the outcome.
        var number: Int64 = 0
        var shape: UInt32 = 0
        /// The number of the label's text, from 1; 0 for none.
        var label: UInt32 = 0
        var model: UInt32 = 0
        var idCount: UInt16 = 0
        var flags: Flags = []
    }

    static let headerBytes = MemoryLayout<Header>.stride
    /// A shape that no record has: behind a block's last one.
    static let end = UInt32.max

    let place: UInt32
    let start: UnsafeMutableRawPointer

    @inline(__always)
    var header: Header { start.load(as: Header.self) }

    @inline(__always)
    private var flags: Flags { header.flags }

    /// How many bytes a record takes, with eight behind the id.
    static func size(_ header: Header) -> Int {
        headerBytes + numbers(header.flags) * 8 + (Int(header.idCount) + 8 + 7) / 8 * 8
    }

    @inline(__always)
    private static func numbers(_ flags: Flags) -> Int { (flags.rawValue & 7).nonzeroBitCount }

    @inline(__always)
    var id: TextBytes {
        let header = header
        let bytes = start + Self.headerBytes + Self.numbers(header.flags) * 8
        return TextBytes(start: bytes.assumingMemoryBound(to: UInt8.self), count: Int(header.idCount))
    }

    /// The number that a flag says is there.
    @inline(__always)
    private func number(_ flag: Flags) -> Double? {
        let flags = flags.rawValue
        guard flags & flag.rawValue != 0 else { return nil }
        let before = (flags & (flag.rawValue - 1)).nonzeroBitCount
        return start.load(fromByteOffset: Self.headerBytes + before * 8, as: Double.self)
    }

    var labelNumber: Double? { number(.hasNumber) }
    var value: Double? { number(.hasValue) }
    var score: Double? { number(.hasScore) }

    func setNext(_ place: UInt32) { start.storeBytes(of: place, as: UInt32.self) }
}
