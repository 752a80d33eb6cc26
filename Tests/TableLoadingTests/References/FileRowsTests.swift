import Compression
import DurableIO
import ModelStatistics
import RecordBatches
import TableLoading
import TestSupport
import Testing

/// Rows of files, without a database.
struct FileRowsTests {
    private static let base = Pipeline.base_ms

    private func read(
        _ bytes: [UInt8], _ options: RowOptions = RowOptions(), format: FileRows.Format? = nil,
        change: (inout ReferenceBuilder.Options) -> Void = { _ in }
    ) throws -> (builder: ReferenceBuilder, notes: [String]) {
        let folder = try ScratchFolder()
        try DurableFile.replace(path: folder["rows"], bytes: bytes)
        var builderOptions = ReferenceBuilder.Options()
        change(&builderOptions)
        var builder = ReferenceBuilder(builderOptions)
        var rows = FileRows(options: options, format: format, model: "iris")
        try rows.read(path: folder["rows"], into: &builder)
        return (builder, rows.notes)
    }

    private func message(_ body: () throws -> Void) -> String {
        do {
            try body()
            return ""
        } catch {
            return "\(error)"
        }
    }

    @Test(arguments: ["\u{FEFF}", "\n\n\n\n\n", "    \n", "\u{FEFF} \r\n\t  ", ""], [false, true])
    func jsonLinesAreKnownBehindAMarkAndBlanks(_ head: String, _ isPacked: Bool) throws {
        let text = Array((head + "{\"a\":1}\n{\"a\":2}\n").utf8)
        let (builder, notes) = try read(isPacked ? try Zstd.frame(text) : text)
        #expect(builder.rowsSeen == 2 && builder.featureNames == ["a"] && notes.isEmpty)
    }

    @Test func csvIsKnownWhateverItBeginsWith() throws {
        for text in ["\u{FEFF}a,b\n1,2\n", "\n\n\n\n\na,b\n1,2\n"] {
            #expect(try read(Array(text.utf8)).builder.featureNames == ["a", "b"])
        }
        var tabs = RowOptions()
        tabs.delimiter = 9
        #expect(try read(Array("\ta\tb\n0\t1\t2\n".utf8), tabs).builder.featureNames == ["a", "b"])
        #expect(try read(Array("x".utf8) + Array("\n1\n".utf8)).builder.rowsSeen == 1)
        #expect(message { _ = try read(Array("\n \n".utf8)) }.contains("holds no rows"))
    }

    @Test func fieldsOfATextStayAsTheyAreWritten() throws {
        let text = "code,n\n1.10,1.10\n1.1,1.1\nTrue,2\n,3\n1.10,4\n"
        let builder = try read(Array(text.utf8), change: { $0.kinds["code"] = .text }).builder
        let features = try #require(builder.build()).features
        #expect(features[0].kind == .categorical && features[0].missingCount == 1)
        #expect(features[0].categories.map(\.value) == ["1.10", "1.1", "True"])
        #expect(features[1].kind == .numeric && features[1].distinctCount == 4)
    }

    @Test func optionsThatEventsHaveNoUseForAreRefused() throws {
        let line = Array((TestEvents.prediction(Self.base, id: "p") + "\n").utf8)
        var options = RowOptions()
        options.label = "truth"
        #expect(
            message { _ = try read(line, options) }.contains(
                "line 1 is one of Nadi's events, which have no column for --label"))
        options = RowOptions()
        options.classScores = [("a", "b")]
        #expect(message { _ = try read(line, options) }.contains("--class-score"))
        options = RowOptions()
        options.missing = ["n/a"]
        #expect(message { _ = try read(line, options) }.contains("it holds JSON lines, and --missing is for CSV files"))
        options = RowOptions()
        options.delimiter = UInt8(ascii: ",")
        #expect(message { _ = try read(Array("{\"a\":1}\n".utf8), options) }.contains("--delimiter is for CSV files"))
    }

    @Test func featuresOfEventsAreLeftOutAsAsked() throws {
        let lines = Array((0..<3).map { TestEvents.prediction(Self.base, id: "p\($0)") + "\n" }.joined().utf8)
        let builder = try read(lines, change: { $0.ignored = [ExactText("weekend"), ExactText("none")] }).builder
        #expect(builder.featureNames == ["petal_length", "colour"])
        #expect(
            message { _ = try read(lines, change: { $0.ignored = [ExactText("petal")] }) }
                .contains("has a feature petal, which --ignore names. It has: colour, none, petal_length, weekend"))
    }

    /// Labels before, behind and far from their predictions, more of them than rows are kept.
    @Test func labelsOfAFileAreNotAllHeld() throws {
        func line(_ number: Int) -> String { TestEvents.prediction(Self.base, id: "p\(number)", task: "multiclass") }
        func label(_ number: Int) -> String {
            TestEvents.outcome(Self.base, prediction: "p\(number)", label: "\"l\(number)\"", predictionTime_ms: nil)
        }
        // 300 labels of predictions that are nowhere, then those of the first half, then predictions, then the second half.
        let text =
            ((1000..<1300).map(label) + (0..<50).map(label) + (0..<100).map(line) + (50..<100).map(label))
            .joined(separator: "\n") + "\n"
        let small = try read(Array(text.utf8), change: { $0.mostRows = 100 })
        let whole = try read(Array(text.utf8))
        for (builder, notes) in [small, whole] {
            let reference = try #require(builder.build())
            #expect(reference.rowCount == 100 && reference.labelCount == 100 && notes.isEmpty)
        }
    }

    /// A row without an id does not get the label of the row whose place it took.
    @Test func aRowWithoutAnIdHasNoLabel() throws {
        var lines = [TestEvents.prediction(Self.base, id: "first")]
        for _ in 0..<200 {
            lines.append(TestEvents.prediction(Self.base, id: "gone").replacing("\"id\":\"gone\",", with: ""))
        }
        lines.append(TestEvents.outcome(Self.base, prediction: "first", predictionTime_ms: nil))
        let text = Array((lines.joined(separator: "\n") + "\n").utf8)
        // Of one row that is kept, the last to be drawn stays: with 200 chances it is not the first.
        let reference = try #require(try read(text, change: { $0.mostRows = 1 }).builder.build())
        #expect(reference.sampledFrom == 201 && reference.labelCount == 0)
    }

    @Test func notesAndNamesAreForPeople() throws {
        let (_, notes) = try read(Array("{\"score\":\"yes\",\"a\":1}\n{\"score\":[1],\"a\":1}\n".utf8))
        #expect(notes == ["score: 2 values are not what was expected and count as none, first in line 1: yes"])
        var text = ""
        for line in 0..<101 {
            text += "{" + (0..<1000).map { "\"k\(line * 1000 + $0)\":1" }.joined(separator: ",") + "}\n"
        }
        #expect(
            message { _ = try read(Array(text.utf8)) }.contains("up to line 101 there are over 100000 different names"))
    }

    @Test func wordsForTheShellAreQuoted() {
        #expect(ShellWord.quoted("train-2026_11.v1") == "train-2026_11.v1" && ShellWord.quoted("") == "''")
        #expect(ShellWord.quoted("my model; rm") == "'my model; rm'" && ShellWord.quoted("it's") == "'it'\\''s'")
    }

    @Test func tablesKeepToTheirLines() {
        var table = TextTable(["name", "n"])
        table.rightAligned = [1]
        table.add(["a\nb\u{1B}[2J", "1"])
        table.add(["\u{202E}caf\u{e9}", "12"])
        #expect(table.text == "NAME            N\na\\nb\\u{1B}[2J   1\n\\u{202E}caf\u{e9}   12\n")
    }
}
