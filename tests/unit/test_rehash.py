"""Rows with hashes of before find their questions and their near-duplicates again."""

import hashlib
import unicodedata

import pytest

from edgeneuro.domain.conversation import PreviousTurn, QuestionHashes
from edgeneuro.domain.query import near_hash, query_hash, similar_hash
from edgeneuro.store.rehash import rehash_window
from tests.unit.conftest import Product, says
from tests.unit.invocations import delete_expired

HIDDEN = "Pay\u200broll \u00fcber\u00adsicht"
PLAIN = "Payroll \u00fcbersicht"


def former_hash(text: str) -> str:
    folded = " ".join(unicodedata.normalize("NFKC", text).casefold().split())
    return hashlib.sha256(folded.encode()).hexdigest()[:32]


async def age(product: Product, *texts: str) -> None:
    """As rows with these texts were stored before."""
    for text in texts:
        now, old = query_hash(text), former_hash(text)
        for table in ("logs", "labels", "current_labels"):
            product.database._connection.execute(
                f"UPDATE {table} SET query_hash = ?, query = ? WHERE query_hash = ?",
                (old, text, now),
            )
    for table in ("logs", "labels"):
        product.execute(f"INSERT INTO rehashing SELECT '{table}', 0, max(rowid) FROM {table}")


async def labelled(product: Product, query: str, agent_id: str) -> None:
    product.gateway.enqueue(says("general"))
    decision = (await product.route(query, cache=False)).json()
    await product.call("PUT", f"/v1/logs/{decision['id']}/label", {"agent_id": agent_id})


async def test_a_label_of_before_decides_the_question_that_looks_the_same(product: Product) -> None:
    await labelled(product, HIDDEN, "hr")
    await labelled(product, "gr\u00fc\u00dfe", "it_support")
    await age(product, HIDDEN)
    assert query_hash(HIDDEN) == query_hash(PLAIN) != former_hash(HIDDEN)
    await delete_expired(product.services)
    await delete_expired(product.services)
    assert product.rows("SELECT * FROM rehashing") == []
    decision = (await product.route(PLAIN)).json()
    assert (decision["layer"], decision["agent"]["id"]) == ("label", "hr")
    rows = (await product.call("GET", "/v1/logs?labelled=true&limit=10")).json()["data"]
    assert len(rows) == 3
    exported = (await product.call("GET", "/v1/labels")).json()["data"]
    assert {each["query"] for each in exported} == {PLAIN, "gr\u00fc\u00dfe"}


@pytest.mark.parametrize("later", ["hr", "it_support"])
async def test_of_two_labels_of_one_question_the_later_stays(product: Product, later: str) -> None:
    first, second = (HIDDEN, PLAIN) if later == "hr" else (PLAIN, HIDDEN)
    await labelled(product, first, "general")
    if first == HIDDEN:
        await age(product, HIDDEN)
        product.execute("DELETE FROM rehashing")
    await labelled(product, second, later)
    if second == HIDDEN:  # which has taken the place of the first label
        await age(product, HIDDEN)
    else:
        product.execute("INSERT INTO rehashing SELECT 'labels', 0, max(rowid) FROM labels")
    while await rehash_window(product.database):
        pass
    [label] = (await product.call("GET", "/v1/labels")).json()["data"]
    assert (label["agent_id"], label["query_hash"]) == (later, query_hash(PLAIN))


async def test_it_goes_in_windows(product: Product) -> None:
    for number in range(5):
        await labelled(product, f"{HIDDEN} {number}", "hr")
    await age(product, *(f"{HIDDEN} {number}" for number in range(5)))
    windows = 0
    while await rehash_window(product.database, max_questions=2):
        windows += 1
    assert windows == 4  # three of the labels, and one of the logs, which then have all
    found = {row["query_hash"] for row in product.rows("SELECT query_hash FROM logs")}
    assert found == {query_hash(f"{PLAIN} {number}") for number in range(5)}


