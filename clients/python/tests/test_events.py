# SPDX-License-Identifier: Apache-2.0
"""What the methods write, and what they do with arguments that make no event."""

import datetime
import decimal
import enum
import json
import logging
import math
import re
import sys
import uuid

import numpy
import pytest
from conftest import Spool

import nadi
from nadi import _encode, _writer

ENCODERS = {"json": _encode.json_encoder()}
try:
    import orjson

    ENCODERS["orjson"] = _encode.orjson_encoder(orjson)
except ImportError:
    pass


@pytest.fixture(params=sorted(ENCODERS))
def encoder(request, monkeypatch):
    monkeypatch.setattr(_writer, "dumps", ENCODERS[request.param])
    return request.param


class Color(enum.Enum):
    RED = "red"


def write_everything(writer):
    """Calls with all sorts of values; answers how many events they make."""
    features = {
        "plain": 1.5, "int": 7, "text": "é🌸", "yes": True, "none": None, "nan": math.nan, "inf": -math.inf,
        "float32": numpy.float32(0.1), "float64": numpy.float64(2.5), "nan64": numpy.float64("nan"),
        "int64": numpy.int64(-3), "bool": numpy.bool_(True), "array": numpy.array([4.0]), "zero": numpy.array(5),
        "vector": numpy.array([1.0, 2.0]), "decimal": decimal.Decimal("1.25"), "color": Color.RED, "object": object(),
        "huge": 10**30, "beyond": 10**400, "tiny": 5e-324, "max": sys.float_info.max, "int_max": 2**64 - 1,
        "nul": "a\0b", "lone": "a\ud800b", "quote": 'x"\\\n\u2028', "list": [1, 2], "nested": {"a": 1},
    }  # fmt: skip
    writer.prediction("iris", "1.2.0", prediction="setosa", features=features)
    writer.prediction(
        "iris", "1.2.0", prediction=numpy.str_("setosa"), score=numpy.float32(0.75), latency_seconds=numpy.float64(0.25),
        scores={"setosa": 1.0000000000000002, "virginica": -1e-12}, task="multiclass", model_variant="canary",
        tags={"region": "eu", "new": True, "n": 3, "none": None}, threshold=0.5, request_id="r-1", batch_size=2,
        batch_index=0, http_status_code=200, route="/predict", inference_seconds=0.1, extra={"deep": [{"x": {1, 2}}]},
        trace_id="4bf92f3577b34da6a3ce929d0e0e4736", span_id="00f067aa0ba902b7", genai={"input_tokens": 3},
        recorded_time=datetime.datetime(2026, 11, 23, 10, tzinfo=datetime.timezone.utc), prediction_id="mine",
    )  # fmt: skip
    writer.prediction("iris", "1", status="error", error_type="timeout", latency_seconds=3)
    writer.prediction("rank", "1", prediction=numpy.array(["b", "a"]), task="ranking", score=math.nan)
    writer.prediction("größe\0", "1", features={"größe\0": 1, 7: 2})
    writer.outcome("p", "iris", label=numpy.int64(3), name="clicked", prediction_time=1795428930.5, revision=2)
    writer.outcome("p", "iris", value=decimal.Decimal("-19.99"), value_currency="EUR", label_source="human", weight=0.5)
    writer.outcome("p", "iris", label=False, label_time="2026-11-23T11:15:30.123456+01:00")
    writer.feedback("p", "iris", "thumbs", score=-1, annotator_kind="HUMAN")
    writer.feedback("p", "iris", "comment", explanation="é" * 2000, label="bad")
    writer.resource()
    writer.resource(10, cpu_seconds=1.5, memory_rss_bytes=1 << 30, gpus=[{"index": 0, "utilization_ratio": 0.5}])
    writer.deployment("iris", "1.2.0", action="rollback", previous_version="1.3.0", actor="ci")
    return 13


