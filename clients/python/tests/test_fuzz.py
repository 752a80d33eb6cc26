# SPDX-License-Identifier: Apache-2.0
"""Random calls with random values: nothing raises, and whatever is written follows the schema."""

import datetime
import decimal
import math
import random
import uuid

import numpy
import pytest
from conftest import SCHEMA, Spool, check_closed_writer
from test_events import ENCODERS
from test_golden import parse

import nadi
from nadi import _fields, _writer


class Hostile:
    """An object whose every conversion fails."""

    def __getattr__(self, name):
        raise RuntimeError(name)

    def __float__(self):
        raise RuntimeError("float")

    def __str__(self):
        raise RuntimeError("str")

    __repr__ = __str__


loop = []
loop.append(loop)
VALUES = [
    None, True, False, 0, 1, -1, 0.5, -0.5, 2.5, 200, 10**20, -(10**20), 2**63, 2**64, 10**400, math.nan, math.inf,
    -math.inf, 1e308, 5e-324, -0.0, "", "a", "é🌸", "x" * 300, "a\0b", "\ud800", "setosa", "EUR", "human", "HUMAN", "deploy",
    "error", "ok", "binary", b"bytes", [], [1], [1, 2], ["a", None], {}, {"a": 1}, {"a": {"b": [1, {"c": 2}]}}, {1: 2},
    {"": 1}, {"x" * 300: 1}, {"a\0": "b"}, {"a": math.nan, "b": numpy.float32(1)}, {"k": "v", "t": True, "n": None},
    {str(i): str(i) for i in range(20)}, (1, 2), {1, 2}, set(), numpy.float64(0.25), numpy.float32("nan"), numpy.int8(3),
    numpy.bool_(False), numpy.str_("s"), numpy.array([1.0]), numpy.array([[1.0]]), numpy.datetime64("2026-01-01"),
    decimal.Decimal("0.1"), decimal.Decimal("NaN"), uuid.UUID(int=7), datetime.date(2026, 1, 2),
    datetime.datetime(2026, 1, 2), datetime.datetime(2026, 1, 2, tzinfo=datetime.timezone.utc), 1795428930.5,
    datetime.datetime(1, 1, 1, tzinfo=datetime.timezone.utc),
    datetime.datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=datetime.timezone(datetime.timedelta(hours=-12))),
    "2026-11-23T10:15:30Z", "2026-02-30T10:15:30Z", "0001-01-01T00:00:00+12:00", "4bf92f3577b34da6a3ce929d0e0e4736",
    "00f067aa0ba902b7", object(), Hostile(), loop, lambda: 1, 1j, [{"index": 0}], [{"index": "0"}], [{"index": 1.5}],
    {"provider": 1}, {"input_tokens": -1}, {"cost_usd": "x"}, {"setosa": 0.5}, {"setosa": 2.0}, range(3),
]  # fmt: skip
METHODS = {
    "prediction": (
        ["model_name", "model_version", "prediction", "score", "scores", "features", "latency_seconds", "status",
         "error_type", "prediction_id", "time", "tags", "task", "model_variant", *_fields.PREDICTION_FIELDS, "bogus"],
        {"model_name": "iris", "model_version": "1"},
    ),
    "outcome": (
        ["prediction_id", "model_name", "label", "value", "value_currency", "name", "prediction_time", "time", "tags",
         *_fields.OUTCOME_FIELDS, "bogus"],
        {"prediction_id": "p", "model_name": "iris", "label": "a"},
    ),
    "feedback": (
        ["prediction_id", "model_name", "name", "score", "label", "explanation", "annotator_kind", "prediction_time", "time",
         "tags", *_fields.FEEDBACK_FIELDS, "bogus"],
        {"prediction_id": "p", "model_name": "iris", "name": "thumbs", "score": 1},
    ),
    "resource": (["interval_seconds", "gpus", "time", "tags", *_fields.RESOURCE_FIELDS, "bogus"], {}),
    "deployment": (
        ["model_name", "model_version", "action", "time", "tags", *_fields.DEPLOYMENT_FIELDS, "bogus"],
        {"model_name": "iris", "model_version": "1"},
    ),
}  # fmt: skip


def names_fit(event):
    """What a schema cannot say: names in bytes, not in characters."""
    assert all(
        len(event.get(key, "").encode()) <= 256 for key in ("id", "source", "model_name", "model_version", "name")
    )


@pytest.mark.parametrize("encoder", sorted(ENCODERS))
@pytest.mark.parametrize("seed", range(3))
def test_random_calls(spool, validator, monkeypatch, encoder, seed):
    monkeypatch.setattr(_writer, "dumps", ENCODERS[encoder])
    draw = random.Random(seed)
    writer = nadi.EventWriter(spool, service="s")
    calls = 4000
    for _ in range(calls):
        method = draw.choice(sorted(METHODS))
        fields, base = METHODS[method]
        arguments = dict(base)
        for field in draw.sample(fields, draw.choice((0, 1, 1, 1, 2, 3))):
            arguments[field] = draw.choice(VALUES)
        assert isinstance(getattr(writer, method)(**arguments), str)
    dropped = writer.counts["dropped"]
    writer.close()
    read = Spool(spool)
    check_closed_writer(read.segments)
    count = 0
    for segment in read.segments:
        for line in segment.raw:
            event = parse(line)
            validator.validate(event)
            names_fit(event)
            assert b"\\u0000" not in line
            count += event["type"] != "writer"
    assert count + dropped["invalid"] == calls and count > calls / 5 and dropped["invalid"] > 100
    assert sum(dropped.values()) == dropped["invalid"]


def test_the_schema_names_what_the_client_takes():
    import json

    definitions = json.loads((SCHEMA / "event.schema.json").read_text())
    common = set(definitions["properties"])
    for method, (fields, _) in METHODS.items():
        known = common | set(definitions["$defs"][method]["properties"])
        assert set(fields) - known == {"bogus"}
        written_by_the_client = {"schema", "type", "id", "source", "service", "environment"}
        assert known - set(fields) - written_by_the_client == set()
