import Compression

/// A compressed log, decompressed up to some place, so that what follows can be read without beginning again.
///
/// It holds the decoder's state (a window of at most 8 MiB) and what came out beyond the last place, and no descriptor.
final class CompressedCursor {
    /// The decoder is given the file in slices of this many bytes, so that little comes out beyond the wanted place.
    private static let sliceBytes = 16 << 10
    /// More than this beyond the wanted place is not kept, in bytes: the cursor cannot go on then.
    private static let mostAhead = 8 << 20

    /// The file that it reads, as it was at the beginning.
    let facts: FileFacts
    /// The next decompressed byte that it can give.
    private(set) var place = 0
    /// How many compressed bytes were taken in.
    private(set) var inputBytes = 0
    private let decoder: Decoder
    private var ahead: [UInt8] = []

    init(_ facts: FileFacts, windowLog: Int) {
        self.facts = facts
        decoder = Decoder(windowLogMax: windowLog)
    }

    /// Whether a file is the one that it reads: its name and its links may have changed.
    func reads(_ other: FileFacts) -> Bool {
        facts.device == other.device && facts.inode == other.inode && facts.size == other.size
            && facts.modified_ns == other.modified_ns
    }

    /// Hands a part of the decompressed bytes to `body`, or less where they end before.
    ///
    /// - Parameters:
    ///   - path: where the file lies now.
    ///   - offset: where to begin, at ``place`` or after it.
    /// - Returns: whether the cursor can go on from there.
    /// - Throws: what reading, decoding, the watch or `body` throws; the cursor must be dropped then.
    func read(
        _ path: String, from offset: Int, count: Int, _ watch: ReadingWatch,
        _ body: (UnsafeRawBufferPointer) throws -> Void
    ) throws -> Bool {
        let end = offset + count
        var isUsable = true
        // Where the next byte that the decoder gives lies.
        var next = place
        func take(_ piece: UnsafeRawBufferPointer) throws {
            let from = max(0, min(piece.count, offset - next))
            let to = max(from, min(piece.count, end - next))
            if to > from { try body(UnsafeRawBufferPointer(rebasing: piece[from..<to])) }
            if to < piece.count, next + piece.count > end {
                if ahead.count + piece.count - to > CompressedCursor.mostAhead { isUsable = false }
                if isUsable { ahead.append(contentsOf: piece[to...]) }
            }
            next += piece.count
        }
        let before = ahead
        ahead = []
        try before.withUnsafeBytes { try take($0) }
        struct Enough: Error {}
        if next < end {
            do {
                try FileReading.pieces(of: path, from: inputBytes) { piece in
                    var rest = piece[...]
                    while !rest.isEmpty {
                        try watch.step()
                        let slice = UnsafeRawBufferPointer(rebasing: rest.prefix(CompressedCursor.sliceBytes))
                        inputBytes += slice.count
                        try decoder.decode(slice, take)
                        if next >= end { throw Enough() }
                        rest = rest.dropFirst(slice.count)
                    }
                }
                try decoder.finish(take)
                isUsable = false
            } catch is Enough {}
        }
        place = min(next, end)
        return isUsable
    }
}

/// Reads parts of foreign logs, mostly one after another.
final class ForeignReader {
    /// How many compressed logs are kept open for their next part.
    private static let mostCursors = 4
    private var cursors: [CompressedCursor] = []
    /// How many compressed bytes were decompressed so far.
    private(set) var decodedBytes = 0

    /// Hands a part of a file's decompressed bytes to `body`; a plain file is read from that place on.
    ///
    /// Cost: in the part's size when parts follow one another; else in the place of its end.
    func bytes(
        of path: String, from offset: Int, count: Int, _ watch: ReadingWatch,
        _ body: (UnsafeRawBufferPointer) throws -> Void
    ) throws {
        var head: [UInt8] = []
        try FileReading.pieces(of: path, count: 4) { head.append(contentsOf: $0) }
        guard Decoder.detect(head) != .plain, let facts = try FileFacts.of(path) else {
            return try FileReading.pieces(of: path, from: offset, count: count) { piece in
                try watch.step()
                try body(piece)
            }
        }
        let known = cursors.firstIndex { $0.reads(facts) && $0.place <= offset }
        let cursor =
            known.map { cursors.remove(at: $0) } ?? CompressedCursor(facts, windowLog: ForeignReading.windowLog)
        let before = cursor.inputBytes
        defer { decodedBytes += cursor.inputBytes - before }
        guard try cursor.read(path, from: offset, count: count, watch, body) else { return }
        cursors.append(cursor)
        if cursors.count > ForeignReader.mostCursors { cursors.removeFirst() }
    }
}
