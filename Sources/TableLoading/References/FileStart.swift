/// The first bytes of a file, held until they say what it is.
struct FileStart {
    private var held: [UInt8] = []

    /// So many blanks are no longer waited behind.
    private static let most = 1 << 20
    private static let mark: [UInt8] = [0xEF, 0xBB, 0xBF]

    /// Takes the next bytes.
    ///
    /// - Returns: whether the first one that is no blank begins an object; nil until that is known, and where nothing came.
    mutating func looksLikeJSON(_ piece: UnsafeRawBufferPointer, isLast: Bool) -> Bool? {
        held += piece
        if !isLast, held.count < Self.mark.count { return nil }
        let first = bytes(withMark: false).first { ![0x20, 0x09, 0x0D, 0x0A].contains($0) }
        if let first { return first == UInt8(ascii: "{") }
        return held.count > Self.most || isLast && !held.isEmpty ? false : nil
    }

    /// All bytes so far.
    ///
    /// - Parameter withMark: whether a byte order mark is among them.
    func bytes(withMark: Bool) -> ArraySlice<UInt8> {
        !withMark && held.starts(with: Self.mark) ? held[Self.mark.count...] : held[...]
    }
}
