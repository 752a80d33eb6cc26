/// A finished object: its bytes, what they say about themselves, and the name that follows from it.
package struct Bundle: Sendable {
    /// The whole object, ready for one PUT.
    package let object: [UInt8]
    /// The manifest at the object's end.
    package let manifest: Manifest
    /// SHA-256 of the whole object, 32 bytes.
    package let sha256: [UInt8]

    /// The media type of objects.
    ///
    /// There is never a `Content-Encoding`: clients would undo it.
    package static let contentType = "application/zstd"

    /// The object's key under a prefix.
    package func key(prefix: String) -> ObjectKey { ObjectKey(prefix: prefix, manifest: manifest) }
}
