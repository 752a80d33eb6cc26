/// Labels that come too late to be joined.
///
/// For an hour more than `label_days` before their arrival, or for one whose labels have aged out since. They are counted
/// under their day of arrival and have no row.
///
/// An hour is joined anew from all its labels' rows. Once these have aged out, its numbers are final: one late label must
/// never replace them.
enum LateLabels {
    /// The condition on a row, with the parameter that holds `label_days`.
    static func isLate(_ row: String, days: String) -> String {
        """
        (\(row).event_type = 'outcome' AND \(row).name = 'label' AND \(row).prediction_hour IS NOT NULL
         AND (\(row).prediction_hour < (\(row).arrival_day - \(days)::int)::timestamp AT TIME ZONE 'UTC'
              OR (\(row).hour_is_exact AND EXISTS (
                  SELECT FROM nadi_store.aged_hour AS g
                  WHERE g.model_id = \(row).model_id AND g.hour = \(row).prediction_hour))))
        """
    }

    /// Runs a deletion from a table of outcome rows called `o` and counts what it deletes as too late.
    static func count(_ deletion: String) -> String {
        """
        WITH gone AS (
            \(deletion) RETURNING o.arrival_day, o.event_type, o.model_id
        ), counted AS (
            SELECT arrival_day, event_type, model_id, count(*) AS n FROM gone GROUP BY 1, 2, 3
        )
        UPDATE nadi_store.outcome_arrival AS a SET too_late = a.too_late + c.n FROM counted AS c
        WHERE a.arrival_day = c.arrival_day AND a.event_type = c.event_type AND a.model_id = c.model_id
        """
    }
}
