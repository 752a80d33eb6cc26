/// A small strict reader of XML documents, for the answers of S3.
///
/// Knows elements, attributes (passed over), text, CDATA, comments, the XML declaration, the five named entities and
/// numeric references. Anything else, a DOCTYPE above all, is refused, so that no document can grow while it is read.
package struct XMLScanner {
    /// What comes next in a document.
    package enum Event: Hashable, Sendable {
        /// An element begins; the name is without its namespace prefix.
        case start(String)
        /// An element's text, entities resolved; elements with children give the white space between them too.
        case text(String)
        /// The innermost open element ends.
        case end(String)
    }

    /// The document is not well-formed, or uses what this reader refuses.
    package struct Malformed: Error, Hashable, Sendable {
        /// The reason.
        package let reason: String
        /// Where, in bytes.
        package let offset: Int
    }

    private let bytes: [UInt8]
    private var position = 0
    private var open: [String] = []
    private var pendingEnd: String?
    private var sawRoot = false

    /// Reads from the first byte of a UTF-8 document.
    package init(_ bytes: [UInt8]) {
        self.bytes = bytes
        if bytes.starts(with: [0xEF, 0xBB, 0xBF]) { position = 3 }
    }

    /// The next event, or nil after the root element's end.
    package mutating func next() throws(Malformed) -> Event? {
        if let name = pendingEnd {
            pendingEnd = nil
            open.removeLast()
            return .end(name)
        }
        while position < bytes.count {
            if bytes[position] != UInt8(ascii: "<") {
                let text = try text()
                if !open.isEmpty { return .text(text) }
                guard text.utf8.allSatisfy(Self.isSpace) else { throw malformed("text outside the root element") }
            } else if skip("<!--") {
                try skipPast("-->")
            } else if skip("<?") {
                guard !sawRoot else { throw malformed("a processing instruction inside the document") }
                try skipPast("?>")
            } else if skip("<![CDATA[") {
                guard !open.isEmpty else { throw malformed("text outside the root element") }
                let start = position
                try skipPast("]]>")
                return .text(try string(bytes[start..<position - 3]))
            } else if skip("</") {
                let name = try name()
                skipSpace()
                guard open.popLast() == name, skip(">") else { throw malformed("an end tag that fits no start tag") }
                return .end(name)
            } else if skip("<!") {
                throw malformed("a declaration, which is not accepted here")
            } else {
                return try startTag()
            }
        }
        guard open.isEmpty, sawRoot else { throw malformed("the document ends early") }
        return nil
    }

    private mutating func startTag() throws(Malformed) -> Event {
        position += 1
        guard open.count < 32 else { throw malformed("more than 32 nested elements") }
        guard !open.isEmpty || !sawRoot else { throw malformed("a second root element") }
        sawRoot = true
        let name = try name()
        while true {
            let hadSpace = skipSpace()
            if skip(">") { break }
            if skip("/>") {
                pendingEnd = name
                break
            }
            guard hadSpace else { throw malformed("a broken tag") }
            _ = try self.name()
            skipSpace()
            guard skip("=") else { throw malformed("an attribute without a value") }
            skipSpace()
            guard position < bytes.count, bytes[position] == UInt8(ascii: "\"") || bytes[position] == UInt8(ascii: "'")
            else { throw malformed("an attribute value without quotes") }
            let quote = bytes[position]
            position += 1
            guard let end = bytes[position...].firstIndex(of: quote),
                !bytes[position..<end].contains(UInt8(ascii: "<"))
            else { throw malformed("an attribute value without an end") }
            position = end + 1
        }
        open.append(name)
        return .start(name)
    }

    private mutating func text() throws(Malformed) -> String {
        let end = bytes[position...].firstIndex(of: UInt8(ascii: "<")) ?? bytes.count
        guard bytes[position..<end].contains(UInt8(ascii: "&")) else {
            defer { position = end }
            return try string(bytes[position..<end])
        }
        var decoded: [UInt8] = []
        while position < end {
            if bytes[position] == UInt8(ascii: "&") {
                decoded += try entity()
            } else {
                decoded.append(bytes[position])
                position += 1
            }
        }
        return try string(decoded[...])
    }

    private mutating func entity() throws(Malformed) -> [UInt8] {
        guard let end = bytes[position...].prefix(12).firstIndex(of: UInt8(ascii: ";")) else {
            throw malformed("an entity without an end")
        }
        let name = String(decoding: bytes[position + 1..<end], as: UTF8.self)
        position = end + 1
        switch name {
        case "lt": return [UInt8(ascii: "<")]
        case "gt": return [UInt8(ascii: ">")]
        case "amp": return [UInt8(ascii: "&")]
        case "quot": return [UInt8(ascii: "\"")]
        case "apos": return [UInt8(ascii: "'")]
        default:
            let value =
                name.hasPrefix("#x")
                ? UInt32(name.dropFirst(2), radix: 16)
                : name.hasPrefix("#") ? UInt32(name.dropFirst()) : nil
            guard let value, value != 0, let scalar = Unicode.Scalar(value) else {
                throw malformed("an unknown entity")
            }
            return Array(String(Character(scalar)).utf8)
        }
    }

    private mutating func name() throws(Malformed) -> String {
        let start = position
        while position < bytes.count, Self.isNameByte(bytes[position]) { position += 1 }
        guard position > start, position - start <= 256 else { throw malformed("a tag or attribute without a name") }
        let local = bytes[start..<position].split(separator: UInt8(ascii: ":")).last ?? []
        return try string(local)
    }

    private func string(_ bytes: ArraySlice<UInt8>) throws(Malformed) -> String {
        guard let text = String(validating: bytes, as: UTF8.self) else { throw malformed("bytes that are not UTF-8") }
        return text
    }

    private mutating func skip(_ literal: StaticString) -> Bool {
        let count = literal.utf8CodeUnitCount
        let matches = literal.withUTF8Buffer { expected in
            bytes[position...].prefix(count).elementsEqual(expected)
        }
        if matches { position += count }
        return matches
    }

    private mutating func skipPast(_ literal: StaticString) throws(Malformed) {
        while position < bytes.count {
            if skip(literal) { return }
            position += 1
        }
        throw malformed("the document ends early")
    }

    @discardableResult
    private mutating func skipSpace() -> Bool {
        let start = position
        while position < bytes.count, Self.isSpace(bytes[position]) { position += 1 }
        return position > start
    }

    private func malformed(_ reason: String) -> Malformed {
        Malformed(reason: reason, offset: position)
    }

    private static func isSpace(_ byte: UInt8) -> Bool {
        byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09
    }

    private static func isNameByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "-"), UInt8(ascii: "."),
            UInt8(ascii: ":"), 0x80...:
            true
        default: false
        }
    }
}
