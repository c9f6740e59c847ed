"""The label queue: the order, the reasons, no near-duplicates, and a bounded look."""

import json
from typing import Any

import pytest

from edgeneuro.classifier.features import features
from edgeneuro.controlplane.labels.queue import compose
from edgeneuro.controlplane.labels.queue_priority import QueueEntry
from edgeneuro.domain.label_queue import QueueReason, ReasonCode
from edgeneuro.domain.query import near_hash
from edgeneuro.errors import InvalidOutputError, UpstreamError
from edgeneuro.store import label_queue as store
from tests.unit.classifiers import create_agents, install, known
from tests.unit.conftest import ADMIN_TOKEN, Product, says


async def ask(product: Product, query: str, agent: str = "hr", confidence: float = 1.0) -> str:
    product.gateway.enqueue(says(agent, confidence))
    log_id: str = (await product.route(query, cache=False)).json()["id"]
    return log_id


async def queue(product: Product, query: str = "") -> list[dict[str, Any]]:
    answered = await product.call("GET", f"/v1/labels/queue?limit=100{query}")
    assert answered.status == 200, answered.text
    data: list[dict[str, Any]] = answered.json()["data"]
    return data


async def size(product: Product) -> int:
    questions: int = (await product.call("GET", "/v1/labels/queue/size")).json()["questions"]
    return questions


async def judge(product: Product, log_id: str, value: str, correct: str | None = None) -> None:
    """By the admin, whose corrections would be labels, or with one by a key that may only ask."""
    body = {"decision_id": log_id, "value": value, "correct_agent": correct}
    key = ADMIN_TOKEN
    if correct is not None:
        made = await product.call("POST", "/v1/keys", {"name": "app", "scopes": ["route"]})
        key = made.json()["key"]
    assert (await product.call("POST", "/v1/feedback", body, key=key)).status == 201


async def label(product: Product, query: str, agent: str | None = "hr") -> None:
    body = [{"query": query, "agent_id": agent}]
    assert (await product.call("POST", "/v1/labels", body)).status == 200


def codes(item: dict[str, Any]) -> list[str]:
    return [reason["code"] for reason in item["reasons"]]


@pytest.fixture
async def no_agent_is_rare(product: Product) -> None:
    for agent in ("hr", "it_support", "general"):
        items = [{"query": f"{agent} training {n}", "agent_id": agent} for n in range(20)]
        assert (await product.call("POST", "/v1/labels", items)).status == 200


@pytest.mark.usefixtures("no_agent_is_rare")
async def test_the_order_from_most_to_least_worthwhile(product: Product) -> None:
    await ask(product, "sure")
    await ask(product, "asked often")
    await ask(product, "asked often")
    await ask(product, "near the threshold", confidence=0.55)
    await ask(product, "out of scope", agent="none")
    await ask(product, "low confidence", confidence=0.1)
    await ask(product, "disagreement", agent="hr")
    await ask(product, "disagreement", agent="it_support")
    down = await ask(product, "feedback says no")
    await judge(product, down, "down")
    other = await ask(product, "feedback knows better")
    await judge(product, other, "down", correct="it_support")
    up = await ask(product, "somebody was happy")
    await judge(product, up, "up")

    items = await queue(product)
    assert [(item["query"], codes(item)) for item in items] == [
        ("feedback knows better", ["feedback_other_agent"]),
        ("feedback says no", ["feedback_down"]),
        ("disagreement", ["disagreement", "frequent"]),
        ("low confidence", ["low_confidence", "uncertain"]),
        ("out of scope", ["out_of_scope"]),
        ("near the threshold", ["uncertain"]),
        ("asked often", ["frequent"]),
        ("somebody was happy", ["unlabelled"]),
        ("sure", ["unlabelled"]),
    ]
    for item in items:
        assert item["score"] == round(sum(reason["weight"] for reason in item["reasons"]), 3)
        assert all(reason["text"] for reason in item["reasons"])
    assert items == await queue(product)
    assert await size(product) == len(items)
    first = items[0]
    assert (first["log_id"], first["agent_id"], first["confidence"]) == (other, "hr", 1.0)
    assert (first["layer"], first["seen"]) == ("llm", 1)
    assert first["reasons"][0]["text"] == "feedback names IT Support"