def test_everything_follows_the_schema(spool, validator, encoder):
    writer = nadi.EventWriter(spool, service="iris-api", environment="prod", host="Web_1.example")
    expected = write_everything(writer)
    writer.close()
    assert writer.counts["dropped"]["invalid"] == 0
    read = Spool(spool)
    for event in read.events() + read.events("writer"):
        validator.validate(event)
    events = read.events()
    assert len(events) == expected
    for event in events:
        assert event["service"] == "iris-api" and event["environment"] == "prod"
        assert re.fullmatch(r"iris-api/web-1\.example-\d+", event["source"])
        assert uuid.UUID(event["id"]).version == 7
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", event["time"])
    features = events[0]["features"]
    assert {
        key: features[key] for key in ("nan", "inf", "nan64", "none", "object", "vector", "list", "nested", "beyond")
    } == (dict.fromkeys(("nan", "inf", "nan64", "none", "object", "vector", "list", "nested", "beyond")))
    assert features["float32"] == float(numpy.float32(0.1)) and features["int64"] == -3 and features["bool"] is True
    assert features["huge"] == 1e30 and isinstance(features["huge"], float) and features["int_max"] == 2**64 - 1
    assert features["nul"] == "a\ufffdb" and features["lone"] == "a\ufffdb" and features["quote"] == 'x"\\\n\u2028'
    assert (
        features["array"] == 4.0
        and features["zero"] == 5
        and features["color"] == "red"
        and features["decimal"] == 1.25
    )
    assert events[1]["prediction_id"] == "mine" and events[1]["scores"] == {"setosa": 1.0, "virginica": 0.0}
    assert events[1]["tags"] == {"region": "eu", "new": "true", "n": "3"}
    assert events[2]["error_type"] == "timeout" and events[3]["score"] is None
    assert events[7]["label_time"] == "2026-11-23T10:15:30.123Z"
    assert events[5]["prediction_time"] == "2026-11-23T10:15:30.500Z"
    assert len(events[9]["explanation"].encode()) == 2048


@pytest.mark.skipif("orjson" not in ENCODERS, reason="orjson is not installed")
def test_both_encoders_give_the_same_values(tmp_path, monkeypatch):
    results = []
    for name, encode in sorted(ENCODERS.items()):
        monkeypatch.setattr(_writer, "dumps", encode)
        with nadi.EventWriter(tmp_path / name, service="s") as writer:
            write_everything(writer)
        events = Spool(tmp_path / name).events("prediction", "outcome", "feedback", "deployment")
        results.append([{k: v for k, v in e.items() if k not in ("id", "time", "source")} for e in events])
    assert results[0] == results[1]


WRONG = [
    lambda w: w.prediction(),
    lambda w: w.prediction("iris"),
    lambda w: w.prediction("", "1"),
    lambda w: w.prediction("n" * 257, "1"),
    lambda w: w.prediction("iris", 1.2),
    lambda w: w.prediction("iris", "1", score=1.5),
    lambda w: w.prediction("iris", "1", score="high"),
    lambda w: w.prediction("iris", "1", latency_seconds=-0.1),
    lambda w: w.prediction("iris", "1", latency_seconds="0.1"),
    lambda w: w.prediction("iris", "1", status="failed"),
    lambda w: w.prediction("iris", "1", features=[1, 2]),
    lambda w: w.prediction("iris", "1", tags="eu"),
    lambda w: w.prediction("iris", "1", tags={str(i): "x" for i in range(9)}),
    lambda w: w.prediction("iris", "1", task="guessing"),
    lambda w: w.prediction("iris", "1", time="yesterday"),
    lambda w: w.prediction("iris", "1", time=datetime.datetime(2026, 1, 1)),
    lambda w: w.prediction("iris", "1", time=1795428930123),
    lambda w: w.prediction("iris", "1", prediction={"a": 1}),
    lambda w: w.prediction("iris", "1", trace_id="xyz"),
    lambda w: w.prediction("iris", "1", batch_index=-1),
    lambda w: w.prediction("iris", "1", prediction_id=7),
    lambda w: w.prediction("iris", "1", http_status_code=42),
    lambda w: w.prediction("iris", "1", genai={"input_tokens": "many"}),
    lambda w: w.prediction("iris", "1", extra=[1]),
    lambda w: w.prediction("iris", "1", features={"": 1}),
    lambda w: w.outcome("p", "iris"),
    lambda w: w.outcome("p", "iris", label=math.nan),
    lambda w: w.outcome("p", "iris", label={"a": 1}),
    lambda w: w.outcome(None, "iris", label="a"),
    lambda w: w.outcome("p", "iris", value=1, value_currency="euro"),
    lambda w: w.feedback("p", "iris", "thumbs"),
    lambda w: w.feedback("p", "iris", score=1),
    lambda w: w.feedback("p", "iris", "thumbs", score=1, annotator_kind="CAT"),
    lambda w: w.resource(0),
    lambda w: w.resource(1, gpus=[{"utilization_ratio": 1}]),
    lambda w: w.resource(1, gpus=[{"index": 0, "power_watts": "much"}]),
    lambda w: w.resource(1, threads=-1),
    lambda w: w.deployment("iris"),
    lambda w: w.deployment("iris", "1", action="explode"),
]


