"""Labels that the active model or classifier contradicts, and when a training is worth it."""

from typing import Any

from tests.unit.classifiers import AGENTS, create_agents, install, select
from tests.unit.conftest import Product
from tests.unit.test_queue import ask, label


async def disagreements(product: Product, query: str = "") -> dict[str, Any]:
    answered = await product.call("GET", f"/v1/labels/disagreements{query}")
    assert answered.status == 200, answered.text
    found: dict[str, Any] = answered.json()
    return found


async def test_labels_that_decisions_contradict_until_they_are_given_again(
    product: Product,
) -> None:
    log_id = await ask(product, "payslip", agent="it_support", confidence=0.9)
    await ask(product, "badge", agent="none", confidence=0.97)
    await ask(product, "vpn", agent="it_support", confidence=1.0)
    await ask(product, "not sure", agent="it_support", confidence=0.2)
    for query in ("payslip", "badge", "not sure"):
        await label(product, query)
    await label(product, "vpn", "it_support")

    found = await disagreements(product)
    assert [(one["query"], one["agent_id"], one["predicted"]) for one in found["data"]] == [
        ("badge", "hr", None),
        ("payslip", "hr", "it_support"),
    ]
    second = found["data"][1]
    assert (second["confidence"], second["layer"], second["found_in"], second["log_id"]) == (
        0.9,
        "llm",
        "decision",
        log_id,
    )
    limited = await disagreements(product, "?limit=1")
    assert (len(limited["data"]), limited["has_more"]) == (1, True)

    again = f"/v1/labels/{second['query_hash']}/label"
    await product.call("PUT", again, {"agent_id": "hr"})  # the label is right
    await product.call("PUT", f"/v1/labels/{found['data'][0]['query_hash']}/label", NONE)
    assert (await disagreements(product))["data"] == []
    # The decisions of a model that is not the active one any more say nothing.
    product.execute("DELETE FROM labels WHERE seq = (SELECT max(seq) FROM labels) - 1")
    assert [one["query"] for one in (await disagreements(product))["data"]] == ["payslip"]
    product.execute("UPDATE logs SET attempts = replace(attempts, 'llama', 'other')")
    assert (await disagreements(product))["data"] == []


NONE = {"agent_id": None}


async def test_the_newest_evaluation_and_the_newest_training_are_asked_too(
    product: Product,
) -> None:
    await label(product, "parking")
    await label(product, "laptop")
    hashes = {row["query"]: row["query_hash"] for row in product.rows("SELECT * FROM labels")}
    [newest] = product.rows("SELECT max(id) AS id FROM labels")
    product.execute(
        "INSERT INTO classifiers (id, created_at, created_by, options, agents, labels,"
        " last_label_id, suspects) VALUES ('clf_1', 0, 'test', '{}', '[]', 2,"
        f' \'{newest["id"]}\', \'[{{"query_hash": "{hashes["parking"]}", "agent_id": "hr",'
        ' "predicted": "it_support", "score": 0.8}]\')'
    )
    model = (await product.call("GET", "/v1/models/select")).json()["active"]
    product.execute(
        "INSERT INTO evaluations (id, created_at, created_by, model_ids, split, labels, left_out,"
        " agents_revision, prompt_version, threshold) VALUES ('evl_1', 0, 'test',"
        f" '[\"{model}\"]', 'test', 2, 0, '', '', 0.5)"
    )
    product.execute(
        "INSERT INTO jobs (id, kind, resource_id, state, created_at, updated_at, ended_at)"
        " VALUES ('job_1', 'evaluation', 'evl_1', 'succeeded', 0, 0, 0)"
    )
    for query, agent, confidence in (("parking", "it_support", 0.6), ("laptop", "general", 0.7)):
        product.execute(
            "INSERT INTO evaluation_answers (evaluation_id, model_id, query_hash, agent_id,"
            " is_right, failed, tries, tokens, ms, confidence) VALUES"
            f" ('evl_1', '{model}', '{hashes[query]}', '{agent}', 0, 0, 1, 0, 0, {confidence})"
        )
    found = (await disagreements(product))["data"]
    assert [(one["query"], one["predicted"], one["found_in"]) for one in found] == [
        ("parking", "it_support", "training"),
        ("laptop", "general", "evaluation"),
    ]


async def next_training(product: Product) -> dict[str, Any]:
    answered = await product.call("GET", "/v1/labels/training")
    assert answered.status == 200, answered.text
    found: dict[str, Any] = answered.json()
    return found


async def test_a_training_is_due_when_enough_labels_are_new(empty_product: Product) -> None:
    product = empty_product
    await create_agents(product)
    await product.call("PATCH", "/v1/config", {"classifier_min_labels": 5})
    first = await next_training(product)
    assert (first["new_labels"], first["due"], first["trained_at"]) == (0, False, None)
    assert [one["missing"] for one in first["training"]["agents"]] == [5, 5, 5]

    for agent in AGENTS[:2]:
        items = [{"query": f"{agent} word{n} number{n * 7}", "agent_id": agent} for n in range(10)]
        assert (await product.call("POST", "/v1/labels", items)).status == 200
    ready = await next_training(product)
    assert (ready["new_labels"], ready["wanted"], ready["due"]) == (20, 1, True)

    install(product, "clf_1")
    [newest] = product.rows("SELECT id FROM labels ORDER BY seq DESC LIMIT 1 OFFSET 4")
    product.execute(f"UPDATE classifiers SET last_label_id = '{newest['id']}'")
    after = await next_training(product)
    assert (after["new_labels"], after["wanted"], after["due"]) == (4, 50, False)
    await select(product, None, retrain_after_labels=4)
    assert (await next_training(product))["due"] is True

    started = await product.call("POST", "/v1/classifiers", {})
    assert started.status == 202
    product.execute("UPDATE jobs SET state = 'running' WHERE kind = 'training' AND id <> 'x'")
    running = await next_training(product)
    assert running["running"] is not None
    assert running["due"] is False
