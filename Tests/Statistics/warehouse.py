"""A database with Nadi's schema, filled by COPY with what a loader would have made of samples that the test still has.

References are frozen here from raw values by NumPy, after DESIGN's words and not after the Swift code, so that each is a
check on the other: edges at the quantiles k/50, minimum, maximum, point bins; PSI's groups; log bins; categories.
"""

import csv
import io
import math
import os
import pathlib
import secrets
import subprocess
from datetime import datetime, timedelta, timezone

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[2]
START = datetime(2026, 1, 5, tzinfo=timezone.utc)  # a Monday


def text(value):
    """A value as COPY and psql read it."""
    if value is None:
        return r"\N"
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, (list, tuple)):
        return "{" + ",".join(map(str, value)) + "}"
    if isinstance(value, (float, np.floating)):
        return repr(float(value))
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value)


class Warehouse:
    """One database, dropped at the end."""

    def __init__(self, schema=True):
        """Without schema the database is empty, for nadi migrate."""
        uri = os.environ["NADI_TEST_POSTGRES"]
        self.admin = uri
        self.name = "statistics_" + secrets.token_hex(6)
        self.uri = uri.rsplit("/", 1)[0] + "/" + self.name
        self._psql(self.admin, f'CREATE DATABASE "{self.name}"')
        if not schema:
            return
        try:
            self._psql(self.uri, "".join(path.read_text() + "\n" for path in sorted((ROOT / "sql").glob("*.sql"))), "-1")
        except BaseException:
            self.close()
            raise

    def close(self):
        self._psql(self.admin, f'DROP DATABASE "{self.name}" WITH (FORCE)')

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    @staticmethod
    def _psql(uri, script, *options):
        done = subprocess.run(
            ["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "--csv", *options, uri], input=script, text=True, capture_output=True
        )
        if done.returncode != 0:
            raise RuntimeError(done.stderr.strip())
        return done.stdout

    def query(self, statement):
        """Rows as dictionaries of text; a null is empty."""
        return list(csv.DictReader(io.StringIO(self._psql(self.uri, statement))))

    def copy(self, table, columns, rows, then=""):
        """Adds rows; answers what the statement after it says."""
        lines = "".join("\t".join(text(v) for v in row) + "\n" for row in rows)
        done = self._psql(self.uri, f"COPY {table} ({', '.join(columns)}) FROM stdin;\n{lines}\\.\n{then}")
        return list(csv.DictReader(io.StringIO(done)))

    def model(self, name):
        """A model with one series: its number and the series'."""
        found = self.query(
            f"""WITH m AS (INSERT INTO nadi_store.model (model_name) VALUES ('{name}') RETURNING model_id)
                INSERT INTO nadi_store.series (model_id, model_version, model_variant, environment, slice_key, slice_value)
                SELECT model_id, '1', 'champion', 'production', 'all', 'all' FROM m RETURNING model_id, series_id"""
        )[0]
        return int(found["model_id"]), int(found["series_id"])

    def features(self, model, names, role="feature"):
        rows = self.copy("nadi_store.feature", ["model_id", "role", "feature_name"], [(model, role, n) for n in names],
                         f"SELECT feature_name, feature_id FROM nadi_store.feature WHERE model_id = {model} AND role = '{role}'")
        return {r["feature_name"]: int(r["feature_id"]) for r in rows if r["feature_name"] in names}

    def categories(self, feature, values):
        rows = self.copy("nadi_store.category", ["feature_id", "value"], [(feature, v) for v in values],
                         f"SELECT value, category_id FROM nadi_store.category WHERE feature_id = {feature}")
        return {r["value"]: int(r["category_id"]) for r in rows}

    def reference(self, model, frozen, rows, effective=START - timedelta(days=1), name="training"):
        """Stores and activates a reference of frozen features {feature_id: Frozen}; returns its number."""
        number = int(
            self.query(
                f"""INSERT INTO nadi_store.reference (model_id, reference_name, source, row_count, sampled_from, label_count, task,
                        calibration) VALUES ({model}, '{name}', 'test', {rows}, {rows}, 0, 'other', 'none') RETURNING reference_id"""
            )[0]["reference_id"]
        )
        self._psql(self.uri, f"INSERT INTO nadi_store.edge_set VALUES ({number}, 'test')")
        self.copy(
            "nadi_store.reference_feature",
            ["reference_id", "feature_id", *Frozen.columns],
            [(number, feature, *f.row()) for feature, f in frozen.items()],
        )
        self.activate(model, number, effective)
        return number

    def activate(self, model, number, effective):
        self.copy("nadi_store.reference_activation", ["model_id", "effective_from", "reference_id"], [(model, effective, number)])

    def requests(self, series, hours, days=True):
        """{hour: successful predictions}, into hour and, unless told otherwise, day."""
        with_days, days = days, {}
        for at, n in hours.items():
            day = at.replace(hour=0)
            days[day] = days.get(day, 0) + n
        for table, column, counts in (("request_hour", "hour", hours), ("request_day", "day", days))[: 2 if with_days else 1]:
            self.copy(
                f"nadi_store.{table}",
                ["series_id", column, "requests", "predictions", "errors", "failed_predictions", "latency_count", "latency_sum",
                 "latency_bins", "latency_counts"],
                [(series, at, n, n, 0, 0, 0, 0, [], []) for at, n in counts.items()],
            )

    def counts(self, rows, table="feature_hour", column="hour"):
        """Rows (series, feature, at, Window)."""
        self.copy(
            f"nadi_store.{table}",
            ["series_id", "feature_id", column, *Window.columns],
            [(series, feature, at, *w.row()) for series, feature, at, w in rows],
        )


def code(x):
    """The log bin of each number: 35 per octave, sign kept, 0 for zero."""
    x = np.asarray(x, float)
    out = np.zeros(len(x), int)
    used = x != 0
    out[used] = np.sign(x[used]).astype(int) * (np.floor(35 * np.log2(np.abs(x[used]))).astype(int) + 40000)
    return out


def pile(values):
    """Distinct values and their counts."""
    found, n = np.unique(values, return_counts=True)
    return found, n


class Frozen:
    """A feature of a reference."""

    columns = ["kind", "numeric_count", "categorical_count", "missing_count", "wrong_type_count", "mean_high", "mean_low", "m2",
               "minimum", "maximum", "edges", "edge_counts", "deciles", "log_bins", "log_counts", "category_ids", "category_counts",
               "other_count", "singleton_count"]

    def __init__(self, **given):
        self.kind = "numeric"
        for name in self.columns[1:]:
            setattr(self, name, [] if name in ("edges", "edge_counts", "deciles", "log_bins", "log_counts", "category_ids",
                                               "category_counts") else 0)
        self.minimum = self.maximum = None
        self.__dict__.update(given)

    def row(self):
        return [getattr(self, name) for name in self.columns]

    @classmethod
    def numbers(cls, values, missing=0, edges=None):
        values = np.sort(np.asarray(values, float))
        n = len(values)
        if n == 0:
            return cls(missing_count=missing)
        if edges is None:
            distinct, count = pile(values)
            points = distinct if len(distinct) <= 50 else distinct[count > 0.01 * n]
            ranks = [min(n - 1, math.ceil(k * n / 50) - 1) for k in range(1, 50)]
            top = np.nextafter(values[-1], np.inf)
            edges = np.unique(np.concatenate([values[ranks], [values[0], top], points, np.nextafter(points, np.inf)]))
        edges = np.asarray(edges, float)
        counts = np.bincount(np.searchsorted(edges, values, side="right"), minlength=len(edges) + 1)
        bins, log_counts = pile(code(values))
        mean = values.mean()
        return cls(numeric_count=n, missing_count=missing, mean_high=mean, m2=((values - mean) ** 2).sum(), minimum=values[0],
                   maximum=values[-1], edges=edges, edge_counts=counts, deciles=groups(counts), log_bins=bins, log_counts=log_counts)

    @classmethod
    def words(cls, counts, missing=0, other=0):
        """counts: {category id: how many}."""
        ids = sorted(counts)
        n = [counts[i] for i in ids]
        return cls(kind="categorical", categorical_count=sum(n) + other, missing_count=missing, category_ids=ids, category_counts=n,
                   other_count=other, singleton_count=sum(1 for v in n if v == 1))


def groups(counts):
    """PSI's group of each bin: tenths of the rank of its middle, numbered densely; what is out of range joins its neighbour."""
    counts = np.asarray(counts)
    before = np.cumsum(counts) - counts
    tenth = np.minimum(9, np.floor(10 * (before + counts / 2) / counts.sum()).astype(int))
    present = np.unique(tenth[counts > 0])
    return [int(np.searchsorted(present, max(present[0], min(present[-1], t)) if t in present
                                else present[np.abs(present - t).argmin()])) for t in tenth]


class Window:
    """A feature in an hour or a day."""

    columns = ["edge_set_id", "numeric_count", "categorical_count", "null_count", "wrong_type_count", "mean_high", "mean_low", "m2",
               "minimum", "maximum", "log_bins", "log_counts", "category_ids", "category_counts", "other_count", "edge_counts"]

    def __init__(self, **given):
        for name in self.columns:
            setattr(self, name, [] if name in ("log_bins", "log_counts", "category_ids", "category_counts") else 0)
        self.minimum = self.maximum = self.edge_counts = None
        self.__dict__.update(given)

    def row(self):
        return [getattr(self, name) for name in self.columns]

    @classmethod
    def numbers(cls, values, reference=0, edges=None, nulls=0, logs=True):
        values = np.asarray(values, float)
        made = cls(null_count=nulls, numeric_count=len(values), edge_set_id=reference)
        if edges is not None:
            made.edge_counts = np.bincount(np.searchsorted(edges, values, side="right"), minlength=len(edges) + 1)
        if len(values):
            made.mean_high, made.minimum, made.maximum = values.mean(), values.min(), values.max()
            made.m2 = ((values - made.mean_high) ** 2).sum()
            if logs:
                made.log_bins, made.log_counts = pile(code(values))
        return made

    @classmethod
    def words(cls, counts, nulls=0, other=0, reference=0):
        ids = sorted(i for i in counts if counts[i])
        n = [counts[i] for i in ids]
        return cls(categorical_count=sum(n) + other, null_count=nulls, category_ids=ids, category_counts=n, other_count=other,
                   edge_set_id=reference)
