internal import EventModel
package import RecordBatches
internal import TableStorage

/// What was found of a prediction.
package struct WhereReport: Sendable {
    /// A line with the id.
    package struct Match: Sendable {
        package let line: FoundLine
        package let writer: String
        package let seq: Int
        /// The segment's file on the host.
        package let file: String
        package let sealed_ms: Int64
        package let object: String
        package let host: String
        /// loaded, duplicate, conflict or pending; nil where the ledger does not have the segment.
        package let segmentState: String?
        /// The object's state in the ledger, or `unloaded`.
        package let objectState: String
        package let objectError: String

        /// Whether it is in the tables.
        package var isCounted: Bool { line.reason == nil && segmentState == "loaded" }

        /// What became of the line.
        package var fate: String {
            if let reason = line.reason {
                let when = segmentState == "loaded" ? "rejected" : "would be rejected"
                return "\(when): \(reason.rawValue): \(line.detail)"
            }
            switch segmentState {
            case "loaded"?: return "counted, in hour \(LoadClock.hourText(LoadClock.hour(line.time_ms ?? 0))) UTC"
            case "duplicate"?: return "not counted here: the same segment is loaded from another object"
            case "conflict"?:
                return "not counted: another segment with the same number and other bytes is loaded (see `nadi audit`)"
            default: break
            }
            switch objectState {
            case "unloaded": return "not counted yet: no loader has seen the object"
            case "claimed": return "not counted yet: a loader works on the object"
            case "pending": return "not counted yet: the object waits for the mapping \(objectError)"
            default: return "not counted: the object is \(objectState): \(objectError)"
            }
        }
    }

    /// An outcome or feedback row.
    package struct Label: Sendable {
        package let model: String
        /// outcome or feedback.
        package let type: String
        package let name: String
        package let value: String
        package let revision: Int64
        package let time_ms: Int64
        /// Writer, segment and line, and its object.
        package let place: String
        package let object: String
        package let predictionHour_ms: Int64?
        /// Whether the event named the hour, or its prediction was found there.
        package let hourIsKnown: Bool
        package let joined_ms: Int64?
        /// Whether the hour waits to be joined again.
        package let isDirty: Bool
        /// Whether a sweep has looked for its prediction in all hours.
        package let isSwept: Bool

        /// Joined, or what it waits for.
        package var fate: String {
            if let joined_ms {
                return "joined with hour \(LoadClock.hourText(joined_ms)) UTC"
                    + (isDirty ? ", which waits to be joined again" : "")
            }
            if isDirty { return "waiting: its prediction's hour is to be joined by one of the next loads" }
            let sweep = isSwept ? "the daily sweep has not found its prediction" : "the daily sweep looks for its prediction"
            if let predictionHour_ms {
                let hour = LoadClock.hourText(predictionHour_ms)
                return hourIsKnown
                    ? "waiting: no prediction of hour \(hour) UTC has this id and model yet"
                    : "waiting: no prediction of hour \(hour) UTC, which it or its id names, or an hour before or after "
                        + "has its id; \(sweep)"
            }
            return "waiting: it names no hour that can be joined; \(sweep)"
        }

        static func all(_ query: Where.Query, _ connection: Connection) throws -> [Label] {
            try connection.query(
                """
                SELECT m.model_name, o.event_type, o.name, concat_ws(' ', o.label_text, o.label_number, o.value,
                           o.value_currency, o.score), o.revision, o.event_time,
                       coalesce(w.writer || '-' || s.seq || ' line ' || o.line, ''), coalesce(b.object_key, ''),
                       o.prediction_hour, o.hour_is_exact, o.is_joined,
                       EXISTS (SELECT FROM nadi_store.dirty_hour AS d WHERE d.model_id = o.model_id
                               AND (d.hour = o.prediction_hour OR (o.unmatched AND NOT o.hour_is_exact AND d.hour IN
                                    (o.prediction_hour - interval '1 hour', o.prediction_hour + interval '1 hour')))),
                       o.outcome_no <= coalesce((SELECT nullif(l.value, '')::bigint FROM nadi_store.loader_state AS l
                                                 WHERE l.name = 'swept'), 0)
                FROM nadi_store.outcome_state AS o JOIN nadi_store.model AS m USING (model_id)
                LEFT JOIN nadi_store.segment AS s USING (segment_id) LEFT JOIN nadi_store.writer AS w USING (writer_id)
                LEFT JOIN nadi_store.object AS b ON b.object_id = s.object_id
                WHERE o.prediction_id = $1 AND ($2::text IS NULL OR m.model_name = $2) ORDER BY 1, 2, 3
                """, [.text(query.id), .optional(query.model)]
            ).rows.map { row in
                Label(
                    model: row.text(0), type: row.text(1), name: row.text(2), value: row.text(3),
                    revision: row.integer(4), time_ms: row.time(5), place: row.text(6), object: row.text(7),
                    predictionHour_ms: row.optionalTime(8), hourIsKnown: row.boolean(9),
                    joined_ms: row.boolean(10) ? row.optionalTime(8) : nil, isDirty: row.boolean(11),
                    isSwept: row.boolean(12))
            }
        }
    }

    package let id: String
    package var matches: [Match] = []
    package var labels: [Label] = []
    /// The event times that were searched.
    package var windows: [Range<Int64>] = []
    /// How many objects were read.
    package var objects = 0
    /// Objects that may hold it and could not be read, and why.
    package var unread: [(object: String, reason: String)] = []
    package var completeUntil_ms: Int64?
    package var silentHosts = ""

    init(id: String) { self.id = id }

    /// Whether a line of it was found.
    package var isFound: Bool { !matches.isEmpty }

    private var searched: String {
        windows.map { "\(LoadClock.hourText($0.lowerBound)) to \(LoadClock.hourText($0.upperBound))" }
            .joined(separator: ", ")
    }

    /// For people.
    package var text: String {
        var out = ""
        let predictions = matches.filter { $0.line.type == .prediction }
        if predictions.count > 1 {
            let counted = predictions.count(where: \.isCounted)
            out +=
                "\(predictions.count) prediction lines bear this id, \(counted) of them counted: each line counts once, "
            out += "and labels join the first.\n\n"
        }
        for match in matches {
            let line = match.line
            let what = [line.type?.rawValue ?? "line", line.model, line.version, line.name].filter { !$0.isEmpty }
            out += what.joined(separator: " ") + (line.time_ms.map { ", \(Timestamp.format($0))" } ?? "") + "\n"
            out += "  \(match.fate)\n"
            out += "  writer   \(match.writer)\n"
            out +=
                "  segment  \(match.seq), line \(line.line), sealed \(Timestamp.format(match.sealed_ms)), file \(match.file)\n"
            out += "  object   \(match.object)\n"
            if line.reason != nil { out += "  text     \(Self.printable(line.excerpt))\n" }
        }
        if !isFound { out += notFound }
        for (object, reason) in unread { out += "not looked into: \(object): \(reason)\n" }
        for label in labels {
            out +=
                "\(label.type) \(label.name) = \(label.value), revision \(label.revision), \(Timestamp.format(label.time_ms))"
            out += "\n  \(label.fate)\n"
            if !label.place.isEmpty { out += "  segment  \(label.place)\n  object   \(label.object)\n" }
        }
        if labels.isEmpty, isFound { out += "no label or feedback of it is kept: none has come, or it was too late\n" }
        return out
    }

    private var notFound: String {
        var out = "No line with the id \(id) in \(objects) objects with events or seals of \(searched) UTC.\n"
        if let completeUntil_ms {
            let last = windows.map(\.upperBound).max() ?? 0
            if completeUntil_ms < last {
                out +=
                    "Everything is counted until \(Timestamp.format(completeUntil_ms)) only: it may be on its way, in a "
                out += "spool or the bucket. Ask again later.\n"
            } else {
                out +=
                    "Everything is counted until \(Timestamp.format(completeUntil_ms)): it was never written (dropped, or "
                out += "the client never sent it), or at another time (say --from and --to), or it is lost: see "
                out += "`nadi audit`.\n"
            }
        } else {
            out += "Until when everything is counted is not known: no host reports.\n"
        }
        if !silentHosts.isEmpty { out += "Silent hosts may still hold it: \(silentHosts).\n" }
        return out
    }

    /// Bytes of a line as one line of a terminal: what is no printable text is escaped.
    package static func printable(_ bytes: [UInt8]) -> String {
        var out = ""
        for scalar in String(decoding: bytes, as: UTF8.self).unicodeScalars {
            switch scalar.value {
            case 0..<0x20, 0x7F..<0xA0: out += "\\x" + (scalar.value < 16 ? "0" : "") + String(scalar.value, radix: 16)
            // Directions of writing, which could turn a terminal's line around.
            case 0x202A...0x202E, 0x2066...0x2069: out += "?"
            default: out.unicodeScalars.append(scalar)
            }
        }
        return out
    }

    /// The same as one JSON object.
    package var json: String {
        var object = JSONText()
        object.field("id", id)
        object.field("found", isFound)
        object.array(
            "searched", windows.map { "\(Timestamp.format($0.lowerBound))/\(Timestamp.format($0.upperBound))" })
        object.field("objects_read", objects)
        if let completeUntil_ms { object.field("complete_until", Timestamp.format(completeUntil_ms)) }
        object.array(
            "lines",
            matches.map { match in
                var one = JSONText()
                if let type = match.line.type { one.field("type", type.rawValue) }
                if let time_ms = match.line.time_ms { one.field("time", Timestamp.format(time_ms)) }
                one.field("model_name", match.line.model)
                one.field("model_version", match.line.version)
                one.field("name", match.line.name)
                one.field("counted", match.isCounted)
                if let reason = match.line.reason {
                    one.field("reject_reason", reason.rawValue)
                    one.field("reject_detail", match.line.detail)
                }
                one.field("fate", match.fate)
                one.field("host", match.host)
                one.field("writer", match.writer)
                one.field("segment", match.seq)
                one.field("line", match.line.line)
                one.field("sealed", Timestamp.format(match.sealed_ms))
                one.field("file", match.file)
                one.field("object", match.object)
                return one
            })
        object.array(
            "labels",
            labels.map { label in
                var one = JSONText()
                one.field("type", label.type)
                one.field("model_name", label.model)
                one.field("name", label.name)
                one.field("value", label.value)
                one.field("revision", label.revision)
                one.field("time", Timestamp.format(label.time_ms))
                one.field("joined", label.joined_ms != nil)
                if let joined_ms = label.joined_ms { one.field("joined_hour", Timestamp.format(joined_ms)) }
                one.field("fate", label.fate)
                one.field("place", label.place)
                one.field("object", label.object)
                return one
            })
        object.array("not_read", unread.map { "\($0.object): \($0.reason)" })
        return String(decoding: object.closed, as: UTF8.self)
    }
}
