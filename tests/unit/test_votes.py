"""Which label of a question is in force, when labelers disagree, correct each other and take labels
back."""

import random
import sqlite3
from dataclasses import replace
from typing import Any

import pytest

from edgeneuro.domain.label import LabelEvent
from edgeneuro.domain.query import query_hash
from edgeneuro.store.classifiers import count_newer_labels
from edgeneuro.store.database import statement
from edgeneuro.store.datasets import (
    LabelState,
    count_test_labels,
    current_label_state,
    labels_at,
    newest_label_in_force,
)
from edgeneuro.store.labels import record_labels
from edgeneuro_testing.sqlite import SqliteDatabase
from scripts.paths import ROOT
from tests.unit.conftest import Answered, Product

QUERY = "Who pays for my train ticket?"
PATH = f"/v1/labels/{query_hash(QUERY)}/label"


async def labeler(product: Product, *scopes: str) -> tuple[str, str]:
    """The id and the key of a new labeler."""
    body = {"name": "labeler", "scopes": [*(scopes or ("label",))]}
    made = (await product.call("POST", "/v1/keys", body)).json()
    return made["id"], made["key"]


async def say(product: Product, key: str, agent_id: str | None, **more: Any) -> Any:
    item = {"query": QUERY, "agent_id": agent_id, **more}
    answered = await product.call("POST", "/v1/labels", [item], key=key)
    assert answered.status == 200, answered.text
    return await shown(product)


async def shown(product: Product, words: str = "") -> Any:
    data = (await product.call("GET", f"/v1/labels?{words}")).json()["data"]
    return data[0] if data else None


def error(answered: Answered) -> tuple[int, str, str | None]:
    found = answered.json()["error"]
    return answered.status, found["code"], found["param"]


def event(number: int, agent_id: str | None, *, by: str = "ann", query: str = QUERY) -> LabelEvent:
    """The ids fall while the rows come in, as ids of one millisecond may."""
    return LabelEvent(
        id=f"lab_{9_999 - number}",
        query=query,
        agent_id=agent_id,
        labeler=by,
        source="hand",
        created_ms=0,
    )


# The order


async def test_within_a_millisecond_the_order_is_that_of_the_rows(product: Product) -> None:
    for number, agent in enumerate(["hr", "it_support", None]):
        await product.database.batch(record_labels([event(number, agent)]))
    await product.database.batch(record_labels([event(5, "hr", query="another question")]))
    page = (await product.call("GET", "/v1/labels?limit=1")).json()
    assert page["data"][0]["query"] == "another question"
    rest = (await product.call("GET", f"/v1/labels?after={page['last_id']}")).json()["data"]
    assert [(one["query"], one["agent_id"]) for one in rest] == [(QUERY, None)]
    history = f"/v1/labels/{query_hash(QUERY)}/history"
    first = (await product.call("GET", f"{history}?limit=2")).json()
    assert [one["agent_id"] for one in first["data"]] == [None, "it_support"]
    last = (await product.call("GET", f"{history}?after={first['last_id']}")).json()
    assert [one["agent_id"] for one in last["data"]] == ["hr"]


async def test_agreement_goes_by_the_order_of_the_rows(product: Product) -> None:
    events = [event(0, "hr", by="ann"), event(1, "it_support", by="bob"), event(2, "hr", by="bob")]
    for each in events:
        await product.database.batch(record_labels([each]))
    found = (await product.call("GET", "/v1/labels/stats")).json()["agreement"]
    assert (found["pairs"], found["agreeing"]) == (1, 1)


async def test_newer_labels_are_those_of_later_rows(database: SqliteDatabase) -> None:
    """Also those of the same millisecond, whose ids may be lower; and where the label is erased."""
    for number, query in enumerate(["first", "second", "third"]):
        await database.batch(record_labels([event(number, "hr", query=query)]))
    assert await newest_label_in_force(database) == event(2, "hr").id
    assert await count_newer_labels(database, event(0, "hr").id, most=10) == 2
    assert await count_newer_labels(database, None, most=10) == 3
    await database.run(statement("DELETE FROM labels WHERE query = 'third'"))
    assert await count_newer_labels(database, event(2, "hr").id, most=10) == 3


async def test_another_label_in_force_is_another_state_of_the_test_part(
    database: SqliteDatabase,
) -> None:
    """Whether it is given or comes back."""
    await database.batch(record_labels([event(n, "hr", query=f"q{n}") for n in range(20)]))
    rows = await database.run(statement("SELECT query FROM current_labels WHERE split = 'test'"))
    held, other = (row["query"] for row in rows)
    states = [await count_test_labels(database)]
    events = [event(30, None, query=held), event(31, None, query=other)]
    for each in (*events, replace(events[0], id="lab_32", removed=True)):
        await database.batch(record_labels([each]))
        states.append(await count_test_labels(database))
    assert len(set(states)) == 4


# Votes


