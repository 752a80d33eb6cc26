internal import EventModel
internal import TableStorage

/// Writers' counts against the segments in the ledger.
extension AuditContext {
    /// Seal times of each host's objects that are on their way within the grace, ascending.
    private func onTheirWay(_ bucket: AuditBucket) throws -> [String: [Int64]] {
        var seals: [String: [Int64]] = [:]
        for entry in bucket.arriving { seals[entry.host, default: []].append(entry.sealed_ms) }
        let rows = try connection.query(
            """
            SELECT h.host, o.sealed_at FROM nadi_store.object AS o JOIN nadi_store.host AS h USING (host_id)
            WHERE o.state IN ('claimed', 'poisoned', 'pending') AND o.claimed_at > $1
            """, [.time(now_ms - Audit.grace_ms)]
        ).rows
        for row in rows { seals[row.text(0), default: []].append(row.time(1)) }
        return seals.mapValues { $0.sorted() }
    }

    /// Writers' counts against the segments in the ledger.
    func writers(_ bucket: AuditBucket, _ report: inout AuditReport) throws {
        let rows = try connection.query(
            """
            SELECT writer, host, appended, written, dropped, adopted, end_seq, reported_at, host_reported_at,
                   reported_segments, lines, last_seq, gaps, newest_at, host_state,
                   concat_ws(', ', nullif(dropped_buffer_full, 0) || ' buffer_full',
                             nullif(dropped_disk_full, 0) || ' disk_full', nullif(dropped_io_error, 0) || ' io_error',
                             nullif(dropped_too_large, 0) || ' too_large', nullif(dropped_invalid, 0) || ' invalid')
            FROM nadi_store.writer_account
            WHERE format = 'native' AND ($1::text IS NULL OR host = $1)
              AND coalesce(greatest(newest_at, reported_at) >= \(sqlFrom), true) ORDER BY writer
            """, [.optional(scope.host)]
        ).rows
        let underway = try onTheirWay(bucket)
        for row in rows {
            let writer = AuditWriter(row)
            // Known by duplicates alone, of segments whose ledger rows are past retention.
            if writer.appended == 0, writer.lines == 0 { continue }
            check(writer, underway[writer.host] ?? [], &report)
        }
    }