@pytest.mark.usefixtures("no_agent_is_rare")
async def test_feedback_comes_before_everything_else_together(product: Product) -> None:
    for _ in range(200):
        await ask(product, "all at once", confidence=0.49)
    await ask(product, "all at once", agent="it_support")
    down = await ask(product, "just a down")
    await judge(product, down, "down")
    items = await queue(product)
    assert [item["query"] for item in items] == ["just a down", "all at once"]
    assert items[1]["seen"] == 201


@pytest.mark.usefixtures("no_agent_is_rare")
async def test_only_each_keys_last_feedback_counts(product: Product) -> None:
    log_id = await ask(product, "changed my mind")
    await judge(product, log_id, "down", correct="it_support")
    product.execute("UPDATE feedback SET key_id = 'another'")
    await judge(product, log_id, "down")
    await judge(product, log_id, "up")
    [item] = await queue(product)
    assert codes(item) == ["feedback_other_agent"]
    assert item["reasons"][0]["key_ids"] == ["another"]
    assert item["key_id"] == "admin_token"
    product.execute("DELETE FROM feedback WHERE key_id = 'another'")
    assert [codes(item) for item in await queue(product)] == [["unlabelled"]]


@pytest.mark.usefixtures("no_agent_is_rare")
async def test_one_key_fills_half_of_a_page_while_others_have_questions(product: Product) -> None:
    for number in range(30):
        await judge(product, await ask(product, f"loud {number}"), "down")
    product.execute("UPDATE feedback SET key_id = 'loud'")
    for number in range(15):
        await ask(product, f"quiet {number}")
    product.execute("UPDATE logs SET key_id = 'quiet' WHERE query LIKE 'quiet%'")

    page = (await product.call("GET", "/v1/labels/queue?limit=20")).json()
    assert [item["stream"] for item in page["data"]] == (["hard"] * 9 + ["random"]) * 2
    hard = [item for item in page["data"] if item["stream"] == "hard"]
    assert [item["query"].split()[0] for item in hard] == ["loud"] * 9 + ["quiet"] * 9
    assert page["has_more"] is True
    longer = (await product.call("GET", "/v1/labels/queue?limit=40")).json()["data"]
    # The quiet key has 15 only, so the other one fills the rest.
    keys = [item["query"].split()[0] for item in longer if item["stream"] == "hard"]
    assert (len(longer), len(keys)) == (40, 36)
    assert keys == sorted(keys)
    assert keys.count("loud") > 18


async def test_one_key_cannot_push_the_others_out_of_the_window(product: Product) -> None:
    quiet = await ask(product, "quiet")
    judged = await ask(product, "judged")
    await judge(product, judged, "down")
    product.execute("UPDATE logs SET key_id = 'quiet'")
    product.execute("UPDATE feedback SET key_id = 'quiet'")
    await many(product, 2_500)
    product.execute(
        "INSERT INTO feedback (id, decision_id, value, key_id, created_at)"
        " SELECT 'fbk_x' || seq, id, 'down', 'loud', 0 FROM logs WHERE id LIKE 'copy%' LIMIT 600"
    )
    answers = await store.read_unlabelled(product.database)
    assert {quiet, judged} <= {row["id"] for row in answers}


async def test_every_tenth_item_is_drawn_at_random_and_blind(product: Product) -> None:
    for number in range(25):
        await ask(product, f"question {number} {'abcdefghijklmnopqrstuvwxyz'[number] * 3}")
    items = await queue(product)
    assert [item["stream"] for item in items] == (["hard"] * 9 + ["random"]) * 2 + ["hard"] * 5
    assert len({item["log_id"] for item in items}) == 25
    drawn = [item for item in items if item["stream"] == "random"]
    assert drawn == (await random_queue(product))[:2]
    assert {item["agent_id"] for item in drawn} == {None}
    assert all(item["suggestions"] == [] for item in drawn)
    assert all(item["stream"] == "hard" for item in await queue(product, "&agent=hr"))


async def test_near_duplicates_are_known_by_what_is_stored_with_the_row(product: Product) -> None:
    await ask(product, "Book two flights!")
    await ask(product, "book two flight")
    [first, second] = product.rows("SELECT near_hash FROM logs")
    assert first["near_hash"] == second["near_hash"] == near_hash("Please book two flights")
    assert len(await queue(product)) == 1
    # Rows of an older version have none: each is a near-duplicate of the same question alone.
    product.execute("UPDATE logs SET near_hash = NULL")
    assert len(await queue(product)) == 2


