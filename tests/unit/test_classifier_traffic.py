"""A classifier is judged in the mix of the traffic, and says where the labels are of another one;
likely label errors are listed."""

import json

import pytest

from edgeneuro.controlplane.learning.traffic import with_traffic
from edgeneuro.domain.classifier import AgentTestScore, ClassifierScore
from tests.unit.conftest import Product
from tests.unit.synthetic_labels import labels
from tests.unit.trainings import AGENTS, import_labels, train


def score(agents: list[tuple[str | None, int, int, int]]) -> ClassifierScore:
    by_agent = [
        AgentTestScore(agent_id=agent, n=n, answered=answered, right=right)
        for agent, n, answered, right in agents
    ]
    false_accepts = sum(each.answered for each in by_agent if each.agent_id is None)
    return ClassifierScore(
        n=sum(each.n for each in by_agent),
        out_of_scope=sum(each.n for each in by_agent if each.agent_id is None),
        answered=sum(each.answered for each in by_agent),
        right=sum(each.right for each in by_agent),
        false_accepts=false_accepts,
        precision=None,
        low=None,
        high=None,
        coverage=None,
        looks=1,
        scored_at="",
        basis="",
        agents=by_agent,
    )


IMBALANCED = score([("a", 1_000, 1_000, 1_000), ("b", 20, 20, 10), (None, 50, 0, 0)])


def test_a_score_in_the_mix_of_the_traffic() -> None:
    """Of the labels 99 % are right, of even traffic three quarters."""
    even = with_traffic(IMBALANCED, {"a": 500, "b": 500}).traffic
    assert even is not None
    assert (even.precision, even.coverage) == (0.75, 1.0)
    # 20 answers carry half of the weight, so it is as uncertain as some 78 of one mix.
    assert (even.answered, even.right) == (78, 59)
    assert even.low is not None
    assert even.low < 0.66
    rare = with_traffic(IMBALANCED, {"a": 980, "b": 20}).traffic
    assert rare is not None
    assert rare.precision == pytest.approx(0.99, abs=0.001)


def test_a_false_accept_stays_an_error() -> None:
    found = with_traffic(score([("a", 100, 100, 100), (None, 50, 10, 0)]), {"a": 1_000}).traffic
    assert found is not None
    assert found.precision == pytest.approx(100 / 110, abs=1e-6)


def test_without_traffic_enough_there_is_no_such_score() -> None:
    assert with_traffic(IMBALANCED, {"a": 100, "b": 99}).traffic is None
    assert with_traffic(IMBALANCED, {"c": 1_000}).traffic is None


def route(product: Product, decisions: dict[str, int]) -> None:
    """As if the router had decided so often, within the last days."""
    names = [
        row["name"]
        for row in product.rows("SELECT name FROM pragma_table_info('usage_hours')")
        if row["name"] not in ("hour", "agent_id", "answers", "status", "layer")
    ]
    now = product.services.now_ms()
    for agent, answers in decisions.items():
        values = ", ".join(
            "''" if name in ("reason", "model", "adapter", "key_id", "cache") else "0"
            for name in names
        )
        product.execute(
            f"INSERT INTO usage_hours (hour, agent_id, answers, status, layer, {', '.join(names)})"
            f" VALUES ({now - now % 3_600_000}, '{agent}', {answers}, 200, 'llm', {values})"
        )


async def test_a_training_takes_the_mix_of_the_traffic_and_warns(product: Product) -> None:
    await import_labels(product)
    route(product, {"it_support": 900, "hr": 50, "general": 50, "gone": 10_000})
    made = await train(product)
    mix = made["mix"]
    assert (mix["source"], mix["decisions"]) == ("traffic", 1_000)
    shares = {each["agent_id"]: each["traffic"] for each in mix["agents"]}
    assert shares == {"it_support": 0.9, "hr": 0.05, "general": 0.05}
    assert mix["distance"] == pytest.approx(0.57, abs=0.03)
    [warning] = [text for text in made["warnings"] if "traffic" in text]
    assert warning.startswith("Labels and traffic differ (total variation distance 0.5")
    assert "it_support has 3" in warning
    assert made["test_score"]["traffic"]["coverage"] is not None


async def test_few_decisions_leave_the_mix_of_the_labels(product: Product) -> None:
    await import_labels(product)
    route(product, {"it_support": 199})
    made = await train(product)
    assert (made["mix"]["source"], made["mix"]["distance"]) == ("labels", None)
    assert made["test_score"]["traffic"] is None
    assert made["warnings"] == [], "the labels are even"


async def test_uneven_labels_without_traffic_are_warned_of(product: Product) -> None:
    await import_labels(product, 30)
    more = "".join(
        json.dumps({"query": one.query, "agent": AGENTS[0]}) + "\n"
        for one in labels(1, 400, seed=5)
    )
    await product.call("POST", "/v1/datasets/import", more.encode())
    warnings = " ".join((await train(product))["warnings"])
    assert "too few to know the mix of the traffic (200 are needed)" in warnings
    assert "are of it_support" in warnings


async def import_wrong(product: Product, *, each: int = 70) -> dict[str, tuple[str, str]]:
    """Every 20th label of an agent is another agent's: by question the label and the right one."""
    lines, wrong = [], {}
    for number, one in enumerate(labels(len(AGENTS), each, out_of_scope=each)):
        agent = AGENTS[int(one.agent_id[-1])] if one.agent_id else "none"
        if one.agent_id and number % 20 == 0:
            other = AGENTS[(AGENTS.index(agent) + 1) % len(AGENTS)]
            wrong[one.query], agent = (other, agent), other
        lines.append(json.dumps({"query": one.query, "agent": agent}) + "\n")
    assert (
        await product.call("POST", "/v1/datasets/import", "".join(lines).encode())
    ).status == 200
    return wrong


async def test_likely_label_errors_are_listed_until_they_are_looked_at(product: Product) -> None:
    wrong = await import_wrong(product)
    assert (await product.call("GET", "/v1/labels/suspects")).json()["data"] == []
    made = await train(product)
    page = (await product.call("GET", "/v1/labels/suspects?limit=100")).json()
    found = page["data"]
    assert f"probably wrong: {len(found)}" in " ".join(made["warnings"])
    truly = [each for each in found if each["query"] in wrong]
    assert len(truly) >= 5
    assert len(truly) >= 0.7 * len(found)
    for each in truly:
        assert (each["agent_id"], each["predicted"]) == wrong[each["query"]]
        assert (each["object"], each["classifier_id"]) == ("label.suspect", made["id"])
    short = (await product.call("GET", "/v1/labels/suspects?limit=1")).json()
    assert (short["data"], short["has_more"]) == (found[:1], True)

    corrected, confirmed = found[0], found[1]
    for each, agent in ((corrected, corrected["predicted"]), (confirmed, confirmed["agent_id"])):
        body = [{"query": each["query"], "agent_id": agent}]
        assert (await product.call("POST", "/v1/labels", body)).status == 200
    left = (await product.call("GET", "/v1/labels/suspects?limit=100")).json()["data"]
    assert left == found[2:]


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "after=x"])
async def test_a_bad_page_of_suspects_is_refused(product: Product, query: str) -> None:
    assert (await product.call("GET", f"/v1/labels/suspects?{query}")).status == 400
