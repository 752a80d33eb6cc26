# SPDX-License-Identifier: Apache-2.0
"""Nadi's client for Python: one JSON line per prediction, in local files.

import nadi
events = nadi.EventWriter("/var/spool/nadi", service="iris-api")
events.prediction("iris", "1.2.0", prediction="setosa", features={"petal_length": 1.4}, latency_seconds=0.003)
"""

from ._writer import EventWriter

__all__ = ["EventWriter"]
__version__ = "0.1.0"