async def age_near(product: Product, *texts: str) -> None:
    """As labels and log rows were stored before questions were found similar: each alone."""
    for number, text in enumerate(texts):
        question, near = query_hash(text), f"former_{number}"
        split = "test" if number == 1 else "train"
        product.execute(
            f"INSERT INTO splits VALUES ('{near}', 'hr', {100 + number}, '{split}', NULL)"
        )
        for table in ("logs", "labels", "current_labels"):
            product.execute(
                f"UPDATE {table} SET near_hash = '{near}' WHERE query_hash = '{question}'"
            )
        product.execute(
            f"UPDATE current_labels SET split = '{split}' WHERE query_hash = '{question}'"
        )
    product.execute("UPDATE labels SET similar_hash = NULL")
    product.execute("DELETE FROM splits WHERE similar_hash IS NOT NULL")
    for table in ("logs", "labels"):
        product.execute(f"INSERT INTO rehashing SELECT '{table}', 0, max(rowid) FROM {table}")


@pytest.mark.parametrize("window", [500, 1])
async def test_near_duplicates_of_before_meet_in_one_part(product: Product, window: int) -> None:
    """With "please" it was a question of another part of the data set."""
    texts = ["reset my password", "reset my password please", "reset my passwrod", "pay me"]
    for text in texts:
        await labelled(product, text, "hr")
    await age_near(product, *texts)
    while await rehash_window(product.database, max_rows=window):
        pass
    for table in ("logs", "labels", "current_labels"):
        rows = product.rows(f"SELECT query, near_hash FROM {table} ORDER BY query")
        assert {row["query"]: row["near_hash"] for row in rows} == {
            text: near_hash(text) for text in texts
        }
    rows = product.rows("SELECT near_hash, similar_hash, place, split FROM splits ORDER BY place")
    assert {
        (row["near_hash"], row["similar_hash"], row["place"], row["split"]) for row in rows
    } == {
        (near_hash(text), similar_hash(text), 100 if text != "pay me" else 103, "train")
        for text in texts
    }
    labels = (await product.call("GET", "/v1/labels")).json()["data"]
    assert {each["split"] for each in labels} == {"train"}
    await labelled(product, "Pay me!", "hr")
    assert product.rows("SELECT count(*) AS n FROM splits") == [{"n": 3}]


async def test_an_erasure_finds_rows_that_wait_for_their_hashes(product: Product) -> None:
    """A row for which nothing was decided is found by its near hash alone."""
    await labelled(product, "reset my password", "hr")
    await labelled(product, "pay me", "hr")
    await product.route("RESET my password", cache=False)
    product.execute(
        "UPDATE logs SET query_hash = NULL, near_hash = 'former' WHERE query = 'RESET my password'"
    )
    product.execute("INSERT INTO rehashing SELECT 'logs', 0, max(seq) FROM logs")
    await product.call("DELETE", f"/v1/labels/{query_hash('reset my password')}")
    assert product.rows("SELECT query FROM logs") == [{"query": "pay me"}]


async def test_a_question_in_a_conversation_keeps_its_context(product: Product) -> None:
    previous = PreviousTurn("hr", HIDDEN, "Which one?")
    hashes = QuestionHashes.of(PLAIN, previous)
    product.gateway.enqueue(says("general"))
    context = {
        "previous_agent": "hr",
        "previous_user": HIDDEN,
        "previous_assistant": "Which one?",
    }
    decision = (await product.route(PLAIN, context=context)).json()
    await product.call("PUT", f"/v1/logs/{decision['id']}/label", {"agent_id": "hr"})
    for table in ("logs", "labels", "current_labels"):
        product.execute(f"UPDATE {table} SET query_hash = 'former', near_hash = 'former'")
    product.execute("UPDATE splits SET near_hash = 'former', similar_hash = NULL")
    for table in ("logs", "labels"):
        product.execute(f"INSERT INTO rehashing SELECT '{table}', 0, max(rowid) FROM {table}")
    while await rehash_window(product.database):
        pass
    for table in ("logs", "labels", "current_labels"):
        [row] = product.rows(f"SELECT query_hash, near_hash FROM {table}")
        assert (row["query_hash"], row["near_hash"]) == (hashes.question, hashes.near)
    [split] = product.rows("SELECT near_hash, similar_hash FROM splits")
    assert (split["near_hash"], split["similar_hash"]) == (hashes.near, hashes.similar)
    assert (await product.route(PLAIN, context=context)).json()["layer"] == "label"
