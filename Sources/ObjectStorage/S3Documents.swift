/// The error document of S3.
struct S3ErrorDocument: Hashable {
    var code = ""
    var message = ""
    var requestID: String?
    var region: String?

    /// Reads `<Error>...</Error>`; nil for any other or a broken document.
    init?(_ body: [UInt8]) {
        // Most bodies that are none are told by their first byte.
        guard let first = body.first(where: { $0 > 0x20 }), first == UInt8(ascii: "<") || first == 0xEF,
            let root = try? XMLElement(body), root.name == "Error"
        else { return nil }
        code = trim(root["Code"] ?? "")
        message = trim(root["Message"] ?? "")
        requestID = root["RequestId"]
        region = root["Region"]
    }
}

/// The answer of ListObjectsV2.
struct S3ListDocument {
    var objects: [ObjectInfo] = []
    var isTruncated = false
    var continuationToken: String?

    /// Reads `<ListBucketResult>...</ListBucketResult>`.
    ///
    /// - Throws: the reason, if it is anything else or incomplete: a listing that lost an entry would pass for whole.
    init(_ body: [UInt8]) throws(XMLScanner.Malformed) {
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

    /// Reads a whole document.
    init(_ body: [UInt8]) throws(XMLScanner.Malformed) {
        var scanner = XMLScanner(body)
        guard case .start(let name) = try scanner.next() else {
            throw XMLScanner.Malformed(reason: "no element", offset: 0)
        }
        self = try XMLElement(name, &scanner)
        guard try scanner.next() == nil else { throw XMLScanner.Malformed(reason: "two documents", offset: 0) }
    }

    private init(_ name: String, _ scanner: inout XMLScanner) throws(XMLScanner.Malformed) {
        self.name = name
        while let event = try scanner.next() {
            switch event {
            case .start(let child): children.append(try XMLElement(child, &scanner))
            case .text(let piece): text += piece
            case .end: return
            }
        }
    }
}
