package import TableStorage

/// All that the database knows of a reference.
package enum ReferenceDescription {
    /// As one JSON object: the reference's row, and below it features (edges, counts, deciles, categories by their text),
    /// scores, spread, performance and activations.
    package static func json(_ entry: ReferenceListing.Entry, _ connection: Connection) throws -> String {
        try connection.query(
            """
            SELECT to_jsonb(r) - 'model_id' || jsonb_build_object(
                'model_name', m.model_name,
                'features', coalesce((SELECT jsonb_agg(jsonb_build_object('feature_name', f.feature_name, 'role', f.role)
                        || to_jsonb(d) - 'reference_id' - 'feature_id' - 'category_ids'
                        || jsonb_build_object('categories', (SELECT coalesce(jsonb_agg(c.value ORDER BY u.place), '[]')
                            FROM unnest(d.category_ids) WITH ORDINALITY AS u (id, place)
                            JOIN nadi_store.category AS c ON c.category_id = u.id))
                        ORDER BY f.role DESC, f.feature_id)
                    FROM nadi_store.reference_feature AS d JOIN nadi_store.feature AS f USING (feature_id)
                    WHERE d.reference_id = r.reference_id), '[]'),
                'scores', coalesce((SELECT jsonb_agg(jsonb_build_object('class', c.value) || to_jsonb(s) - 'reference_id' - 'category_id'
                        ORDER BY s.category_id)
                    FROM nadi_store.reference_score AS s LEFT JOIN nadi_store.category AS c USING (category_id)
                    WHERE s.reference_id = r.reference_id), '[]'),
                'spread', coalesce((SELECT jsonb_agg(jsonb_build_object('name', coalesce(f.feature_name, 'score'))
                        || to_jsonb(s) - 'reference_id' - 'feature_id' ORDER BY s.window_hours, f.feature_id)
                    FROM nadi_store.reference_spread AS s LEFT JOIN nadi_store.feature AS f USING (feature_id)
                    WHERE s.reference_id = r.reference_id), '[]'),
                'performance', coalesce((SELECT jsonb_agg(to_jsonb(p) - 'reference_id' ORDER BY p.window_hours, p.measure)
                    FROM nadi_store.reference_performance AS p WHERE p.reference_id = r.reference_id), '[]'),
                'activations', coalesce((SELECT jsonb_agg(to_jsonb(a) - 'reference_id' - 'model_id' ORDER BY a.effective_from)
                    FROM nadi_store.reference_activation AS a WHERE a.reference_id = r.reference_id), '[]'))
            FROM nadi_store.reference AS r JOIN nadi_store.model AS m USING (model_id) WHERE r.reference_id = $1
            """, [.integer(entry.id)])[0].text(0)
    }

    /// For people.
    package static func text(_ entry: ReferenceListing.Entry, _ connection: Connection) throws -> String {
        var out =
            "Reference \(entry.id) \"\(entry.name)\" of \(entry.model), made \(LoadClock.hourText(entry.created_ms)) UTC from "
        out = (out + entry.source).onOneLine + "\n\(entry.rows) rows"
        if entry.sampledFrom > entry.rows { out += " (a sample of \(entry.sampledFrom))" }
        if let first = entry.firstTime_ms, let last = entry.lastTime_ms {
            out += ", \(LoadClock.hourText(first)) to \(LoadClock.hourText(last)) UTC"
        }
        out += ", task \(entry.task), \(entry.labels) labels, calibration \(entry.calibration)\n"
        out += entry.inForceText + ", \(entry.hours) loaded hours are binned on it\n"
        out += try features(entry, connection)
        out += try scores(entry, connection)
        out += try performance(entry, connection)
        return out + (try spread(entry, connection))
    }

    private static func features(_ entry: ReferenceListing.Entry, _ connection: Connection) throws -> String {
        let rows = try connection.query(
            """
            SELECT CASE f.role WHEN 'prediction' THEN '(prediction)' ELSE f.feature_name END, d.kind, d.missing_count,
                   d.wrong_type_count, cardinality(d.edges), (SELECT max(g) + 1 FROM unnest(d.deciles) AS g), d.minimum,
                   d.mean_high + d.mean_low, d.maximum,
                   CASE WHEN d.numeric_count > 1 AND d.m2 < 1e300 THEN sqrt(d.m2 / (d.numeric_count - 1)) END,
                   cardinality(d.category_ids), d.other_count, d.categorical_count, d.singleton_count,
                   (SELECT string_agg(left(c.value, 24) || ' ' || n.count, ', ' ORDER BY n.place)
                    FROM unnest(d.category_ids, d.category_counts) WITH ORDINALITY AS n (id, count, place)
                    JOIN nadi_store.category AS c ON c.category_id = n.id WHERE n.place <= 5)
            FROM nadi_store.reference_feature AS d JOIN nadi_store.feature AS f USING (feature_id)
            WHERE d.reference_id = $1 ORDER BY f.role DESC, f.feature_id
            """, [.integer(entry.id)]
        ).rows
        if rows.isEmpty { return "" }
        var table = TextTable(["feature", "kind", "missing", "wrong type", "bins", "groups", "what it holds"])
        table.rightAligned = [2, 3, 4, 5]
        for row in rows {
            let isNumeric = row.text(1) == "numeric"
            let edges = Int(row.optionalInteger(4) ?? 0)
            var holds = "-"
            if isNumeric, let least = row.optionalReal(6), let mean = row.optionalReal(7),
                let most = row.optionalReal(8)
            {
                holds =
                    "\(ReferenceSummary.short(least)) .. \(ReferenceSummary.short(most)), mean \(ReferenceSummary.short(mean))"
                if let deviation = row.optionalReal(9) { holds += ", deviation \(ReferenceSummary.short(deviation))" }
            } else if let categories = row.optionalText(14) {
                holds = categories
                if row.integer(10) > 5 { holds += ", ..." }
                if row.integer(11) > 0 { holds += "; \(row.integer(11)) other" }
            }
            table.add([
                row.text(0), row.text(1), "\(row.integer(2))", "\(row.integer(3))",
                isNumeric ? "\(edges > 0 ? edges + 1 : 0)" : "\(row.integer(10))",
                isNumeric ? "\(row.optionalInteger(5) ?? 0)" : "", holds,
            ])
        }
        return "\n" + table.text
    }

    private static func scores(_ entry: ReferenceListing.Entry, _ connection: Connection) throws -> String {
        let rows = try connection.query(
            """
            SELECT coalesce(c.value, '(score)'), (SELECT sum(n) FROM unnest(s.counts) AS n),
                   (SELECT sum(n) FROM unnest(s.sums) AS n), (SELECT sum(n) FROM unnest(s.label_counts) AS n),
                   (SELECT sum(n) FROM unnest(s.label_sums) AS n), s.calibrated[1], s.calibrated[101], s.calibrated[200]
            FROM nadi_store.reference_score AS s LEFT JOIN nadi_store.category AS c USING (category_id)
            WHERE s.reference_id = $1 ORDER BY s.category_id
            """, [.integer(entry.id)]
        ).rows
        if rows.isEmpty { return "" }
        var table = TextTable([
            "score of", "rows", "mean", "labels", "label rate", "calibrated: lowest", "at 0.5", "highest",
        ])
        table.rightAligned = [1, 2, 3, 4, 5, 6, 7]
        for row in rows {
            let count = row.real(1)
            let labels = row.optionalReal(3) ?? 0
            func number(_ column: Int) -> String { row.optionalReal(column).map(ReferenceSummary.short) ?? "-" }
            table.add([
                row.text(0), ReferenceSummary.short(count), ReferenceSummary.short(row.real(2) / count),
                ReferenceSummary.short(labels),
                labels > 0 ? ReferenceSummary.short((row.optionalReal(4) ?? 0) / labels) : "-", number(5), number(6),
                number(7),
            ])
        }
        return "\n" + table.text
    }

    private static func performance(_ entry: ReferenceListing.Entry, _ connection: Connection) throws -> String {
        let rows = try connection.query(
            """
            SELECT measure, max(value), max(deviation) FILTER (WHERE window_hours = 1),
                   max(deviation) FILTER (WHERE window_hours = 24), max(deviation) FILTER (WHERE window_hours = 168)
            FROM nadi_store.reference_performance WHERE reference_id = $1 GROUP BY 1 ORDER BY 1
            """, [.integer(entry.id)]
        ).rows
        if rows.isEmpty { return "" }
        var table = TextTable(["labels say", "value", "deviation by hour", "by day", "by week"])
        table.rightAligned = [1, 2, 3, 4]
        for row in rows {
            table.add(
                [row.text(0)] + (1...4).map { row.optionalReal($0).map(ReferenceSummary.short) ?? "-" })
        }
        return "\n" + table.text
    }

    private static func spread(_ entry: ReferenceListing.Entry, _ connection: Connection) throws -> String {
        let rows = try connection.query(
            """
            SELECT CASE WHEN s.feature_id = 0 THEN '(score)' WHEN f.role = 'prediction' THEN '(prediction)' ELSE f.feature_name END,
                   CASE s.window_hours WHEN 1 THEN 'hours' WHEN 24 THEN 'days' ELSE 'weeks' END, s.window_count, s.psi,
                   s.share, s.missing_high, s.unseen, s.out_of_range
            FROM nadi_store.reference_spread AS s LEFT JOIN nadi_store.feature AS f USING (feature_id)
            WHERE s.reference_id = $1 ORDER BY s.window_hours, f.role DESC, s.feature_id
            """, [.integer(entry.id)]
        ).rows
        if rows.isEmpty {
            return "\nNo spread between its own hours, days or weeks: it has no times, or too few rows.\n"
        }
        var table = TextTable([
            "own spread of", "between", "windows", "largest psi", "share", "missing", "unseen", "out of range",
        ])
        table.rightAligned = [2, 3, 4, 5, 6, 7]
        for row in rows {
            table.add(
                [row.text(0), row.text(1), "\(row.integer(2))", ReferenceSummary.short(row.real(3))]
                    + (4...7).map { ReferenceSummary.percent(row.real($0)) })
        }
        return "\n" + table.text
    }
}

extension ReferenceListing.Entry {
    /// Such as `in force from 2026-11-23 10:00 UTC on`.
    package var inForceText: String {
        if isDeleted { return "deleted" }
        if inForce.isEmpty { return "not in force" }
        return "in force "
            + inForce.map { range in
                "from \(LoadClock.hourText(range.from_ms)) UTC "
                    + (range.until_ms.map { "until \(LoadClock.hourText($0)) UTC" } ?? "on")
            }.joined(separator: ", ")
    }
}
