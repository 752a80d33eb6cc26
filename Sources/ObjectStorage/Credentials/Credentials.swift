internal import DurableIO

/// An access key with its secret.
///
/// Never shown: descriptions, dumps and mirrors are empty of it.
package struct Credentials: Hashable, Sendable, CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable
{
    /// The access key's id.
    package let accessKeyID: String
    /// Its secret.
    package let secretAccessKey: String
    /// The token that temporary credentials come with.
    package let sessionToken: String?

    /// Trims and checks the parts.
    ///
    /// - Throws: `StorageError` of kind `configuration` that names the faulty part and `source`, never its content.
    package init(
        accessKeyID: String, secretAccessKey: String, sessionToken: String? = nil, source: String
    ) throws(StorageError) {
        self.accessKeyID = try Self.clean(accessKeyID, "access key id", source)
        self.secretAccessKey = try Self.clean(secretAccessKey, "secret access key", source)
        self.sessionToken =
            if let sessionToken, !trim(sessionToken).isEmpty {
                try Self.clean(sessionToken, "session token", source)
            } else {
                nil
            }
    }

    package var description: String { "Credentials(hidden)" }
    package var debugDescription: String { description }
    package var customMirror: Mirror { Mirror(self, children: []) }

    /// A newline in a secret would otherwise end up in a header or a key, and hang or fail far from here.
    private static func clean(_ text: String, _ part: String, _ source: String) throws(StorageError) -> String {
        let text = trim(text)
        let fault: String? =
            if text.isEmpty { "is empty" } else if text.utf8.contains(where: { $0 <= 0x20 || $0 >= 0x7F }) {
                "holds a space, a control character or a character outside ASCII"
            } else { nil }
        if let fault {
            throw StorageError(
                .configuration, operation: "read credentials", message: "the \(part) from \(source) \(fault)",
                remedy: "write it as the store gave it, on one line")
        }
        return text
    }
}

/// Text without the white space around it.
func trim(_ text: some StringProtocol) -> String {
    func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || (0x09...0x0D).contains(byte) }
    let bytes = Array(text.utf8).drop(while: isSpace)
    guard let last = bytes.lastIndex(where: { !isSpace($0) }) else { return "" }
    return String(decoding: bytes[...last], as: UTF8.self)
}
