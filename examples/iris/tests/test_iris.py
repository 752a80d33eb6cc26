# SPDX-License-Identifier: Apache-2.0
"""The real service on loopback, its metrics and its files; the load generator and the foreign log."""

import http.client
import json
import pathlib
import re
import signal
import socket
import subprocess
import sys
import time
from collections import Counter

import pytest

HERE = pathlib.Path(__file__).resolve().parent
IRIS = HERE.parent
sys.path.insert(0, str(IRIS.parents[1] / "clients" / "python" / "tests"))
import conftest as client_tests  # noqa: E402  (the readers of a spool)

END = "2026-11-20T12:00:00Z"


class Service:
    def __init__(self, spool, *arguments):
        self.spool = spool
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.process = subprocess.Popen(
            [sys.executable, IRIS / "service.py", "--spool", spool, "--port", str(self.port), *arguments]
        )
        deadline = time.monotonic() + 60
        while True:
            try:
                if self.call("GET", "/healthz")[0] == 200:
                    return
            except OSError:
                assert self.process.poll() is None and time.monotonic() < deadline, "the service does not start"
                time.sleep(0.05)

    def call(self, method, path, body=None, headers=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        body = json.dumps(body).encode() if isinstance(body, dict) else body
        connection.request(method, path, body, {"content-type": "application/json", **(headers or {})})
        response = connection.getresponse()
        text = response.read().decode()
        connection.close()
        return response.status, json.loads(text) if response.headers["content-type"] == "application/json" else text

    def metrics(self):
        """Samples by name with labels; asserts that no other family is there."""
        text = self.call("GET", "/metrics")[1]
        families = re.findall(r"^# TYPE (\S+) (\S+)$", text, re.M)
        assert families == [
            ("predictions_total", "counter"),
            ("prediction_latency_seconds", "histogram"),
            ("input_petal_length", "histogram"),
        ]
        assert "_created" not in text
        assert re.search(r"^# HELP input_petal_length .*\bcm\b", text, re.M)
        return {m[1]: float(m[2]) for m in re.finditer(r"^([a-z][^ ]*) (\S+)$", text, re.M)}

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(timeout=20) in (0, -signal.SIGTERM)  # uvicorn re-raises what stopped it
        return client_tests.Spool(self.spool)


@pytest.fixture
def start(tmp_path):
    services = []

    def begin(*arguments):
        services.append(Service(tmp_path / "spool", *arguments))
        return services[-1]

    yield begin
    for service in services:
        if service.process.poll() is None:
            service.process.kill()
            service.process.wait()


@pytest.fixture(scope="session")
def validator():
    return client_tests.Draft202012Validator(json.loads((client_tests.SCHEMA / "event.schema.json").read_text()))


FLOWER = {"sepal_length": 5.1, "sepal_width": 3.5, "petal_length": 1.4, "petal_width": 0.2}


def test_one_flower(start, validator):
    service = start("--model-version", "2.0")
    assert service.metrics()['predictions_total{model_version="2.0",predicted_class="virginica"}'] == 0
    status, answer = service.call(
        "POST",
        "/predict",
        {**FLOWER, "request_id": "r-9"},
        {"x-replay-time": "2020-01-01T00:00:00.000Z", "x-region": "eu"},
    )
    assert status == 200 and answer["class"] == "setosa" and 0.9 < answer["score"] <= 1
    identity = answer["prediction_id"]
    assert service.call("POST", "/label", {"prediction_id": identity, "label": "setosa"})[0] == 202
    assert service.call("POST", "/feedback", {"prediction_id": identity, "score": -1, "explanation": "no"})[0] == 202
    assert service.call("POST", "/label", {"prediction_id": identity, "label": "rose"})[0] == 422
    malformed = [
        {**FLOWER, "petal_length": "1.4"}, {**FLOWER, "petal_length": -1}, {**FLOWER, "petal_length": None}, b"{", b"[]",
        {"sepal_length": 5.1}, json.dumps({**FLOWER, "petal_width": float("nan")}).encode(), b"\xff",
    ]  # fmt: skip
    for body in malformed:
        assert service.call("POST", "/predict", body)[0] == 422, body
    assert service.call("GET", "/nothing")[0] == 404 and service.call("GET", "/predict")[0] == 405
    samples = service.metrics()
    assert samples['predictions_total{model_version="2.0",predicted_class="setosa"}'] == 1
    assert samples['prediction_latency_seconds_count{model_version="2.0"}'] == 1
    assert samples['prediction_latency_seconds_bucket{le="1.0",model_version="2.0"}'] == 1
    assert samples['input_petal_length_bucket{le="1.0"}'] == 0 and samples['input_petal_length_bucket{le="1.5"}'] == 1
    assert 'input_petal_length_bucket{le="7.0"}' in samples and samples["input_petal_length_sum"] == 1.4

    read = service.stop()
    assert not read.locks
    for name in read.writers():
        client_tests.check_closed_writer(read.of(name))
    for event in read.events():
        validator.validate(event)
    good, *bad = read.events("prediction")
    assert good["id"] == identity and good["features"] == FLOWER and good["tags"] == {"region": "eu"}
    assert good["request_id"] == "r-9" and good["model_version"] == "2.0"
    assert good["time"] > "2026"  # not replayed: the header is ignored
    assert len(bad) == len(malformed)
    assert all(e["error_type"] == "validation" and "features" not in e and e["latency_seconds"] > 0 for e in bad)
    assert [e["label"] for e in read.events("outcome")] == ["setosa"]
    assert [e["score"] for e in read.events("feedback")] == [-1]
    assert [e["model_version"] for e in read.events("deployment")] == ["2.0"]
    assert "replay" not in read.events("writer")[-1]


def run_load(service, *arguments):
    result = subprocess.run(
        [sys.executable, IRIS / "load.py", "--url", f"http://127.0.0.1:{service.port}", "--end-time", END, *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=120,
    )  # fmt: skip
    assert result.returncode == 0 and result.stderr == "", result.stderr
    return json.loads(result.stdout)


def test_load_and_drift(start, validator):
    service = start("--replay", "--resource-seconds", "0")
    summary = run_load(service, "--seed", "11", "--requests", "700", "--drift-last", "213")
    assert summary["requests"] == 700 and summary["drift_last"] == 213
    assert 0.005 < summary["malformed"] / 700 < 0.07
    assert summary["ok"] == 700 - summary["malformed"] == sum(summary["classes"].values())
    assert 0.7 < summary["labels"] / summary["ok"] < 0.9 and 0.2 < summary["feedback"] / summary["ok"] < 0.4
    before, after = summary["petal_length"]["before"], summary["petal_length"]["after"]
    assert before["n"] + after["n"] == summary["ok"] and after["mean"] > before["mean"] + 1
    assert summary["accuracy"]["before"]["accuracy"] > 0.9 > summary["accuracy"]["after"]["accuracy"]

    samples = service.metrics()
    for name, number in summary["classes"].items():
        assert samples[f'predictions_total{{model_version="1.0.0",predicted_class="{name}"}}'] == number
    assert samples["input_petal_length_count"] == summary["ok"]

    read = service.stop()
    predictions = read.events("prediction")
    for event in predictions:
        validator.validate(event)
    hours = {}
    for event in predictions:
        hour = hours.setdefault(event["time"][:13] + ":00:00Z", {"requests": 0, "ok": 0, "errors": 0})
        hour["requests"] += 1
        hour["ok" if event["status"] == "ok" else "errors"] += 1
    assert hours == summary["hours"] and len(hours) == 10
    assert min(hours) == "2026-11-20T02:00:00Z" and max(hours) == "2026-11-20T11:00:00Z"
    ok = [e for e in predictions if e["status"] == "ok"]
    assert Counter(e["prediction"] for e in ok) == summary["classes"]
    assert Counter(e["tags"]["region"] for e in predictions) == summary["regions"]
    drifted = [e["features"]["petal_length"] for e in ok if e["time"] >= summary["drift_from"]]
    assert len(drifted) == after["n"] and sum(drifted) / len(drifted) == pytest.approx(after["mean"], abs=1e-6)

    by_id = {e["id"]: e for e in ok}
    outcomes, thumbs = read.events("outcome"), read.events("feedback")
    assert len(outcomes) == summary["labels"] and len(thumbs) == summary["feedback"]
    for event in outcomes + thumbs:
        validator.validate(event)
        prediction = by_id[event["prediction_id"]]
        assert event["prediction_time"] == prediction["time"] < event["time"] < END
    correct = sum(e["label"] == by_id[e["prediction_id"]]["prediction"] for e in outcomes)
    assert correct == sum(period["correct"] for period in summary["accuracy"].values())
    last = client_tests.check_closed_writer(read.segments)
    assert last["replay"] is True and last["written"] == last["appended"]


def test_load_follows_its_seed(start, tmp_path):
    service = start("--replay")
    first = run_load(service, "--seed", "3", "--requests", "120", "--drift-last", "0", "--hours", "2")
    again = run_load(service, "--seed", "3", "--requests", "120", "--drift-last", "0", "--hours", "2")
    other = run_load(service, "--seed", "4", "--requests", "120", "--drift-last", "0", "--hours", "2")
    assert first == again != other
    assert first["drift_from"] is None and first["petal_length"]["after"]["n"] == 0
    service.stop()


def run_foreign(directory, *arguments):
    command = [sys.executable, IRIS / "foreign.py", "--directory", directory, "--end-time", END, *arguments]
    return json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=60).stdout)


