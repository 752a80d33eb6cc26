extension StorageError {
    /// Refuses a key that some store would refuse, rename or lose.
    static func checkKey(_ key: String, operation: String) throws(StorageError) {
        func refuse(_ reason: String) -> StorageError {
            StorageError(.invalidKey, operation: "\(operation) \(key)", message: "the key \(reason)")
        }
        let bytes = Array(key.utf8)
        guard !bytes.isEmpty else { throw refuse("is empty") }
        guard bytes.count <= 1024 else { throw refuse("is longer than 1,024 bytes") }
        guard !bytes.contains(where: { $0 < 0x20 || $0 == 0x7F || $0 == UInt8(ascii: "\\") }) else {
            throw refuse("holds a control character or a backslash")
        }
        for part in bytes.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false) {
            if part.isEmpty { throw refuse("begins or ends with a slash or holds two in a row") }
            if part.allSatisfy({ $0 == UInt8(ascii: ".") }), part.count <= 2 { throw refuse("has a part `.` or `..`") }
        }
    }
}
