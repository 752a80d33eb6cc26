internal import EventModel
internal import Glibc

/// Cuts a stream of bytes into lines at `\n`, in constant memory.
///
/// Lines of over 1 MiB are not kept: only that they were there, and how they began. Each line that is handed out has
/// ``JSONParser/padding`` readable bytes behind it.
final class LineSplitter {
    /// How a line ended.
    enum Ending {
        /// With its newline.
        case newline
        /// With its newline, after more bytes than a line may have; only its first bytes are handed out.
        case tooLong
        /// With the stream, without a newline.
        case torn
    }

    private static let pieceBytes = 128 << 10
    private let buffer: UnsafeMutablePointer<UInt8>
    private var fill = 0
    /// Whether the line at hand is too long; its first bytes are at the buffer's begin.
    private var isSkipping = false
    private let limit: Int

    /// - Parameter limit: longest line in bytes, the newline not counted.
    init(limit: Int = EventLimits.lineBytes) {
        self.limit = limit
        let capacity = limit + Self.pieceBytes + 1 + JSONParser.padding
        buffer = .allocate(capacity: capacity)
        buffer.initialize(repeating: 0, count: capacity)
    }

    deinit {
        buffer.deallocate()
    }

    /// Forgets what came so far.
    func reset() {
        fill = 0
        isSkipping = false
    }

    /// Takes the next bytes, in pieces of any size, and hands out the lines that end in them.
    @inline(__always)
    func append(_ bytes: UnsafeRawBufferPointer, _ body: (UnsafePointer<UInt8>, Int, Ending) throws -> Void) rethrows {
        guard let base = bytes.baseAddress else { return }
        var offset = 0
        while offset < bytes.count {
            let count = min(Self.pieceBytes, bytes.count - offset)
            try appendPiece(base + offset, count, body)
            offset += count
        }
    }

    /// Says that the stream has ended, and hands out a last line without a newline.
    func finish(_ body: (UnsafePointer<UInt8>, Int, Ending) throws -> Void) rethrows {
        if fill > 0 || isSkipping { try body(buffer, fill, .torn) }
        reset()
    }

    @inline(__always)
    private func appendPiece(
        _ start: UnsafeRawPointer, _ count: Int, _ body: (UnsafePointer<UInt8>, Int, Ending) throws -> Void
    ) rethrows {
        var piece = start
        var count = count
        if isSkipping {
            guard let newline = memchr(piece, 0x0A, count) else { return }
            try body(buffer, fill, .tooLong)
            reset()
            let taken = UnsafeRawPointer(newline) + 1 - piece
            piece += taken
            count -= taken
        }
        guard count > 0 else { return }
        memcpy(buffer + fill, piece, count)
        var place = fill
        var begin = 0
        fill += count
        while let newline = memchr(buffer + place, 0x0A, fill - place) {
            let end = UnsafeRawPointer(newline) - UnsafeRawPointer(buffer)
            try body(buffer + begin, end - begin, end - begin <= limit ? .newline : .tooLong)
            begin = end + 1
            place = begin
        }
        fill -= begin
        if fill > limit {
            isSkipping = true
            fill = min(fill, RejectLine.excerptBytes)
        }
        if begin > 0, fill > 0 { memmove(buffer, buffer + begin, fill) }
    }
}
