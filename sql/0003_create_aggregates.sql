-- Purpose: dictionaries and the mergeable aggregates. Locks: none (new tables).
-- Each row of an aggregate carries a checksum: hash_record_extended over its other columns in their order, written by the
-- statement that writes the row. What changes a row from outside does not know it, and nadi audit names the row.
-- Bins: LogBins (35 per octave, code = bin + 40000, sign kept, 0 for zero). Arrays of one row are parallel and sorted by their first.

CREATE TABLE nadi_store.model (
    model_id   int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    model_name text NOT NULL UNIQUE
);
COMMENT ON TABLE nadi_store.model IS 'Models seen, admitted under a cap.';

CREATE TABLE nadi_store.series (
    series_id     int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    model_id      int NOT NULL REFERENCES nadi_store.model,
    model_version text NOT NULL,
    model_variant text NOT NULL,
    environment   text NOT NULL,
    slice_key     text NOT NULL,
    slice_value   text NOT NULL,
    UNIQUE (model_id, model_version, model_variant, environment, slice_key, slice_value)
);
COMMENT ON TABLE nadi_store.series IS 'Model, version, variant, environment and one slice: (all, all), or one value of one configured tag, with other and missing, so that each tag partitions the whole.';

CREATE TABLE nadi_store.feature (
    feature_id   int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    model_id     int NOT NULL REFERENCES nadi_store.model,
    role         text NOT NULL CHECK (role IN ('feature', 'prediction')),
    feature_name text NOT NULL,
    UNIQUE (model_id, role, feature_name)
);
COMMENT ON TABLE nadi_store.feature IS 'Input features, and the prediction itself (role prediction, name prediction): classes are its categories, a regression''s numbers its values.';

CREATE TABLE nadi_store.category (
    category_id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    feature_id  int NOT NULL REFERENCES nadi_store.feature,
    value       text NOT NULL,
    UNIQUE (feature_id, value)
);
COMMENT ON TABLE nadi_store.category IS 'Admitted text and boolean values of a feature (booleans as true and false), under a cap; labels share the prediction''s.';

CREATE TABLE nadi_store.edge_set (
    edge_set_id int PRIMARY KEY,
    description text NOT NULL
);
INSERT INTO nadi_store.edge_set VALUES (0, 'no reference: the fixed log bins alone');
COMMENT ON TABLE nadi_store.edge_set IS 'Frozen edges that hours were binned on: 0 for none, else the number of a reference.';

CREATE TABLE nadi_store.hour_edge_set (
    model_id    int NOT NULL REFERENCES nadi_store.model,
    hour        timestamptz NOT NULL,
    edge_set_id int NOT NULL DEFAULT 0 REFERENCES nadi_store.edge_set,
    PRIMARY KEY (model_id, hour)
);
COMMENT ON TABLE nadi_store.hour_edge_set IS 'The edge set in force for a model and hour: fixed at the hour''s first load, changed only by a swap.';

CREATE TABLE nadi_store.score_edge (
    bin   int PRIMARY KEY,
    lower float8 NOT NULL,
    upper float8 NOT NULL
);
COMMENT ON TABLE nadi_store.score_edge IS 'Score bins: 100 equal-width edges united with 100 logit-spaced ones from 1e-6 to 1 - 1e-6. Bin i covers [lower, upper), the last one its upper edge too.';
WITH equal AS (
    SELECT k / 100.0::float8 AS edge FROM generate_series(0, 100) AS k
), logit AS (
    SELECT 1 / (1 + exp(-(ln(1e-6 / (1 - 1e-6)) * (1 - k / 50.0::float8)))) AS edge FROM generate_series(0, 100) AS k
), united AS (
    SELECT edge FROM equal
    UNION ALL
    SELECT l.edge FROM logit l WHERE NOT EXISTS (SELECT FROM equal e WHERE abs(e.edge - l.edge) <= 1e-12)
), bins AS (
    SELECT edge AS lower, lead(edge) OVER (ORDER BY edge) AS upper, row_number() OVER (ORDER BY edge) - 1 AS bin FROM united
)
INSERT INTO nadi_store.score_edge SELECT bin, lower, upper FROM bins WHERE upper IS NOT NULL;

