internal import CZstd

/// Decodes a run of zstd frames.
final class ZstdStage: DecodingStage {
    private let context: OpaquePointer
    private let output: UnsafeMutableRawBufferPointer
    private let windowLogMax: Int
    private var isBetweenFrames = true

    init(windowLogMax: Int) throws(CompressionError) {
        self.windowLogMax = windowLogMax
        guard let context = ZSTD_createDCtx() else {
            throw CompressionError(.tooLarge, format: "zstd", reason: "out of memory for a decompression context")
        }
        self.context = context
        output = .allocate(byteCount: ZSTD_DStreamOutSize(), alignment: 64)
        let code = ZSTD_DCtx_setParameter(context, ZSTD_d_windowLogMax, Int32(windowLogMax))
        precondition(ZSTD_isError(code) == 0, "windowLogMax must be in 10...31")
    }

    deinit {
        ZSTD_freeDCtx(context)
        output.deallocate()
    }

    func decode(_ bytes: UnsafeRawBufferPointer, _ sink: (UnsafeRawBufferPointer) throws -> Void) throws {
        guard bytes.count > 0 else { return }
        var input = ZSTD_inBuffer(src: bytes.baseAddress, size: bytes.count, pos: 0)
        while true {
            var out = ZSTD_outBuffer(dst: output.baseAddress, size: output.count, pos: 0)
            let hint = ZSTD_decompressStream(context, &out, &input)
            if ZSTD_isError(hint) != 0 { throw error(hint) }
            // Zero means: a frame is decoded and all of it given out.
            isBetweenFrames = hint == 0
            try sink(UnsafeRawBufferPointer(rebasing: output[..<out.pos]))
            // A full output may hide more; but between frames nothing is held back, and asking would start the next.
            if input.pos == input.size, out.pos < output.count || hint == 0 { return }
        }
    }

    func finish() throws(CompressionError) {
        if !isBetweenFrames {
            throw CompressionError(.truncated, format: "zstd", reason: "the input ends inside a frame")
        }
    }

    private func error(_ code: Int) -> CompressionError {
        let reason = String(cString: ZSTD_getErrorName(code))
        switch ZSTD_getErrorCode(code) {
        case ZSTD_error_frameParameter_windowTooLarge:
            return CompressionError(
                .tooLarge, format: "zstd",
                reason: "a frame needs a window of over \((1 << windowLogMax) / 1024) KiB, as --long or --ultra make")
        case ZSTD_error_memory_allocation:
            return CompressionError(.tooLarge, format: "zstd", reason: reason)
        case ZSTD_error_dictionary_wrong, ZSTD_error_dictionary_corrupted:
            return CompressionError(
                .unsupported, format: "zstd", reason: "a frame was compressed with a dictionary, which we do not have")
        case ZSTD_error_prefix_unknown:
            return CompressionError(.trailingBytes, format: "zstd", reason: "bytes after a frame start no other")
        default:
            return CompressionError(.corrupt, format: "zstd", reason: reason)
        }
    }
}
