/// Compressed bytes that cannot be made or read: which codec, why, and what to do about it.
package struct CompressionError: Error, Hashable, Sendable, CustomStringConvertible {
    /// What kind of failure it is.
    package struct Code: RawRepresentable, Hashable, Sendable {
        package let rawValue: String
        package init(rawValue: String) { self.rawValue = rawValue }

        /// The bytes are not what their magic number says, or a checksum does not match.
        package static let corrupt = Code(rawValue: "corrupt")
        /// The bytes end in the middle of a frame or member.
        package static let truncated = Code(rawValue: "truncated")
        /// Bytes after the last frame or member belong to none.
        package static let trailingBytes = Code(rawValue: "trailing_bytes")
        /// The content would be larger than the caller allows, or needs more memory.
        package static let tooLarge = Code(rawValue: "too_large")
        /// The bytes need something that we do not have, such as a dictionary.
        package static let unsupported = Code(rawValue: "unsupported")
        /// The encoder was given other bytes than announced, or cannot work.
        package static let encoder = Code(rawValue: "encoder")
    }

    /// What kind of failure it is.
    package let code: Code
    /// `zstd`, `gzip` or `plain`.
    package let format: String
    /// The library's or our words for the reason.
    package let reason: String

    /// Makes an error from its parts.
    package init(_ code: Code, format: String, reason: String) {
        self.code = code
        self.format = format
        self.reason = reason
    }

    /// What an operator can do.
    package var remedy: String {
        switch code {
        case .corrupt, .truncated, .trailingBytes: "fetch or ship the file again; if it stays so, its source is damaged"
        case .tooLarge: "compress it anew with zstd's or gzip's defaults, in smaller files if it is large"
        case .unsupported: "compress it anew with zstd's defaults"
        default: "this is a mistake in the program: please report it"
        }
    }

    package var description: String {
        "\(format) data is \(code == .encoder ? "not written" : "unreadable"): \(reason): \(remedy)"
    }
}