async def test_the_majority_of_the_labelers_decides(product: Product) -> None:
    keys = [(await labeler(product))[1] for _ in range(3)]
    assert (await say(product, keys[0], "hr"))["conflict"] is False
    assert (await say(product, keys[1], "hr"))["conflict"] is False
    label = await say(product, keys[2], "it_support")
    assert (label["agent_id"], label["conflict"]) == ("hr", True)
    assert [vote["agent_id"] for vote in label["votes"]] == ["hr", "hr", "it_support"]
    decision = (await product.route(QUERY)).json()
    assert (decision["layer"], decision["agent"]["id"]) == ("label", "hr")
    assert (await say(product, keys[1], "it_support"))["agent_id"] == "it_support"


async def test_a_labeler_has_one_vote_however_often_labelled(product: Product) -> None:
    (ann, ann_key), (bob, bob_key) = await labeler(product), await labeler(product)
    for _ in range(3):
        await say(product, ann_key, "hr")
    label = await say(product, bob_key, "it_support")
    assert (label["agent_id"], label["labeler"]) == ("it_support", bob), "of a tie the latest"
    assert [vote["labeler"] for vote in label["votes"]] == [ann, bob]
    assert label["conflict"] is True


async def test_a_final_label_decides_and_ends_the_conflict(product: Product) -> None:
    keys = [(await labeler(product))[1] for _ in range(2)]
    await say(product, keys[0], "hr")
    await say(product, keys[1], "hr")
    body = {"agent_id": None, "final": True, "note": "by the contract"}
    answered = await product.call("PUT", PATH, body)
    label = answered.json()
    assert (answered.status, label["agent_id"], label["final"]) == (200, None, True)
    assert (label["conflict"], label["note"]) == (False, "by the contract")
    later = await say(product, keys[0], "it_support")
    assert (later["agent_id"], later["id"]) == (None, label["id"])
    assert (await product.call("DELETE", PATH)).json()["label"]["conflict"] is True


async def test_only_an_admin_gives_final_labels(product: Product) -> None:
    key = (await labeler(product))[1]
    item = {"query": QUERY, "agent_id": "hr", "final": True}
    for method, path, body, param in (
        ("POST", "/v1/labels", [{"query": "a", "agent_id": "hr"}, item], "[1].final"),
        ("PUT", PATH, {"agent_id": "hr", "final": True}, "final"),
    ):
        await say(product, key, "hr")
        answered = await product.call(method, path, body, key=key)
        assert error(answered) == (403, "missing_scope", param)
    assert len(product.rows("SELECT DISTINCT query FROM labels")) == 1


async def test_conflicts_are_listed_with_each_labelers_label(product: Product) -> None:
    (ann, ann_key), (bob, bob_key) = await labeler(product), await labeler(product)
    await say(product, ann_key, "hr")
    await say(product, bob_key, "it_support")
    agreed = [{"query": "Agreed", "agent_id": "hr"}]
    for key in (ann_key, bob_key):
        await product.call("POST", "/v1/labels", agreed, key=key)
    found = (await product.call("GET", "/v1/labels?conflicts=true")).json()["data"]
    assert [one["query"] for one in found] == [QUERY]
    assert [(vote["labeler"], vote["agent_id"]) for vote in found[0]["votes"]] == [
        (ann, "hr"),
        (bob, "it_support"),
    ]
    assert (await shown(product, "conflicts=false"))["query"] == "Agreed"
    assert (await product.call("GET", "/v1/labels/stats")).json()["conflicts"] == 1
    bad = await product.call("GET", "/v1/labels?conflicts=some")
    assert error(bad) == (400, "invalid_value", "conflicts")


# Taking back


async def test_who_takes_back_takes_back_the_own_label_alone(product: Product) -> None:
    (_, ann), (_, bob) = await labeler(product), await labeler(product)
    await say(product, ann, "hr")
    await say(product, bob, "it_support")
    await say(product, bob, None)
    undone = await product.call("DELETE", PATH, key=bob)
    assert undone.json()["label"]["agent_id"] == "it_support", "bob's former label"
    undone = await product.call("DELETE", PATH, key=bob)
    assert undone.json()["label"]["agent_id"] == "hr", "ann's, which is not bob's to remove"
    assert error(await product.call("DELETE", PATH, key=bob)) == (
        404,
        "not_labelled",
        "query_hash",
    )
    assert (await shown(product))["agent_id"] == "hr"


async def test_an_admin_takes_back_the_labels_of_all(product: Product) -> None:
    (_, ann), (_, bob) = await labeler(product), await labeler(product)
    for key in (ann, bob):
        await say(product, key, "hr")
    assert error(await product.call("DELETE", PATH)) == (404, "not_labelled", "query_hash")
    denied = await product.call("DELETE", f"{PATH}?all=true", key=ann)
    assert error(denied) == (403, "missing_scope", "all")
    removed = await product.call("DELETE", f"{PATH}?all=true")
    assert (removed.status, removed.json()["label"]) == (200, None)
    assert await shown(product) is None
    assert (await say(product, ann, "it_support"))["agent_id"] == "it_support"
    history = await product.call("GET", f"/v1/labels/{query_hash(QUERY)}/history")
    assert [(one["removed"], one["withdrawn"]) for one in history.json()["data"]] == [
        (False, False),
        (True, False),
        (False, True),
        (False, True),
    ]


