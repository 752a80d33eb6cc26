/// The name of one writer, unique for ever: the first part of its files' names and of every record about it.
///
///     <host>-<32 hex>                            a process that links the client: host and UUIDv7, new per process start
///     <host>-<stream>-<32 hex>[.<copy>]          a foreign log file: the hash of its content as first shipped
///
/// A host may hold hyphens and digits, so the two forms cannot be told apart by the text alone; the manifest's `format`
/// says which one it is.
package struct WriterName: Sendable, Hashable {
    /// The whole name.
    package let text: String

    /// The name of a process's writer.
    ///
    /// `host` must be in normal form (``HostName/normalise(_:)``).
    package init(host: String, id: UUIDv7) {
        text = "\(host)-\(id.hex)"
    }

    /// The name of a foreign log file: `hash` are the first 32 lower-case hexadecimal digits of the SHA-256 of its
    /// decompressed bytes, `stream` is `[a-z0-9_]+`, `copy` tells identical files apart that were present at once.
    package init(host: String, stream: String, hash: String, copy: Int? = nil) {
        text = "\(host)-\(stream)-\(hash)" + (copy.map { ".\($0)" } ?? "")
    }

    /// Reads a name; nil unless it has one of the two forms.
    package init?(_ text: String) {
        self.init(text[...])
    }

    /// Reads a name; nil unless it has one of the two forms.
    package init?(_ text: Substring) {
        guard text.utf8.count <= Self.maximumBytes else { return nil }
        var rest = text.utf8[...]
        if rest.count > 33, rest.suffix(33).first != UInt8(ascii: "-") {
            guard let dot = rest.lastIndex(of: UInt8(ascii: ".")),
                SegmentName.decimal(rest[rest.index(after: dot)...]) != nil
            else { return nil }
            rest = rest[..<dot]
        }
        guard rest.count > 33, rest.suffix(33).first == UInt8(ascii: "-"), rest.suffix(32).allSatisfy(Self.isHex),
            rest.dropLast(33).allSatisfy(Self.isNameByte)
        else { return nil }
        self.text = String(text)
    }

    /// Longest name that is read, in bytes: one file name with room for the segment's numbers.
    package static let maximumBytes = 200

    /// The identifier in the name, if it can be one of a process's writer.
    package var id: UUIDv7? { UUIDv7(String(text.suffix(32))) }

    /// Whether this writer may run on `host` (the name begins with it).
    package func isOn(host: String) -> Bool { text.hasPrefix(host + "-") }

    private static func isHex(_ byte: UInt8) -> Bool {
        (0x30...0x39).contains(byte) || (0x61...0x66).contains(byte)
    }

    private static func isNameByte(_ byte: UInt8) -> Bool {
        (0x30...0x39).contains(byte) || (0x61...0x7A).contains(byte) || byte == 0x2D || byte == 0x2E || byte == 0x5F
    }

    /// Name of the writer's lock file.
    package var lockFileName: String { text + ".lock" }

    /// The writer whose lock file has this name; nil for any other file name.
    package init?(lockFileName: String) {
        guard lockFileName.hasSuffix(".lock") else { return nil }
        self.init(lockFileName.dropLast(5))
    }
}

extension WriterName: CustomStringConvertible {
    package var description: String { text }
}

extension WriterName: Comparable {
    /// Byte order, the order of names in manifests and in the loader's locks.
    package static func < (left: Self, right: Self) -> Bool {
        left.text.utf8.lexicographicallyPrecedes(right.text.utf8)
    }
}
