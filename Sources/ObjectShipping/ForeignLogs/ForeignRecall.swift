import DurableIO
import EventSegments

/// Finds again, after the state was lost, which of the files that are there were stored and how far.
///
/// A stored segment tells the size and SHA-256 of its part of a file. A file that begins with all parts of a writer, in
/// their order, is that writer's.
struct ForeignRecall {
    private struct Chain {
        var writer: String
        var parts: [Manifest.Segment]
        var bytes: Int { parts.reduce(0) { $0 + $1.rawBytes } }
    }

    private struct Part: Hashable {
        var offset: Int
        var bytes: Int
    }

    let host: String
    let watch: ReadingWatch

    /// The writers of a stream's files.
    ///
    /// - Parameters:
    ///   - paths: the stream's rotated files; those that cannot be read are left out.
    ///   - stored: foreign segments of this host in the bucket.
    /// - Throws: ``ReadingStopped``.
    func writers(
        of stream: StreamConfiguration, paths: [String], stored: [Manifest.Segment], now_ms: Int64
    ) throws -> [ForeignLedger.Writer] {
        var chains = chains(of: stream, stored)
        var writers: [ForeignLedger.Writer] = []
        for path in paths {
            do {
                guard let facts = try FileFacts.of(path), facts.isRegular, facts.size > 0 else { continue }
                var hashes: [Part: String?] = [:]
                guard let index = try chains.firstIndex(where: { try begins(path, with: $0, &hashes) }) else {
                    continue
                }
                let chain = chains.remove(at: index)
                let content = try ForeignReading.content(of: path, lengths: [chain.bytes], watch: watch)
                guard let sha256 = content.prefixes[chain.bytes] else { continue }
                writers.append(
                    ForeignLedger.Writer(
                        name: chain.writer, stream: stream.name, format: stream.format, bytes: chain.bytes,
                        sha256: sha256, nextSeq: chain.parts.count, pending: [], seen_ms: now_ms))
            } catch let stopped as ReadingStopped {
                throw stopped
            } catch {
                // The next look tells what is wrong with it.
                continue
            }
        }
        return writers
    }

    /// Each writer's segments from its first on without a gap; longest first.
    private func chains(of stream: StreamConfiguration, _ stored: [Manifest.Segment]) -> [Chain] {
        let prefix = "\(host)-\(stream.name)-"
        var bySeq: [String: [Int: Manifest.Segment]] = [:]
        for segment in stored where segment.writer.hasPrefix(prefix) {
            bySeq[segment.writer, default: [:]][segment.seq] = segment
        }
        var chains: [Chain] = []
        for (writer, segments) in bySeq {
            var parts: [Manifest.Segment] = []
            while let next = segments[parts.count] { parts.append(next) }
            if !parts.isEmpty { chains.append(Chain(writer: writer, parts: parts)) }
        }
        return chains.sorted { ($1.bytes, $0.writer) < ($0.bytes, $1.writer) }
    }

    private func begins(_ path: String, with chain: Chain, _ hashes: inout [Part: String?]) throws -> Bool {
        let reader = ForeignReader()
        var offset = 0
        for part in chain.parts {
            let place = Part(offset: offset, bytes: part.rawBytes)
            if hashes[place] == nil { hashes[place] = .some(try hash(of: path, place, reader)) }
            guard hashes[place] == .some(part.rawSHA256) else { return false }
            offset += part.rawBytes
        }
        return true
    }

    /// The SHA-256 of a part; nil when the file ends before.
    private func hash(of path: String, _ part: Part, _ reader: ForeignReader) throws -> String? {
        var hash = SHA256()
        var bytes = 0
        try reader.bytes(of: path, from: part.offset, count: part.bytes, watch) { piece in
            hash.update(piece)
            bytes += piece.count
        }
        return bytes == part.bytes ? hex(hash.finalize()) : nil
    }
}
