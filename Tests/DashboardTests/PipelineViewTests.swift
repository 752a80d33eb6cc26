import TableStorage
import TestSupport
import Testing

/// How far the numbers are complete, and which hosts are silent.
@Suite(.enabled(if: Servers.postgres, "\(Servers.missing)")) struct PipelineViewTests {
    /// What `complete_until` says, in minutes before the newest load, and in words.
    struct Answer: Equatable {
        var minutes: Double?
        var silent = ""
        var waiting = ""
    }

    private func answer(_ hosts: String, objects: String = "") throws -> Answer {
        let database = try TestDatabase()
        let connection = try database.connect()
        try connection.execute(
            """
            CREATE FUNCTION pg_temp.ago(minutes float8) RETURNS timestamptz LANGUAGE sql
                AS $$ SELECT '2026-11-23 12:00:00Z'::timestamptz - minutes * interval '1 minute' $$;
            INSERT INTO nadi_store.load_run (owner, version, started_at)
                VALUES ('l', '1', pg_temp.ago(30)), ('l', '1', pg_temp.ago(0));
            INSERT INTO nadi_store.host (host, state, reported_at, oldest_unshipped_at) VALUES \(hosts);
            UPDATE nadi_store.host SET covered_at = reported_at, covered_oldest_at = oldest_unshipped_at;
            """)
        if !objects.isEmpty {
            try connection.execute(
                """
                SELECT nadi_store.ensure_ledger(sealed) FROM (VALUES \(objects)) AS v(key, host, sealed, state);
                INSERT INTO nadi_store.object (object_key, host_id, sealed_at, size_bytes, state)
                SELECT v.key, h.host_id, v.sealed, 1, v.state FROM (VALUES \(objects)) AS v(key, host, sealed, state)
                JOIN nadi_store.host h USING (host)
                """)
        }
        let row = try #require(
            try database.connectAsReader().query(
                """
                SELECT extract(epoch FROM '2026-11-23 12:00:00Z'::timestamptz - complete_until) / 60, silent_hosts,
                       oldest_waiting
                FROM nadi.complete_until
                """
            ).first)
        return Answer(minutes: row.optionalReal(0), silent: row.text(1), waiting: row.text(2))
    }

    @Test func theLeastReportOrOldestThingHeldDecides() throws {
        #expect(
            try answer("('a', 'running', pg_temp.ago(1), NULL), ('b', 'running', pg_temp.ago(2), NULL)")
                == Answer(minutes: 2))
        #expect(
            try answer("('a', 'running', pg_temp.ago(1), pg_temp.ago(9)), ('b', 'running', pg_temp.ago(2), NULL)")
                == Answer(minutes: 9, waiting: "host a holds unshipped lines"))
        #expect(
            try answer(
                "('a', 'running', pg_temp.ago(1), pg_temp.ago(3))",
                objects: "('k1', 'a', pg_temp.ago(7), 'claimed'), ('k2', 'a', pg_temp.ago(20), 'loaded'), "
                    + "('k3', 'a', pg_temp.ago(8), 'poisoned'), ('k4', 'a', pg_temp.ago(99), 'lost')")
                == Answer(minutes: 8, waiting: "poisoned object k3"))
    }

    @Test func silentHostsAreLeftOutAndNamed() throws {
        #expect(
            try answer(
                "('a', 'running', pg_temp.ago(1), NULL), ('c', 'running', pg_temp.ago(16), pg_temp.ago(60)), "
                    + "('b', NULL, NULL, NULL)"
            )
                == Answer(minutes: 1, silent: "b, c"))
        #expect(
            try answer("('c', 'running', pg_temp.ago(16), pg_temp.ago(60))") == Answer(minutes: nil, silent: "c"),
            "no host reports: nothing is known to be complete")
    }

    @Test func hostsThatEndedDoNotHoldTheRestBack() throws {
        #expect(
            try answer("('a', 'running', pg_temp.ago(1), NULL), ('b', 'ended', pg_temp.ago(5000), NULL)")
                == Answer(minutes: 1))
        #expect(
            try answer("('a', 'ended', pg_temp.ago(40), NULL), ('b', 'ended', pg_temp.ago(5000), NULL)")
                == Answer(minutes: 40), "all ended: complete until the last of them did")
    }

    /// A report that no listing has followed yet proves nothing: what it no longer holds may not be in the ledger.
    @Test func aReportCountsOnceTheBucketWasListedAfterIt() throws {
        let database = try TestDatabase()
        let connection = try database.connect()
        try connection.execute(
            """
            INSERT INTO nadi_store.load_run (owner, version, started_at) VALUES ('l', '1', '2026-11-23 12:00:00Z');
            INSERT INTO nadi_store.host (host, state, reported_at) VALUES ('a', 'running', '2026-11-23 11:59:00Z');
            """)
        let reader = try database.connectAsReader()
        func until() throws -> String? {
            try reader.query("SELECT to_char(complete_until, 'HH24:MI') FROM nadi.complete_until")[0].optionalText(0)
        }
        #expect(try until() == nil)
        try connection.execute(
            """
            INSERT INTO nadi_store.load_run (owner, version, started_at, finished_at, state)
            VALUES ('l', '1', '2026-11-23 11:50:00Z', '2026-11-23 11:51:00Z', 'succeeded');
            """)
        #expect(try until() == "11:50")
        try connection.execute(
            "UPDATE nadi_store.host SET covered_at = '2026-11-23 11:55:00Z', covered_oldest_at = '2026-11-23 11:54:00Z'"
        )
        #expect(try until() == "11:54")
    }

    @Test func rejectsAndObjectsAddUp() throws {
        let database = try TestDatabase()
        let connection = try database.connect()
        try connection.execute(
            """
            INSERT INTO nadi_store.host (host, state, reported_at) VALUES ('a', 'running', now());
            INSERT INTO nadi_store.writer (writer, host_id, appended, written, dropped_disk_full)
                SELECT 'a-1', host_id, 130, 120, 10 FROM nadi_store.host;
            SELECT nadi_store.ensure_ledger('2026-11-23Z');
            INSERT INTO nadi_store.object (object_key, host_id, sealed_at, size_bytes, state, lines)
                SELECT k, host_id, '2026-11-23 10:59:00Z', 1, 'loaded', n
                FROM nadi_store.host, (VALUES ('k1', 120), ('k2', 50)) v(k, n);
            INSERT INTO nadi_store.segment (object_id, writer_id, seq, sealed_at, lines, raw_bytes, raw_sha256, state,
                                            loaded_lines, rejected_lines, object_sealed_at)
                SELECT o.object_id, w.writer_id, v.seq, '2026-11-23 10:59:00Z', v.lines, 1, '', v.state,
                       v.loaded, v.rejected, o.sealed_at
                FROM nadi_store.writer w, nadi_store.object o
                JOIN (VALUES ('k1', 0, 50, 'loaded', 48, 2), ('k1', 1, 70, 'loaded', 69, 1),
                             ('k2', 0, 50, 'duplicate', 0, 0))
                    AS v(k, seq, lines, state, loaded, rejected) ON o.object_key = v.k;
            INSERT INTO nadi_store.segment_reject
                SELECT segment_id, 'invalid_json', rejected_lines, object_sealed_at FROM nadi_store.segment WHERE rejected_lines > 0;
            """)
        let reader = try database.connectAsReader()
        let object = try reader.query(
            """
            SELECT object_key, loaded_line_count, rejected_line_count, duplicate_line_count, segment_count
            FROM nadi.pipeline_object ORDER BY 1
            """
        ).rows
        #expect(object.map { row in (1...4).map { row.integer($0) } } == [[117, 3, 0, 2], [0, 0, 50, 1]])
        let reject = try reader.query("SELECT bucket_start, reject_reason, reject_count, host FROM nadi.reject").first
        #expect(reject?.text(0) == "2026-11-23 10:00:00+00" && reject?.integer(2) == 3 && reject?.text(3) == "a")
        let balance = try reader.query(
            "SELECT equation, left_count, right_count FROM nadi.audit_balance WHERE left_count > 0"
        ).rows
        #expect(
            balance.prefix(3).map { "\($0.text(0)) \($0.integer(1)) \($0.integer(2))" }
                == ["writers 130 130", "storage, open writers 120 120", "objects 170 170"])
    }
}