async def test_a_label_without_a_log_row_is_taken_back_by_its_question(product: Product) -> None:
    body = f'{{"query": "{QUERY}", "agent": "hr"}}'.encode()
    assert (await product.call("POST", "/v1/datasets/import", body)).status == 200
    assert (await product.call("DELETE", PATH)).status == 200
    assert await shown(product) is None
    assert error(await product.call("DELETE", PATH)) == (404, "not_labelled", "query_hash")
    unknown = await product.call("PUT", f"/v1/labels/{'0' * 32}/label", {"agent_id": "hr"})
    assert error(unknown) == (404, "unknown_question", "query_hash")


# The rule against a reference


def decided(history: list[LabelEvent]) -> dict[str, str | None]:
    """The rule in plain words: what a reader of the documentation would compute."""
    given: dict[str, dict[str, list[tuple[int, LabelEvent]]]] = {}
    for place, each in enumerate(history):
        labelers = given.setdefault(each.query, {})
        if each.removed and each.all_labelers:
            labelers.clear()
        elif each.removed:
            labelers[each.labeler].pop()
        else:
            labelers.setdefault(each.labeler, []).append((place, each))
    found: dict[str, str | None] = {}
    for query, labelers in given.items():
        votes = [labels[-1] for labels in labelers.values() if labels]
        final = [vote for vote in votes if vote[1].final]
        if final:
            found[query] = max(final, key=lambda vote: vote[0])[1].agent_id
        elif votes:
            agents = {vote.agent_id for _, vote in votes}

            def strength(agent: str | None, votes: Any = votes) -> tuple[int, int]:
                places = [place for place, vote in votes if vote.agent_id == agent]
                return len(places), max(places)

            found[query] = max(agents, key=strength)
    return found


def random_event(number: int, picked: random.Random, history: list[LabelEvent]) -> LabelEvent:
    query, by = f"question {picked.randrange(6)}", picked.choice("abcd")
    base = replace(event(number, None, by=by, query=query), id=f"lab_{picked.random()}")
    kind = picked.random()
    own = 0
    for each in history:
        if each.query == query and each.removed and each.all_labelers:
            own = 0
        elif each.query == query and each.labeler == by:
            own += -1 if each.removed else 1
    if kind < 0.2 and own:
        return replace(base, removed=True)
    if kind < 0.23:
        return replace(base, removed=True, all_labelers=True)
    agent = picked.choice(["hr", "it_support", None])
    return replace(base, agent_id=agent, final=picked.random() < 0.05)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("near", [False, True])
async def test_the_labels_in_force_now_and_then_follow_the_rule(
    database: SqliteDatabase, seed: int, near: bool
) -> None:
    picked = random.Random(seed)
    history: list[LabelEvent] = []
    moments: list[tuple[LabelState, dict[str, str | None]]] = []
    for number in range(120):
        history.append(random_event(number, picked, history))
        await database.batch(record_labels(history[-1:]))
        expected = decided(history)
        rows = await database.run(statement("SELECT query, agent_id FROM current_labels"))
        assert {row["query"]: row["agent_id"] for row in rows} == expected
        moments.append((await current_label_state(database), expected))
    for moment, expected in moments:
        then = [row async for row in labels_at(database, moment, by_near_hash=near)]
        assert {row.query: row.agent_id for row in then} == expected


def test_the_history_of_before_follows_the_rule_after_the_migration() -> None:
    connection = sqlite3.connect(":memory:")
    for script in sorted((ROOT / "migrations").glob("*.sql")):
        if script.name >= "0016":
            break
        connection.executescript(script.read_text())
    given = [  # by whom, what, and whether it took the label away
        *[("outvoted", who, agent, 0) for who, agent in (("a", "hr"), ("b", "hr"), ("c", "it"))],
        ("removed", "a", "hr", 0),
        ("removed", "b", None, 1),
        ("again", "a", "hr", 0),
        ("again", "b", None, 1),
        ("again", "c", "it", 0),
    ]
    for number, (query, who, agent, removed) in enumerate(given):
        connection.execute(
            "INSERT INTO labels VALUES (?, ?2, ?2, ?2, ?, ?, NULL, NULL, ?, 'hand', 0, NULL)",
            (f"lab_{99 - number}", query, agent, removed, who),
        )
    for query, label in (("outvoted", "lab_97"), ("again", "lab_92")):
        connection.execute(
            "INSERT INTO current_labels VALUES (?1, ?1, 'it', ?2, ?1, 'train', 'c', 0, 0)",
            (query, label),
        )
    connection.executescript((ROOT / "migrations" / "0016_votes.sql").read_text())
    found = connection.execute(
        "SELECT query, agent_id, label_id, conflict FROM current_labels ORDER BY query"
    ).fetchall()
    withdrawn = connection.execute(
        "SELECT query, labeler FROM labels WHERE withdrawn IS NOT NULL ORDER BY seq"
    ).fetchall()
    connection.close()
    assert found == [("again", "it", "lab_92", 0), ("outvoted", "hr", "lab_98", 1)]
    assert withdrawn == [("removed", "a"), ("again", "a")]
