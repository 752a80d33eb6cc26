internal import EventModel
internal import Glibc

/// Cuts a stream of bytes into lines at `\n`, in constant memory.
///
/// Lines are handed out where they lie; only those at a piece's ends are copied. Lines of over 1 MiB are not kept: only
/// that they were there, and how they began. Each line that is handed out has ``JSONParser/padding`` readable bytes behind
/// it.
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
        if fill > 0 {
            guard let newline = memchr(piece, 0x0A, count) else { return keep(piece, count) }
            let taken = UnsafeRawPointer(newline) + 1 - piece
            memcpy(buffer + fill, piece, taken)
            let length = fill + taken - 1
            fill = 0
            try body(buffer, length, length <= limit ? .newline : .tooLong)
            piece += taken
            count -= taken
        }
        let bytes = piece.assumingMemoryBound(to: UInt8.self)
        var begin = 0
        while begin < count, let newline = memchr(bytes + begin, 0x0A, count - begin) {
            let end = UnsafeRawPointer(newline) - piece
            if end + JSONParser.padding > count { break }
            try body(bytes + begin, end - begin, end - begin <= limit ? .newline : .tooLong)
            begin = end + 1
        }
        try finishPiece(bytes + begin, count - begin, body)
    }

    /// The last bytes of a piece: from here lines would have too few readable bytes behind them.
    private func finishPiece(
        _ start: UnsafePointer<UInt8>, _ count: Int, _ body: (UnsafePointer<UInt8>, Int, Ending) throws -> Void
    ) rethrows {
        if count == 0 { return }
        memcpy(buffer, start, count)
        var begin = 0
        while begin < count, let newline = memchr(buffer + begin, 0x0A, count - begin) {
            let end = UnsafeRawPointer(newline) - UnsafeRawPointer(buffer)
            try body(buffer + begin, end - begin, end - begin <= limit ? .newline : .tooLong)
            begin = end + 1
        }
        if begin > 0, begin < count { memmove(buffer, buffer + begin, count - begin) }
        fill = count - begin
        skipIfTooLong()
    }

    private func keep(_ piece: UnsafeRawPointer, _ count: Int) {
        memcpy(buffer + fill, piece, count)
        fill += count
        skipIfTooLong()
    }

    private func skipIfTooLong() {
        if fill > limit {
            isSkipping = true
            fill = min(fill, RejectLine.excerptBytes)
        }
    }
}