@pytest.mark.usefixtures("no_agent_is_rare")
async def test_feedback_that_names_the_agent_that_answered_is_no_other(product: Product) -> None:
    log_id = await ask(product, "odd")
    await judge(product, log_id, "up", correct="hr")
    assert codes((await queue(product))[0]) == ["unlabelled"]


@pytest.mark.usefixtures("no_agent_is_rare")
async def test_a_stand_in_is_no_disagreement(product: Product) -> None:
    await ask(product, "the same, once sure and once not", confidence=0.9)
    await ask(product, "the same, once sure and once not", confidence=0.3)
    [item] = await queue(product)
    assert "disagreement" not in codes(item)
    # Shown is the answer that says more: the fallback.
    assert (item["agent_id"], item["layer"], item["seen"]) == ("general", "fallback", 2)
    assert (item["reason"], item["unsure_agent"]) == ("low_confidence", "hr")


async def test_a_model_that_gave_nothing_usable(product: Product) -> None:
    product.gateway.enqueue(InvalidOutputError("i"), InvalidOutputError("i"))
    await product.route("nonsense came")
    product.gateway.enqueue(UpstreamError("u"), UpstreamError("u"))
    await product.route("nothing came", fallback=False)
    items = await queue(product)
    assert [(item["query"], codes(item)) for item in items] == [
        ("nonsense came", ["invalid_output"]),
        ("nothing came", ["unlabelled"]),
    ]
    assert items[1]["agent_id"] is None


async def test_agents_with_few_labels_come_first(product: Product) -> None:
    for number in range(10):
        await label(product, f"holiday plan {number}")
    await ask(product, "one for hr", agent="hr")
    await ask(product, "one for it", agent="it_support")
    items = await queue(product)
    assert [(item["query"], item["score"]) for item in items] == [
        ("one for it", 1.5),
        ("one for hr", 0.75),
    ]
    assert items[1]["reasons"][0]["text"] == "Human Resources has 10 labels, fewer than 20"


async def test_what_is_labelled_and_its_near_duplicates_are_left_out(product: Product) -> None:
    await label(product, "My VPN is down")
    for query in ("My VPN is down", "my  vpn is DOWN", "Is my VPN down?", "The VPN is up"):
        await ask(product, query)
    assert [item["query"] for item in await queue(product)] == ["The VPN is up"]
    assert await size(product) == 1


async def test_near_duplicates_of_each_other_come_once_the_best_of_them(product: Product) -> None:
    await ask(product, "Book two flights!")
    down = await ask(product, "book two flight")
    await judge(product, down, "down")
    await ask(product, "Can you book two flights, please")
    assert [item["log_id"] for item in await queue(product)] == [down]
    assert await size(product) == 1


async def test_a_label_taken_away_brings_the_question_back(product: Product) -> None:
    log_id = await ask(product, "Leave?")
    await product.call("PUT", f"/v1/logs/{log_id}/label", {"agent_id": None})
    assert await queue(product) == []
    assert await size(product) == 0
    await product.call("DELETE", f"/v1/logs/{log_id}/label")
    assert [item["log_id"] for item in await queue(product)] == [log_id]


async def test_rows_without_text_are_not_in_it(product: Product) -> None:
    product.execute("INSERT INTO config VALUES ('log_queries', 'false', 0)")
    product.clock.seconds += 6
    await ask(product, "Leave?")
    assert await queue(product) == []


async def test_limit_and_agent(product: Product) -> None:
    for number in range(6):
        await ask(product, f"q{number}", agent=("hr", "it_support")[number % 2])
    page = (await product.call("GET", "/v1/labels/queue?limit=2")).json()
    assert ([item["query"] for item in page["data"]], page["has_more"]) == (["q5", "q4"], True)
    only = await product.call("GET", "/v1/labels/queue?limit=3&agent=hr")
    assert [item["query"] for item in only.json()["data"]] == ["q4", "q2", "q0"]
    assert only.json()["has_more"] is False
    assert await queue(product, "&agent=nobody") == []


