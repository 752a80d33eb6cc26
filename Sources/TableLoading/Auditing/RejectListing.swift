internal import EventModel
package import TableStorage

/// Rejected lines: their place, reason and text, newest first, and how many there were of each reason.
package struct RejectListing: Sendable {
    /// Which ones; nil takes all.
    package struct Filter: Sendable {
        package var host: String?
        package var writer: String?
        package var reason: String?
        /// When their segments were sealed, milliseconds since the epoch.
        package var from_ms: Int64?
        package var to_ms: Int64?
        package var limit: Int64 = 100

        package init() {}
    }

    /// One line.
    package struct Line: Sendable {
        package let sealed_ms: Int64
        package let host: String
        package let writer: String
        package let seq: Int64
        package let line: Int64
        package let reason: String
        package let detail: String
        package let excerpt: [UInt8]
        package let object: String
    }

    package let lines: [Line]
    /// Lines by reason, all of them, and how many of their texts were kept.
    package let totals: [(reason: String, lines: Int64, kept: Int64)]

    /// Reads them.
    /// - Throws: ``DatabaseError``.
    package init(_ filter: Filter, _ connection: Connection) throws {
        let condition = """
            ($1::text IS NULL OR h.host = $1) AND ($2::text IS NULL OR w.writer = $2)
            AND ($3::text IS NULL OR r.reason = $3) AND ($4::timestamptz IS NULL OR g.sealed_at >= $4)
            AND ($5::timestamptz IS NULL OR g.sealed_at < $5)
            """
        let parameters: [SQLValue] = [
            .optional(filter.host), .optional(filter.writer), .optional(filter.reason), .optionalTime(filter.from_ms),
            .optionalTime(filter.to_ms),
        ]
        lines = try connection.query(
            """
            SELECT r.sealed_at, h.host, w.writer, g.seq, r.line, r.reason, r.detail, r.excerpt, o.object_key
            FROM nadi_store.reject_line AS r JOIN nadi_store.segment AS g USING (segment_id)
            JOIN nadi_store.writer AS w USING (writer_id) JOIN nadi_store.host AS h ON h.host_id = w.host_id
            JOIN nadi_store.object AS o USING (object_id)
            WHERE \(condition) AND ($4::timestamptz IS NULL OR r.sealed_at >= $4)
            ORDER BY r.sealed_at DESC, w.writer, g.seq, r.line LIMIT $6::bigint
            """, parameters + [.integer(filter.limit)]
        ).rows.map { row in
            Line(
                sealed_ms: row.time(0), host: row.text(1), writer: row.text(2), seq: row.integer(3),
                line: row.integer(4), reason: row.text(5), detail: row.text(6), excerpt: row.bytes(7),
                object: row.text(8))
        }
        totals = try connection.query(
            """
            SELECT r.reason, sum(r.lines)::bigint, sum(r.kept_lines)::bigint
            FROM nadi_store.segment_reject AS r JOIN nadi_store.segment AS g USING (segment_id)
            JOIN nadi_store.writer AS w USING (writer_id) JOIN nadi_store.host AS h ON h.host_id = w.host_id
            WHERE \(condition) GROUP BY 1 ORDER BY 2 DESC, 1
            """, parameters
        ).rows.map { ($0.text(0), $0.integer(1), $0.integer(2)) }
    }

    /// For people.
    package var text: String {
        var out = ""
        for line in lines {
            out += "\(Timestamp.format(line.sealed_ms))  \(line.reason): \(line.detail)\n"
            out += "    \(line.writer)-\(line.seq) line \(line.line)  (host \(line.host), object \(line.object))\n"
            out += "    \(WhereReport.printable(line.excerpt))\n"
        }
        if !lines.isEmpty { out += "\n" }
        for total in totals {
            out += total.reason.padded(20) + "\(total.lines)".padded(12, right: true) + " lines rejected"
            if total.kept < total.lines { out += ", the text of \(total.kept) was kept" }
            out += "\n"
        }
        return out.isEmpty ? "No line was rejected.\n" : out
    }

    /// The same as one JSON object. Bytes that are no UTF-8 are replaced in `excerpt`.
    package var json: String {
        var object = JSONText()
        object.array(
            "totals",
            totals.map { total in
                var one = JSONText()
                one.field("reason", total.reason)
                one.field("lines", total.lines)
                one.field("kept", total.kept)
                return one
            })
        object.array(
            "lines",
            lines.map { line in
                var one = JSONText()
                one.field("sealed", Timestamp.format(line.sealed_ms))
                one.field("host", line.host)
                one.field("writer", line.writer)
                one.field("segment", line.seq)
                one.field("line", line.line)
                one.field("reason", line.reason)
                one.field("detail", line.detail)
                one.field("excerpt", String(decoding: line.excerpt, as: UTF8.self))
                one.field("object", line.object)
                return one
            })
        return String(decoding: object.closed, as: UTF8.self)
    }
}
