/// The error document of S3.
package struct S3ErrorDocument: Hashable {
    var code = ""
    var message = ""
    var requestID: String?
    var region: String?

    /// Reads `<Error>...</Error>`; nil for any other or a broken document.
    package init?(_ body: [UInt8]) {
        // Most bodies that are none are told by their first byte.
        guard let first = body.first(where: { $0 > 0x20 }), first == UInt8(ascii: "<") || first == 0xEF,
            let root = try? XMLElement(body), root.name == "Error"
        else { return nil }
        // It ends up in logs: one line each, of bounded length.
        code = plain(trim(root["Code"] ?? ""))
        message = plain(trim(root["Message"] ?? ""))
        requestID = root["RequestId"].map { plain(trim($0)) }
        region = root["Region"].map { plain(trim($0)) }
    }
}

/// The answer of ListObjectsV2.
package struct S3ListDocument {
    /// The entries, in the answer's order.
    package var objects: [ObjectInfo] = []
    /// Whether there are more.
    package var isTruncated = false
    /// How to ask for them.
    package var continuationToken: String?

    /// Reads `<ListBucketResult>...</ListBucketResult>`.
    ///
    /// A pure function of any bytes whatever, in time and memory proportional to them.
    ///
    /// - Throws: the reason, if it is anything else or incomplete: a listing that lost an entry would pass for whole.
    package init(_ body: [UInt8]) throws(XMLScanner.Malformed) {
        let root = try XMLElement(body)
        func missing(_ what: String) -> XMLScanner.Malformed { XMLScanner.Malformed(reason: what, offset: 0) }
        guard root.name == "ListBucketResult" else { throw missing("the answer is no listing, but <\(root.name)>") }
        let isEncoded = root["EncodingType"] == "url"
        switch root["IsTruncated"] {
        case "true": isTruncated = true
        case "false": isTruncated = false
        default: throw missing("the listing does not say whether there is more (IsTruncated)")
        }
        continuationToken = root["NextContinuationToken"]
        for entry in root.children where entry.name == "Contents" {
            guard let written = entry["Key"], let size = entry["Size"].flatMap({ Int($0) }), size >= 0,
                let key = isEncoded ? PercentEncoding.decodeListed(written) : written
            else { throw missing("an entry of the listing has no readable key or size") }
            objects.append(
                ObjectInfo(
                    key: key, size: size, etag: entry["ETag"].map(unquoted),
                    modified_ms: entry["LastModified"].flatMap { CivilTime.milliseconds(iso: $0) } ?? 0))
        }
    }
}

/// An entity tag without its quotes and the mark of weak ones.
func unquoted(_ etag: String) -> String {
    var etag = etag[...]
    if etag.hasPrefix("W/") { etag = etag.dropFirst(2) }
    if etag.count >= 2, etag.hasPrefix("\""), etag.hasSuffix("\"") { etag = etag.dropFirst().dropLast() }
    return String(etag)
}

/// A small XML document in memory.
struct XMLElement {
    var name: String
    var text = ""
    var children: [XMLElement] = []

    /// The text of the first child of a name.
    subscript(_ name: String) -> String? {
        children.first { $0.name == name }?.text
    }

    /// The first element of a name, in the document's order, at any depth.
    func first(_ wanted: String) -> XMLElement? {
        if name == wanted { return self }
        for child in children {
            if let found = child.first(wanted) { return found }
        }
        return nil
    }

    /// Reads a whole document.
    init(_ body: [UInt8]) throws(XMLScanner.Malformed) {
        var scanner = XMLScanner(body)
        guard case .start(let name) = try scanner.next() else {
            throw XMLScanner.Malformed(reason: "no element", offset: 0)
        }
        var elements = 0
        self = try XMLElement(name, &scanner, &elements)
        guard try scanner.next() == nil else { throw XMLScanner.Malformed(reason: "two documents", offset: 0) }
    }

    /// A page of 1,000 entries has some 10,000 elements; more than 65,536 would only be there to fill memory.
    private init(_ name: String, _ scanner: inout XMLScanner, _ elements: inout Int) throws(XMLScanner.Malformed) {
        elements += 1
        guard elements <= 65_536 else {
            throw XMLScanner.Malformed(reason: "more than 65,536 elements", offset: 0)
        }
        self.name = name
        while let event = try scanner.next() {
            switch event {
            case .start(let child): children.append(try XMLElement(child, &scanner, &elements))
            case .text(let piece): text += piece
            case .end: return
            }
        }
    }
}
