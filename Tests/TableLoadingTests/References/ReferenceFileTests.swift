import Compression
import DurableIO
import Glibc
import ModelStatistics
import Sketches
import TableLoading
import TableStorage
import TestSupport
import Testing

/// `nadi reference create --from-file`, and what it refuses.
@Suite(.enabled(if: TestServers.postgres != nil && Program.path != nil, "set NADI_TEST_POSTGRES and build nadi"))
struct ReferenceFileTests {
    private func create(
        _ pipeline: Pipeline, _ config: String, _ path: String, name: String = "train", _ more: [String] = []
    ) throws -> Answer {
        try Answer.of(
            ["reference", "create", "--config", config, "--model", "loan", "--name", name, "--from-file", path] + more,
            in: pipeline.folder)
    }

    @Test func theTablesHoldWhatTheBuilderMade() async throws {
        let pipeline = try Pipeline()
        let config = try pipeline.configuration()
        let path = try TrainingFile(rows: 4000).write(pipeline.folder)
        let answer = try create(pipeline, config, path, TrainingFile.options)
        #expect(answer.status == 0, "\(answer.text)")
        for words in [
            "4000 rows, 2018-01-01 00:00 to 2018-01-25", "task binary",
            "driver_tenure: 40 of 4000 values are not numeric", "Labels say: accuracy", "It is not in force yet",
        ] { #expect(answer.text.contains(words), "\(words)\n\(answer.text)") }

        let ratio = answer.text.split(separator: "\n").first { $0.hasPrefix("debt_to_income_ratio") }
        #expect(ratio?.split(separator: " ").prefix(4) == ["debt_to_income_ratio", "numeric", "2", "%"])

        var options = RowOptions()
        (options.time, options.prediction, options.score) = ("timestamp", "y_pred", "y_pred_proba")
        (options.label, options.ignored) = ("repaid", ["id"])
        var builder = ReferenceBuilder()
        var rows = FileRows(options: options, model: "loan")
        try rows.read(path: path, into: &builder)
        let reference = try #require(builder.build())
        let connection = try pipeline.database.connect()
        let row = try connection.query(
            """
            SELECT row_count, sampled_from, label_count, task, calibration, source, first_time, reference_id
            FROM nadi_store.reference WHERE reference_name = 'train'
            """)[0]
        #expect((0..<3).map { row.integer($0) } == [4000, 4000, 4000])
        #expect(row.text(3) == "binary" && row.text(4) == reference.calibration.rawValue)
        #expect(row.text(5) == "file train.csv" && row.time(6) == reference.firstTime_ms)
        #expect(
            try connection.query("SELECT FROM nadi_store.edge_set WHERE edge_set_id = $1", [.integer(row.integer(7))])
                .count == 1)
        #expect(reference.features.count == 8 && reference.features[0].isPrediction)
        for feature in reference.features {
            let stored = try connection.query(
                """
                SELECT d.kind, d.edges::text, d.edge_counts, d.deciles, d.log_bins, d.log_counts, d.category_counts, d.missing_count,
                       d.wrong_type_count, d.mean_high, d.m2, d.numeric_count, d.categorical_count, d.singleton_count,
                       (SELECT array_agg(c.value ORDER BY u.place) FROM unnest(d.category_ids) WITH ORDINALITY AS u (id, place)
                        JOIN nadi_store.category AS c ON c.category_id = u.id)
                FROM nadi_store.reference_feature AS d JOIN nadi_store.feature AS f USING (feature_id)
                WHERE f.feature_name = $1 AND f.role = $2
                """, [.text(feature.name), .text(feature.isPrediction ? "prediction" : "feature")])[0]
            #expect(stored.text(0) == feature.kind.rawValue)
            let edges = stored.text(1).dropFirst().dropLast().split(separator: ",").compactMap { Double($0) }
            #expect(edges == feature.bins.edges && stored.integers(2) == feature.bins.counts)
            #expect(stored.integers(3).map(Int.init) == feature.bins.deciles)
            #expect(
                stored.integers(4).map(Int32.init) == feature.logBins.codes
                    && stored.integers(5) == feature.logBins.counts)
            #expect(
                stored.integers(6) == feature.categories.map(\.count)
                    && stored.texts(14) == feature.categories.map(\.value))
            #expect(
                [7, 8, 11, 12, 13].map { stored.integer($0) } == [
                    feature.missingCount, feature.wrongTypeCount, feature.numericCount, feature.categoricalCount,
                    feature.singletonCount,
                ])
            #expect(stored.real(9) == feature.moments.meanHigh && stored.real(10) == feature.moments.m2)
        }
        #expect(
            reference.features.first { $0.name == "repaid_loan_on_prev_car" }?.categories.map(\.value) == [
                "false", "true",
            ])
        let score = try connection.query(
            "SELECT bins, counts, label_counts, cardinality(calibrated), category_id FROM nadi_store.reference_score")
        #expect(score.count == 1 && score[0].integers(0).map(Int.init) == reference.scores[0].bins)
        #expect(
            score[0].integers(1) == reference.scores[0].counts
                && score[0].integers(2) == reference.scores[0].labelCounts)
        #expect(score[0].integer(3) == 200 && score[0].integer(4) == 0)
        let spreads = try connection.query("SELECT feature_id FROM nadi_store.reference_spread")
        #expect(spreads.count == reference.spreads.count)
        let performance = try connection.query(
            "SELECT measure, value FROM nadi_store.reference_performance WHERE window_hours = 0")
        #expect(performance.count == 5)
        for one in performance.rows {
            #expect(reference.performance.contains { $0.measure == one.text(0) && $0.value == one.real(1) })
        }
    }

    @Test func compressedFilesStandardInputAndJSONLinesGiveTheSame() async throws {
        let pipeline = try Pipeline()
        let config = try pipeline.configuration()
        let file = TrainingFile(rows: 300)
        let path = try file.write(pipeline.folder)
        let packed = pipeline.folder["train.csv.zst"]
        try DurableFile.replace(path: packed, bytes: try Zstd.frame(Array(file.text.utf8)))
        let zipped = pipeline.folder["again.csv"]
        try DurableFile.replace(path: zipped, bytes: Array(file.text.utf8))
        #expect(try ChildProcess("gzip", [zipped]).wait() == 0)
        // The same rows as JSON lines: numbers bare, booleans as JSON has them, the rest as texts.
        var lines = ""
        let names = TrainingFile.header.split(separator: ",").map(String.init)
        var reader = CSVReader()
        try Array(file.text.utf8).withUnsafeBytes { bytes in
            try reader.append(bytes) { row in
                if row.text(0) == "id" { return }
                var members: [String] = []
                for (place, name) in names.enumerated() where row.text(place) != "" {
                    let text = row.text(place)
                    let isPlain = jsonNumber(row.field(place)) != nil
                    let flag = ["True": "true", "False": "false"][text]
                    members.append("\"\(name)\":" + (isPlain ? text : flag ?? "\"\(text)\""))
                }
                lines += "{" + members.joined(separator: ",") + "}\n"
            }
        }
        let json = pipeline.folder["train.jsonl"]
        try DurableFile.replace(path: json, bytes: Array(lines.utf8))
        for (name, one) in [("plain", path), ("zst", packed), ("gz", zipped + ".gz"), ("json", json)] {
            let answer = try create(pipeline, config, one, name: name, TrainingFile.options)
            #expect(answer.status == 0, "\(answer.text)")
        }
        let shell = try ChildProcess(
            "sh",
            [
                "-c",
                "'\(Program.path ?? "")' reference create --config '\(config)' --model loan --name piped --rows - \(TrainingFile.options.joined(separator: " ")) < '\(path)'",
            ])
        #expect(shell.wait() == 0)
        let different = try pipeline.database.connect().query(
            """
            SELECT count(DISTINCT to_jsonb(d) - 'reference_id') - count(DISTINCT d.feature_id), count(DISTINCT d.reference_id)
            FROM nadi_store.reference_feature AS d
            """)[0]
        #expect(different.integer(0) == 0 && different.integer(1) == 5)
    }

    @Test func codesOfACSVFileAreTextsWhereSomeAreNoNumbers() async throws {
        let pipeline = try Pipeline()
        let config = try pipeline.configuration()
        let path = pipeline.folder["codes.csv"]
        var text = "\u{FEFF}code,level,gap\r\n"
        for row in 0..<300 { text += "\(row % 3 == 0 ? "A1" : "12"),\(row % 4),\(row % 2 == 0 ? "NaN" : "n/a")\r\n" }
        try DurableFile.replace(path: path, bytes: Array(text.utf8))
        let answer = try create(pipeline, config, path, ["--kind", "level=categorical", "--missing", "n/a"])
        #expect(answer.status == 0 && answer.text.contains("gap: no value of its kind"), "\(answer.text)")
        let rows = try pipeline.database.connect().query(
            """
            SELECT f.feature_name, d.kind, d.wrong_type_count, d.missing_count, d.category_counts, d.deciles
            FROM nadi_store.reference_feature AS d JOIN nadi_store.feature AS f USING (feature_id) ORDER BY 1
            """
        ).rows
        #expect(rows.map { $0.text(0) } == ["code", "gap", "level"])
        #expect(rows[0].text(1) == "categorical" && rows[0].integers(4) == [200, 100] && rows[0].integer(2) == 0)
        #expect(rows[1].integer(3) == 300)
        #expect(rows[2].text(1) == "numeric" && rows[2].integers(5).max() == 3)
    }

    @Test func refusalsNameTheThingAndTheRemedyAndLeaveNothing() async throws {
        let pipeline = try Pipeline()
        let config = try pipeline.configuration()
        let path = try TrainingFile(rows: 300).write(pipeline.folder)
        func file(_ text: String) throws -> String {
            let path = pipeline.folder["file-\(UInt32.random(in: 0...UInt32.max)).csv"]
            try DurableFile.replace(path: path, bytes: Array(text.utf8))
            return path
        }
        let cases: [(String, [String], Int32, String)] = [
            (path, ["--label", "nothing"], 1, "has no column nothing. It has: car_value"),
            (path, ["--label", "repaid", "--ignore", "repaid"], 64, "the column repaid is named by two of"),
            (path, ["--kind", "car_value"], 64, "write feature=numeric"),
            (path, ["--kind", "car_value=number"], 64, "write feature=numeric"),
            (path, ["--from", "2026-01-01", "--to", "2026-01-02"], 64, "Say --from-file, or --from and --to"),
            (path, ["--effective-from", "2026-01-01T00:00:00Z"], 64, "goes with --activate"),
            (
                path, ["--activate", "--effective-from", "2026-01-01T00:00:30Z"], 64,
                "2026-01-01 00:00:30 UTC is not the begin of one. Say 2026-01-01T00:00:00Z or 2026-01-01T01:00:00Z"
            ),
            (path, ["--name", "3"], 64, "--name 3 looks like a reference's number"),
            (path, ["--model", "other"], 64, "--model other stands for all models beyond the cap"),
            (path, ["--delimiter", "::"], 64, "one character"), (path, ["--task", "guess"], 64, "--task is binary"),
            (path, ["--max-rows", "0"], 64, "--max-rows is from 1"),
            (pipeline.folder["nowhere.csv"], [], 1, "cannot be opened: No such file"),
            (pipeline.folder.path, [], 1, "it cannot be read: Is a directory"),
            (try file(""), [], 1, "holds no rows"), (try file("a,b\n"), [], 1, "holds no rows"),
            (try file("a,b\n1,2\n3\n"), [], 1, "line 3 has 1 fields, the header 2"),
            (try file("a,b,a\n1,2,3\n"), [], 1, "two columns are called a"),
            (try file("a,b\n1,\"2\n"), [], 1, "line 2: a quoted field has no end"),
            (
                try file("{\"a\":1\n[]\n"), [], 1,
                "2 lines cannot be read, first line 1: the line is not exactly one JSON value"
            ),
            (
                try file(TestEvents.prediction(Pipeline.base_ms, id: "p") + "\n"), [], 1,
                "no prediction of the model loan, but 1 of others"
            ),
        ]
        for (path, more, status, words) in cases {
            let answer = try create(pipeline, config, path, more)
            #expect(answer.status == status && answer.text.contains(words), "\(more) \(answer.status) \(answer.text)")
        }
        #expect(try isEmpty(pipeline))
        #expect(try create(pipeline, config, path, TrainingFile.options).status == 0)
        let again = try create(pipeline, config, path, TrainingFile.options)
        #expect(again.status == 1 && again.text.contains("the model loan has a reference train already"))
        #expect(try pipeline.database.connect().query("SELECT FROM nadi_store.reference").count == 1)
    }

    private func isEmpty(_ pipeline: Pipeline) throws -> Bool {
        let row = try pipeline.database.connect().query(
            """
            SELECT (SELECT count(*) FROM nadi_store.reference) + (SELECT count(*) FROM nadi_store.reference_feature)
                 + (SELECT count(*) FROM nadi_store.edge_set WHERE edge_set_id > 0) + (SELECT count(*) FROM nadi_store.model)
                 + (SELECT count(*) FROM nadi_store.feature) + (SELECT count(*) FROM nadi_store.category)
                 + (SELECT count(*) FROM nadi_store.reference_activation)
            """)[0]
        return row.integer(0) == 0
    }

    /// Killed while it waits for its last table: everything before it is written, and nothing of it stays.
    @Test func aKilledCreateLeavesNothing() async throws {
        let pipeline = try Pipeline()
        let config = try pipeline.configuration()
        let path = try TrainingFile(rows: 1500).write(pipeline.folder)
        let holder = try pipeline.database.connect()
        try holder.execute("BEGIN; LOCK TABLE nadi_store.reference_activation IN ACCESS EXCLUSIVE MODE")
        let process = try ChildProcess(
            Program.path ?? "",
            [
                "reference", "create", "--config", config, "--model", "loan", "--name", "train", "--from-file", path,
                "--activate",
            ]
                + TrainingFile.options)
        let watcher = try pipeline.database.connect()
        let waiting = """
            SELECT pid FROM pg_stat_activity WHERE application_name = 'nadi-reference' AND wait_event_type = 'Lock'
              AND datname = current_database()
            """
        while try watcher.query(waiting).count == 0 {
            #expect(!process.hasEnded())
            usleep(10_000)
        }
        process.send(SIGKILL)
        #expect(process.wait() == 128 + SIGKILL)
        try holder.execute("ROLLBACK")
        while try watcher.query(
            "SELECT FROM pg_stat_activity WHERE application_name = 'nadi-reference' AND datname = current_database()"
        ).count > 0 { usleep(10_000) }
        #expect(try isEmpty(pipeline))
        #expect(try create(pipeline, config, path, TrainingFile.options + ["--activate"]).status == 0)
        #expect(try pipeline.database.connect().query("SELECT FROM nadi_store.reference_activation").count == 1)
    }

    /// While rows are read nothing is asked of the database, which may restart meanwhile.
    @Test func noConnectionWaitsForTheRows() async throws {
        let pipeline = try Pipeline()
        let config = try pipeline.configuration()
        let path = pipeline.folder["pipe"]
        #expect(mkfifo(path, 0o600) == 0)
        let process = try ChildProcess(
            Program.path ?? "",
            [
                "reference", "create", "--config", config, "--model", "loan", "--name", "train", "--from-file", path,
                "--activate",
            ])
        // Returns once the program reads.
        let file = open(path, O_WRONLY)
        try #require(file >= 0)
        let connected = try pipeline.database.connect().query(
            "SELECT FROM pg_stat_activity WHERE application_name = 'nadi-reference' AND datname = current_database()"
        ).count
        let rows = Array(TrainingFile(rows: 300).text.utf8)
        #expect(rows.withUnsafeBytes { write(file, $0.baseAddress, $0.count) } == rows.count)
        close(file)
        #expect(process.wait() == 0)
        #expect(connected == 0)
    }

    /// What only reads is content with a server that only reads.
    @Test func aReadOnlyServerIsEnoughToLook() async throws {
        let pipeline = try Pipeline()
        let config = try pipeline.configuration()
        let path = try TrainingFile(rows: 300).write(pipeline.folder)
        #expect(try create(pipeline, config, path, TrainingFile.options).status == 0)
        try pipeline.database.connect().execute(
            "ALTER DATABASE \(pipeline.database.name) SET default_transaction_read_only = on")
        for words in [
            ["reference", "list"], ["reference", "show", "train"],
            ["sample", "--model", "loan", "--from", "2026-11-22", "--to", "2026-11-23"],
            ["drift", "--model", "loan", "--from", "2018-01-01", "--to", "2018-01-02T00:00"],
        ] {
            let answer = try Answer.of([words[0]] + words.dropFirst() + ["--config", config], in: pipeline.folder)
            #expect(answer.status == 0, "\(words): \(answer.text)")
        }
        let refused = try create(pipeline, config, path, name: "second", TrainingFile.options)
        #expect(refused.status == 1 && refused.text.contains("read-only"), "\(refused.text)")
    }

    @Test func ofCreatesAtOnceWithOneNameOneIsMade() async throws {
        let pipeline = try Pipeline()
        let config = try pipeline.configuration()
        let path = try TrainingFile(rows: 400).write(pipeline.folder)
        let processes = try (0..<4).map { _ in
            try ChildProcess(
                Program.path ?? "",
                ["reference", "create", "--config", config, "--model", "loan", "--name", "train", "--from-file", path])
        }
        #expect(processes.map { $0.wait() }.sorted() == [0, 1, 1, 1])
        let row = try pipeline.database.connect().query(
            """
            SELECT (SELECT count(*) FROM nadi_store.reference), (SELECT count(*) FROM nadi_store.edge_set WHERE edge_set_id > 0),
                   (SELECT count(*) FROM nadi_store.reference_feature), (SELECT count(*) FROM nadi_store.feature)
            """)[0]
        #expect((0..<4).map { row.integer($0) } == [1, 1, 12, 12])
    }

    @Test func namesThatNoEventCanHaveAreLeftOut() async throws {
        let pipeline = try Pipeline()
        let config = try pipeline.configuration()
        let path = pipeline.folder["names.csv"]
        let long = String(repeating: "n", count: 300)
        try DurableFile.replace(path: path, bytes: Array(",a,,\(long)\n0,1,2,3\n".utf8))
        let answer = try create(pipeline, config, path)
        #expect(answer.status == 0 && answer.text.contains("the column \"\" is left out"), "\(answer.text)")
        #expect(answer.text.contains("nnn\" is left out: a name has 1 to 256 bytes"))
        let names = try pipeline.database.connect().query("SELECT feature_name FROM nadi_store.feature").rows
        #expect(names.map { $0.text(0) } == ["a"])
    }

    @Test func capsOfTheDictionariesHold() async throws {
        let pipeline = try Pipeline()
        let config = try pipeline.configuration(extra: "caps:\n  categories: 3\n  features: 4\n  models: 1")
        var text = "colour,shape,size\n"
        for row in 0..<300 { text += "c\(row % 2 == 0 ? 0 : row % 7),\(row % 2 == 0 ? "round" : "flat"),\(row)\n" }
        let path = pipeline.folder["colours.csv"]
        try DurableFile.replace(path: path, bytes: Array(text.utf8))
        let connection = try pipeline.database.connect()
        // Two places of the dictionary are taken by what was seen before.
        try connection.execute(
            """
            INSERT INTO nadi_store.model (model_name) VALUES ('loan');
            INSERT INTO nadi_store.feature (model_id, role, feature_name) VALUES (1, 'feature', 'colour');
            INSERT INTO nadi_store.category (feature_id, value) VALUES (1, 'aaa'), (1, 'c6')
            """)
        let answer = try create(pipeline, config, path)
        #expect(answer.status == 0, "\(answer.text)")
        #expect(
            answer.text.contains("colour: 2 categories (44 values) are beyond the 3 of the model's dictionary"),
            "\(answer.text)")
        let row = try connection.query(
            """
            SELECT (SELECT string_agg(c.value, ',' ORDER BY u.place) FROM unnest(d.category_ids) WITH ORDINALITY AS u (id, place)
                    JOIN nadi_store.category AS c ON c.category_id = u.id), d.other_count, d.categorical_count
            FROM nadi_store.reference_feature AS d JOIN nadi_store.feature AS f USING (feature_id) WHERE feature_name = 'colour'
            """)[0]
        // The most frequent new one, and of the three the builder lists those that are known.
        #expect(
            row.text(0) == "c0" && row.integer(2) == 300 && row.integer(1) == 300 - 171,
            "\(row.text(0)) \(row.integer(1))")
        let other = try Answer.of(
            ["reference", "create", "--config", config, "--model", "second", "--name", "x", "--from-file", path],
            in: pipeline.folder)
        #expect(other.status == 1 && other.text.contains("the model second is new and beyond the cap of 1 models"))
        #expect(try connection.query("SELECT FROM nadi_store.model").count == 1)
        let wide = pipeline.folder["wide.csv"]
        try DurableFile.replace(path: wide, bytes: Array("a,b,c,d,e\n1,2,3,4,5\n".utf8))
        let left = try create(pipeline, config, wide, name: "wide")
        #expect(left.status == 0 && left.text.contains("features are beyond the cap"), "\(left.text)")
    }
}
