internal import CLibCrypto

/// SHA-256 (FIPS 180-4) over a stream of bytes, by libcrypto.
///
/// A value: a copy goes on independently, and `finalize` leaves it usable, so that a prefix's hash costs nothing extra.
package struct SHA256 {
    private final class Context {
        let pointer: OpaquePointer

        init(copying other: Context? = nil) {
            // Both fail only when memory is exhausted, where the standard library traps as well.
            guard let pointer = EVP_MD_CTX_new() else { fatalError("libcrypto: out of memory for a digest context") }
            self.pointer = pointer
            let done =
                if let other { EVP_MD_CTX_copy_ex(pointer, other.pointer) } else {
                    EVP_DigestInit_ex(pointer, EVP_sha256(), nil)
                }
            precondition(done == 1, "libcrypto cannot compute SHA-256: its installation is broken")
        }

        deinit {
            EVP_MD_CTX_free(pointer)
        }
    }

    private var context = Context()

    /// Starts with no bytes.
    package init() {}

    /// Adds bytes.
    package mutating func update(_ bytes: UnsafeRawBufferPointer) {
        if !isKnownUniquelyReferenced(&context) { context = Context(copying: context) }
        let done = EVP_DigestUpdate(context.pointer, bytes.baseAddress, bytes.count)
        precondition(done == 1, "libcrypto: EVP_DigestUpdate failed")
    }

    /// Adds bytes.
    package mutating func update(_ bytes: RawSpan) {
        bytes.withUnsafeBytes { update($0) }
    }

    /// Adds bytes.
    package mutating func update(_ bytes: [UInt8]) {
        bytes.withUnsafeBytes { update($0) }
    }

    /// The 32-byte hash of all bytes so far; more may be added afterwards.
    package func finalize() -> [UInt8] {
        let last = Context(copying: context)
        return [UInt8](unsafeUninitializedCapacity: 32) { buffer, count in
            var length: UInt32 = 0
            let done = EVP_DigestFinal_ex(last.pointer, buffer.baseAddress, &length)
            precondition(done == 1 && length == 32, "libcrypto: EVP_DigestFinal_ex failed")
            count = 32
        }
    }

    /// The 32-byte hash of some bytes.
    package static func hash(_ bytes: UnsafeRawBufferPointer) -> [UInt8] {
        var hash = SHA256()
        hash.update(bytes)
        return hash.finalize()
    }

    /// The 32-byte hash of some bytes.
    package static func hash(_ bytes: [UInt8]) -> [UInt8] {
        bytes.withUnsafeBytes { hash($0) }
    }
}

/// HMAC with SHA-256 (RFC 2104), by libcrypto.
package enum HMACSHA256 {
    /// The 32-byte authentication code.
    package static func authenticate(key: [UInt8], message: [UInt8]) -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: 32) { buffer, count in
            var length: UInt32 = 0
            let done = HMAC(
                EVP_sha256(), key, Int32(key.count), message, message.count, buffer.baseAddress, &length)
            precondition(done != nil && length == 32, "libcrypto: HMAC failed")
            count = 32
        }
    }
}
