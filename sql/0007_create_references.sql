-- Purpose: references: what a model's input, scores and answers were when it was trained or last known good; and the drift
-- of each hour and day against them, refreshed by loaders. Locks: none (new tables).
-- A reference never changes. Its number is the edge set of the hours that were binned on its edges.

CREATE TABLE nadi_store.reference (
    reference_id      int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    model_id          int NOT NULL REFERENCES nadi_store.model,
    reference_name    text NOT NULL,
    source            text NOT NULL,
    row_count         bigint NOT NULL CHECK (row_count > 0),
    sampled_from      bigint NOT NULL,
    label_count       bigint NOT NULL,
    task              text NOT NULL CHECK (task IN ('binary', 'multiclass', 'regression', 'other')),
    first_time        timestamptz,
    last_time         timestamptz,
    calibration       text NOT NULL CHECK (calibration IN ('none', 'identity', 'isotonic')),
    created_at        timestamptz NOT NULL DEFAULT now(),
    deleted_at        timestamptz,
    UNIQUE (model_id, reference_name)
);
COMMENT ON TABLE nadi_store.reference IS 'References. row_count rows were used, of sampled_from that the source had. calibration: none without labels; identity where the scores are as good as they are; isotonic where label rates by score bin were made monotone. first_time and last_time are null where the source has no times. deleted_at: the rows below are gone, the number and that it was there stay, its name is free (this one has it with "(deleted N)" behind it).';

CREATE TABLE nadi_store.reference_activation (
    model_id       int NOT NULL REFERENCES nadi_store.model,
    effective_from timestamptz NOT NULL,
    reference_id   int REFERENCES nadi_store.reference,
    activated_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (model_id, effective_from)
);
COMMENT ON TABLE nadi_store.reference_activation IS 'Which reference holds from which hour (of events) on, until the next row''s; null: none from then on. Hours that are loaded already keep the edge set of hour_edge_set until they are rebuilt.';

-- Numbers: bin i of edges covers [edge i - 1, edge i), the first from minus infinity, the last to infinity, so that there is
-- one bin more than edges. A bin for one value is [value, next float8). decile says in which of PSI's groups a bin is.
CREATE TABLE nadi_store.reference_feature (
    reference_id      int NOT NULL REFERENCES nadi_store.reference ON DELETE CASCADE,
    feature_id        int NOT NULL REFERENCES nadi_store.feature,
    kind              text NOT NULL CHECK (kind IN ('numeric', 'categorical')),
    numeric_count     bigint NOT NULL,
    categorical_count bigint NOT NULL,
    missing_count     bigint NOT NULL,
    wrong_type_count  bigint NOT NULL,
    mean_high         float8 NOT NULL,
    mean_low          float8 NOT NULL,
    m2                float8 NOT NULL,
    minimum           float8,
    maximum           float8,
    edges             float8[] NOT NULL,
    edge_counts       bigint[] NOT NULL,
    deciles           int[] NOT NULL,
    log_bins          int[] NOT NULL,
    log_counts        bigint[] NOT NULL,
    category_ids      int[] NOT NULL,
    category_counts   bigint[] NOT NULL,
    other_count       bigint NOT NULL,
    singleton_count   bigint NOT NULL,
    PRIMARY KEY (reference_id, feature_id)
);
COMMENT ON TABLE nadi_store.reference_feature IS 'A feature, or the prediction (role prediction), in a reference. numeric_count values are on edges (0 where kind is categorical), categorical_count are in categories or other (0 where it is numeric); missing_count: null or absent; wrong_type_count: values that are not of the feature''s kind, other_count: categories beyond the cap; singleton_count: categories that came once, which says how many new ones to expect; the four counts add up to the reference''s rows. deciles: of an empty bin that of the bin before, so that every group holds something; where numbers stand for classes (--kind f=categorical) each bin that holds something is a group of its own.';

CREATE TABLE nadi_store.reference_score (
    reference_id    int NOT NULL REFERENCES nadi_store.reference ON DELETE CASCADE,
    category_id     int NOT NULL,
    bins            int[] NOT NULL,
    counts          bigint[] NOT NULL,
    sums            float8[] NOT NULL,
    positive_counts bigint[] NOT NULL,
    positive_sums   float8[] NOT NULL,
    label_counts    bigint[] NOT NULL,
    label_sums      float8[] NOT NULL,
    calibrated      float8[],
    PRIMARY KEY (reference_id, category_id)
);
COMMENT ON TABLE nadi_store.reference_score IS 'Scores of a reference on score_edge''s bins, as in score_hour; category_id 0 is the field score, others are classes of the field scores. label_counts rows of a bin had a label, of which label_sums were the class (binary: the positive one; field score of a multiclass task: the predicted one). calibrated: the label rate expected of every bin of score_edge, dense, by isotonic regression; null without labels.';

