# SPDX-License-Identifier: Apache-2.0
"""The golden lines agree with the schema, as far as a schema can say."""

import json

from conftest import SCHEMA

REASONS = {
    "invalid_utf8", "invalid_json", "not_an_object", "too_long", "too_deep", "torn_tail", "unknown_schema",
    "unknown_type", "missing_field", "wrong_type", "invalid_time", "time_out_of_range", "invalid_value", "empty_line",
}  # fmt: skip


def parse(line: bytes) -> object:
    """As the loader parses: strict numbers, the first of equal keys counts, lone surrogates refused."""

    def refuse(text: str) -> float:
        raise ValueError(text)

    def number(text: str) -> float:
        value = float(text)
        if value - value != 0:
            raise ValueError(text)
        return value

    def first(pairs: list) -> dict:
        return dict(reversed(pairs))

    value = json.loads(line.decode("utf-8"), parse_constant=refuse, parse_float=number, object_pairs_hook=first)
    json.dumps(value, ensure_ascii=False).encode("utf-8")
    return value


def test_valid_lines(validator):
    lines = (SCHEMA / "golden" / "valid.jsonl").read_bytes().split(b"\n")
    assert lines.pop() == b""
    types = set()
    for line in lines:
        event = parse(line)
        validator.validate(event)
        types.add(event["type"])
    assert types == {"prediction", "outcome", "feedback", "resource", "deployment", "writer"}


def test_rejected_lines(validator):
    lines = (SCHEMA / "golden" / "rejected.jsonl").read_bytes().split(b"\n")
    reasons = (SCHEMA / "golden" / "rejected.reasons").read_text().split()
    assert len(lines) == len(reasons)
    assert lines[-1] != b"" and reasons[-1] == "torn_tail"
    assert set(reasons) == REASONS - {"too_long"}  # a mebibyte is no line for a repository
    for index, (line, reason) in enumerate(zip(lines, reasons), 1):
        where = f"line {index}: {reason}"
        try:
            event = parse(line)
        except UnicodeDecodeError:
            assert reason == "invalid_utf8", where
        except RecursionError:
            assert reason == "too_deep", where
        except ValueError:
            assert reason in ("invalid_json", "empty_line"), where
        else:
            assert reason not in ("invalid_utf8", "invalid_json", "empty_line"), where
            if reason in ("torn_tail", "time_out_of_range", "too_deep"):
                assert reason == "too_deep" or validator.is_valid(event), where
            elif not (reason == "invalid_time" and b"02-30" in line):
                assert not validator.is_valid(event), where
