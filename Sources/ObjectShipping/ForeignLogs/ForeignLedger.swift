import EventModel

/// What was planned and shipped of foreign logs, and which file is which, by content alone.
///
/// Pure values.
struct ForeignLedger: Codable, Equatable {
    /// A part of a file's decompressed bytes, shipped as one segment.
    struct Piece: Codable, Equatable {
        var seq: Int
        var offset: Int
        var bytes: Int
        var lines: Int
        var sha256: String
        var sealed_ms: Int64
        var file: String
    }

    /// One file's content as it is known under a writer's name.
    struct Writer: Codable, Equatable {
        var name: String
        var stream: String
        var format: String
        /// How many decompressed bytes were planned so far, and their SHA-256.
        var bytes: Int
        var sha256: String
        var nextSeq: Int
        /// Planned and not proven.
        var pending: [Piece]
        /// When a file of this content was last seen, milliseconds since the epoch.
        var seen_ms: Int64
        /// Whether it was told that its file is gone before it was shipped; nil while it is there.
        var isToldGone: Bool?
    }

    /// How old the time of a sighting may become before it is written anew, milliseconds.
    ///
    /// Every change of it is a durable write of the whole state.
    static let seenStep_ms: Int64 = 3_600_000

    /// A file that is there now.
    struct Content: Equatable {
        var path: String
        var bytes: Int
        var sha256: String
        /// The SHA-256 of the first n bytes, for the lengths that the ledger asked for.
        var prefixes: [Int: String] = [:]
    }

    /// What a file is.
    enum Decision: Equatable {
        /// All of it is known.
        case known(writer: String)
        /// It begins with a known content of `from` bytes.
        case longer(writer: String, from: Int)
        /// It is new.
        case new(writer: String)
    }

    var version = 1
    var writers: [Writer] = []

    /// The lengths at which a new file's bytes must be hashed, so that a longer file is recognised.
    func lengths(stream: String, below bytes: Int) -> Set<Int> {
        Set(writers.filter { $0.stream == stream && $0.bytes < bytes && $0.bytes > 0 }.map(\.bytes))
    }

    /// Says of every file of a stream what it is.
    ///
    /// Every known content belongs to one file at a time: files of equal content that are there at once are as many
    /// writers. Exact matches come first, then the longest known beginning.
    ///
    /// - Parameter contents: all files of the stream that are there and finished.
    func place(_ contents: [Content], stream: String, host: String) -> [String: Decision] {
        var free = writers.filter { $0.stream == stream }
        var names = Set(writers.map(\.name))
        var decisions: [String: Decision] = [:]
        let order = contents.sorted { $0.path < $1.path }
        for content in order {
            guard let index = free.firstIndex(where: { $0.bytes == content.bytes && $0.sha256 == content.sha256 })
            else { continue }
            decisions[content.path] = .known(writer: free[index].name)
            free.remove(at: index)
        }
        for content in order where decisions[content.path] == nil {
            let longest = free.indices.filter { index in
                free[index].bytes > 0 && content.prefixes[free[index].bytes] == free[index].sha256
            }.max { free[$0].bytes < free[$1].bytes }
            if let longest {
                decisions[content.path] = .longer(writer: free[longest].name, from: free[longest].bytes)
                free.remove(at: longest)
                continue
            }
            let hash = String(content.sha256.prefix(32))
            var name = WriterName(host: host, stream: stream, hash: hash).text
            var copy = 2
            while names.contains(name) {
                name = WriterName(host: host, stream: stream, hash: hash, copy: copy).text
                copy += 1
            }
            names.insert(name)
            decisions[content.path] = .new(writer: name)
        }
        return decisions
    }

    /// Plans what is new of a file.
    mutating func plan(
        _ decision: Decision, content: Content, stream: StreamConfiguration, pieces: [Piece], now_ms: Int64
    ) {
        switch decision {
        case .known(let name):
            update(name) { writer in
                writer.isToldGone = nil
                if abs(now_ms - writer.seen_ms) > ForeignLedger.seenStep_ms { writer.seen_ms = now_ms }
            }
        case .longer(let name, _):
            update(name) { writer in
                writer.bytes = content.bytes
                writer.sha256 = content.sha256
                writer.isToldGone = nil
                for piece in pieces {
                    var numbered = piece
                    numbered.seq = writer.nextSeq
                    writer.pending.append(numbered)
                    writer.nextSeq += 1
                }
                writer.seen_ms = now_ms
            }
        case .new(let name):
            var numbered = pieces
            for index in numbered.indices { numbered[index].seq = index }
            writers.append(
                Writer(
                    name: name, stream: stream.name, format: stream.format, bytes: content.bytes,
                    sha256: content.sha256, nextSeq: numbered.count, pending: numbered, seen_ms: now_ms))
        }
    }

    /// Notes that a piece is proven.
    ///
    /// - Returns: whether the writer has nothing more to ship.
    mutating func shipped(writer name: String, seq: Int) -> Bool {
        update(name) { $0.pending.removeAll { $0.seq == seq } }
        return writers.first { $0.name == name }?.pending.isEmpty ?? true
    }

    /// Forgets writers that were not seen for long.
    mutating func forget(before seen_ms: Int64) {
        writers.removeAll { $0.seen_ms < seen_ms }
    }

    /// Notes that it is told that a writer's file is gone before it was shipped.
    ///
    /// Its plan stays: a file that comes back, whole or longer, is shipped as planned, under the numbers that a proof
    /// which was cut off may have used already.
    ///
    /// - Returns: how many lines are missing.
    mutating func tellGone(writer name: String) -> Int {
        update(name) { $0.isToldGone = true }
        return writers.first { $0.name == name }?.pending.reduce(0) { $0 + $1.lines } ?? 0
    }

    private mutating func update(_ name: String, _ body: (inout Writer) -> Void) {
        guard let index = writers.firstIndex(where: { $0.name == name }) else { return }
        body(&writers[index])
    }
}