CREATE TABLE nadi_store.reference_spread (
    reference_id  int NOT NULL REFERENCES nadi_store.reference ON DELETE CASCADE,
    feature_id    int NOT NULL,
    window_hours  int NOT NULL CHECK (window_hours IN (1, 24, 168)),
    window_count  int NOT NULL,
    psi           float8 NOT NULL,
    share         float8 NOT NULL,
    missing_low   float8 NOT NULL,
    missing_high  float8 NOT NULL,
    unseen        float8 NOT NULL,
    out_of_range  float8 NOT NULL,
    PRIMARY KEY (reference_id, feature_id, window_hours)
);
COMMENT ON TABLE nadi_store.reference_spread IS 'How far apart a reference''s own hours, days and weeks (of at least 200 rows; window_count of them) are from the whole of it: the largest psi, change of a category''s share, share without a usable value (and the least), share of categories that no other window has, and of values outside what the other windows have. feature_id 0 is the score. Hours and days are UTC, weeks begin on Monday. psi, share, unseen and out_of_range are of windows with 200 values of the kind. Only of references with times and at least 8 such windows.';

CREATE TABLE nadi_store.reference_performance (
    reference_id int NOT NULL REFERENCES nadi_store.reference ON DELETE CASCADE,
    measure      text NOT NULL,
    window_hours int NOT NULL,
    window_count int NOT NULL,
    value        float8 NOT NULL,
    deviation    float8 NOT NULL,
    PRIMARY KEY (reference_id, measure, window_hours)
);
COMMENT ON TABLE nadi_store.reference_performance IS 'What the labels of a reference say of its predictions: accuracy, precision, recall, f1, roc_auc. value: over the whole; deviation: the standard deviation (divisor n) between the window_count windows of window_hours that have 200 labels (0 for window_hours 0, the whole). Several classes: macro averages, roc_auc each class against the rest.';

CREATE TABLE nadi_store.drift_hour (
    model_id             int NOT NULL REFERENCES nadi_store.model,
    feature_id           int NOT NULL,
    hour                 timestamptz NOT NULL,
    reference_id         int,
    value_kind           text NOT NULL,
    baseline_count       bigint NOT NULL,
    current_count        bigint NOT NULL,
    bin_count            int NOT NULL,
    psi                  float8,
    psi_noise            float8,
    psi_spread           float8,
    ks                   float8,
    ks_p_value           float8,
    jensen_shannon       float8,
    wasserstein          float8,
    l_infinity           float8,
    chi_square           float8,
    baseline_missing_rate float8,
    current_missing_rate float8,
    unseen_rate          float8,
    out_of_range_rate    float8,
    drift_state          text NOT NULL,
    reason               text NOT NULL,
    moved_bins           text NOT NULL,
    PRIMARY KEY (model_id, hour, feature_id)
) WITH (fillfactor = 85);
COMMENT ON TABLE nadi_store.drift_hour IS 'Each feature, the prediction and the score (feature_id 0) of an hour against the reference in force, over all versions, variants and environments. Derived from the aggregates by the loader that changed the hour.';
CREATE TABLE nadi_store.drift_day (LIKE nadi_store.drift_hour INCLUDING DEFAULTS) WITH (fillfactor = 85);
ALTER TABLE nadi_store.drift_day RENAME hour TO day;
ALTER TABLE nadi_store.drift_day ADD PRIMARY KEY (model_id, day, feature_id);

CREATE TABLE nadi_store.drift_mark (
    model_id int NOT NULL REFERENCES nadi_store.model,
    hour     timestamptz NOT NULL,
    marks    bigint NOT NULL DEFAULT nextval('nadi_store.dirty_mark'),
    PRIMARY KEY (model_id, hour)
);
COMMENT ON TABLE nadi_store.drift_mark IS 'Hours whose features or scores changed since their drift was computed; a refresh deletes the row only if marks is what it read.';