CREATE TABLE nadi_store.request_minute (
    series_id          int NOT NULL,
    minute             timestamptz NOT NULL,
    requests           bigint NOT NULL,
    predictions        bigint NOT NULL,
    errors             bigint NOT NULL,
    failed_predictions bigint NOT NULL,
    latency_count      bigint NOT NULL,
    latency_sum        float8 NOT NULL,
    latency_bins       int[] NOT NULL,
    latency_counts     bigint[] NOT NULL,
    checksum           bigint,
    PRIMARY KEY (series_id, minute)
) PARTITION BY RANGE (minute);
COMMENT ON TABLE nadi_store.request_minute IS 'Requests (batch_index 0 or none), predictions (lines), failed requests and failed predictions, latency in seconds in log bins. Daily partitions, 35 days.';
CREATE TABLE nadi_store.request_hour (LIKE nadi_store.request_minute INCLUDING DEFAULTS) WITH (fillfactor = 85);
ALTER TABLE nadi_store.request_hour RENAME minute TO hour;
ALTER TABLE nadi_store.request_hour ADD PRIMARY KEY (series_id, hour);
CREATE INDEX request_hour_hour ON nadi_store.request_hour (hour);
CREATE TABLE nadi_store.request_day (LIKE nadi_store.request_hour INCLUDING DEFAULTS) WITH (fillfactor = 85);
ALTER TABLE nadi_store.request_day RENAME hour TO day;
ALTER TABLE nadi_store.request_day ADD PRIMARY KEY (series_id, day);
CREATE INDEX request_day_day ON nadi_store.request_day (day);

CREATE TABLE nadi_store.feature_hour (
    series_id         int NOT NULL,
    feature_id        int NOT NULL,
    hour              timestamptz NOT NULL,
    edge_set_id       int NOT NULL DEFAULT 0,
    numeric_count     bigint NOT NULL,
    categorical_count bigint NOT NULL,
    null_count        bigint NOT NULL,
    wrong_type_count  bigint NOT NULL,
    mean_high         float8 NOT NULL,
    mean_low          float8 NOT NULL,
    m2                float8 NOT NULL,
    minimum           float8,
    maximum           float8,
    log_bins          int[] NOT NULL,
    log_counts        bigint[] NOT NULL,
    category_ids      int[] NOT NULL,
    category_counts   bigint[] NOT NULL,
    other_count       bigint NOT NULL,
    edge_counts       bigint[],
    checksum          bigint,
    PRIMARY KEY (series_id, feature_id, hour)
) WITH (fillfactor = 85);
CREATE INDEX feature_hour_hour ON nadi_store.feature_hour (hour);
COMMENT ON TABLE nadi_store.feature_hour IS 'Successful predictions'' features and prediction per hour: moments of the finite numbers (mean as an unevaluated sum of two doubles, m2 the sum of squared deviations; 1e300 where a number beyond 1e120 leaves no variance), signed log bins (slice all only), categories. Absent values are the successful predictions of request_hour less all counts here. edge_set_id: the reference on whose edges edge_counts are, 0 for none; edge_counts: numbers by bin, in all slices, one more than there are edges, null where the reference has no edges for the feature.';
CREATE TABLE nadi_store.feature_day (LIKE nadi_store.feature_hour INCLUDING DEFAULTS) WITH (fillfactor = 85);
ALTER TABLE nadi_store.feature_day RENAME hour TO day;
ALTER TABLE nadi_store.feature_day ADD PRIMARY KEY (series_id, feature_id, day);
CREATE INDEX feature_day_day ON nadi_store.feature_day (day);
COMMENT ON TABLE nadi_store.feature_day IS 'feature_hour by day. edge_set_id -1: hours of that day are on different edges, so that there are no edge_counts.';