    /// What a writer lacks may stand in an object that is on its way: one of its host, sealed between the segments beside
    /// the gap, or shortly after (a bundle bears the time of its newest segment).
    private func check(_ writer: AuditWriter, _ underway: [Int64], _ report: inout AuditReport) {
        func mayCome(after first_ms: Int64, until last_ms: Int64) -> Bool {
            underway.contains { $0 >= first_ms && $0 <= last_ms + Audit.grace_ms }
        }
        if !writer.adopted, writer.appended != writer.written + writer.dropped {
            fail(
                "counts:\(writer.name)",
                "writer \(writer.name) appended \(writer.appended), but wrote \(writer.written) and dropped "
                    + "\(writer.dropped)", "The writer's records disagree: report it", host: writer.host,
                writer: writer.name, &report)
        }
        if writer.dropped > 0 {
            note(
                "dropped:\(writer.name)",
                "writer \(writer.name) of host \(writer.host) dropped \(writer.dropped) events: \(writer.dropReasons)",
                lines: writer.dropped, host: writer.host, &report)
        }
        var missing = writer.gaps
        if let end = writer.endSeq, end > writer.lastSeq {
            let newest = writer.newest_ms ?? 0
            missing.append(AuditWriter.Gap(numbers: (writer.lastSeq + 1)...end, after_ms: newest, before_ms: newest))
        }
        var unexplained: [AuditWriter.Gap] = []
        for gap in missing {
            for seq in gap.numbers where !writer.reportedSegments.contains(seq) {
                if let last = unexplained.last, last.numbers.upperBound + 1 == seq {
                    unexplained[unexplained.count - 1].numbers = last.numbers.lowerBound...seq
                } else {
                    unexplained.append(
                        AuditWriter.Gap(numbers: seq...seq, after_ms: gap.after_ms, before_ms: gap.before_ms))
                }
            }
        }
        for gap in unexplained {
            let first = gap.numbers.lowerBound
            let name = gap.numbers.count == 1 ? "\(first)" : "\(first)-\(gap.numbers.upperBound)"
            let text =
                "segment \(name) of writer \(writer.name) (host \(writer.host)) is neither stored nor in the spool"
            if mayCome(after: gap.after_ms, until: gap.before_ms) {
                note(
                    "gap:\(writer.name)-\(name)", text + " yet: objects of its host are on their way",
                    host: writer.host, &report)
            } else {
                // Known once the writer has ended and nothing else is missing of it.
                let lines = writer.endSeq != nil && unexplained.count == 1 ? writer.written - writer.lines : nil
                fail(
                    "gap:\(writer.name)-\(name)", text + gap.words,
                    "Look for \(writer.name)-\(first)-*.jsonl on the host, or accept the loss", lines: lines,
                    host: writer.host, writer: writer.name, &report)
            }
        }
        let isWhole = unexplained.isEmpty && missing.isEmpty
        if writer.endSeq != nil {
            if isWhole, writer.lines != writer.written {
                fail(
                    "lines:\(writer.name)",
                    "writer \(writer.name) \(writer.adopted ? "was killed after it had written" : "wrote") "
                        + "\(writer.written) lines, \(writer.lines) are in its segments"
                        + (writer.adopted ? ": what it wrote last is lost" : ""),
                    writer.adopted
                        ? "Look into the host's spool and /lost+found for \(writer.name)-*, or accept the loss"
                        : "A segment changed between writer and bucket: compare its lines with its name",
                    lines: max(0, writer.written - writer.lines), host: writer.host, writer: writer.name, &report)
            }
        } else if let hostReport = writer.hostReported_ms, (writer.reported_ms ?? 0) < hostReport,
            !mayCome(after: writer.newest_ms ?? 0, until: max(writer.reported_ms ?? 0, writer.newest_ms ?? 0)),
            hostReport - (writer.newest_ms ?? writer.reported_ms ?? 0) > Audit.grace_ms || writer.hostEnded
        {
            fail(
                "vanished:\(writer.name)",
                "writer \(writer.name) vanished from the report of host \(writer.host) without a proven end; "
                    + "it had written \(writer.written) lines, \(writer.lines) are stored",
                "Look into the host's spool and /lost+found, or accept the loss",
                lines: max(0, writer.written - writer.lines), host: writer.host, writer: writer.name, &report)
        }
    }
}

/// One writer's row of the audit.
private struct AuditWriter {
    /// Numbers that are not stored, and when the segments beside them were sealed.
    struct Gap {
        var numbers: ClosedRange<Int64>
        let after_ms: Int64
        let before_ms: Int64

        /// Between which seals it is missing.
        var words: String {
            if after_ms <= 0 { return "; the next one was sealed at \(Timestamp.format(before_ms))" }
            if before_ms <= after_ms { return "; the last one before was sealed at \(Timestamp.format(after_ms))" }
            return "; those beside it were sealed at \(Timestamp.format(after_ms)) and \(Timestamp.format(before_ms))"
        }
    }

    let name: String
    let host: String
    let appended: Int64
    let written: Int64
    let dropped: Int64
    /// How many for each reason, in words.
    let dropReasons: String
    let adopted: Bool
    let endSeq: Int64?
    let reported_ms: Int64?
    let hostReported_ms: Int64?
    let reportedSegments: Set<Int64>
    let lines: Int64
    let lastSeq: Int64
    let gaps: [Gap]
    let newest_ms: Int64?
    let hostEnded: Bool

    init(_ row: QueryResult.Row) {
        name = row.text(0)
        host = row.text(1)
        appended = row.integer(2)
        written = row.integer(3)
        dropped = row.integer(4)
        adopted = row.boolean(5)
        endSeq = row.optionalInteger(6)
        reported_ms = row.optionalTime(7)
        hostReported_ms = row.optionalTime(8)
        reportedSegments = Set(row.integers(9))
        lines = row.integer(10)
        lastSeq = row.integer(11)
        // Fours {{from,to,after,before},...}: read flat.
        let flat = row.text(12).split(whereSeparator: { "{},".contains($0) }).compactMap { Int64($0) }
        gaps = stride(from: 0, to: flat.count - 3, by: 4).map {
            Gap(
                numbers: flat[$0]...max(flat[$0], flat[$0 + 1]), after_ms: flat[$0 + 2], before_ms: flat[$0 + 3])
        }
        newest_ms = row.optionalTime(13)
        hostEnded = row.optionalText(14) == "ended"
        dropReasons = row.text(15)
    }
}
