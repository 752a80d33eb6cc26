#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A FastAPI service that names irises, with Nadi's client and three Prometheus metrics.

    python examples/iris/service.py --spool /var/spool/nadi --port 8000

Endpoints: POST /predict, /label, /feedback; GET /metrics, /healthz. One worker process: the metrics live in it.
"""

from __future__ import annotations

import argparse
import os
import pathlib
import re
import sys
import time
from contextlib import asynccontextmanager
from typing import Any, AsyncIterator, Dict, List, Literal, Optional, Tuple

import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.exception_handlers import http_exception_handler
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics, generate_latest
from pydantic import BaseModel, ConfigDict, Field
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from starlette.exceptions import HTTPException

try:
    import nadi
except ImportError:  # not installed: take it from this checkout
    sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "clients" / "python"))
    import nadi

MODEL_NAME = "iris"
FEATURES = ("sepal_length", "sepal_width", "petal_length", "petal_width")
REGIONS = ("eu", "us", "apac")
LATENCY_BUCKETS = (0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)
PETAL_BUCKETS = tuple(index / 2 for index in range(2, 15))  # 1.0 to 7.0 cm

# -- the model -------------------------------------------------------------------------------------


class Model:
    """A classifier on scikit-learn's own iris data, trained in a blink; the same on every start."""

    def __init__(self) -> None:
        data = load_iris()
        self.classes: List[str] = [str(name) for name in data.target_names]
        self._pipeline = make_pipeline(StandardScaler(), LogisticRegression(C=10.0, max_iter=1000, random_state=7))
        self._pipeline.fit(data.data, data.target)

    def predict(self, row: List[float]) -> Tuple[str, Dict[str, float]]:
        """The class, and the probability of each."""
        probabilities = self._pipeline.predict_proba([row])[0]
        return self.classes[int(probabilities.argmax())], dict(zip(self.classes, map(float, probabilities)))


# -- what callers send -----------------------------------------------------------------------------

Centimetres = Field(gt=0, le=100, allow_inf_nan=False)


class Flower(BaseModel):
    model_config = ConfigDict(strict=True)
    sepal_length: float = Centimetres
    sepal_width: float = Centimetres
    petal_length: float = Centimetres
    petal_width: float = Centimetres
    request_id: Optional[str] = Field(default=None, min_length=1, max_length=64)
    replay_time: Optional[str] = None


class Label(BaseModel):
    prediction_id: str = Field(min_length=1, max_length=64)
    label: Literal["setosa", "versicolor", "virginica"]
    prediction_time: Optional[str] = None
    replay_time: Optional[str] = None


class Thumb(BaseModel):
    prediction_id: str = Field(min_length=1, max_length=64)
    score: Literal[1, -1]
    explanation: Optional[str] = Field(default=None, max_length=1000)
    prediction_time: Optional[str] = None
    replay_time: Optional[str] = None


# -- the service -----------------------------------------------------------------------------------


class Metrics:
    """The three metrics, in a registry of their own: /metrics shows exactly these."""

    def __init__(self, model_version: str, classes: List[str]) -> None:
        disable_created_metrics()
        self.registry = CollectorRegistry()
        self.predictions = Counter(
            "predictions_total", "Answered predictions.", ["model_version", "predicted_class"], registry=self.registry
        )
        latency = Histogram(
            "prediction_latency_seconds", "Time from a request's arrival to its prediction, in seconds.",
            ["model_version"], buckets=LATENCY_BUCKETS, registry=self.registry,
        )  # fmt: skip
        self.petal_length = Histogram(
            "input_petal_length",
            "Petal length that was asked about, in cm.",
            buckets=PETAL_BUCKETS,
            registry=self.registry,
        )
        self.latency = latency.labels(model_version)
        self.by_class = {name: self.predictions.labels(model_version, name) for name in classes}


class Arrival:
    """ASGI middleware that notes when each request arrived."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            scope.setdefault("state", {})["arrived"] = time.perf_counter()
        await self.app(scope, receive, send)


_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)", re.ASCII)


def event_time(options: argparse.Namespace, request: Request, body: Optional[BaseModel] = None) -> Optional[str]:
    """The request's own time, if the service was started for replay; else None, which is now."""
    if not options.replay:
        return None
    given = request.headers.get("x-replay-time") or getattr(body, "replay_time", None)
    return given if given and _TIME.fullmatch(given) else None


def region_tags(request: Request) -> Optional[Dict[str, str]]:
    """The region, as an edge proxy might tell it in a header. Only known ones: a tag has few values."""
    region = request.headers.get("x-region")
    return {"region": region} if region in REGIONS else None


