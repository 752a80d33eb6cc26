internal import EventModel
internal import TableStorage

/// What a batch knows of one writer; counts only grow.
struct WriterRow {
    let host: Int64
    let format: String
    var counts = WriterCounts()
    var adopted = false
    var end: Int64?

    init(host: Int64, format: String) {
        self.host = host
        self.format = format
    }

    mutating func raise(to other: WriterCounts) {
        counts.appended = max(counts.appended, other.appended)
        counts.written = max(counts.written, other.written)
        counts.dropped.buffer_full = max(counts.dropped.buffer_full, other.dropped.buffer_full)
        counts.dropped.disk_full = max(counts.dropped.disk_full, other.dropped.disk_full)
        counts.dropped.io_error = max(counts.dropped.io_error, other.dropped.io_error)
        counts.dropped.too_large = max(counts.dropped.too_large, other.dropped.too_large)
        counts.dropped.invalid = max(counts.dropped.invalid, other.dropped.invalid)
    }

    static let upsert = """
        INSERT INTO nadi_store.writer AS w
            (writer, host_id, format, appended, written, dropped_buffer_full, dropped_disk_full, dropped_io_error,
             dropped_too_large, dropped_invalid, adopted, end_seq)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
        ON CONFLICT (writer) DO UPDATE SET
            format = EXCLUDED.format,
            appended = greatest(w.appended, EXCLUDED.appended),
            written = greatest(w.written, EXCLUDED.written),
            dropped_buffer_full = greatest(w.dropped_buffer_full, EXCLUDED.dropped_buffer_full),
            dropped_disk_full = greatest(w.dropped_disk_full, EXCLUDED.dropped_disk_full),
            dropped_io_error = greatest(w.dropped_io_error, EXCLUDED.dropped_io_error),
            dropped_too_large = greatest(w.dropped_too_large, EXCLUDED.dropped_too_large),
            dropped_invalid = greatest(w.dropped_invalid, EXCLUDED.dropped_invalid),
            adopted = w.adopted OR EXCLUDED.adopted,
            end_seq = greatest(w.end_seq, EXCLUDED.end_seq)
        RETURNING writer_id
        """

    func parameters(_ name: String) -> [SQLValue] {
        [
            .text(name), .integer(host), .text(format), .integer(Int64(counts.appended)),
            .integer(Int64(counts.written)), .integer(Int64(counts.dropped.buffer_full)),
            .integer(Int64(counts.dropped.disk_full)), .integer(Int64(counts.dropped.io_error)),
            .integer(Int64(counts.dropped.too_large)), .integer(Int64(counts.dropped.invalid)), .boolean(adopted),
            .optional(end),
        ]
    }
}