def test_wrong_arguments_are_counted_and_never_raise(spool, caplog):
    with caplog.at_level(logging.WARNING, logger="nadi"):
        writer = nadi.EventWriter(spool, service="s")
        for call in WRONG:
            assert isinstance(call(writer), (str, int))
        for _ in range(100):
            writer.prediction("iris")
        assert writer.counts["dropped"]["invalid"] == len(WRONG) + 100
        writer.close()
    assert Spool(spool).events() == []
    assert sum("model_version is NoneType" in record.getMessage() for record in caplog.records) == 1


def test_strict_raises(spool):
    with nadi.EventWriter(spool, service="s", strict=True) as writer:
        for call in WRONG:
            with pytest.raises((TypeError, ValueError)):
                call(writer)
        with pytest.raises(TypeError, match="latency is no field"):
            writer.prediction("iris", "1", latency=0.1)


def test_unknown_arguments_go_into_extra(spool):
    with nadi.EventWriter(spool, service="s") as writer:
        writer.prediction("iris", "1", latency=0.1, extra={"kept": 1})
    assert Spool(spool).events()[0]["extra"] == {"kept": 1, "latency": 0.1}


def test_a_line_over_the_limit_is_dropped(spool):
    with nadi.EventWriter(spool, service="s") as writer:
        writer.prediction("iris", "1", extra={"x": "y" * 1_048_576})
        writer.prediction("iris", "1", extra={"x": "y" * 1_000_000})
        assert writer.counts["dropped"]["too_large"] == 1
    assert len(Spool(spool).events()) == 1


def test_ids_carry_the_events_time(spool):
    when = datetime.datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=datetime.timezone.utc)
    with nadi.EventWriter(spool, service="s") as writer:
        identity = writer.prediction("iris", "1", time=when)
        assert len({writer.new_id() for _ in range(10_000)}) == 10_000
    event = Spool(spool).events()[0]
    assert event["id"] == identity and event["time"] == "2026-01-02T03:04:05.678Z"
    assert int(identity.replace("-", "")[:12], 16) == int(when.timestamp() * 1000)


def test_features_are_a_copy(spool):
    with nadi.EventWriter(spool, service="s") as writer:
        features = {"x": 1}
        writer.prediction("iris", "1", features=features)
        features["x"] = 2
    assert Spool(spool).events()[0]["features"] == {"x": 1}


def test_lines_are_strict_json(spool, encoder):
    def refuse(text):
        raise AssertionError(text)

    with nadi.EventWriter(spool, service="s") as writer:
        write_everything(writer)
    for segment in Spool(spool).segments:
        for line in segment.raw:
            json.loads(line, parse_constant=refuse)
            assert b"\\u0000" not in line and len(line) <= 1_048_576


def test_numbers_in_tags_have_one_text(spool):
    known = {
        0.0: "0", -0.0: "0", 1.4: "1.4", -12.5: "-12.5", 100.0: "100", 1e15: "1000000000000000", 1e16: "1e16",
        1.2345678901234568e17: "1.2345678901234568e17", 0.00001: "0.00001", 0.000012: "0.000012", 1.2e-6: "1.2e-6",
        5e-324: "5e-324", 0.1 + 0.2: "0.30000000000000004", 9.5e-5: "0.000095", 1234.5678: "1234.5678", 7: "7",
    }  # fmt: skip
    with nadi.EventWriter(spool, service="s") as writer:
        for number in known:
            writer.prediction("iris", "1", tags={"number": number})
    assert [event["tags"]["number"] for event in Spool(spool).events()] == list(known.values())
