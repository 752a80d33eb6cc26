# SPDX-License-Identifier: Apache-2.0
"""The table of calls that every client answers alike: a line with these fields, or a count of `invalid`."""

import json

from conftest import SCHEMA, Spool

import nadi

CALLS = [json.loads(line) for line in (SCHEMA / "golden" / "calls.jsonl").read_text().splitlines()]
FILLED_IN = ("schema", "type", "id", "time", "source", "service")


def given(value):
    """The table's value: long texts and numbers that JSON cannot say are written as objects."""
    if isinstance(value, dict):
        if "repeat" in value:
            return value["repeat"] * value["times"] + value.get("then", "")
        if "not_finite" in value:
            return float(value["not_finite"])
        return {key: given(item) for key, item in value.items()}
    return [given(item) for item in value] if isinstance(value, list) else value


def test_calls(spool, validator):
    wrong = []
    for index, row in enumerate(CALLS, 1):
        writer = nadi.EventWriter(spool / str(index), service="s")
        getattr(writer, row["call"])(**given(row["arguments"]))
        writer.flush()
        events = Spool(spool / str(index)).events()
        invalid = writer.counts["dropped"]["invalid"]
        writer.close()
        if row.get("invalid"):
            if events or invalid != 1:
                wrong.append((index, row, events))
            continue
        if len(events) != 1 or invalid:
            wrong.append((index, row, "no line"))
            continue
        validator.validate(events[0])
        found = {key: value for key, value in events[0].items() if key not in FILLED_IN}
        if found != given(row["writes"]) or events[0]["type"] != row["call"]:
            wrong.append((index, row, found))
    assert not wrong, "\n".join(map(str, wrong))


def test_the_table_speaks_of_every_call():
    assert {row["call"] for row in CALLS} == {"prediction", "outcome", "feedback", "resource", "deployment"}
    for call in {row["call"] for row in CALLS}:
        assert {bool(row.get("invalid")) for row in CALLS if row["call"] == call} == {True, False}