def test_the_foreign_log(tmp_path):
    import gzip

    whole = run_foreign(tmp_path / "all", "--seed", "5", "--lines", "500")
    first = run_foreign(tmp_path / "staged", "--seed", "5", "--lines", "500", "--stage", "write")
    written = {path.name: path.read_bytes() for path in (tmp_path / "staged").iterdir()}
    then = run_foreign(tmp_path / "staged", "--seed", "5", "--lines", "500", "--stage", "late")
    assert whole == then and first["lines"] == 500 and then["lines"] == 501
    assert len(first["files"]) >= 4 and sum(first["files"].values()) == 500 and sum(then["files"].values()) == 501
    files = {path.name: path.read_bytes() for path in (tmp_path / "staged").iterdir()}
    assert files == {path.name: path.read_bytes() for path in (tmp_path / "all").iterdir()}
    packed = [name for name in files if name.endswith(".gz")]
    assert len(packed) == 1 and gzip.decompress(files[packed[0]]) == written[packed[0][:-3]]
    longer = [name for name in written if name in files and files[name] != written[name]]
    assert longer == ["fraud.log.2"] and files["fraud.log.2"].startswith(written["fraud.log.2"])
    assert files["fraud.log"] == b""
    lines = [
        json.loads(line)
        for name in files
        for line in (gzip.decompress(files[name]) if name in packed else files[name]).splitlines()
    ]
    assert all(set(line) == {"ts", "ver", "input", "out", "ms", "rid"} for line in lines)
    assert Counter(line["ts"][:13] + ":00:00Z" for line in lines) == then["hours"]
    assert Counter(line["out"]["class"] for line in lines) == then["classes"]
    assert len({line["rid"] for line in lines}) == 501


def test_the_reference(tmp_path):
    import csv

    def make(*arguments):
        path = tmp_path / "reference.csv"
        subprocess.run([sys.executable, IRIS / "reference.py", "--output", path, *arguments], check=True, timeout=60)
        with path.open(newline="") as file:
            return list(csv.DictReader(file))

    rows = make("--rows", "900")
    assert rows == make("--rows", "900") != make("--rows", "900", "--seed", "2")
    assert len(rows) == 900
    classes = ("setosa", "versicolor", "virginica")
    for row in rows:
        shares = {name: float(row[f"p_{name}"]) for name in classes}
        assert sum(shares.values()) == pytest.approx(1, abs=1e-9)
        assert row["prediction"] == max(shares, key=shares.get) and float(row["score"]) == shares[row["prediction"]]
        assert row["label"] in classes and all(0 < float(row[name]) < 10 for name in list(row)[:4])
    right = sum(row["prediction"] == row["label"] for row in rows)
    assert 0.93 < right / len(rows) < 0.99, "the model is as right as its README says"
    mean = sum(float(row["petal_length"]) for row in rows) / len(rows)
    assert mean == pytest.approx((1.462 + 4.260 + 5.552) / 3, abs=0.2), "nothing is measured wrongly"
