internal import CZstd

/// Writes zstd frames (RFC 8878), one after the other, each with its checksum and, if announced, its content size.
///
/// The same bytes with the same level and library give the same frame, however they are cut into `append` calls
/// as long as the content size is announced. About 1.3 MiB of memory at level 3. Not for use from two threads at once.
package final class ZstdEncoder {
    private let context: OpaquePointer
    private let level: Int32
    private var buffer: [UInt8]

    /// Starts a frame.
    ///
    /// - Parameters:
    ///   - level: zstd's compression level, 1 to 19.
    ///   - contentSize: how many bytes will be appended in all, if that is known: it then stands in the frame's header.
    package init(level: Int = 3, contentSize: Int?) throws(CompressionError) {
        guard let context = ZSTD_createCCtx() else {
            throw CompressionError(.encoder, format: "zstd", reason: "out of memory for a compression context")
        }
        self.context = context
        self.level = Int32(level)
        buffer = [UInt8](repeating: 0, count: ZSTD_CStreamOutSize())
        try start(contentSize: contentSize)
    }

    deinit {
        ZSTD_freeCCtx(context)
    }

    /// Starts another frame after `finish`, or drops what was begun; cheaper than a new encoder.
    package func start(contentSize: Int?) throws(CompressionError) {
        try check(ZSTD_CCtx_reset(context, ZSTD_reset_session_and_parameters))
        try check(ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, level))
        try check(ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1))
        if let contentSize { try check(ZSTD_CCtx_setPledgedSrcSize(context, UInt64(contentSize))) }
    }

    /// Compresses more bytes; what the codec puts out meanwhile is added to `output`.
    package func append(_ bytes: UnsafeRawBufferPointer, into output: inout [UInt8]) throws(CompressionError) {
        guard bytes.count > 0 else { return }
        try run(bytes, ZSTD_e_continue, into: &output)
    }

    /// Compresses more bytes; what the codec puts out meanwhile is added to `output`.
    package func append(_ bytes: [UInt8], into output: inout [UInt8]) throws(CompressionError) {
        var failure: CompressionError?
        bytes.withUnsafeBytes { buffer in
            do throws(CompressionError) {
                try append(buffer, into: &output)
            } catch {
                failure = error
            }
        }
        if let failure { throw failure }
    }

    /// Ends the frame: the rest of it is added to `output`.
    ///
    /// Call `start` before appending again.
    ///
    /// - Throws: `CompressionError` if fewer bytes came than announced.
    package func finish(into output: inout [UInt8]) throws(CompressionError) {
        try run(UnsafeRawBufferPointer(start: nil, count: 0), ZSTD_e_end, into: &output)
    }

    private func run(
        _ bytes: UnsafeRawBufferPointer, _ directive: ZSTD_EndDirective, into output: inout [UInt8]
    ) throws(CompressionError) {
        var input = ZSTD_inBuffer(src: bytes.baseAddress, size: bytes.count, pos: 0)
        while true {
            var produced = 0
            let left = buffer.withUnsafeMutableBytes { space in
                var out = ZSTD_outBuffer(dst: space.baseAddress, size: space.count, pos: 0)
                let left = ZSTD_compressStream2(context, &out, &input, directive)
                produced = out.pos
                return left
            }
            try check(left)
            output.append(contentsOf: buffer[..<produced])
            if directive == ZSTD_e_end ? left == 0 : input.pos == input.size { return }
        }
    }

    private func check(_ code: Int) throws(CompressionError) {
        guard ZSTD_isError(code) != 0 else { return }
        throw CompressionError(.encoder, format: "zstd", reason: String(cString: ZSTD_getErrorName(code)))
    }
}
