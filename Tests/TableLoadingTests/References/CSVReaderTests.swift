import TableLoading
import TestSupport
import Testing

/// RFC 4180 and what people write.
struct CSVReaderTests {
    /// All rows of a text, fed in pieces of a size.
    private static func rows(_ text: String, piece: Int = 1, delimiter: Character = ",") throws -> [[String]] {
        var rows: [[String]] = []
        var reader = CSVReader(delimiter: delimiter.asciiValue ?? 44)
        let bytes = Array(text.utf8)
        for begin in stride(from: 0, to: bytes.count, by: piece) {
            try bytes[begin..<min(begin + piece, bytes.count)].withUnsafeBytes { part in
                try reader.append(part) { row in rows.append((0..<row.count).map { row.text($0) }) }
            }
        }
        try reader.finish { row in rows.append((0..<row.count).map { row.text($0) }) }
        return rows
    }

    @Test(arguments: [1, 2, 3, 7, 1000])
    func fieldsAreTakenApartWhereverThePiecesEnd(_ piece: Int) throws {
        let text = "\u{FEFF}a,b,c\r\n1,\"x, \"\"y\"\"\r\nz\",\n\r\n\n\"\",,\"q\"\nlast,\u{e9},\"\""
        #expect(
            try Self.rows(text, piece: piece) == [
                ["a", "b", "c"], ["1", "x, \"y\"\r\nz", ""], ["", "", "q"], ["last", "\u{e9}", ""],
            ])
    }

    @Test func separatorsAndLooseQuotesAreTakenAsTheyAre() throws {
        #expect(try Self.rows("a;b\n1,5;2", delimiter: ";") == [["a", "b"], ["1,5", "2"]])
        #expect(try Self.rows("a\tb\n 5\" pipe\t\n", delimiter: "\t") == [["a", "b"], [" 5\" pipe", ""]])
        #expect(try Self.rows("") == [] && Self.rows("\n\n") == [] && Self.rows("x") == [["x"]])
        #expect(try Self.rows("a\rb\r") == [["a"], ["b"]])
    }

    @Test func whatIsNoCSVIsNamedByItsLine() throws {
        func message(_ text: String) -> String {
            do {
                _ = try Self.rows(text)
                return ""
            } catch {
                return "\(error)"
            }
        }
        #expect(message("a,b\n1,\"open\n2,3\n").contains("line 2: a quoted field has no end"))
        #expect(message("a,b\n1,\"x\"y\n").contains("line 2: something follows the end of a quoted field"))
        #expect(message("a\n\"x\ny\"\n\"z\"w\n").contains("line 4:"))
        // Fields are memory too.
        #expect(message("a\n" + String(repeating: ",", count: 3 << 20)).contains("line 2: the row is over 16 MiB"))
    }

    @Test func whatIsNoUTF8IsRefused() throws {
        func message(_ bytes: [UInt8]) throws -> String {
            var reader = CSVReader()
            do {
                try bytes.withUnsafeBytes { try reader.append($0) { _ in } }
                try reader.finish { _ in }
                return ""
            } catch {
                return "\(error)"
            }
        }
        let latin = Array("city,n\nBern,1\nZ".utf8) + [0xFC] + Array("rich,2\n".utf8)
        #expect(try message(latin).contains("line 3, field 1 is not UTF-8: Z\u{FFFD}rich. Save the file as UTF-8"))
        // A letter that is torn by a separator is none, though the bytes together are.
        #expect(try message([0x61, 0x0A, 0xC3, 0x2C, 0xA9, 0x0A]).contains("line 2, field 1"))
        #expect(try message(Array("stra\u{df}e\n\"\u{1F600}\"\n".utf8)) == "")
    }

    @Test func everyTableComesBack() throws {
        let seed = UInt64.random(in: 0...UInt64.max)
        print("CSVReaderTests: seed \(seed)")
        var random = SeededGenerator(seed: seed)
        let pieces = ["", "a", "\"", ",", "\n", "\r\n", "\u{e9}", " ", "\"\""]
        for _ in 0..<200 {
            let width = Int.random(in: 2...4, using: &random)
            let table = (0..<Int.random(in: 1...5, using: &random)).map { _ in
                (0..<width).map { _ in
                    (0..<Int.random(in: 0...4, using: &random)).map { _ in
                        pieces[Int.random(in: 0..<pieces.count, using: &random)]
                    }.joined()
                }
            }
            let text = table.map { row in
                row.map {
                    "\"" + $0.split(separator: "\"", omittingEmptySubsequences: false).joined(separator: "\"\"") + "\""
                }
                .joined(separator: ",")
            }.joined(separator: "\r\n")
            #expect(try Self.rows(text, piece: Int.random(in: 1...9, using: &random)) == table)
        }
    }

    @Test func numbersAreJSONs() {
        func number(_ text: String) -> Double? { jsonNumber(Array(text.utf8)[...]) }
        #expect(number("0") == 0 && number("-0.5") == -0.5 && number("1e3") == 1000 && number("12.25E-2") == 0.1225)
        #expect(number("9007199254740993") == 9_007_199_254_740_992)
        for text in ["", "007", "+1", ".5", "1.", "1e", "NaN", "inf", "0x10", " 1", "1 ", "--1", "1,5", "1e400x"] {
            #expect(number(text) == nil, "\(text)")
        }
        #expect(number("1e400") == .infinity)
    }

    @Test func timesAreReadAsFilesWriteThem() {
        #expect(LooseTime.parse("2026-11-23T10:15:30.123Z") == 1_795_428_930_123)
        #expect(LooseTime.parse("2026-11-23 10:15:30.123456") == 1_795_428_930_123)
        #expect(LooseTime.parse("2026-11-23 10:15") == 1_795_428_900_000)
        #expect(LooseTime.parse("2026-11-23") == 1_795_392_000_000)
        #expect(LooseTime.parse("2026-11-23T11:15:30+01:00") == 1_795_428_930_000)
        #expect(LooseTime.parse("2026-11-23T05:15:30-0500") == 1_795_428_930_000)
        #expect(LooseTime.parse("1969-12-31T23:59:59.5Z") == -500)
        for text in [
            "", "2026", "2026-13-01", "2026-02-30", "2026-11-23T", "2026-11-23T25:00:00Z", "2026-11-23 10:15:30 x",
            "23.11.2026",
        ] {
            #expect(LooseTime.parse(text) == nil, "\(text)")
        }
        for scale in [1e-3, 1, 1e3, 1e6] {
            #expect(LooseTime.parse(epoch: 1_795_428_930_123 * scale) == 1_795_428_930_123)
        }
        #expect(LooseTime.parse(epoch: 1e30) == nil && LooseTime.parse(epoch: .nan) == nil)
    }
}
