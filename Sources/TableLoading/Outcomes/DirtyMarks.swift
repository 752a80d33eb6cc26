/// Marks of hours whose outcomes changed.
///
/// A mark's number is never given twice, so that a join which deletes the row "if unchanged since it was read" cannot take
/// a later mark for the one it read, not even where the row was deleted and made anew in between.
enum DirtyMarks {
    /// The statement that marks the hours of a query of (model_id, hour, how many labels wait): each once, in sorted order.
    static func insert(_ query: String) -> String {
        """
        INSERT INTO nadi_store.dirty_hour AS d (model_id, hour, marks, waiting)
        SELECT q.model_id, q.hour, nextval('nadi_store.dirty_mark'), q.waiting
        FROM (\(query)) AS q (model_id, hour, waiting) ORDER BY 1, 2
        ON CONFLICT (model_id, hour) DO UPDATE SET marks = EXCLUDED.marks, waiting = d.waiting + EXCLUDED.waiting
        """
    }
}