CREATE TABLE nadi_store.score_hour (
    series_id      int NOT NULL,
    category_id    int NOT NULL DEFAULT 0,
    hour           timestamptz NOT NULL,
    bins           int[] NOT NULL,
    counts         bigint[] NOT NULL,
    sums           float8[] NOT NULL,
    positive_counts bigint[] NOT NULL,
    positive_sums  float8[] NOT NULL,
    checksum       bigint,
    PRIMARY KEY (series_id, category_id, hour)
) WITH (fillfactor = 85);
CREATE INDEX score_hour_hour ON nadi_store.score_hour (hour);
COMMENT ON TABLE nadi_store.score_hour IS 'Scores of successful predictions on score_edge''s bins: per bin n, sum p, n predicted positive, sum p where predicted positive. category_id 0 is the field score; others are classes of the field scores.';
CREATE TABLE nadi_store.score_day (LIKE nadi_store.score_hour INCLUDING DEFAULTS) WITH (fillfactor = 85);
ALTER TABLE nadi_store.score_day RENAME hour TO day;
ALTER TABLE nadi_store.score_day ADD PRIMARY KEY (series_id, category_id, day);
CREATE INDEX score_day_day ON nadi_store.score_day (day);

CREATE TABLE nadi_store.outcome_hour (
    series_id           int NOT NULL,
    hour                timestamptz NOT NULL,
    labelled            bigint NOT NULL,
    failed_labelled     bigint NOT NULL DEFAULT 0,
    classified          bigint NOT NULL,
    correct             bigint NOT NULL,
    binary_count             bigint NOT NULL DEFAULT 0,
    label_positive_count     bigint NOT NULL DEFAULT 0,
    predicted_positive_count bigint NOT NULL DEFAULT 0,
    true_positive_count      bigint NOT NULL DEFAULT 0,
    confusion_predicted int[] NOT NULL,
    confusion_labels    int[] NOT NULL,
    confusion_counts    bigint[] NOT NULL,
    score_bins          int[] NOT NULL,
    score_counts        bigint[] NOT NULL,
    score_sum_y         float8[] NOT NULL,
    score_sum_p         float8[] NOT NULL,
    score_sum_p2        float8[] NOT NULL,
    score_sum_py        float8[] NOT NULL,
    log_loss_count      bigint NOT NULL,
    log_loss_sum        float8 NOT NULL,
    error_count         bigint NOT NULL,
    error_sum           float8 NOT NULL,
    error_abs_sum       float8 NOT NULL,
    error_square_sum    float8 NOT NULL,
    error_label_sum        float8 NOT NULL DEFAULT 0,
    error_label_square_sum float8 NOT NULL DEFAULT 0,
    delay_count         bigint NOT NULL,
    delay_sum           float8 NOT NULL,
    delay_bins          int[] NOT NULL,
    delay_counts        bigint[] NOT NULL,
    checksum            bigint,
    PRIMARY KEY (series_id, hour)
) WITH (fillfactor = 85);
CREATE INDEX outcome_hour_hour ON nadi_store.outcome_hour (hour);
COMMENT ON TABLE nadi_store.outcome_hour IS 'Labels joined to the predictions of an hour (the prediction''s hour). labelled: successful predictions with a label; failed_labelled: failed ones, which count nowhere else. classified, correct: class labels compared, right ones. Of them binary: where task is binary and prediction and label both say yes or no, whatever the spelling: compared ones, positive labels, positive predictions, both positive. Confusion counts of all others (category ids, 0 for other). Per score bin n, sum y, p, p^2, p y, of what is not binary under -1 less the bin (the score is then the chance that the predicted class is right); log loss, regression errors (prediction - label) and the sums of their labels, label delay in seconds. Replaced whole by each join pass.';
CREATE TABLE nadi_store.outcome_day (LIKE nadi_store.outcome_hour INCLUDING DEFAULTS) WITH (fillfactor = 85);
ALTER TABLE nadi_store.outcome_day RENAME hour TO day;
ALTER TABLE nadi_store.outcome_day ADD PRIMARY KEY (series_id, day);
CREATE INDEX outcome_day_day ON nadi_store.outcome_day (day);

