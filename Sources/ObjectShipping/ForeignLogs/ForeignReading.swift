import Compression
import DurableIO
import EventSegments

/// Reads foreign logs, compressed or not, as the plain bytes they mean.
enum ForeignReading {
    /// A segment is cut at the first line end at or after this size, in bytes.
    static let pieceBytes = 16 << 20
    /// A segment without any line end is cut here, in bytes: no valid line is that long.
    static let longestPiece = 24 << 20
    /// zstd windows larger than 8 MiB would break the shipper's memory bound.
    static let windowLog = 23

    /// Hands a file's decompressed bytes to `body`.
    ///
    /// - Throws: `SystemError`; `CompressionError` when a compressed file is cut off or damaged; ``ReadingStopped``; what
    ///   `body` throws.
    static func bytes(
        of path: String, watch: ReadingWatch, _ body: (UnsafeRawBufferPointer) throws -> Void
    ) throws {
        let decoder = Decoder(windowLogMax: windowLog)
        try FileReading.pieces(of: path) { piece in
            try watch.step()
            try decoder.decode(piece) { output in
                try watch.step()
                try body(output)
            }
        }
        try decoder.finish(body)
    }

    /// A file's size and SHA-256, and the SHA-256 of its first n bytes for some n.
    static func content(
        of path: String, lengths: Set<Int>, watch: ReadingWatch
    ) throws -> ForeignLedger.Content {
        var hash = SHA256()
        var prefixes: [Int: String] = [:]
        var ahead = lengths.sorted()[...]
        var size = 0
        try bytes(of: path, watch: watch) { piece in
            var rest = piece[...]
            while let length = ahead.first, length <= size + rest.count {
                let part = rest.prefix(length - size)
                hash.update(UnsafeRawBufferPointer(rebasing: part))
                size += part.count
                rest = rest.dropFirst(part.count)
                prefixes[length] = hex(hash.finalize())
                ahead = ahead.dropFirst()
            }
            hash.update(UnsafeRawBufferPointer(rebasing: rest))
            size += rest.count
        }
        return ForeignLedger.Content(path: path, bytes: size, sha256: hex(hash.finalize()), prefixes: prefixes)
    }

    /// Cuts a file's bytes from a place on into segments, at line ends.
    static func pieces(
        of path: String, from offset: Int, bytes: Int, sealed_ms: Int64, watch: ReadingWatch,
        pieceBytes: Int = ForeignReading.pieceBytes, longestPiece: Int = ForeignReading.longestPiece
    ) throws -> [ForeignLedger.Piece] {
        let file = path.split(separator: "/").last.map(String.init) ?? path
        var pieces: [ForeignLedger.Piece] = []
        var hash = SHA256()
        var lines = LineCount()
        var start = offset
        var size = 0
        func close() {
            guard size > 0 else { return }
            pieces.append(
                ForeignLedger.Piece(
                    seq: 0, offset: start, bytes: size, lines: lines.total, sha256: hex(hash.finalize()),
                    sealed_ms: sealed_ms, file: file))
            start += size
            size = 0
            hash = SHA256()
            lines = LineCount()
        }
        try ForeignReader().bytes(of: path, from: offset, count: bytes - offset, watch) { input in
            var rest = input[...]
            while !rest.isEmpty {
                var take = rest.count
                var isCut = false
                if size + take >= pieceBytes {
                    let from = rest.startIndex + max(0, pieceBytes - size - 1)
                    if let newline = rest[from...].firstIndex(of: UInt8(ascii: "\n")) {
                        take = newline + 1 - rest.startIndex
                        isCut = true
                    } else if size + take >= longestPiece {
                        take = longestPiece - size
                        isCut = true
                    }
                }
                let part = UnsafeRawBufferPointer(rebasing: rest.prefix(take))
                hash.update(part)
                lines.update(part)
                size += take
                rest = rest.dropFirst(take)
                if isCut { close() }
            }
        }
        close()
        return pieces
    }
}
