"""Classifiers in the database of a test, learned from invented words."""

import hashlib
import json
import random
import sqlite3
from collections.abc import Sequence
from dataclasses import replace
from functools import cache

from edgeneuro.classifier.model import Model, dumps, version
from edgeneuro.domain.classifier import ShortlistReport
from edgeneuro.domain.job import job_id_of
from tests.unit.conftest import Product, add_agents
from tests.unit.synthetic_labels import labels, question, trained

AGENTS = ("agent_0", "agent_1", "agent_2")
METRICS = {"held_out": 1_000, "coverage": 0.9, "false_accept_rate": 0.0}


@cache
def learned(seed: int = 1) -> Model:
    return trained(labels(len(AGENTS), 60, out_of_scope=60, seed=seed)).model()


@cache
def never_sure() -> Model:
    """It knows as much, but no confidence is enough."""
    model = learned()
    calibration = replace(model.calibration, thresholds=(None,) * len(AGENTS))
    return replace(model, calibration=calibration)


def known(agent: str, number: int = 0) -> str:
    """A question that the classifier is sure to know."""
    return question(random.Random(number), agent)


UNKNOWN = question(random.Random(1), "nobody")


def install(
    product: Product,
    classifier_id: str,
    model: Model | None = None,
    *,
    agents: Sequence[str] = AGENTS,
    content: bytes | None = None,
    shortlist: ShortlistReport | None = None,
) -> str:
    """As if it had been learned here; `content` are other bytes than the model's. Returns its
    version."""
    connection, made = product.database._connection, model or learned()
    install_in(connection, classifier_id, made, agents, content=content, shortlist=shortlist)
    return version(dumps(made))


def install_in(
    connection: sqlite3.Connection,
    classifier_id: str,
    model: Model,
    agents: Sequence[str],
    *,
    content: bytes | None = None,
    shortlist: ShortlistReport | None = None,
) -> None:
    """The same in the database of any product."""
    whole = dumps(model)
    stored = whole if content is None else content
    per_agent = [{"agent_id": agent, "labels": 60, "threshold": 0.9} for agent in AGENTS]
    connection.execute(
        "INSERT INTO classifiers (id, created_at, created_by, options, agents, labels, metrics,"
        " per_agent, size, checksum, shortlist)"
        " VALUES (?1, 0, 'test', ?2, ?3, 200, ?4, ?5, ?6, ?7, ?8)",
        (
            classifier_id,
            json.dumps({"target": 0.98, "min_labels": 5, "seed": 0}),
            json.dumps(agents),
            json.dumps(METRICS),
            json.dumps(per_agent),
            len(whole),
            hashlib.sha256(whole[:-32]).hexdigest(),
            None if shortlist is None else shortlist.model_dump_json(),
        ),
    )
    connection.execute(
        "INSERT INTO jobs (id, kind, resource_id, state, created_at, updated_at, ended_at)"
        " VALUES (?1, 'training', ?2, 'succeeded', 0, 0, 0)",
        (job_id_of(classifier_id), classifier_id),
    )
    connection.execute(
        "INSERT INTO classifier_parts VALUES (?1, 'model', 0, ?2)", (classifier_id, stored)
    )


async def create_agents(product: Product, agents: Sequence[str] = AGENTS) -> None:
    bodies = [
        {"id": agent, "name": agent, "description": agent, "default": number == 0}
        for number, agent in enumerate(agents)
    ]
    await add_agents(product, bodies)


async def select(product: Product, classifier_id: str | None, **settings: object) -> None:
    """Without audit samples, unless the settings say so."""
    body = {"classifier": classifier_id, "audit_sample_share": 0.0, **settings}
    answered = await product.call("PATCH", "/v1/config", body)
    assert answered.status == 200, answered.text


async def load(product: Product) -> None:
    """The first request finds nothing loaded; the load runs behind its answer."""
    await product.route("warm up")