CREATE TABLE nadi_store.named_outcome_hour (
    series_id        int NOT NULL,
    hour             timestamptz NOT NULL,
    event_type       text NOT NULL,
    name             text NOT NULL,
    currency         text NOT NULL,
    count            bigint NOT NULL,
    positive_count   bigint NOT NULL,
    negative_count   bigint NOT NULL,
    value_count      bigint NOT NULL,
    value_sum        float8 NOT NULL,
    value_square_sum float8 NOT NULL,
    score_count      bigint NOT NULL,
    score_sum        float8 NOT NULL,
    score_square_sum float8 NOT NULL,
    checksum         bigint,
    PRIMARY KEY (series_id, hour, event_type, name, currency)
) WITH (fillfactor = 85);
CREATE INDEX named_outcome_hour_hour ON nadi_store.named_outcome_hour (hour);
COMMENT ON TABLE nadi_store.named_outcome_hour IS 'Outcomes and feedback joined to the successful predictions of an hour, by type, name and currency (empty where there is none). By the prediction''s hour, labels too: how many, how many say yes and no, values and scores with their squares. positive: the label is yes (true, yes, positive, a number of at least 0.5, also as text; of feedback also up, thumbs_up, like, good), or without a label the value or the score is above 0; negative: the label is no (false, no, negative, a lesser number; of feedback also down, thumbs_down, dislike, bad), or without a label the score is below 0, or where the name is thumbs neither value nor score is above 0. Names beyond a cap stand under other. Replaced whole by each join pass.';
CREATE TABLE nadi_store.named_outcome_day (LIKE nadi_store.named_outcome_hour INCLUDING DEFAULTS) WITH (fillfactor = 85);
ALTER TABLE nadi_store.named_outcome_day RENAME hour TO day;
ALTER TABLE nadi_store.named_outcome_day ADD PRIMARY KEY (series_id, day, event_type, name, currency);
CREATE INDEX named_outcome_day_day ON nadi_store.named_outcome_day (day);

-- Partitioned by the UTC day of prediction_hour, so that label_days is kept by dropping days; DATE '0001-01-01' where no hour is
-- known. prediction_id leads the key: a row is looked for by its id alone, and time-ordered ids are appended.
-- Whether a row is joined is not written into it (for ten million rows that costs more than the join): see outcome_state.
CREATE SEQUENCE nadi_store.outcome_number;
COMMENT ON SEQUENCE nadi_store.outcome_number IS 'Numbers of outcome rows, given under the lock of their model, so that the numbers of a model commit in order.';
CREATE TABLE nadi_store.outcome (
    prediction_day  date NOT NULL,
    model_id        int NOT NULL,
    event_type      text NOT NULL CHECK (event_type IN ('outcome', 'feedback')),
    name            text COLLATE "C" NOT NULL,
    prediction_id   text COLLATE "C" NOT NULL,
    revision        bigint NOT NULL,
    event_time      timestamptz NOT NULL,
    event_id        text COLLATE "C" NOT NULL,
    label_text      text,
    label_number    float8,
    value           float8,
    value_currency  text,
    score           float8,
    prediction_hour timestamptz,
    hour_is_exact   boolean NOT NULL,
    arrival_day     date NOT NULL,
    segment_id      bigint NOT NULL,
    line            bigint NOT NULL,
    outcome_no      bigint NOT NULL DEFAULT 0,
    unmatched       boolean NOT NULL DEFAULT false,
    checksum        bigint,
    PRIMARY KEY (prediction_id, model_id, event_type, name, prediction_day),
    CONSTRAINT outcome_is_in_its_day CHECK (prediction_day = coalesce((prediction_hour AT TIME ZONE 'UTC')::date, DATE '0001-01-01'))
) PARTITION BY RANGE (prediction_day);
CREATE INDEX outcome_of_hour ON nadi_store.outcome (model_id, prediction_hour, outcome_no);
-- What waits is counted from its index alone: most of it waits for as long as it is kept.
CREATE INDEX outcome_unmatched ON nadi_store.outcome (model_id, prediction_hour)
    INCLUDE (arrival_day, event_type, hour_is_exact, outcome_no) WHERE unmatched;
CREATE TABLE nadi_store.outcome_unplaced PARTITION OF nadi_store.outcome FOR VALUES FROM ('0001-01-01') TO ('0001-01-02');
CREATE INDEX outcome_unplaced_arrival ON nadi_store.outcome_unplaced (arrival_day, model_id, event_type, outcome_no);
COMMENT ON TABLE nadi_store.outcome IS 'The newest outcome and feedback of each prediction id and name (revision, then event time, then event id decide), kept label_days after the prediction. prediction_hour: from prediction_time or found by reading (hour_is_exact), else from the id''s UUIDv7 time as a hint, else null. outcome_no is new whenever the row is. unmatched: a join looked in prediction_hour and found no such prediction; that hour is a hint from then on. arrival_day is the UTC day of the segment''s seal. checksum covers what the event said.';

