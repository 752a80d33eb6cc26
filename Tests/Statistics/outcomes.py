"""Rows of outcome_hour and named_outcome_hour, made by NumPy of labels and scores that the test still has."""

import contextlib
import math
from datetime import datetime, timedelta

import numpy as np
from warehouse import START, Warehouse, code

YES, NO = {"1", "1.0", "true", "yes", "positive"}, {"0", "0.0", "-1", "false", "no", "negative"}


class Labelled(Warehouse):
    """A database to which tests add hours of predictions with labels."""

    COLUMNS = ["series_id", "hour", "labelled", "failed_labelled", "classified", "correct", "binary_count", "label_positive_count",
               "predicted_positive_count", "true_positive_count", "confusion_predicted", "confusion_labels", "confusion_counts",
               "score_bins", "score_counts", "score_sum_y", "score_sum_p", "score_sum_p2", "score_sum_py", "log_loss_count",
               "log_loss_sum", "error_count", "error_sum", "error_abs_sum", "error_square_sum", "error_label_sum",
               "error_label_square_sum", "delay_count", "delay_sum", "delay_bins", "delay_counts"]
    NAMED = ["series_id", "hour", "event_type", "name", "currency", "count", "positive_count", "negative_count", "value_count",
             "value_sum", "value_square_sum", "score_count", "score_sum", "score_square_sum"]

    def __init__(self):
        super().__init__()
        self.edges = np.array([float(r["lower"]) for r in self.query("SELECT lower FROM nadi_store.score_edge ORDER BY bin")])
        self.classes = {}
        self.models = {}
        self.made = {}
        self.waiting = None

    @contextlib.contextmanager
    def batch(self):
        """Rows copied within it go in together at its end."""
        self.waiting = {}
        yield
        rows, self.waiting = self.waiting, None
        for (table, columns), of in rows.items():
            self.copy(table, list(columns), of)

    def copy(self, table, columns, rows, then=""):
        if self.waiting is None or not table.endswith(("_hour", "_day")):
            return super().copy(table, columns, rows, then)
        self.waiting.setdefault((table, tuple(columns)), []).extend(rows)
        return []

    def series(self, model, version="1", variant="champion", key="all", value="all"):
        """A series of a model, which is made if it is not there."""
        if (model, version) in self.made:
            return self.made[model, version]
        return int(self.query(
            f"""WITH m AS (INSERT INTO nadi_store.model (model_name) VALUES ('{model}')
                           ON CONFLICT (model_name) DO UPDATE SET model_name = EXCLUDED.model_name RETURNING model_id)
                INSERT INTO nadi_store.series (model_id, model_version, model_variant, environment, slice_key, slice_value)
                SELECT model_id, '{version}', '{variant}', 'production', '{key}', '{value}' FROM m RETURNING series_id""")[0]["series_id"])

    def versions(self, model, versions):
        """Makes the series of many versions at once."""
        self.series(model, version="none")
        values = ",".join(f"('{v}')" for v in versions)
        self.made |= {(model, r["model_version"]): int(r["series_id"]) for r in self.query(
            f"""INSERT INTO nadi_store.series (model_id, model_version, model_variant, environment, slice_key, slice_value)
                SELECT m.model_id, v, 'champion', 'production', 'all', 'all' FROM nadi_store.model m, (VALUES {values}) AS g(v)
                WHERE m.model_name = '{model}' RETURNING model_version, series_id""")}

    def category(self, series, values):
        """Numbers of classes of a series' model, 0 for None."""
        if series not in self.models:
            self.models |= {int(r["series_id"]): int(r["model_id"]) for r in self.query("SELECT series_id, model_id FROM nadi_store.series")}
        model = self.models[series]
        known = self.classes.setdefault(model, {None: 0})
        missing = sorted(set(values) - set(known), key=str)
        if missing:
            feature = self.query(
                f"""INSERT INTO nadi_store.feature (model_id, role, feature_name) VALUES ({model}, 'prediction', 'prediction')
                    ON CONFLICT (model_id, role, feature_name) DO UPDATE SET role = 'prediction' RETURNING feature_id""")[0]["feature_id"]
            known |= self.categories(int(feature), missing)
        return known

    def label(self, series, hour, *, task="binary", predicted=None, labels=None, scores=None, delays=(), binary_and=((), ())):
        """Adds the labels of one hour: predicted and labels are texts (None: beyond the cap) or, of regressions, numbers.

        A score is that of yes in binary tasks, else of the predicted class. binary_and (predicted, labels) are pairs of a multiclass
        task beside them, without scores."""
        n = len(labels)
        row = dict.fromkeys(self.COLUMNS, 0) | {c: [] for c in self.COLUMNS if c.endswith(("bins", "counts", "_y", "_p", "_p2", "_py"))}
        row |= {"confusion_predicted": [], "confusion_labels": [], "series_id": series, "hour": START + timedelta(hours=hour), "labelled": n}
        came_true = None
        if task == "regression":
            predicted, labels = np.asarray(predicted, float), np.asarray(labels, float)
            e = predicted - labels
            row |= {"error_count": n, "error_sum": e.sum(), "error_abs_sum": abs(e).sum(), "error_square_sum": (e * e).sum(),
                    "error_label_sum": labels.sum(), "error_label_square_sum": (labels**2).sum()}
        else:
            yes = np.array([v in YES for v in labels])
            assert task != "binary" or {*labels, *(predicted or ())} <= YES | NO
            if predicted is not None:
                said = np.array([v in YES for v in predicted])
                right = said == yes if task == "binary" else np.array([p is not None and p == v for p, v in zip(predicted, labels)])
                many = binary_and if task == "binary" else (predicted, labels)
                ids = self.category(series, {*many[0], *many[1]}) if len(many[0]) else {}
                pairs = {}
                for p, v in zip(*many):
                    pairs[ids[p], ids[v]] = pairs.get((ids[p], ids[v]), 0) + 1
                if task == "binary":
                    row["labelled"] += len(many[0])
                    right_ones = right.sum() + sum(p == v for p, v in zip(*many))
                else:
                    right_ones = right.sum()
                row |= {"classified": row["labelled"], "correct": int(right_ones), "confusion_predicted": [p for p, _ in sorted(pairs)],
                        "confusion_labels": [v for _, v in sorted(pairs)], "confusion_counts": [pairs[k] for k in sorted(pairs)]}
                came_true = right
                if task == "binary":
                    row |= {"binary_count": n, "label_positive_count": yes.sum(), "predicted_positive_count": said.sum(),
                            "true_positive_count": (said & yes).sum()}
            if task == "binary":
                came_true = yes
        if scores is not None:
            p, y = np.asarray(scores, float), came_true.astype(float)
            bins = np.clip(np.searchsorted(self.edges, p, side="right") - 1, 0, len(self.edges) - 1)
            used = np.unique(bins)
            clipped = np.clip(p, 1e-15, 1 - 1e-15)

            def sums(weights):
                return np.bincount(bins, weights, minlength=len(self.edges))[used]

            # Of what is not binary they are -1 less the bin.
            row |= {"score_bins": used if task == "binary" else -1 - used, "score_counts": np.bincount(bins, minlength=len(self.edges))[used], "score_sum_y": sums(y),
                    "score_sum_p": sums(p), "score_sum_p2": sums(p * p), "score_sum_py": sums(p * y), "log_loss_count": n,
                    "log_loss_sum": -(y * np.log(clipped) + (1 - y) * np.log(1 - clipped)).sum()}
        if len(delays):
            bins, counts = np.unique(code(delays), return_counts=True)
            row |= {"delay_count": len(delays), "delay_sum": math.fsum(delays), "delay_bins": bins, "delay_counts": counts}
        self.copy("nadi_store.outcome_hour", self.COLUMNS, [[row[c] for c in self.COLUMNS]])

    def named(self, series, hour, name, *, count, positive=0, negative=0, values=(), currency="", event_type="outcome"):
        values = np.asarray(values, float)
        self.copy("nadi_store.named_outcome_hour", self.NAMED, [
            [series, START + timedelta(hours=hour), event_type, name, currency, count, positive, negative, len(values), values.sum(),
             (values**2).sum(), 0, 0, 0]])

    def request(self, series, hours, errors=0, latencies=()):
        """{hour: predictions}; errors of each hour failed, latencies go to the first hour."""
        bins, counts = np.unique(code(latencies), return_counts=True)
        for place, (hour, n) in enumerate(hours.items()):
            timed = place == 0
            self.copy(
                "nadi_store.request_hour",
                ["series_id", "hour", "requests", "predictions", "errors", "failed_predictions", "latency_count", "latency_sum",
                 "latency_bins", "latency_counts"],
                [(series, START + timedelta(hours=hour), n, n, errors, errors, len(latencies) * timed, float(np.sum(latencies)) * timed,
                  bins if timed else [], counts if timed else [])])

    def close_days(self, days=range(-40, 60)):
        """Derives the days of what was added, as loaders do."""
        self.query("".join(
            f"SELECT nadi_store.derive_{kind}_day(timestamptz '{START + timedelta(days=d)}');" for d in days
            for kind in ("request", "outcome")))

    def performance(self, model, first=0, last=20, bucket=None, **filters):
        """{(hour, class, measure): row of numbers}."""
        out = {}
        for row in self.call("performance", model, first, last, bucket, **filters):
            out[row["bucket_start"], row["class_name"], row["measure"]] = row
        return out

    def call(self, function, model, first, last, *given, **filters):
        """Rows of a function of schema nadi, numbers as numbers, times as hours after START."""
        def quote(value):
            if value is None:
                return "NULL"
            if isinstance(value, (int, float)):
                return str(value)
            if isinstance(value, list):
                return "ARRAY[" + ",".join(f"'{v}'" for v in value) + "]"
            return f"'{value}'"

        times = [f"timestamptz '{START + timedelta(hours=h)}'" for h in (first, last)]
        given = [quote(model), *times, *map(quote, given), *(f"{k} => {quote(v)}" for k, v in filters.items())]
        rows = self.query(f"SET timezone = 'UTC'; SELECT * FROM nadi.{function}({', '.join(given)})")
        for row in rows:
            for name, value in row.items():
                if name.startswith("bucket_"):
                    row[name] = hours_after(value)
                elif not name.endswith(("_class", "_name", "_state")) and name not in ("measure", "currency", "event_type", "reason"):
                    row[name] = float(value) if value else None
        return rows


def hours_after(value):
    return (datetime.fromisoformat(value) - START).total_seconds() / 3600
