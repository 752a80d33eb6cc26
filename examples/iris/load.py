#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Sends real HTTP requests to the iris service, on a clock of its own: hours of traffic in seconds.

    python examples/iris/load.py --url http://127.0.0.1:8000 --seed 7 --requests 1000 --drift-last 400

The service must run with --replay, or all events carry today's time. The last --drift-last requests have longer petals
than the model was trained on. A few per cent are malformed. Labels and thumbs come later, on the same clock; some never
do. What is sent depends on the arguments alone; a JSON summary of it ends the standard output. Standard library only.
"""

from __future__ import annotations

import argparse
import heapq
import http.client
import json
import math
import random
import sys
import time
import urllib.parse
from collections import Counter, defaultdict
from datetime import datetime, timedelta, timezone
from typing import Any, Dict, List, Optional, Tuple

FEATURES = ("sepal_length", "sepal_width", "petal_length", "petal_width")
#: Mean and standard deviation of Fisher's 50 flowers of each class, in cm.
FLOWERS = {
    "setosa": ((5.006, 0.352), (3.428, 0.379), (1.462, 0.174), (0.246, 0.105)),
    "versicolor": ((5.936, 0.516), (2.770, 0.314), (4.260, 0.470), (1.326, 0.198)),
    "virginica": ((6.588, 0.636), (2.974, 0.322), (5.552, 0.552), (2.026, 0.275)),
}
REGIONS = (("eu", 0.5), ("us", 0.3), ("apac", 0.2))
MALFORMED_SHARE = 0.03
LABEL_SHARE = 0.88  # some of these come too late to be sent: about 80 % remain
FEEDBACK_SHARE = 0.30
DRIFT_SCALE, DRIFT_SHIFT_CM = 1.1, 1.2


def rfc3339(when: datetime) -> str:
    return when.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.") + f"{when.microsecond // 1000:03d}Z"


def parse_time(text: str) -> datetime:
    when = datetime.fromisoformat(text.replace("Z", "+00:00").replace("z", "+00:00"))
    if when.tzinfo is None:
        raise argparse.ArgumentTypeError("the time needs a zone: 2026-11-23T10:00:00Z")
    return when.astimezone(timezone.utc)


class Plan:
    """All that will be sent, drawn from the seed before the first request."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.random = random.Random(f"iris load {options.seed}")
        self.end: datetime = options.end_time
        self.start = self.end - timedelta(hours=options.hours)
        span = (self.end - self.start).total_seconds()
        self.requests: List[Dict[str, Any]] = []
        drift_from = options.requests - options.drift_last
        for index in range(options.requests):
            # One request in each slot, anywhere in it: requests keep their order. Slots are shorter amid the hours.
            place = (index + self.random.random() * 0.999) / options.requests
            seconds = span * (place + 0.05 * math.sin(2 * math.pi * place))
            self.requests.append(
                self._request(index, self.start + timedelta(milliseconds=int(seconds * 1000)), drift_from)
            )
        self.drift_from: Optional[datetime] = self.requests[drift_from]["time"] if options.drift_last else None

    def _request(self, index: int, when: datetime, drift_from: int) -> Dict[str, Any]:
        draw = self.random
        label = draw.choice(sorted(FLOWERS))
        size = draw.gauss(0, 1)  # a large flower is large all over
        body: Dict[str, Any] = {}
        for name, (mean, deviation) in zip(FEATURES, FLOWERS[label]):
            body[name] = mean + deviation * (0.7 * size + math.sqrt(1 - 0.49) * draw.gauss(0, 1))
        drifted = index >= drift_from
        if drifted:
            body["petal_length"] = body["petal_length"] * DRIFT_SCALE + DRIFT_SHIFT_CM
        body = {name: max(0.1, round(value, 1)) for name, value in body.items()}
        body["request_id"] = f"r-{index}"
        region = draw.choices([name for name, _ in REGIONS], [weight for _, weight in REGIONS])[0]
        malformed = draw.random() < MALFORMED_SHARE
        delay, thumb_delay = draw.lognormvariate(math.log(900), 1.0), draw.lognormvariate(math.log(120), 1.0)
        return {
            "time": when,
            "body": self._malform(body) if malformed else json.dumps(body).encode(),
            "features": body,
            "malformed": malformed,
            "drifted": drifted,
            "region": region,
            "label": label,
            "label_time": when + timedelta(seconds=delay) if draw.random() < LABEL_SHARE else None,
            "thumb_time": when + timedelta(seconds=thumb_delay) if draw.random() < FEEDBACK_SHARE else None,
            "mood": draw.random(),
        }

    def _malform(self, body: Dict[str, Any]) -> bytes:
        draw = self.random
        name = draw.choice(FEATURES)
        kind = draw.randrange(5)
        if kind == 0:
            return json.dumps({key: value for key, value in body.items() if key != name}).encode()
        if kind == 1:
            return json.dumps({**body, name: "long"}).encode()
        if kind == 2:
            return json.dumps({**body, name: -body[name]}).encode()
        if kind == 3:
            return json.dumps({**body, name: None}).encode()
        return json.dumps(body).encode()[: -draw.randrange(3, 20)]


