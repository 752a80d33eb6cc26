internal import CZlib

/// Decodes a run of gzip members (RFC 1952).
///
/// Zero bytes after the last, which tape and block tools add, are passed over.
final class GzipStage: DecodingStage {
    private let stream: UnsafeMutablePointer<z_stream>
    private let output: UnsafeMutableRawBufferPointer
    private var isBetweenMembers = true
    private var isPadding = false

    init() throws(CompressionError) {
        stream = .allocate(capacity: 1)
        stream.initialize(to: z_stream())
        output = .allocate(byteCount: 131_072, alignment: 64)
        guard nadi_inflate_init_gzip(stream) == Z_OK else {
            throw CompressionError(.tooLarge, format: "gzip", reason: "out of memory for a decompression state")
        }
    }

    deinit {
        inflateEnd(stream)
        stream.deallocate()
        output.deallocate()
    }

    func decode(_ bytes: UnsafeRawBufferPointer, _ sink: (UnsafeRawBufferPointer) throws -> Void) throws {
        guard let base = bytes.baseAddress else { return }
        // avail_in is 32 bits wide.
        let piece = 1 << 30
        for start in stride(from: 0, to: bytes.count, by: piece) {
            let count = min(piece, bytes.count - start)
            // zlib's next_in lacks const; it does not write there.
            stream.pointee.next_in = UnsafeMutablePointer(
                mutating: (base + start).assumingMemoryBound(to: UInt8.self))
            stream.pointee.avail_in = UInt32(count)
            defer { stream.pointee.next_in = nil }
            try drain(sink)
        }
    }

    func finish() throws(CompressionError) {
        if !isBetweenMembers {
            throw CompressionError(.truncated, format: "gzip", reason: "the input ends inside a member")
        }
    }

    private func drain(_ sink: (UnsafeRawBufferPointer) throws -> Void) throws {
        var wasFull = false
        while stream.pointee.avail_in > 0 || wasFull {
            if isBetweenMembers, let next = stream.pointee.next_in, stream.pointee.avail_in > 0 {
                if isPadding || next.pointee == 0, stream.pointee.total_in > 0 {
                    guard next.pointee == 0 else { throw trailing }
                    isPadding = true
                    stream.pointee.next_in = next + 1
                    stream.pointee.avail_in -= 1
                    continue
                }
                if next.pointee != 0x1F { throw trailing }
                isBetweenMembers = false
            }
            stream.pointee.next_out = output.baseAddress?.assumingMemoryBound(to: UInt8.self)
            stream.pointee.avail_out = UInt32(output.count)
            let code = inflate(stream, Z_NO_FLUSH)
            let produced = output.count - Int(stream.pointee.avail_out)
            wasFull = produced == output.count
            try sink(UnsafeRawBufferPointer(rebasing: output[..<produced]))
            switch code {
            case Z_OK: break
            case Z_BUF_ERROR where stream.pointee.avail_in == 0: wasFull = false
            case Z_STREAM_END:
                wasFull = false
                isBetweenMembers = true
                let total = stream.pointee.total_in
                guard inflateReset(stream) == Z_OK else { throw corrupt(code) }
                // The reset clears it, and we only ask whether a member came before.
                stream.pointee.total_in = total
            default: throw corrupt(code)
            }
        }
    }

    private var trailing: CompressionError {
        CompressionError(.trailingBytes, format: "gzip", reason: "bytes after a member start no other")
    }

    private func corrupt(_ code: Int32) -> CompressionError {
        let reason = stream.pointee.msg.map { String(cString: $0) } ?? "inflate returned \(code)"
        return CompressionError(.corrupt, format: "gzip", reason: reason)
    }
}
