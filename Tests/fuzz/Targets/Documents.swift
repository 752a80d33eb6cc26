import Compression
import ObjectShipping
import ObjectStorage
import ServiceSupport
import TableLoading

/// YAML: a configuration or an error that says where.
enum ConfigurationTarget {
    static func run(_ input: [UInt8]) {
        let text = String(decoding: input, as: UTF8.self)
        do throws(ConfigurationError) {
            let document = try ConfigurationDocument(
                text: text, file: "fuzz.yaml", environment: ["HOME": "/", "EMPTY": ""])
            if let error = failure({ () throws(ConfigurationError) in
                _ = try ShipperConfiguration(document, environment: [:])
            }) {
                demand(error.description.hasPrefix("fuzz.yaml"), "an error names the file: \(error)")
            }
            if let error = failure({ () throws(ConfigurationError) in
                let loader = try LoaderConfiguration(document)
                _ = try MappingConfiguration.mappings(loader.root)
            }) {
                demand(error.description.hasPrefix("fuzz.yaml"), "an error names the file: \(error)")
            }
        } catch {
            demand(error.description.hasPrefix("fuzz.yaml"), "an error names the file: \(error)")
        }
    }

    private static func failure(_ body: () throws(ConfigurationError) -> Void) -> ConfigurationError? {
        do throws(ConfigurationError) {
            try body()
            return nil
        } catch {
            return error
        }
    }
}

/// XML: well-formed or refused, never half a listing.
enum ListingsTarget {
    static func run(_ input: [UInt8]) {
        var scanner = XMLScanner(input)
        var depth = 0
        var events = 0
        while let event = try? scanner.next() {
            switch event {
            case .start: depth += 1
            case .end: depth -= 1
            case .text(let text): demand(text.utf8.count <= input.count, "no document grows while it is read")
            }
            demand(depth >= 0, "no element ends before it begins")
            events += 1
            demand(events <= 2 * input.count + 2, "reading ends")
        }
        if let list = try? S3ListDocument(input) {
            demand(list.objects.allSatisfy { $0.size >= 0 }, "sizes are not negative")
        }
        _ = S3ErrorDocument(input)
    }
}

/// Compressed or not: the same bytes or the same refusal, however the input comes in pieces.
enum StreamsTarget {
    /// What may come out of one input before it is enough, in bytes.
    private static let limit = 1 << 20

    static func run(_ input: [UInt8]) {
        let whole = decode(input, pieces: max(1, input.count))
        let pieces = decode(input, pieces: 1 + Int(input.last ?? 0) % 11)
        demand(whole == pieces, "pieces give what the whole gives")
        if Decoder.detect(input) == .plain { demand(whole == input || input.count > limit, "plain bytes are passed on") }
    }

    private static func decode(_ input: [UInt8], pieces: Int) -> [UInt8]? {
        struct Enough: Error {}
        let decoder = Decoder()
        var output: [UInt8] = []
        let sink = { (piece: UnsafeRawBufferPointer) throws in
            output.append(contentsOf: piece)
            if output.count > limit { throw Enough() }
        }
        do {
            for start in stride(from: 0, to: input.count, by: pieces) {
                try decoder.decode(Array(input[start..<min(start + pieces, input.count)]), sink)
            }
            try decoder.finish(sink)
            return output
        } catch is Enough {
            return Array(output[..<limit])
        } catch {
            return nil
        }
    }
}
