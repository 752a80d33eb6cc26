internal import EventModel
package import TableStorage

/// What is known of a writer, or of one of its segments, by name.
package struct WriterStory: Sendable {
    /// Most segments that are listed one by one.
    static let shown: Int64 = 200

    package let text: String
    package let json: String

    /// Reads it; nil where no writer bears the name.
    ///
    /// - Parameter name: a writer's name, `<writer>-<number>`, or a segment's file name.
    /// - Throws: ``DatabaseError``.
    package init?(_ name: String, _ connection: Connection) throws {
        let segment = SegmentName(name)
        var writer = segment?.writer.text ?? name
        var seq: Int64? = segment.map { Int64($0.seq) }
        func account(_ name: String) throws -> QueryResult.Row? {
            try connection.query(
                """
                SELECT host, log_format, writer_status, appended_line_count, is_lower_bound, written_line_count,
                       dropped_line_count, stored_line_count, stored_segment_count, unshipped_segment_count,
                       accepted_lost_line_count, newest_sealed_at, reported_at
                FROM nadi.pipeline_writer WHERE writer = $1
                """, [.text(name)]
            ).first
        }
        var row = try account(writer)
        if row == nil, let dash = name.lastIndex(of: "-"), let number = Int64(name[name.index(after: dash)...]) {
            writer = String(name[..<dash])
            seq = number
            row = try account(writer)
        }
        guard let row else { return nil }
        let segments = try connection.query(
            """
            SELECT s.seq, s.state, s.lines, s.loaded_lines, s.rejected_lines, s.sealed_at, o.object_key, o.state
            FROM nadi_store.segment AS s JOIN nadi_store.writer AS w USING (writer_id)
            JOIN nadi_store.object AS o USING (object_id)
            WHERE w.writer = $1 AND ($2::bigint IS NULL OR s.seq = $2) ORDER BY s.seq DESC, s.segment_id LIMIT $3::bigint
            """, [.text(writer), .optional(seq.map(String.init)), .integer(Self.shown)]
        ).rows

        var out = "writer \(writer): \(row.text(2)), host \(row.text(0)), format \(row.text(1))\n"
        out += "  appended \(row.boolean(4) ? "at least " : "")\(row.integer(3)), written \(row.integer(5)), dropped "
        out += "\(row.integer(6)); stored \(row.integer(7)) lines in \(row.integer(8)) segments; "
        out += "\(row.integer(9)) segments in the spool; \(row.integer(10)) lines lost and accepted\n"
        out += "  newest segment \(row.optionalTime(11).map { Timestamp.format($0) } ?? "none"), last reported "
        out += "\(row.optionalTime(12).map { Timestamp.format($0) } ?? "never")\n"
        if segments.isEmpty {
            out +=
                seq.map { "  segment \($0) is not in the ledger: it may be in the spool, or lost (see `nadi audit`)\n" }
                ?? ""
        }
        for one in segments {
            out +=
                "  segment \(one.integer(0)), sealed \(Timestamp.format(one.time(5))): \(one.text(1)), \(one.integer(2)) lines"
            out += one.text(1) == "loaded" ? ", \(one.integer(4)) of them rejected\n" : "\n"
            out += "    object \(one.text(6)) (\(one.text(7)))\n"
        }
        if segments.count == Int(Self.shown) { out += "  and maybe more: the newest \(Self.shown) are shown\n" }
        text = out

        var object = JSONText()
        object.field("writer", writer)
        object.field("host", row.text(0))
        object.field("format", row.text(1))
        object.field("state", row.text(2))
        object.field("appended", row.integer(3))
        object.field("appended_is_lower_bound", row.boolean(4))
        object.field("written", row.integer(5))
        object.field("dropped", row.integer(6))
        object.field("stored", row.integer(7))
        object.array(
            "segments",
            segments.map { one in
                var json = JSONText()
                json.field("segment", one.integer(0))
                json.field("state", one.text(1))
                json.field("lines", one.integer(2))
                json.field("rejected", one.integer(4))
                json.field("sealed", Timestamp.format(one.time(5)))
                json.field("object", one.text(6))
                json.field("object_state", one.text(7))
                return json
            })
        json = String(decoding: object.closed, as: UTF8.self)
    }
}
