import Compression
import DurableIO
import EventModel
import ObjectStorage
import TableLoading
import TableStorage
import TestSupport
import Testing

/// References from what was loaded, which one is in force, and the lines behind it.
@Suite(.enabled(if: TestServers.postgres != nil && Program.path != nil, "set NADI_TEST_POSTGRES and build nadi"))
struct ReferenceRangeTests {
    private static let from = Timestamp.format(Pipeline.base_ms)
    private static let to = Timestamp.format(Pipeline.base_ms + 5 * LoadClock.hour_ms)

    private func loaded(seed: UInt64 = 31) async throws -> (Pipeline, config: String, lines: [String]) {
        let pipeline = try Pipeline()
        let segments = TestEvents.corpus(seed: seed)
        for segment in segments { try await pipeline.put([segment]) }
        _ = try await pipeline.load(joinNow: true, sweepNow: true)
        let lines = segments.flatMap { segment in
            String(decoding: segment.bytes, as: UTF8.self).split(separator: "\n").map(String.init)
        }
        return (pipeline, try pipeline.configuration(), lines)
    }

    private func reference(_ pipeline: Pipeline, _ config: String, _ words: [String]) throws -> Answer {
        try Answer.of(["reference", words[0], "--config", config] + words.dropFirst(), in: pipeline.folder)
    }

