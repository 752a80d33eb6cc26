# SPDX-License-Identifier: Apache-2.0
"""Writes the rows of a Parquet file as JSON lines, which `nadi reference create --rows -` takes.

    python -m nadi.parquet train.parquet | nadi reference create --model credit --name train --rows -

Needs pyarrow, which the rest of this package does not. Memory holds one batch of rows.
"""

from __future__ import annotations

import argparse
import base64
import datetime
import decimal
import json
import math
import sys
from typing import Any, IO, List, Optional, Sequence

BATCH = 8192


def plain(value: Any) -> Any:
    """The value as JSON has it: what is not finite is null, times are RFC 3339 in UTC, decimals are numbers."""
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, datetime.datetime):
        # A time without a zone is UTC, as in CSV files.
        aware = value if value.tzinfo is not None else value.replace(tzinfo=datetime.timezone.utc)
        text = aware.astimezone(datetime.timezone.utc).isoformat(timespec="milliseconds")
        return text.replace("+00:00", "Z")
    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat()
    if isinstance(value, datetime.timedelta):
        return value.total_seconds()
    if isinstance(value, decimal.Decimal):
        return plain(float(value))
    if isinstance(value, bytes):
        try:
            return value.decode("utf-8")
        except UnicodeDecodeError:
            return base64.b64encode(value).decode("ascii")
    if isinstance(value, dict):
        return {str(key): plain(member) for key, member in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(member) for member in value]
    return str(value)


def convert(path: str, out: IO[str], columns: Optional[Sequence[str]] = None) -> int:
    """Writes the rows of `path` to `out`, one JSON object a line, and returns how many there were.

    `columns` are those that are wanted, in the file's order; all without it.
    """
    import pyarrow
    import pyarrow.parquet

    rows = 0
    with pyarrow.parquet.ParquetFile(path) as file:
        names: List[str] = file.schema_arrow.names
        for name in columns or ():
            if name not in names:
                raise SystemExit(f"nadi.parquet: {path} has no column {name}; it has {', '.join(names)}")
        wanted = [name for name in names if columns is None or name in columns]
        for batch in file.iter_batches(batch_size=BATCH, columns=wanted):
            lists = [
                # Python's times have microseconds: nanoseconds are cut.
                column.cast(pyarrow.timestamp("us", column.type.tz), safe=False).to_pylist()
                if pyarrow.types.is_timestamp(column.type) and column.type.unit == "ns"
                else column.to_pylist()
                for column in batch.columns
            ]
            for values in zip(*lists):
                row = {name: plain(value) for name, value in zip(batch.schema.names, values)}
                out.write(json.dumps(row, ensure_ascii=False, separators=(",", ":"), allow_nan=False))
                out.write("\n")
                rows += 1
    return rows


def main(arguments: Optional[Sequence[str]] = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m nadi.parquet",
        description="Writes the rows of a Parquet file as JSON lines, for `nadi reference create --rows -`.",
    )
    parser.add_argument("file", help="the Parquet file")
    parser.add_argument("--column", action="append", help="only this column; may be repeated")
    options = parser.parse_args(arguments)
    try:
        import pyarrow
    except ImportError:
        print("nadi.parquet: pyarrow is not installed; run `pip install 'nadi[parquet]'`", file=sys.stderr)
        return 1
    out = open(sys.stdout.fileno(), "w", encoding="utf-8", closefd=False)
    try:
        convert(options.file, out, options.column)
        out.flush()
    except BrokenPipeError:
        return 1  # the reader has said why
    except (OSError, pyarrow.ArrowException) as error:
        print(f"nadi.parquet: {options.file} cannot be read: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