CREATE TABLE nadi_store.join_hour (
    model_id     int NOT NULL REFERENCES nadi_store.model,
    hour         timestamptz NOT NULL,
    joined_to    bigint NOT NULL,
    predictions  bigint NOT NULL,
    outcomes     bigint NOT NULL,
    repeated_ids bigint NOT NULL,
    joined_at    timestamptz NOT NULL DEFAULT now(),
    is_final     boolean NOT NULL DEFAULT false,
    PRIMARY KEY (model_id, hour)
);
COMMENT ON TABLE nadi_store.join_hour IS 'Prediction hours that were joined: up to which outcome_no, with how many predictions (lines), how many outcomes joined, how many lines repeat a prediction id that joined. is_final: its outcomes have aged out, no join replaces its numbers, and outcomes that still come for it are too late.';

CREATE VIEW nadi_store.outcome_state AS
SELECT o.*, coalesce(o.outcome_no <= j.joined_to, false) AND NOT o.unmatched AS is_joined
FROM nadi_store.outcome AS o LEFT JOIN nadi_store.join_hour AS j ON j.model_id = o.model_id AND j.hour = o.prediction_hour;
COMMENT ON VIEW nadi_store.outcome_state IS 'Outcome rows and whether the aggregates of their hour hold them: placed there, written before the join looked, and not unmatched.';