async def random_queue(product: Product, limit: int = 100) -> list[dict[str, Any]]:
    path = f"/v1/labels/queue?stream=random&limit={limit}"
    data: list[dict[str, Any]] = (await product.call("GET", path)).json()["data"]
    return data


async def test_the_random_stream_is_blind_and_has_each_question_once(product: Product) -> None:
    for number in range(12):
        await ask(product, f"question {number % 6}", confidence=0.1 if number % 2 else 1)
    items = await random_queue(product)
    assert sorted(item["query"] for item in items) == [f"question {n}" for n in range(6)]
    for item in items:
        shown = {name for name, value in item.items() if value not in (None, [])}
        assert shown == {"stream", "log_id", "query"}
        assert item["stream"] == "random"
    assert await random_queue(product) == items
    assert await random_queue(product, 3) == items[:3]


async def test_the_random_order_depends_on_nothing_that_was_answered(product: Product) -> None:
    for number in range(8):
        down = await ask(product, f"question {number}")
        await judge(product, down, "down")
    before = await random_queue(product)
    product.execute("DELETE FROM feedback")
    product.execute("UPDATE logs SET agent_id = 'general', confidence = 0, layer = 'fallback'")
    assert await random_queue(product) == before
    assert [item["log_id"] for item in before] != sorted(item["log_id"] for item in before)


async def test_a_random_label_measures_and_any_other_label_does_not(product: Product) -> None:
    ids = [await ask(product, f"question {number}") for number in range(4)]
    # A hard question that is labelled already is drawn all the same: else only easy ones were left.
    hard = {"agent_id": "it_support", "stream": "hard"}
    await product.call("PUT", f"/v1/logs/{ids[0]}/label", hard)
    assert len(await random_queue(product)) == 4
    drawn = {"agent_id": "hr", "stream": "random"}
    assert (await product.call("PUT", f"/v1/logs/{ids[1]}/label", drawn)).json()[
        "stream"
    ] == "random"
    bulk = [{"log_id": ids[2], **drawn}, {"log_id": ids[3], "agent_id": "hr"}]
    assert (await product.call("POST", "/v1/labels", bulk)).status == 200
    product.clock.seconds += 60
    left = {item["log_id"] for item in await random_queue(product)}
    assert left == {ids[0], ids[3]}
    accuracy = (await product.call("GET", "/v1/analytics")).json()["totals"]["accuracy"]
    assert (accuracy["labelled"], accuracy["right"]) == (2, 2)
    assert (accuracy["other_labelled"], accuracy["other_right"]) == (2, 1)
    # A correction by hand does not change how the question was chosen.
    await product.call("PUT", f"/v1/logs/{ids[1]}/label", {"agent_id": "it_support"})
    accuracy = (await product.call("GET", "/v1/analytics")).json()["totals"]["accuracy"]
    assert (accuracy["labelled"], accuracy["right"]) == (2, 1)
    assert (await product.call("GET", "/v1/labels/stats")).json()["random"] == 2


async def test_a_stream_is_that_of_a_log_row(product: Product) -> None:
    item = {"query": "a", "agent_id": "hr", "stream": "random"}
    refused = await product.call("POST", "/v1/labels", [item])
    assert refused.status == 400
    assert "log_id" in refused.text
    both = await product.call("GET", "/v1/labels/queue?stream=random&agent=hr")
    assert (both.status, "agent" in both.json()["error"]["message"]) == (400, True)


async def test_the_random_stream_looks_at_8000_rows(product: Product) -> None:
    await ask(product, "old")
    await many(product, 8_000)
    product.database.statements.clear()
    items = await random_queue(product, 100)
    assert len(items) == 100
    assert len(product.database.statements) == 2
    assert len(await store.read_unsampled(product.database)) == 8_000


BETWEEN = f"{known('agent_0')} {known('agent_1', 1)}"  # as much the one's as the other's


@pytest.fixture
async def learned_product(empty_product: Product) -> Product:
    """The agents of the classifier "clf_1", which is not selected, and three questions."""
    await create_agents(empty_product)
    install(empty_product, "clf_1")
    await ask(empty_product, known("agent_2"), agent="agent_2")
    await ask(empty_product, BETWEEN, agent="agent_0")
    await ask(empty_product, known("agent_1", 2), agent="agent_1")
    return empty_product