def make_app(options: argparse.Namespace) -> FastAPI:
    """The application, with its model trained and its writer open."""
    model = Model()
    metrics = Metrics(options.model_version, model.classes)
    events = nadi.EventWriter(
        options.spool,
        service=options.service,
        environment=options.environment,
        host=options.host_name,
        seal_seconds=options.seal_seconds,
        replay=options.replay,
        resource_seconds=options.resource_seconds,
    )
    events.deployment(MODEL_NAME, options.model_version, actor="examples/iris")

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        events.close()

    app = FastAPI(title="iris", lifespan=lifespan)
    app.add_middleware(Arrival)

    @app.post("/predict")
    async def predict(flower: Flower, request: Request) -> Dict[str, Any]:
        features = {name: getattr(flower, name) for name in FEATURES}
        when = event_time(options, request, flower)
        about: Dict[str, Any] = {
            "features": features, "task": "multiclass", "time": when, "tags": region_tags(request),
            "request_id": flower.request_id, "route": "/predict",
        }  # fmt: skip
        try:
            answer, scores = model.predict(list(features.values()))
        except Exception:
            events.prediction(
                MODEL_NAME, options.model_version, status="error", error_type="internal", http_status_code=500,
                latency_seconds=time.perf_counter() - request.state.arrived, **about,
            )  # fmt: skip
            raise
        latency = time.perf_counter() - request.state.arrived
        prediction_id = events.prediction(
            MODEL_NAME, options.model_version, prediction=answer, score=scores[answer], scores=scores,
            latency_seconds=latency, http_status_code=200, **about,
        )  # fmt: skip
        metrics.by_class[answer].inc()
        metrics.latency.observe(latency)
        metrics.petal_length.observe(flower.petal_length)
        return {
            "class": answer,
            "score": scores[answer],
            "prediction_id": prediction_id,
            "prediction_time": when,
            "model_version": options.model_version,
        }

    def refuse(request: Request, details: List[Dict[str, Any]]) -> Response:
        if request.url.path == "/predict":  # it never reached the model, but somebody did not get an answer
            events.prediction(
                MODEL_NAME, options.model_version, status="error", error_type="validation", http_status_code=422,
                latency_seconds=time.perf_counter() - request.state.arrived, time=event_time(options, request),
                tags=region_tags(request), route="/predict", task="multiclass",
            )  # fmt: skip
        return JSONResponse({"detail": details}, status_code=422)

    @app.exception_handler(RequestValidationError)
    async def malformed(request: Request, error: RequestValidationError) -> Response:
        # What was sent is not repeated: it may hold NaN, which has no JSON form, and is nobody else's business.
        return refuse(request, [{key: fault[key] for key in ("type", "loc", "msg")} for fault in error.errors()])

    @app.exception_handler(HTTPException)
    async def unreadable(request: Request, error: HTTPException) -> Response:
        if error.status_code == 400:  # FastAPI's answer to a body that is not even text
            return refuse(request, [{"type": "json_invalid", "loc": ["body"], "msg": str(error.detail)}])
        return await http_exception_handler(request, error)

    @app.post("/label", status_code=202)
    async def label(body: Label, request: Request) -> Dict[str, str]:
        identity = events.outcome(
            body.prediction_id, MODEL_NAME, label=body.label, label_source="human",
            prediction_time=body.prediction_time, time=event_time(options, request, body),
        )  # fmt: skip
        return {"id": identity}

    @app.post("/feedback", status_code=202)
    async def feedback(body: Thumb, request: Request) -> Dict[str, str]:
        identity = events.feedback(
            body.prediction_id, MODEL_NAME, "thumbs", score=body.score, explanation=body.explanation,
            annotator_kind="HUMAN", prediction_time=body.prediction_time, time=event_time(options, request, body),
        )  # fmt: skip
        return {"id": identity}

    @app.get("/metrics")
    async def show_metrics() -> Response:
        return Response(generate_latest(metrics.registry), media_type="text/plain; version=0.0.4; charset=utf-8")

    @app.get("/healthz")
    async def healthz() -> Dict[str, Any]:
        return {"status": "ok", "model_version": options.model_version, "events": events.counts}

    return app


def parse(arguments: Optional[List[str]] = None) -> argparse.Namespace:
    """Options; each may come from the environment as IRIS_..., spool and environment as NADI_..."""
    parser = argparse.ArgumentParser(description="An iris classifier that logs through Nadi.")
    env = os.environ.get
    parser.add_argument("--address", default=env("IRIS_ADDRESS", "127.0.0.1"), help="address to listen on")
    parser.add_argument("--port", type=int, default=int(env("IRIS_PORT", "8000")))
    parser.add_argument("--spool", default=env("NADI_SPOOL", "/var/spool/nadi"), help="directory for segments")
    parser.add_argument("--environment", default=env("NADI_ENVIRONMENT", "demo"))
    parser.add_argument("--service", default=env("NADI_SERVICE", "iris-api"))
    parser.add_argument(
        "--host-name", default=env("NADI_HOST") or None, help="host in file names; default: the system's"
    )
    parser.add_argument("--model-version", default=env("IRIS_MODEL_VERSION", "1.0.0"))
    parser.add_argument("--seal-seconds", type=float, default=float(env("NADI_SEAL_SECONDS", "20")))
    parser.add_argument(
        "--resource-seconds", type=float, default=float(env("NADI_RESOURCE_SECONDS", "10")),
        help="how often to log what this process uses; 0: never",
    )  # fmt: skip
    parser.add_argument(
        "--replay", action="store_true", default=env("IRIS_REPLAY", "") in ("1", "true", "yes"),
        help="take events' times from the header x-replay-time (RFC 3339); for demos and tests",
    )  # fmt: skip
    parser.add_argument("--log-level", default=env("IRIS_LOG_LEVEL", "warning"))
    return parser.parse_args(arguments)


def main() -> None:
    options = parse()
    uvicorn.run(
        make_app(options), host=options.address, port=options.port, log_level=options.log_level, access_log=False
    )


if __name__ == "__main__":
    main()
