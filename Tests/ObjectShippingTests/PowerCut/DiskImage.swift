import Compression
import DurableIO
import EventModel
import EventSegments
import Glibc

/// The files of a spool and a store at one moment, as somebody sees them who wants the lines back.
struct DiskImage {
    /// Bytes by path, below a folder that holds `spool` and `store`.
    let files: [String: [UInt8]]

    /// The bytes of each segment that lies open or sealed in the spool.
    var spooled: [SegmentPlace: [UInt8]] {
        var found: [SegmentPlace: [UInt8]] = [:]
        for (path, bytes) in files {
            guard let name = SegmentName(Self.base(path)) else { continue }
            let place = SegmentPlace(writer: name.writer.text, seq: name.seq)
            if bytes.count >= found[place]?.count ?? 0 { found[place] = bytes }
        }
        return found
    }

    /// The bytes of each segment in an object, from every object that holds it.
    func stored() throws -> [SegmentPlace: [[UInt8]]] {
        var found: [SegmentPlace: [[UInt8]]] = [:]
        for (path, object) in files where path.hasSuffix(ObjectKey.suffix) {
            let (manifest, _) = try ObjectTrailer.find(in: object)
            for segment in manifest.segments {
                let frame = Array(object[segment.offset..<segment.offset + segment.compressedBytes])
                let bytes = try Decoder.decode(frame, limit: segment.rawBytes)
                guard hex(SHA256.hash(bytes)) == segment.rawSHA256 else {
                    throw SystemError(operation: "verify", path: path, code: EILSEQ)
                }
                found[SegmentPlace(writer: segment.writer, seq: segment.seq), default: []].append(bytes)
            }
        }
        return found
    }

    /// Every line that could still be shipped or has been.
    func lines() throws -> Set<[UInt8]> {
        var lines: Set<[UInt8]> = []
        for bytes in spooled.values { lines.formUnion(Self.lines(bytes)) }
        for copies in try stored().values {
            for bytes in copies { lines.formUnion(Self.lines(bytes)) }
        }
        return lines
    }

    /// The events in segments, as lines; `writer` lines are the library's own.
    ///
    /// - Parameters:
    ///   - isOpen: whether those of open segments count too.
    ///   - seq: the last segment that counts, if not all.
    ///   - writer: whose segments count, if not everybody's.
    func events(open isOpen: Bool, upTo seq: Int? = nil, of writer: String? = nil) -> Set<[UInt8]> {
        var lines: Set<[UInt8]> = []
        for (path, bytes) in files {
            guard let name = SegmentName(Self.base(path)), isOpen || !name.isOpen,
                seq.map({ name.seq <= $0 }) ?? true, writer.map({ name.writer.text == $0 }) ?? true
            else { continue }
            lines.formUnion(Self.lines(bytes).filter { WriterLine($0) == nil })
        }
        return lines
    }

    static func lines(_ bytes: [UInt8]) -> [[UInt8]] { bytes.split(separator: 0x0A).map(Array.init) }

    static func base(_ path: String) -> String {
        path.utf8.lastIndex(of: UInt8(ascii: "/")).map { String(path[path.index(after: $0)...]) } ?? path
    }

    /// Lays spool, store and state out below another folder, as old as if nobody had written for an hour.
    func write(from root: String, to folder: String) throws {
        for (path, bytes) in files where ["spool", "store", "state"].contains(where: { path.hasPrefix("\(root)/\($0)/") }) {
            let target = folder + path.dropFirst(root.count)
            try DurableFile.makeDirectory(DurableFile.folder(of: target))
            try DurableFile.replace(path: target, bytes: bytes)
            var times = [timespec](repeating: timespec(tv_sec: time(nil) - 3600, tv_nsec: 0), count: 2)
            utimensat(AT_FDCWD, target, &times, 0)
        }
    }
}

/// A writer and the number of one of its segments.
struct SegmentPlace: Hashable, Comparable {
    var writer: String
    var seq: Int

    static func < (left: Self, right: Self) -> Bool { (left.writer, left.seq) < (right.writer, right.seq) }
}
