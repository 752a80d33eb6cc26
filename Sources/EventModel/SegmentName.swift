/// The file name of one segment.
///
/// It says all that a reader must know before it opens the file.
///
///     <writer>-<seq>.open                                   being written
///     <writer>-<seq>-<sealed ms>-<lines>[-end].jsonl        sealed; `end` marks the writer's last one
///
/// `seq` counts from 0 without gaps, `sealed ms` is milliseconds since the epoch, `lines` counts newlines plus one for a
/// torn last line. Numbers are decimal without leading zeros. Names are read from the right, as writers hold hyphens.
package struct SegmentName: Sendable, Hashable {
    /// The writer's name.
    package let writer: WriterName
    /// The segment's number, from 0.
    package let seq: Int
    /// When it was sealed, in milliseconds since the epoch; 0 while it is open.
    package let sealed_ms: Int64
    /// Its lines of every kind; 0 while it is open.
    package let lines: Int
    /// Whether it is the writer's last segment.
    package let isEnd: Bool
    /// Whether it is still being written.
    package let isOpen: Bool

    /// The name of an open segment.
    package init(writer: WriterName, seq: Int) {
        self.writer = writer
        self.seq = seq
        sealed_ms = 0
        lines = 0
        isEnd = false
        isOpen = true
    }

    /// The name of a sealed segment.
    package init(writer: WriterName, seq: Int, sealed_ms: Int64, lines: Int, isEnd: Bool) {
        self.writer = writer
        self.seq = seq
        self.sealed_ms = sealed_ms
        self.lines = lines
        self.isEnd = isEnd
        isOpen = false
    }

    /// Reads a file name (no directory); nil for files that are not segments.
    package init?(_ fileName: String) {
        var rest: Substring
        if fileName.hasSuffix(".open") {
            rest = fileName.dropLast(5)
            guard let seq = Self.takeNumber(&rest), let writer = WriterName(rest) else { return nil }
            self.init(writer: writer, seq: Int(seq))
            return
        }
        guard fileName.hasSuffix(".jsonl") else { return nil }
        rest = fileName.dropLast(6)
        let isEnd = rest.hasSuffix("-end")
        if isEnd { rest = rest.dropLast(4) }
        guard let lines = Self.takeNumber(&rest), let sealed = Self.takeNumber(&rest),
            let seq = Self.takeNumber(&rest), let writer = WriterName(rest)
        else { return nil }
        self.init(writer: writer, seq: Int(seq), sealed_ms: sealed, lines: Int(lines), isEnd: isEnd)
    }

    /// The file's name in the spool.
    package var fileName: String {
        isOpen ? "\(writer)-\(seq).open" : "\(writer)-\(seq)-\(sealed_ms)-\(lines)\(isEnd ? "-end" : "").jsonl"
    }

    /// Takes `-<number>` off the end of `text`.
    private static func takeNumber(_ text: inout Substring) -> Int64? {
        guard let hyphen = text.lastIndex(of: "-"), let value = decimal(text[text.index(after: hyphen)...].utf8)
        else { return nil }
        text = text[..<hyphen]
        return value
    }

    /// The value of a decimal number without sign or leading zeros that fits in 63 bits.
    static func decimal(_ digits: Substring.UTF8View) -> Int64? {
        guard let first = digits.first, digits.count <= 19, first != 0x30 || digits.count == 1 else { return nil }
        var value: Int64 = 0
        for byte in digits {
            guard (0x30...0x39).contains(byte) else { return nil }
            let (product, overflowed) = value.multipliedReportingOverflow(by: 10)
            let (sum, carried) = product.addingReportingOverflow(Int64(byte - 0x30))
            guard !overflowed, !carried else { return nil }
            value = sum
        }
        return value
    }
}

extension SegmentName: CustomStringConvertible {
    package var description: String { fileName }
}

extension SegmentName: Comparable {
    /// By writer, then number: the order of segments in an object.
    package static func < (left: Self, right: Self) -> Bool {
        left.writer == right.writer ? left.seq < right.seq : left.writer < right.writer
    }
}
