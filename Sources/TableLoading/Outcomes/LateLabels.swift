/// Outcomes that come too late to be joined.
///
/// For an hour more than `label_days` before their arrival, or for one whose outcomes have aged out since. They are counted
/// under their day of arrival and have no row.
///
/// An hour is joined anew from all its outcomes' rows. Once these have aged out, its numbers are final: one late label must
/// never replace them.
///
/// An id's time is only a hint: an order or a customer may be older than the prediction that was made for it. Such a row has
/// no hour rather than a closed one, and the sweep looks for it in those that are open.
enum LateLabels {
    /// The condition on a row, with the parameter that holds `label_days`.
    static func isLate(_ row: String, days: String) -> String {
        """
        (\(row).prediction_hour IS NOT NULL
         AND (\(row).prediction_hour < (\(row).arrival_day - \(days)::int)::timestamp AT TIME ZONE 'UTC'
              OR EXISTS (SELECT FROM nadi_store.join_hour AS g
                         WHERE g.model_id = \(row).model_id AND g.hour = \(row).prediction_hour AND g.is_final)))
        """
    }

    /// Takes the hour from staged rows whose hint is for one that is closed; the parameter is `label_days`.
    static let unplaceHints = """
        UPDATE stage_outcome AS o SET prediction_day = \(OutcomeMerge.unplaced), prediction_hour = NULL
        WHERE NOT o.hour_is_exact AND \(isLate("o", days: "$1"))
        """

    /// Runs a deletion from a table of outcome rows called `o` and counts what it deletes as too late.
    static func count(_ deletion: String) -> String {
        OutcomeMerge.count(
            "too_late",
            """
            WITH gone AS (
                \(deletion) RETURNING o.arrival_day, o.event_type, o.model_id
            )
            """)
    }
}
