# SPDX-License-Identifier: Apache-2.0
"""python -m nadi.parquet, on files that pyarrow writes."""

from __future__ import annotations

import datetime
import decimal
import json
import os
import pathlib
import subprocess
import sys

import pyarrow
import pyarrow.parquet
import pytest

CLIENT = pathlib.Path(__file__).resolve().parent.parent


def run(*arguments: str, path: str = "") -> subprocess.CompletedProcess[str]:
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join(filter(None, [path, str(CLIENT)])))
    return subprocess.run(
        [sys.executable, "-m", "nadi.parquet", *arguments], capture_output=True, text=True, env=environment, check=False
    )


def write(path: pathlib.Path) -> pyarrow.Table:
    table = pyarrow.table(
        {
            "whole": pyarrow.array([1, None, -3], pyarrow.int32()),
            "real": pyarrow.array([0.1, float("nan"), float("inf")], pyarrow.float64()),
            "single": pyarrow.array([0.5, 0.25, None], pyarrow.float32()),
            "text": pyarrow.array(["a", "Zürich \"x\"\n", None]),
            "flag": pyarrow.array([True, False, None]),
            "time": pyarrow.array([1_700_000_000_123_456_789, None, 0], pyarrow.timestamp("ns")),
            "zoned": pyarrow.array([1_700_000_000_000, 1, None], pyarrow.timestamp("ms", "Europe/Vienna")),
            "day": pyarrow.array([datetime.date(2026, 11, 23), None, None]),
            "price": pyarrow.array([decimal.Decimal("12.50"), None, None]),
            "kind": pyarrow.array(["x", "y", "x"]).dictionary_encode(),
            "list": pyarrow.array([[1.0, 2.0], None, []]),
        }
    )
    pyarrow.parquet.write_table(table, path)
    return table


def test_every_type_becomes_plain_json(tmp_path: pathlib.Path) -> None:
    file = tmp_path / "rows.parquet"
    write(file)
    done = run(str(file))
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.split("\n") if line]
    assert rows == [
        {
            "whole": 1, "real": 0.1, "single": 0.5, "text": "a", "flag": True, "time": "2023-11-14T22:13:20.123Z",
            "zoned": "2023-11-14T22:13:20.000Z", "day": "2026-11-23", "price": 12.5, "kind": "x", "list": [1.0, 2.0],
        },
        {
            "whole": None, "real": None, "single": 0.25, "text": "Zürich \"x\"\n", "flag": False, "time": None,
            "zoned": "1970-01-01T00:00:00.001Z", "day": None, "price": None, "kind": "y", "list": None,
        },
        {
            "whole": -3, "real": None, "single": None, "text": None, "flag": None, "time": "1970-01-01T00:00:00.000Z",
            "zoned": None, "day": None, "price": None, "kind": "x", "list": [],
        },
    ]


def test_many_batches_come_in_order_and_columns_can_be_chosen(tmp_path: pathlib.Path) -> None:
    file = tmp_path / "many.parquet"
    count = 20_001
    pyarrow.parquet.write_table(
        pyarrow.table({"n": list(range(count)), "left_out": [0] * count}), file, row_group_size=3000
    )
    done = run(str(file), "--column", "n")
    assert [json.loads(line) for line in done.stdout.splitlines()] == [{"n": n} for n in range(count)]
    wrong = run(str(file), "--column", "m")
    assert wrong.returncode == 1 and "has no column m; it has n, left_out" in wrong.stderr


@pytest.mark.parametrize("content", [None, b"", b"PAR1 but not really PAR1"])
def test_what_is_no_parquet_file_is_said_in_a_line(tmp_path: pathlib.Path, content: bytes | None) -> None:
    file = tmp_path / "broken.parquet"
    if content is not None:
        file.write_bytes(content)
    done = run(str(file))
    assert done.returncode == 1 and "cannot be read" in done.stderr and "Traceback" not in done.stderr


def test_without_pyarrow_it_says_what_to_install(tmp_path: pathlib.Path) -> None:
    (tmp_path / "pyarrow.py").write_text("raise ImportError('none')\n")
    done = run("any.parquet", path=str(tmp_path))
    assert done.returncode == 1
    assert done.stderr == "nadi.parquet: pyarrow is not installed; run `pip install 'nadi[parquet]'`\n"