CREATE TABLE nadi_store.swept_hour (
    hour        timestamptz PRIMARY KEY,
    swept_to    bigint NOT NULL,
    segments    bigint NOT NULL,
    segment_sum numeric NOT NULL,
    swept_at    timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE nadi_store.swept_hour IS 'Up to which outcome_no the ids of waiting outcomes were looked for in an hour''s predictions, and in which of its segments (how many, and the sum of their numbers): the hour is read again only for newer outcomes or where its segments differ.';

CREATE TABLE nadi_store.sweep (
    is_one          boolean PRIMARY KEY DEFAULT true CHECK (is_one),
    outcome_to      bigint NOT NULL,
    begun_at        timestamptz NOT NULL DEFAULT now(),
    next_before     timestamptz NOT NULL DEFAULT 'infinity',
    failures        int NOT NULL DEFAULT 0,
    next_attempt_at timestamptz,
    last_error      text
);
COMMENT ON TABLE nadi_store.sweep IS 'The sweep that is under way, if one is: it looks for the predictions of waiting outcomes up to outcome_to, hour by hour downwards, and has come to next_before. Where the store or the database fails it goes on at next_attempt_at.';

CREATE TABLE nadi_store.outcome_arrival (
    arrival_day date NOT NULL,
    event_type  text NOT NULL,
    model_id    int NOT NULL REFERENCES nadi_store.model,
    lines       bigint NOT NULL DEFAULT 0,
    superseded  bigint NOT NULL DEFAULT 0,
    too_late    bigint NOT NULL DEFAULT 0,
    aged_out    bigint NOT NULL DEFAULT 0,
    untimed     bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (arrival_day, event_type, model_id)
);
COMMENT ON TABLE nadi_store.outcome_arrival IS 'Outcome and feedback lines by day of arrival and what became of those that are no longer rows: lines = rows + superseded (repeats included) + too_late + aged_out. untimed: those of all lines that carried neither prediction_time nor an id with a time.';

CREATE SEQUENCE nadi_store.dirty_mark;
COMMENT ON SEQUENCE nadi_store.dirty_mark IS 'Numbers of marks in dirty_hour: none is ever given twice.';
CREATE TABLE nadi_store.dirty_hour (
    model_id int NOT NULL REFERENCES nadi_store.model,
    hour     timestamptz NOT NULL,
    marks    bigint NOT NULL DEFAULT nextval('nadi_store.dirty_mark'),
    waiting  bigint NOT NULL,
    since    timestamptz NOT NULL DEFAULT now(),
    failures        int NOT NULL DEFAULT 0,
    next_attempt_at timestamptz,
    last_error      text,
    PRIMARY KEY (model_id, hour)
);
COMMENT ON TABLE nadi_store.dirty_hour IS 'Hours whose outcomes, or whose predictions after a join, changed since they were joined. waiting counts the outcomes. marks is the number of the newest mark, from dirty_mark; a join deletes the row only if marks is what it read, else waiting and since begin anew. An hour that cannot be joined is tried again at next_attempt_at.';

CREATE TABLE nadi_store.resource (
    resource_id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    service     text NOT NULL,
    instance    text NOT NULL,
    environment text NOT NULL,
    device      text NOT NULL,
    UNIQUE (service, instance, environment, device)
);
COMMENT ON TABLE nadi_store.resource IS 'What is measured: a service''s instance (device empty) or one of its GPUs (device gpu0, gpu1, ...).';
CREATE TABLE nadi_store.resource_minute (
    resource_id int NOT NULL,
    measure     text NOT NULL,
    minute      timestamptz NOT NULL,
    count       bigint NOT NULL,
    sum         float8 NOT NULL,
    maximum     float8 NOT NULL,
    checksum    bigint,
    PRIMARY KEY (resource_id, measure, minute)
) PARTITION BY RANGE (minute);
COMMENT ON TABLE nadi_store.resource_minute IS 'Resource samples by minute: n, sum, max of each measure (names of the event''s fields; measure samples counts the lines). Daily partitions, 35 days.';
CREATE TABLE nadi_store.resource_hour (LIKE nadi_store.resource_minute INCLUDING DEFAULTS) WITH (fillfactor = 85);
ALTER TABLE nadi_store.resource_hour RENAME minute TO hour;
ALTER TABLE nadi_store.resource_hour ADD PRIMARY KEY (resource_id, measure, hour);

CREATE TABLE nadi_store.deployment (
    segment_id       bigint NOT NULL,
    line             bigint NOT NULL,
    deployed_at      timestamptz NOT NULL,
    model_id         int NOT NULL REFERENCES nadi_store.model,
    model_version    text NOT NULL,
    previous_version text,
    action           text NOT NULL,
    actor            text,
    environment      text NOT NULL,
    PRIMARY KEY (segment_id, line)
);
COMMENT ON TABLE nadi_store.deployment IS 'Deployment events, one row a line.';

-- A day's partition of a table partitioned by a timestamptz, or by a date. Made detached, then attached, which readers do not notice.
CREATE FUNCTION nadi_store.ensure_partition(parent text, day date) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    child text := format('%s_%s', parent, to_char(day, 'YYYYMMDD'));
BEGIN
    IF parent NOT IN ('request_minute', 'resource_minute', 'reject_line', 'outcome') THEN
        RAISE EXCEPTION '% is not partitioned by day', parent;
    END IF;
    IF to_regclass(format('nadi_store.%I', child)) IS NOT NULL THEN
        RETURN;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtext('nadi partition'), hashtext(child));
    IF to_regclass(format('nadi_store.%I', child)) IS NOT NULL THEN
        RETURN;
    END IF;
    EXECUTE format('CREATE TABLE nadi_store.%I (LIKE nadi_store.%I INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING COMPRESSION) WITH (fillfactor = 85)', child, parent);
    IF parent = 'outcome' THEN
        EXECUTE format('ALTER TABLE nadi_store.outcome ATTACH PARTITION nadi_store.%I FOR VALUES FROM (%L) TO (%L)', child, day, day + 1);
    ELSE
        EXECUTE format('ALTER TABLE nadi_store.%I ATTACH PARTITION nadi_store.%I FOR VALUES FROM (%L) TO (%L)',
                       parent, child, day::timestamp AT TIME ZONE 'UTC', (day + 1)::timestamp AT TIME ZONE 'UTC');
    END IF;
END
$$;
COMMENT ON FUNCTION nadi_store.ensure_partition(text, date) IS 'Makes the daily partition (UTC) of request_minute, resource_minute, reject_line or outcome if it is missing.';