async def test_what_the_newest_classifier_is_least_sure_of_comes_first(
    learned_product: Product,
) -> None:
    items = await queue(learned_product)
    assert items[0]["query"] == BETWEEN
    [reason] = [one for one in items[0]["reasons"] if one["code"] == "classifier_unsure"]
    assert reason["weight"] == 4  # surer of two of three
    assert reason["text"].startswith("the classifier is surer of 67% of the recent questions")
    assert "agent_0 is 0." in reason["text"] or "agent_1 is 0." in reason["text"]


async def test_in_a_conversation_the_classifier_reads_the_turn_before(
    learned_product: Product,
) -> None:
    """Alone, "yes" would be for nobody; after a turn of an agent it is for that agent."""
    for agent in ("agent_1", "agent_2"):
        learned_product.gateway.enqueue(says("agent_0"))
        context = {"previous_agent": agent, "previous_assistant": known(agent)}
        await learned_product.route("yes", context=context, cache=False)
    items = [item for item in await queue(learned_product) if item["query"] == "yes"]
    differing = {
        item["context"]["previous_agent"]: [
            reason["text"] for reason in item["reasons"] if reason["code"] == "classifier_differs"
        ]
        for item in items
    }
    assert differing == {
        "agent_1": ["the classifier would choose agent_1"],
        "agent_2": ["the classifier would choose agent_2"],
    }
    assert not any("-" in reason["text"] for item in items for reason in item["reasons"])


async def test_where_the_newest_classifier_differs_from_the_answer(
    learned_product: Product,
) -> None:
    await ask(learned_product, known("agent_2", 3), agent="agent_0")
    await ask(learned_product, known("agent_2", 4), agent="none")
    items = {item["query"]: item for item in await queue(learned_product)}
    first = items[known("agent_2", 3)]["reasons"][0]
    assert (first["code"], first["text"]) == (
        "classifier_differs",
        "the classifier would choose agent_2",
    )
    for query in (known("agent_2", 4), known("agent_2")):
        assert "classifier_differs" not in codes(items[query])


async def test_the_most_probable_agents_of_the_last_stage_and_of_the_classifier_are_suggested(
    learned_product: Product,
) -> None:
    log_id = await ask(learned_product, known("agent_2", 5), agent="agent_0", confidence=0.7)
    items = {item["log_id"]: item for item in await queue(learned_product)}
    given = items[log_id]["suggestions"]
    stages = [(one["agent_id"], one["stage"]) for one in given]
    assert stages[:2] == [("agent_0", "model"), ("agent_2", "classifier")]
    assert (given[0]["score"], len(given)) == (0.7, 3)
    assert given[1]["score"] > 0.9 > given[2]["score"]
    # Without a classifier there are those of the stages alone, and "none" is one of them.
    learned_product.execute("DELETE FROM classifier_parts")
    [row] = learned_product.rows(f"SELECT stages FROM logs WHERE id = '{log_id}'")
    [stage] = [one for one in json.loads(row["stages"]) if one["name"] == "model"]
    scores = [{"agent_id": "agent_1", "probability": 0.3}, {"agent_id": "gone", "probability": 0.2}]
    changed = json.dumps([{**stage, "scores": scores, "none_probability": 0.5}])
    learned_product.execute(f"UPDATE logs SET stages = '{changed}' WHERE id = '{log_id}'")
    items = {item["log_id"]: item for item in await queue(learned_product)}
    assert items[log_id]["suggestions"] == [
        {"agent_id": None, "score": 0.5, "stage": "model"},
        {"agent_id": "agent_1", "score": 0.3, "stage": "model"},
    ]


async def test_one_that_was_refused_orders_the_queue_too_and_a_damaged_one_does_not(
    learned_product: Product,
) -> None:
    learned_product.execute("UPDATE classifiers SET checksum = NULL")
    learned_product.execute("UPDATE jobs SET state = 'failed'")
    assert (await queue(learned_product))[0]["query"] == BETWEEN
    install(learned_product, "clf_2", content=b"damaged")
    items = await queue(learned_product)
    assert [codes(item) for item in items] == [["rare_agent"]] * 3
    assert learned_product.services.failures.counts["queue_classifier_load"] == 1


