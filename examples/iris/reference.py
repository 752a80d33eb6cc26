#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes what `nadi reference create` compares the iris service's input with: a validation set, and the model's answers.

    python examples/iris/reference.py --rows 5000 --output reference.csv
    nadi reference create --model iris --name validation --from-file reference.csv ...

Fisher's 150 flowers themselves would be too few: under 200 rows nothing can be told from chance. So the flowers are drawn
as load.py draws its callers' (same classes, means and spreads, another seed, nothing measured wrongly), and the model that
service.py trains on Fisher's answers. One row a flower: the four features, the prediction, its score, the probability of
each class, and the true label.
"""

from __future__ import annotations

import argparse
import csv
import sys
from datetime import datetime, timezone
from typing import List, Optional

import load
import service


def write(rows: int, seed: int, output: str) -> None:
    """Draws the flowers, has the model answer, and writes the file."""
    draw = argparse.Namespace(
        seed=f"reference {seed}", requests=rows, drift_last=0, hours=1.0, end_time=datetime(2026, 1, 1, tzinfo=timezone.utc)
    )
    model = service.Model()
    with open(output, "w", newline="", encoding="utf-8") if output != "-" else sys.stdout as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow([*load.FEATURES, "prediction", "score", *(f"p_{name}" for name in model.classes), "label"])
        for flower in load.Plan(draw).requests:
            features = [flower["features"][name] for name in load.FEATURES]
            prediction, scores = model.predict(features)
            table.writerow([*features, prediction, scores[prediction], *(scores[name] for name in model.classes), flower["label"]])


def parse(arguments: Optional[List[str]] = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="A reference for the iris service, as a CSV file.")
    parser.add_argument("--rows", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=1936)
    parser.add_argument("--output", default="-", help="a file; -: the standard output")
    options = parser.parse_args(arguments)
    if options.rows < 1:
        parser.error("--rows is at least 1")
    return options


if __name__ == "__main__":
    options = parse()
    write(options.rows, options.seed, options.output)