class Client:
    """One connection, kept alive, opened again when the server closed it."""

    def __init__(self, url: str) -> None:
        parts = urllib.parse.urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise SystemExit(f"load.py: --url {url!r} is no http:// or https:// address")
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self._connection = kind(parts.hostname, parts.port, timeout=30)
        self._base = parts.path.rstrip("/")

    def wait(self, seconds: float) -> None:
        """Until the service answers."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                self._connection.request("GET", self._base + "/healthz")
                response = self._connection.getresponse()
                response.read()
                if response.status == 200:
                    return
                fault = f"GET /healthz answers {response.status}"
            except OSError as error:
                self._connection.close()
                fault = str(error)
            if time.monotonic() >= deadline:
                raise SystemExit(
                    f"load.py: no iris service at {self._connection.host}:{self._connection.port}: {fault}"
                )
            time.sleep(0.1)

    def post(self, path: str, body: bytes, headers: Dict[str, str]) -> Tuple[int, Dict[str, Any]]:
        headers = {"content-type": "application/json", **headers}
        try:
            self._connection.request("POST", self._base + path, body, headers)
        except (BrokenPipeError, ConnectionResetError):  # closed while idle: the request was not taken
            self._connection.close()
            self._connection.request("POST", self._base + path, body, headers)
        response = self._connection.getresponse()
        text = response.read()
        try:
            return response.status, json.loads(text)
        except ValueError:
            return response.status, {}


def run(options: argparse.Namespace) -> Dict[str, Any]:
    """Sends all, and answers the summary."""
    plan = Plan(options)
    client = Client(options.url)
    client.wait(options.wait)
    statuses: Dict[str, Counter] = {path: Counter() for path in ("/predict", "/label", "/feedback")}
    hours: Dict[str, Counter] = defaultdict(Counter)
    classes: Counter = Counter()
    regions: Counter = Counter()
    quality = {"before": Counter(), "after": Counter()}
    petals: Dict[str, List[float]] = {"before": [], "after": []}
    thumbs: Counter = Counter()
    # What is due on the replay clock: (time, order, path, request, prediction id, predicted class).
    due: List[Tuple[datetime, int, str, Dict[str, Any], str, str]] = []
    for order, request in enumerate(plan.requests):
        due.append((request["time"], order, "/predict", request, "", ""))
    heapq.heapify(due)
    order, done = len(due), 0
    show = sys.stderr.isatty()
    while due:
        when, _, path, request, prediction_id, predicted = heapq.heappop(due)
        headers = {"x-replay-time": rfc3339(when)}
        if path == "/predict":
            body = request["body"]
            headers["x-region"] = request["region"]
        elif path == "/label":
            body = json.dumps(
                {"prediction_id": prediction_id, "label": request["label"], "prediction_time": rfc3339(request["time"])}
            ).encode()
        else:
            score = 1 if (predicted == request["label"]) == (request["mood"] < 0.9) else -1
            thumbs["up" if score > 0 else "down"] += 1
            body = json.dumps(
                {"prediction_id": prediction_id, "score": score, "prediction_time": rfc3339(request["time"])}
            ).encode()
        status, answer = client.post(path, body, headers)
        statuses[path][str(status)] += 1
        if path == "/label" and status == 202:
            period = quality["after" if request["drifted"] else "before"]
            period["labelled"] += 1
            period["correct"] += predicted == request["label"]
        if path == "/predict":
            done += 1
            hour = hours[when.strftime("%Y-%m-%dT%H:00:00Z")]
            hour["requests"] += 1
            regions[request["region"]] += 1
            if status == 200:
                hour["ok"] += 1
                predicted = answer["class"]
                classes[predicted] += 1
                petals["after" if request["drifted"] else "before"].append(request["features"]["petal_length"])
                for key, target in (("label_time", "/label"), ("thumb_time", "/feedback")):
                    if request[key] is not None and request[key] < plan.end:
                        order += 1
                        heapq.heappush(due, (request[key], order, target, request, answer["prediction_id"], predicted))
            else:
                hour["errors"] += 1
            if show and (done % 20 == 0 or done == len(plan.requests)):
                share = done / len(plan.requests)
                print(
                    f"\rload  [{'#' * int(30 * share):<30}] {done}/{len(plan.requests)} requests",
                    end="",
                    file=sys.stderr,
                )
    if show:
        print(file=sys.stderr)

    def mean(values: List[float]) -> Optional[float]:
        return round(sum(values) / len(values), 6) if values else None

    ok = statuses["/predict"]["200"]
    return {
        "seed": options.seed,
        "from": rfc3339(plan.start),
        "to": rfc3339(plan.end),
        "drift_from": rfc3339(plan.drift_from) if plan.drift_from else None,
        "drift_last": options.drift_last,
        "requests": len(plan.requests),
        "ok": ok,
        "malformed": sum(request["malformed"] for request in plan.requests),
        "statuses": {path: dict(sorted(counter.items())) for path, counter in statuses.items()},
        "hours": {
            hour: {key: counter[key] for key in ("requests", "ok", "errors")} for hour, counter in sorted(hours.items())
        },
        "classes": dict(sorted(classes.items())),
        "regions": dict(sorted(regions.items())),
        "labels": statuses["/label"]["202"],
        "feedback": statuses["/feedback"]["202"],
        "thumbs": dict(sorted(thumbs.items())),
        "petal_length": {
            period: {
                "n": len(values),
                "mean": mean(values),
                "min": min(values, default=None),
                "max": max(values, default=None),
            }
            for period, values in petals.items()
        },
        "accuracy": {
            period: {
                "labelled": counter["labelled"],
                "correct": counter["correct"],
                "accuracy": round(counter["correct"] / counter["labelled"], 6) if counter["labelled"] else None,
            }
            for period, counter in quality.items()
        },
    }


def parse(arguments: Optional[List[str]] = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Hours of traffic for the iris service, in seconds.")
    parser.add_argument("--url", default="http://127.0.0.1:8000", help="the service's address")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--requests", type=int, default=1000)
    parser.add_argument("--drift-last", type=int, default=400, help="how many of the last requests have longer petals")
    parser.add_argument("--hours", type=float, default=10.0, help="hours over which the events' times are spread")
    parser.add_argument(
        "--end-time", type=parse_time, help="RFC 3339; where the hours end; default: the last full hour"
    )
    parser.add_argument("--wait", type=float, default=10.0, help="seconds to wait for the service to answer")
    options = parser.parse_args(arguments)
    if options.requests < 1 or not 0 <= options.drift_last <= options.requests or options.hours <= 0:
        parser.error("--requests is at least 1, --drift-last 0 to --requests, --hours above 0")
    if options.end_time is None:
        options.end_time = datetime.now(timezone.utc).replace(minute=0, second=0, microsecond=0)
    return options


def main() -> int:
    summary = run(parse())
    print(json.dumps(summary, indent=2))
    expected = {"200": summary["requests"] - summary["malformed"], "422": summary["malformed"]}
    if summary["statuses"]["/predict"] != {status: count for status, count in expected.items() if count}:
        print("load.py: the service did not answer as expected (see statuses)", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
