/// Decompresses a stream whose format its first bytes tell: zstd, gzip, or plain bytes passed on as they are.
///
/// zstd may be many frames, skippable ones among them, and gzip many members: all are decoded, in order. Memory is constant
/// whatever the input: for zstd the frame's window (2 MiB for what level 3 writes, at most 2^`windowLogMax`).
/// Not for use from two threads at once.
package final class Decoder {
    /// How the bytes are compressed.
    package enum Format: String, Sendable {
        case zstd, gzip, plain
    }

    /// The format, once the first four bytes (or the end) have been seen.
    package private(set) var format: Format?
    /// Bytes taken in so far.
    package private(set) var inputBytes = 0
    /// Bytes given out so far.
    package private(set) var outputBytes = 0

    private var head: [UInt8] = []
    private var stage: (any DecodingStage)?
    private let windowLogMax: Int

    /// Starts before the first byte.
    ///
    /// - Parameter windowLogMax: zstd frames whose window is larger than 2 to this power are refused, 10 to 31; 8 MiB is
    ///   what every decoder should take (RFC 8878), and what `zstd` makes without `--long` or `--ultra`.
    package init(windowLogMax: Int = 23) {
        self.windowLogMax = windowLogMax
    }

    /// Decodes more input, in pieces of any size, and hands what comes out to `sink`.
    ///
    /// - Parameters:
    ///   - input: bytes that follow those of the call before; not kept.
    ///   - sink: takes pieces of at most 128 KiB (plain input: as they came), valid only during the call.
    /// - Throws: `CompressionError`, or what `sink` throws; after either the decoder must be dropped.
    package func decode(
        _ input: UnsafeRawBufferPointer, _ sink: (UnsafeRawBufferPointer) throws -> Void
    ) throws {
        guard input.count > 0 else { return }
        inputBytes += input.count
        func counting(_ piece: UnsafeRawBufferPointer) throws {
            guard piece.count > 0 else { return }
            outputBytes += piece.count
            try sink(piece)
        }
        if let stage { return try stage.decode(input, counting) }
        head += input.prefix(4 - head.count)
        let taken = head.count - (inputBytes - input.count)
        guard head.count == 4 else { return }
        let stage = try begin()
        try head.withUnsafeBytes { try stage.decode($0, counting) }
        try stage.decode(UnsafeRawBufferPointer(rebasing: input[taken...]), counting)
    }

    /// Decodes more input.
    ///
    /// See `decode(_:_:)` above.
    package func decode(_ input: [UInt8], _ sink: (UnsafeRawBufferPointer) throws -> Void) throws {
        try input.withUnsafeBytes { try decode($0, sink) }
    }

    /// Says that the input has ended.
    ///
    /// - Throws: `CompressionError` with code `truncated` if it ended in the middle of a frame or member.
    package func finish(_ sink: (UnsafeRawBufferPointer) throws -> Void) throws {
        if stage == nil {
            let stage = try begin()
            try head.withUnsafeBytes { head in
                try stage.decode(head) { piece in
                    guard piece.count > 0 else { return }
                    self.outputBytes += piece.count
                    try sink(piece)
                }
            }
        }
        try stage?.finish()
    }

    /// The decompressed bytes of a whole input held in memory.
    ///
    /// - Parameters:
    ///   - input: one whole stream.
    ///   - limit: how many bytes may come out before it is refused as `tooLarge`.
    package static func decode(_ input: UnsafeRawBufferPointer, limit: Int) throws -> [UInt8] {
        let decoder = Decoder()
        var output: [UInt8] = []
        let sink = { (piece: UnsafeRawBufferPointer) throws in
            guard output.count + piece.count <= limit else {
                throw CompressionError(
                    .tooLarge, format: decoder.format?.rawValue ?? "plain", reason: "content is over \(limit) bytes")
            }
            output.append(contentsOf: piece)
        }
        try decoder.decode(input, sink)
        try decoder.finish(sink)
        return output
    }

    /// The decompressed bytes of a whole input held in memory, at most `limit`.
    package static func decode(_ input: [UInt8], limit: Int) throws -> [UInt8] {
        try input.withUnsafeBytes { try decode($0, limit: limit) }
    }

    /// Chooses the stage by the first bytes.
    private func begin() throws(CompressionError) -> any DecodingStage {
        let detected = Self.detect(head)
        format = detected
        let stage: any DecodingStage =
            switch detected {
            case .zstd: try ZstdStage(windowLogMax: windowLogMax)
            case .gzip: try GzipStage()
            case .plain: PlainStage()
            }
        self.stage = stage
        return stage
    }

    /// What the first bytes say: `plain` where they match no magic number.
    package static func detect(_ head: [UInt8]) -> Format {
        if head.count >= 4 {
            let magic = UInt32(head[0]) | UInt32(head[1]) << 8 | UInt32(head[2]) << 16 | UInt32(head[3]) << 24
            if magic == Zstd.frameMagic || magic & 0xFFFF_FFF0 == Zstd.skippableMagic { return .zstd }
        }
        if head.count >= 2, head[0] == 0x1F, head[1] == 0x8B { return .gzip }
        return .plain
    }
}

/// One format's decoder.
protocol DecodingStage: AnyObject {
    /// Decodes more input.
    func decode(_ input: UnsafeRawBufferPointer, _ sink: (UnsafeRawBufferPointer) throws -> Void) throws
    /// Throws unless the input so far is whole.
    func finish() throws(CompressionError)
}

/// Passes bytes on.
final class PlainStage: DecodingStage {
    func decode(_ input: UnsafeRawBufferPointer, _ sink: (UnsafeRawBufferPointer) throws -> Void) throws {
        try sink(input)
    }

    func finish() throws(CompressionError) {}
}
