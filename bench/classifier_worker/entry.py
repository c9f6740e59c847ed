"""The classifier inside workerd, for bench/classifier.py: PUT /model and /examples give it what to
work on, GET /<work>?n=N does the work N times. Clocks stand still here, so the time is taken
outside."""

import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

from workers import Response, WorkerEntrypoint

from edgeneuro.classifier.examples import (
    Examples,
    Labelled,
)
from edgeneuro.classifier.features import features, plain
from edgeneuro.classifier.model import dumps, loads, version
from edgeneuro.classifier.plan import Plan
from edgeneuro.classifier.preparation import prepare
from edgeneuro.classifier.scorer import Scorer
from edgeneuro.classifier.training import Training
from edgeneuro.classifier.vectors import find_table, load_table, loaded_table, read_table

_held: dict[str, Any] = {}


class Default(WorkerEntrypoint):  # type: ignore[misc]  # the SDK is untyped here
    async def fetch(self, request: Any) -> Response:
        url = urlsplit(request.url)
        if request.method == "PUT":
            body = bytes((await request.js_object.arrayBuffer()).to_py())
            _keep(url.path, body)
            return Response("kept")
        times = int(parse_qs(url.query).get("n", ["0"])[0])
        return Response(str(_work(url.path, times)))


def _keep(path: str, body: bytes) -> None:
    if path == "/model":
        _held["bytes"], _held["scorer"] = body, Scorer(loads(body), load_table())
    elif path == "/turns":
        _held["turns"] = json.loads(body)
    elif path == "/queries":
        _held["queries"] = body.decode().split("\n")
        _held["read"] = [_held["scorer"].read(query) for query in _held["queries"]]
    else:
        _held["training"] = Training(Examples.from_bytes(body, load_table()), Plan())


def _work(path: str, times: int) -> Any:
    queries: list[str] = _held.get("queries", [""])
    done: Any = None
    if path == "/train":
        return _held["training"].step(times) if times else 0
    if path == "/version":
        return version(dumps(_held["training"].model())) if times else ""
    for turn in range(times):
        place = turn % len(queries)
        if path == "/load":
            done = Scorer(loads(_held["bytes"]), loaded_table()).model.labels
        elif path == "/prepare":
            labels = [Labelled(query, str(turn)) for query in queries]
            done = len(prepare(labels, load_table()))
        elif path == "/table":
            done = read_table(find_table()).id
        elif path == "/features":
            done = features(queries[place])
        elif path == "/vector":
            done = load_table().vector(plain(queries[place]))
        elif path == "/score":
            done = _held["scorer"].score(*_held["read"][place])
        elif path == "/judge":
            done = _held["scorer"].predict(queries[place])
        elif path == "/rank":
            done = _held["scorer"].rank(_held["turns"][turn % len(_held["turns"])][0])
        elif path == "/rank_turn":
            done = _held["scorer"].rank_turn(*_held["turns"][turn % len(_held["turns"])])
        elif path == "/save":
            done = len(_held["training"].to_bytes())
    return done
