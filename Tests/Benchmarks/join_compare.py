"""Compares Nadi's tables of outcomes in PostgreSQL with DuckDB's, row by row: counts exactly, sums to 1e-9. Exits with 1 and
shows the first differences where they differ."""

import sys

from comparison import FROM, SERIES, Comparison

uri, database_path = sys.argv[1:]
compare = Comparison(uri, database_path).compare

COUNTS = ["labelled", "classified", "correct", "binary_count", "label_positive_count", "predicted_positive_count",
          "true_positive_count", "log_loss_count", "delay_count"]
SUMS = ["log_loss_sum", "delay_sum"]
equal = True
for unit in ("hour", "day"):
    keys = {"model_version": "VARCHAR", "slice_key": "VARCHAR", "slice_value": "VARCHAR", unit: "TIMESTAMP"}
    head = f"{SERIES}, {unit} AT TIME ZONE 'UTC' AS {unit}"
    rows = f"nadi_store.outcome_{unit} {FROM}"
    equal &= compare(
        f"outcome_{unit}", keys, COUNTS, SUMS, f"SELECT * FROM outcome_{unit}",
        f"SELECT {head}, {', '.join(COUNTS + SUMS)} FROM {rows}")
    equal &= compare(
        f"outcome_{unit} scores", {**keys, "bin": "INTEGER"}, ["n"], ["y", "p", "p2", "py"], f"SELECT * FROM score_{unit}",
        f"SELECT {head}, u.* FROM {rows}, unnest(score_bins, score_counts, score_sum_y, score_sum_p, score_sum_p2, "
        f"score_sum_py) AS u (bin, n, y, p, p2, py)")
    equal &= compare(
        f"outcome_{unit} delays", {**keys, "delay_bin": "INTEGER"}, ["n"], [], f"SELECT * FROM delay_{unit}",
        f"SELECT {head}, u.* FROM {rows}, unnest(delay_bins, delay_counts) AS u (delay_bin, n)")
    equal &= compare(
        f"named_outcome_{unit}", keys, ["n", "positive", "negative"], [], f"SELECT * FROM named_{unit}",
        f"SELECT {head}, count AS n, positive_count AS positive, negative_count AS negative "
        f"FROM nadi_store.named_outcome_{unit} {FROM}")
sys.exit(0 if equal else 1)