async def test_of_long_texts_no_more_is_read_than_the_classifier_looks_at(product: Product) -> None:
    text = "".join(f"word{number} " for number in range(1_000))
    log_id = await ask(product, text)
    [row] = await store.read_beginnings(product.database, [log_id])
    assert len(row["query"]) == 1_001
    assert features(row["query"]) == features(text.strip())


def asked(
    name: str, score: float, *words: int, code: ReasonCode = "classifier_unsure"
) -> QueueEntry:
    row = {"id": name, "key_id": f"key of {name}"}
    reasons = [QueueReason(code=code, weight=score, text="")]
    return QueueEntry(row, 1, reasons, sum(1 << word for word in words))


def composed(ranked: list[QueueEntry], limit: int) -> list[str]:
    return [question.shown["id"] for question in compose(ranked, limit)]


def test_a_page_is_not_all_one_topic() -> None:
    topic = [
        asked(f"leave {number}", 6 - number / 100, 1, 2, 3, 10 + number) for number in range(9)
    ]
    others = [asked("vpn", 5.5, 4, 5), asked("parking", 5.4, 6, 7)]
    assert composed([*topic, *others], 4) == ["leave 0", "vpn", "parking", "leave 1"]


def test_what_no_agent_was_found_for_fills_a_fifth_while_there_is_anything_else() -> None:
    outside = [asked(f"outside {n}", 6, 100 + n, code="out_of_scope") for n in range(10)]
    inside = [asked(f"inside {n}", 1, n) for n in range(8)]
    page = composed(outside + inside, 10)
    assert sum(name.startswith("outside") for name in page) == 2
    assert len(composed(outside + inside, 18)) == 18


async def many(product: Product, count: int) -> None:
    """So many more questions, each asked once."""
    await ask(product, "the first question")
    columns = [row["name"] for row in product.rows("SELECT name FROM pragma_table_info('logs')")]
    skipped = ("seq", "id", "query", "query_hash", "near_hash")
    others = ", ".join(name for name in columns if name not in skipped)
    product.execute(
        f"WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count})"
        f" INSERT INTO logs (id, query, query_hash, near_hash, {others})"
        f" SELECT 'copy_' || i, 'copy number ' || i, 'hash ' || i, 'near ' || i, {others}"
        " FROM n, logs"
        " WHERE logs.query = 'the first question'"
    )


async def test_it_looks_at_2000_rows_and_at_those_with_late_feedback(product: Product) -> None:
    old = await ask(product, "old, with feedback")
    await many(product, 2_500)
    answers = await store.read_unlabelled(product.database)
    assert len(answers) == 2_000
    await judge(product, old, "down")
    assert (await queue(product))[0]["log_id"] == old
    assert len(await store.read_unlabelled(product.database)) == 2_001


async def test_its_reads_are_few_small_and_by_index(product: Product) -> None:
    await many(product, 9_000)
    items = [{"query": f"number copy {n}", "agent_id": "hr"} for n in range(8_001, 9_001)]
    assert (await product.call("POST", "/v1/labels", items)).status == 200
    product.execute(
        "UPDATE logs SET near_hash = c.near_hash FROM current_labels c"
        " WHERE logs.query = replace(c.query, 'number copy', 'copy number')"
    )
    product.database.statements.clear()
    items = await queue(product)
    assert (items[0]["query"], len(items)) == ("copy number 8000", 100)
    statements = product.database.statements
    # The window; feedback, audit samples, label counts and signals; which classifier is the newest,
    # the revisions, for its agents, and 1,000 texts for it; what may be drawn; the texts of the
    # page.
    assert len(statements) == 1 + 4 + 1 + 1 + 2 + 1 + 1
    assert len(json.loads(str(statements[-1].parameters[0]))) == 100
    for one in statements:
        plan = product.database._connection.execute(
            f"EXPLAIN QUERY PLAN {one.sql}", one.parameters
        ).fetchall()
        scans = [row["detail"] for row in plan if row["detail"].startswith("SCAN")]
        for scan in scans:
            table = scan.split()[1]
            assert table not in ("labels", "current_labels", "c"), scan
            assert table != "logs" or "ORDER BY seq DESC LIMIT 8000" in one.sql, scan