    /// What the loader counted in the hours is what the reference counts in the same lines.
    @Test func aRangeCountsAsTheLoaderDid() async throws {
        let (pipeline, config, _) = try await loaded()
        for (name, more, version) in [("all", [], nil), ("two", ["--where", "version = \"2\""], "2")]
            as [(String, [String], String?)]
        {
            let answer = try reference(
                pipeline, config,
                ["create", "--model", "iris", "--name", name, "--from", Self.from, "--to", Self.to] + more)
            #expect(answer.status == 0, "\(answer.text)")
            let connection = try pipeline.database.connect()
            let different = try connection.query(
                """
                WITH hours AS (
                    SELECT f.* FROM nadi_store.feature_hour AS f JOIN nadi_store.series AS s USING (series_id)
                    JOIN nadi_store.model AS m USING (model_id)
                    WHERE m.model_name = 'iris' AND s.slice_key = 'all' AND ($2::text IS NULL OR s.model_version = $2)
                      AND f.hour >= $3 AND f.hour < $4
                ), counted AS (
                    SELECT h.feature_id, sum(h.numeric_count) AS numbers, sum(h.categorical_count) AS texts,
                           min(h.minimum) AS low, max(h.maximum) AS high,
                           (SELECT jsonb_object_agg(b, n) FROM (
                                SELECT b, sum(n) AS n FROM hours AS k, unnest(k.log_bins, k.log_counts) AS u (b, n)
                                WHERE k.feature_id = h.feature_id GROUP BY 1) AS q) AS bins,
                           (SELECT jsonb_object_agg(c, n) FROM (
                                SELECT c, sum(n) AS n FROM hours AS k, unnest(k.category_ids, k.category_counts) AS u (c, n)
                                WHERE k.feature_id = h.feature_id GROUP BY 1) AS q) AS categories
                    FROM hours AS h GROUP BY h.feature_id
                )
                SELECT count(*) FILTER (WHERE (c.numbers, c.texts) IS DISTINCT FROM (d.numeric_count, d.categorical_count)
                        OR (c.low, c.high) IS DISTINCT FROM (d.minimum, d.maximum)
                        OR c.bins IS DISTINCT FROM (SELECT jsonb_object_agg(b, n) FROM unnest(d.log_bins, d.log_counts) AS u (b, n))
                        OR c.categories IS DISTINCT FROM
                           (SELECT jsonb_object_agg(b, n) FROM unnest(d.category_ids, d.category_counts) AS u (b, n))),
                       count(*), min(d.numeric_count + d.categorical_count + d.missing_count), min(r.row_count)
                FROM nadi_store.reference AS r JOIN nadi_store.reference_feature AS d USING (reference_id)
                FULL JOIN counted AS c USING (feature_id)
                WHERE r.reference_name = $1 OR r.reference_name IS NULL
                """,
                [
                    .text(name), .optional(version), .time(Pipeline.base_ms),
                    .time(Pipeline.base_ms + 5 * LoadClock.hour_ms),
                ])[0]
            #expect(different.integer(1) == 5, "petal_length, colour, weekend, none and the prediction")
            // The feature that is always null has no numbers and no categories, in neither.
            #expect(different.integer(0) == 0, "\(name)")
            #expect(different.integer(2) == different.integer(3))
            let scores = try connection.query(
                """
                SELECT (SELECT sum(n) FROM nadi_store.score_hour AS h JOIN nadi_store.series AS s USING (series_id)
                        JOIN nadi_store.model AS m USING (model_id), unnest(h.counts) AS n
                        WHERE m.model_name = 'iris' AND s.slice_key = 'all' AND h.category_id = 0 AND h.hour >= $2 AND h.hour < $3
                          AND ($4::text IS NULL OR s.model_version = $4)),
                       (SELECT sum(n) FROM nadi_store.reference_score AS s JOIN nadi_store.reference AS r USING (reference_id),
                        unnest(s.counts) AS n WHERE r.reference_name = $1),
                       (SELECT sum(h.labelled) FROM nadi_store.outcome_hour AS h JOIN nadi_store.series AS s USING (series_id)
                        JOIN nadi_store.model AS m USING (model_id)
                        WHERE m.model_name = 'iris' AND s.slice_key = 'all' AND h.hour >= $2 AND h.hour < $3
                          AND ($4::text IS NULL OR s.model_version = $4)),
                       (SELECT label_count FROM nadi_store.reference WHERE reference_name = $1),
                       (SELECT row_count FROM nadi_store.reference WHERE reference_name = $1)
                """,
                [
                    .text(name), .time(Pipeline.base_ms), .time(Pipeline.base_ms + 5 * LoadClock.hour_ms),
                    .optional(version),
                ])[0]
            #expect(scores.integer(0) == scores.integer(1) && scores.integer(0) == scores.integer(4))
            // Labels of failed predictions are joined too, and are of no use here.
            #expect(scores.integer(3) > 0 && scores.integer(3) <= scores.integer(2))
        }
        // What says how files are read means nothing here; what names features does.
        for option in [
            ["--time", "t"], ["--label", "l"], ["--score", "s"], ["--prediction", "p"], ["--class-score", "a=b"],
            ["--missing", "x"], ["--format", "csv"], ["--delimiter", ";"],
        ] {
            let refused = try reference(
                pipeline, config,
                ["create", "--model", "iris", "--name", "x", "--from", Self.from, "--to", Self.to] + option)
            #expect(
                refused.status == 64 && refused.text.contains("\(option[0]) says how a file is read"), "\(refused.text)"
            )
        }
        let fewer = try reference(
            pipeline, config,
            [
                "create", "--model", "iris", "--name", "fewer", "--from", Self.from, "--to", Self.to, "--ignore",
                "colour",
                "--ignore", "none",
            ])
        #expect(fewer.status == 0 && fewer.text.contains("weekend") && !fewer.text.contains("colour"), "\(fewer.text)")
        let absent = try reference(
            pipeline, config,
            [
                "create", "--model", "iris", "--name", "x", "--from", Self.from, "--to", Self.to, "--ignore", "color",
            ])
        #expect(
            absent.status == 1 && absent.text.contains("has a feature color, which --ignore names. They have: colour"),
            "\(absent.text)")
        let unknown = try reference(
            pipeline, config,
            ["create", "--model", "nobody", "--name", "x", "--from", Self.from, "--to", Self.to])
        #expect(unknown.status == 64 && unknown.text.contains("there is no model nobody"), "\(unknown.text)")
        let empty = try reference(
            pipeline, config,
            ["create", "--model", "iris", "--name", "none", "--from", "2020-01-01", "--to", "2020-01-02"])
        #expect(empty.status == 1 && empty.text.contains("no prediction of iris is loaded from 2020-01-01 00:00"))
        let nobody = try reference(
            pipeline, config,
            [
                "create", "--model", "iris", "--name", "none", "--from", Self.from, "--to", Self.to, "--where",
                "petal_length < 0",
            ])
        #expect(nobody.status == 1 && nobody.text.contains("is without error and as asked"))
        let wrong = try reference(
            pipeline, config,
            [
                "create", "--model", "iris", "--name", "none", "--from", Self.from, "--to", Self.to, "--where",
                "petal_length <",
            ])
        #expect(
            wrong.status == 64 && wrong.text.contains("    petal_length <\n" + String(repeating: " ", count: 18) + "^"),
            "\(wrong.text)")
    }

    @Test func nativeLinesInAFileAreTheSameAsFromTheBucket() async throws {
        let (pipeline, config, lines) = try await loaded()
        let path = pipeline.folder["events.jsonl"]
        try DurableFile.replace(path: path, bytes: Array((lines.joined(separator: "\n") + "\n").utf8))
        let file = try reference(
            pipeline, config, ["create", "--model", "iris", "--name", "file", "--from-file", path])
        #expect(file.status == 0 && file.text.contains("lines cannot be read and are left out"), "\(file.text)")
        let from = Timestamp.format(Pipeline.base_ms - LoadClock.day_ms)
        let to = Timestamp.format(Pipeline.base_ms + LoadClock.day_ms)
        let bucket = try reference(
            pipeline, config, ["create", "--model", "iris", "--name", "bucket", "--from", from, "--to", to])
        #expect(bucket.status == 0, "\(bucket.text)")
        let row = try pipeline.database.connect().query(
            """
            SELECT count(DISTINCT to_jsonb(d) - 'reference_id' - 'mean_high' - 'mean_low' - 'm2'), count(DISTINCT d.feature_id),
                   count(DISTINCT r.row_count), count(DISTINCT r.label_count), count(DISTINCT r.task), min(r.task)
            FROM nadi_store.reference_feature AS d JOIN nadi_store.reference AS r USING (reference_id)
            """)[0]
        #expect(row.integer(0) == row.integer(1) && row.integer(1) == 5)
        #expect((2...4).allSatisfy { row.integer($0) == 1 } && row.text(5) == "multiclass")
    }

    @Test func activationSaysWhatItLeavesAndDeletionIsRefusedWhileItIsUsed() async throws {
        let (pipeline, config, _) = try await loaded()
        for name in ["first", "second"] {
            let made = try reference(
                pipeline, config,
                ["create", "--model", "iris", "--name", name, "--from", Self.from, "--to", Self.to])
            #expect(made.status == 0 && made.text.contains("It is not in force yet"), "\(made.text)")
        }
        let connection = try pipeline.database.connect()
        let hours = try connection.query(
            """
            SELECT count(*), min(hour), max(hour) FROM nadi_store.hour_edge_set AS h JOIN nadi_store.model USING (model_id)
            WHERE model_name = 'iris' AND hour >= $1
            """, [.time(Pipeline.base_ms)])[0]
        let rebuild =
            "nadi rebuild --from \(LoadClock.rfcHour(hours.time(1))) --to \(LoadClock.rfcHour(hours.time(2) + LoadClock.hour_ms))"
        let active = try reference(
            pipeline, config, ["activate", "--model", "iris", "first", "--effective-from", Self.from])
        #expect(active.status == 0 && active.text.contains("in force for events of iris from"), "\(active.text)")
        #expect(
            active.text.contains("\(hours.integer(0)) hours that are loaded already") && active.text.contains(rebuild))
        // Their stored drift is made anew by the next loader.
        let marks = try connection.query(
            """
            SELECT (SELECT count(*) FROM nadi_store.drift_mark JOIN nadi_store.model USING (model_id) WHERE model_name = 'iris'),
                   count(DISTINCT bucket_start) FROM nadi.request_hour
            WHERE model_name = 'iris' AND slice_key = 'all' AND bucket_start >= $1
            """, [.time(Pipeline.base_ms)])[0]
        #expect(marks.integer(0) == marks.integer(1) && marks.integer(1) > 0)

        let next = try reference(pipeline, config, ["activate", "--model", "iris", "second"])
        #expect(next.status == 0 && !next.text.contains("hours that are loaded"), "\(next.text)")
        let list = try reference(pipeline, config, ["list", "--model", "iris"])
        #expect(list.status == 0 && list.text.contains("UTC until "), "\(list.text)")
        let json = try reference(pipeline, config, ["list", "--json"])
        #expect(json.text.split(separator: "\n").count == 2 && json.text.contains("\"in_force\":[{\"effective_from\":"))
        let shown = try reference(pipeline, config, ["show", "first"])
        #expect(
            shown.status == 0 && shown.text.contains("petal_length") && shown.text.contains("LABELS SAY"),
            "\(shown.text)")
        let whole = try reference(pipeline, config, ["show", "--json", "first"])
        #expect(
            whole.text.hasPrefix("{") && whole.text.contains("\"edge_counts\"") && whole.text.contains("\"setosa\""))

        let inForce = try reference(pipeline, config, ["delete", "--model", "iris", "first"])
        #expect(
            inForce.status == 1 && inForce.text.contains("the reference first of iris is in force from"),
            "\(inForce.text)")
        #expect(inForce.text.contains("--effective-from \(LoadClock.rfcHour(Pipeline.base_ms))"))
        let none = try reference(
            pipeline, config, ["activate", "--model", "iris", "--none", "--effective-from", Self.from])
        #expect(none.status == 0 && none.text.contains("No reference is in force"), "\(none.text)")
        // An hour as a loader leaves it that binned on the first one.
        try connection.query(
            """
            UPDATE nadi_store.hour_edge_set SET edge_set_id = (SELECT reference_id FROM nadi_store.reference WHERE reference_name = 'first')
            WHERE hour = $1
            """, [.time(hours.time(1))])
        let binned = try reference(pipeline, config, ["delete", "first"])
        #expect(
            binned.status == 1 && binned.text.contains("loaded hours are binned on the reference first"),
            "\(binned.text)")
        #expect(binned.text.contains("nadi rebuild --from \(LoadClock.rfcHour(hours.time(1)))"))
        try connection.query(
            "INSERT INTO nadi_store.expired_hour (hour, event_type, lines) VALUES ($1, 'prediction', 1)",
            [.time(hours.time(1))])
        let closed = try reference(pipeline, config, ["delete", "first"])
        #expect(
            closed.status == 1 && closed.text.contains("past archive_days, so that they cannot be rebuilt")
                && !closed.text.contains("nadi rebuild"), "\(closed.text)")
        try connection.execute("UPDATE nadi_store.hour_edge_set SET edge_set_id = 0")
        let gone = try reference(pipeline, config, ["delete", "first"])
        #expect(gone.status == 0 && gone.text.contains("Deleted the reference"), "\(gone.text)")
        #expect(
            try connection.query(
                "SELECT FROM nadi_store.reference_feature JOIN nadi_store.reference USING (reference_id) WHERE deleted_at IS NOT NULL"
            ).count == 0)
        #expect(try reference(pipeline, config, ["list"]).text.contains("first") == false)
        #expect(try reference(pipeline, config, ["list", "--deleted"]).text.contains("first (deleted"))
        // Its name is free again, its number is not.
        let again = try reference(
            pipeline, config,
            ["create", "--model", "iris", "--name", "first", "--from", Self.from, "--to", Self.to, "--activate"])
        #expect(
            again.status == 0 && again.text.contains("Reference 3 \"first\"") && again.text.contains("is in force"),
            "\(again.text)")

        for (words, status, text) in [
            (["show", "nothing"], 1, "there is no reference nothing. There are: second, first"),
            (["activate", "--model", "nobody", "first"], 64, "there is no model nobody. There are: fraud, iris"),
            (["activate", "--model", "fraud", "first"], 1, "there is no reference first of the model fraud"),
            (
                ["activate", "--model", "iris", "first", "--effective-from", "2026-01-01T10:20:00Z"], 1,
                "Say 2026-01-01T10:00:00Z or 2026-01-01T11:00:00Z"
            ),
            (["activate", "--model", "iris"], 64, "Name a reference, or say --none"),
            (["activate", "--model", "iris", "first", "--effective-from", "noon"], 64, "is no time such as"),
            (["activate", "--model", "other", "first"], 1, "--model other stands for all models"),
            (["list", "--model", "nobody"], 64, "there is no model nobody"),
        ] as [([String], Int32, String)] {
            let answer = try reference(pipeline, config, words)
            #expect(answer.status == status && answer.text.contains(text), "\(words) \(answer.status) \(answer.text)")
        }
    }

    @Test func aSampleShowsTheLinesBehindANumber() async throws {
        let (pipeline, config, lines) = try await loaded(seed: 32)
        func sample(_ more: [String]) throws -> Answer {
            try Answer.of(
                ["sample", "--config", config, "--model", "iris", "--from", Self.from, "--to", Self.to] + more,
                in: pipeline.folder)
        }
        let written = Set(lines)
        let all = try sample(["-n", "1000"])
        let shown = all.text.split(separator: "\n").map(String.init)
        let counted = try pipeline.database.connect().query(
            """
            SELECT sum(r.predictions), sum(r.predictions) FILTER (WHERE s.model_version = '2')
            FROM nadi_store.request_hour AS r JOIN nadi_store.series AS s USING (series_id) JOIN nadi_store.model AS m USING (model_id)
            WHERE m.model_name = 'iris' AND s.slice_key = 'all' AND r.hour >= $1 AND r.hour < $2
            """, [.time(Pipeline.base_ms), .time(Pipeline.base_ms + 5 * LoadClock.hour_ms)])[0]
        let (count, second) = (counted.integer(0), counted.integer(1))
        #expect(all.status == 0 && shown.count == Int(count) + 1)
        #expect(shown.dropLast().allSatisfy { written.contains($0) && $0.contains("\"model_name\":\"iris\"") })
        #expect(shown.last?.hasPrefix("\(count) of \(count) predictions that match, of \(count) in ") == true)
        #expect(Set(shown).count == shown.count)
        let some = try sample(["--where", "version = \"2\" and (region = \"eu\" or region is missing)", "-n", "5"])
        let five = some.text.split(separator: "\n").map(String.init)
        #expect(
            five.count == 6
                && five.dropLast().allSatisfy {
                    written.contains($0) && $0.contains("\"model_version\":\"2\"") && !$0.contains("\"region\":\"us\"")
                })
        #expect(
            try sample(["--where", "version = \"2\" and (region = \"eu\" or region is missing)", "-n", "5"]).text
                == some.text)
        #expect(try sample(["-n", "5", "--seed", "2"]).text != (try sample(["-n", "5", "--seed", "3"]).text))
        let two = try sample(["--where", "version = \"2\"", "-n", "1"])
        #expect(two.text.contains("1 of \(second) predictions that match, of \(count) in"), "\(two.text)")
        let table = try sample(["--where", "petal_length > 0", "--table", "-n", "3"])
        #expect(table.text.hasPrefix("TIME ") && table.text.contains("PETAL_LENGTH"), "\(table.text)")
        let nothing = try sample(["--where", "petal_length < 0"])
        #expect(nothing.status == 0 && nothing.text.hasPrefix("0 of 0 predictions that match"))
        let wrong = try sample(["--where", "petal_length > and"])
        #expect(
            wrong.status == 64
                && wrong.text.contains("    petal_length > and\n" + String(repeating: " ", count: 19) + "^"),
            "\(wrong.text)")
        let nobody = try Answer.of(
            ["sample", "--config", config, "--model", "nobody", "--from", Self.from, "--to", Self.to],
            in: pipeline.folder)
        #expect(nobody.status == 64 && nobody.text.contains("there is no model nobody"))
        #expect(try sample(["-n", "0"]).status == 64)

        // Of an object that turns out at its end not to be what was loaded nothing is shown, for none of it is proven.
        let connection = try pipeline.database.connect()
        let damaged = try connection.query(
            """
            SELECT o.object_key, s.segment_id, encode(s.raw_sha256, 'hex')
            FROM nadi_store.object AS o JOIN nadi_store.segment AS s USING (object_id) ORDER BY 1 DESC LIMIT 1
            """)[0]
        let sound = try await pipeline.store.get(damaged.text(0))
        func put(_ object: [UInt8], hash: String) async throws {
            try await pipeline.store.delete(damaged.text(0))
            _ = try await pipeline.store.put(damaged.text(0), object, PutOptions())
            try connection.query(
                "UPDATE nadi_store.segment SET raw_sha256 = decode($1, 'hex') WHERE segment_id = $2",
                [.text(hash), .integer(damaged.integer(1))])
        }
        let lie = try #require(Damage.lies.first { $0.name == "another hash" })
        try await put(try lie.change(sound), hash: String(repeating: "0", count: 64))
        let left = try sample(["-n", "1000"])
        #expect(left.status == 1 && left.text.contains(damaged.text(0)), "\(left.text)")
        let text = String(decoding: try Decoder.decode(sound, limit: 64 << 20), as: UTF8.self)
        #expect(Set(text.split(separator: "\n")).isDisjoint(with: left.text.split(separator: "\n")))
        try await put(sound, hash: damaged.text(2))

        // An object that is gone is named; what is left is shown.
        let key = try pipeline.database.connect().query(
            "SELECT object_key FROM nadi_store.object ORDER BY object_key LIMIT 1")[0].text(0)
        try await pipeline.store.delete(key)
        let gone = try sample(["-n", "2"])
        #expect(
            gone.status == 1 && gone.text.contains(key) && gone.text.contains("is gone from the bucket"), "\(gone.text)"
        )
        let made = try reference(
            pipeline, config, ["create", "--model", "iris", "--name", "rest", "--from", Self.from, "--to", Self.to])
        #expect(
            made.status == 0 && made.text.contains("1 objects cannot be read, so that their rows are left out"),
            "\(made.text)")
        // A configuration at fault is no failure of the bucket.
        _ = try pipeline.configuration(extra: "mappings:\n  shop:\n    type: nonsense")
        let mistaken = try sample([])
        #expect(mistaken.status == 64 && mistaken.text.contains("shop"), "\(mistaken.text)")
    }
}
