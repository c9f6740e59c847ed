"""What tests of classifiers share: labels in the product, and a training to its end."""

import hashlib
import json
import sqlite3
from collections.abc import Awaitable, Callable
from typing import Any

from edgeneuro.controlplane.jobs.schedule import EVERY_MINUTE
from tests.unit.conftest import Answered, Product
from tests.unit.invocations import run_scheduled
from tests.unit.synthetic_labels import labels

# By everything that decides what comes of them: the database, ids and time afterwards, and what
# was said.
_ENDS: dict[tuple[object, ...], tuple[sqlite3.Connection, int, float, str]] = {}
AGENTS = ("it_support", "hr", "general")
EACH = 45
_MAX_MINUTES = 20  # until a training ends


async def once(product: Product, words: str, work: Callable[[], Awaitable[Any]]) -> Any:
    """What the work says. Dozens of tests begin with the same labels and the same training, which
    take half a second of CPU: where the same work has begun in the very same database, with the
    same ids and at the same time, a copy of its end is put in place: what the product itself made
    the first time. Nobody else has the database that is copied."""
    product.database.commit()
    connection, clock = product.database._connection, product.clock
    before = hashlib.sha256(connection.serialize()).hexdigest()
    table = product.services.word_vectors()
    begun = (words, product.services.settings, table, before, product._ids, clock.seconds)
    if begun not in _ENDS:
        said = json.dumps(await work())
        kept = sqlite3.connect(":memory:")
        connection.backup(kept)
        _ENDS[begun] = (kept, product._ids, clock.seconds, said)
    kept, product._ids, clock.seconds, said = _ENDS[begun]
    # The first time too: what comes next then begins in the same database, byte by byte.
    kept.backup(connection)
    return json.loads(said)


async def import_labels(product: Product, each: int = EACH, *, seed: int = 1) -> None:
    """Questions that tell the agents apart well, so many of each, and some of no agent."""
    await once(product, f"import {each} {seed}", lambda: _import_labels(product, each, seed))


async def _import_labels(product: Product, each: int, seed: int) -> None:
    lines = [
        {"query": one.query, "agent": AGENTS[int(one.agent_id[-1])] if one.agent_id else "none"}
        for one in labels(len(AGENTS), each, out_of_scope=each, seed=seed)
    ]
    body = "".join(json.dumps(line) + "\n" for line in lines).encode()
    assert (await product.call("POST", "/v1/datasets/import", body)).status == 200


async def create(product: Product, **body: Any) -> Answered:
    return await product.call("POST", "/v1/classifiers", {"target": 0.9, **body})


async def shown(product: Product, classifier_id: str) -> dict[str, Any]:
    found: dict[str, Any] = (await product.call("GET", f"/v1/classifiers/{classifier_id}")).json()
    return found


async def train(product: Product, **body: Any) -> dict[str, Any]:
    words = f"train {json.dumps(body, sort_keys=True)}"
    made: dict[str, Any] = await once(product, words, lambda: _train(product, **body))
    return made


async def _train(product: Product, **body: Any) -> dict[str, Any]:
    created = await create(product, **body)
    assert created.status == 202, created.text
    made = await shown(product, created.json()["id"])
    for _ in range(_MAX_MINUTES):  # what the first slice left
        if made["state"] not in ("queued", "running"):
            break
        await minute(product)
        made = await shown(product, made["id"])
    return made


async def minute(product: Product) -> None:
    """The cron fires."""
    await run_scheduled(product.services, EVERY_MINUTE)


async def select(product: Product, classifier_id: str | None, **body: Any) -> Answered:
    """Without the promotion check, unless `check` is given: few tests have labels enough for it."""
    body = {"check": False} | body if classifier_id else body
    body = {"model_id": classifier_id, **body}
    return await product.call("POST", "/v1/models/select", body)
