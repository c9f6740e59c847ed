"""/metrics: what is counted, read back by Prometheus' own parser."""

import pytest
from prometheus_client.parser import text_string_to_metric_families

from edgeneuro import __version__
from edgeneuro.domain.decision import Usage
from edgeneuro.errors import UpstreamTimeoutError
from edgeneuro.gateway.interface import ModelAnswer
from edgeneuro.isolate.metrics import Counter, Histogram, Metrics
from tests.unit.conftest import Product, says

LLAMA = "@cf/meta/llama-3.2-1b-instruct"
GRANITE = "@cf/ibm-granite/granite-4.0-h-micro"
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def parse(text: str) -> Samples:
    found: Samples = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            place = sample.name, frozenset(sample.labels.items())
            assert place not in found
            found[place] = sample.value
    return found


async def scrape(product: Product) -> Samples:
    answered = await product.call("GET", "/metrics")
    assert answered.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    return parse(answered.text)


def value(samples: Samples, name: str, **labels: str) -> float | None:
    return samples.get((name, frozenset(labels.items())))


async def test_an_isolate_that_did_nothing(product: Product) -> None:
    samples = await scrape(product)
    assert value(samples, "edgeneuro_cost_usd_total") == 0
    assert value(samples, "edgeneuro_build_info", version=__version__) == 1
    assert not any(name == "edgeneuro_answers_total" for name, _ in samples)


async def test_answers_attempts_tokens_and_cost(product: Product) -> None:
    usage = Usage(prompt_tokens=100, completion_tokens=20, total_tokens=120)
    product.gateway.enqueue(
        ModelAnswer(content={"agent": "hr", "confidence": 0.9}, usage=usage),
        UpstreamTimeoutError("Too slow."),
        says("it_support", 0.1),
    )
    await product.route("Leave?")
    await product.route("Leave?")
    await product.route("VPN?")
    samples = await scrape(product)
    answers = "edgeneuro_answers_total"
    assert value(samples, answers, layer="llm", reason="") == 1
    assert value(samples, answers, layer="cache", reason="") == 1
    assert value(samples, answers, layer="fallback", reason="low_confidence") == 1
    attempts = "edgeneuro_attempts_total"
    assert value(samples, attempts, model=LLAMA, outcome="ok") == 1
    assert value(samples, attempts, model=LLAMA, outcome="timeout") == 1
    assert value(samples, attempts, model=GRANITE, outcome="ok") == 1
    assert value(samples, "edgeneuro_tokens_total", kind="prompt") == 100
    assert value(samples, "edgeneuro_tokens_total", kind="completion") == 20
    cost = (100 * 0.027 + 20 * 0.201) / 1_000_000
    assert value(samples, "edgeneuro_cost_usd_total") == pytest.approx(cost)


async def test_requests_by_route_and_not_by_path(product: Product) -> None:
    for path in ("hr", "it_support", "nobody"):
        await product.call("GET", f"/v1/agents/{path}")
    for path in ("/a", "/b", "/v1/agents/x/y"):
        await product.call("BREW", path)
    samples = await scrape(product)
    count = "edgeneuro_request_seconds_count"
    agent = {"method": "GET", "route": "/v1/agents/{agent_id}"}
    assert value(samples, count, **agent, status="2xx") == 2
    assert value(samples, count, **agent, status="4xx") == 1
    assert value(samples, count, method="none", route="none", status="4xx") == 3


async def test_a_lost_log_row_is_counted(product: Product) -> None:
    product.gateway.enqueue(says("hr"))
    product.execute("ALTER TABLE logs RENAME TO others")
    await product.route("Leave?")
    assert value(await scrape(product), "edgeneuro_failures_total", what="log_write") == 1
    assert product.rows("SELECT count(*) AS n FROM others")[0]["n"] == 0


def test_a_histogram_is_cumulative() -> None:
    histogram = Histogram("h", "Some seconds.", "route")
    for seconds in (0.0, 0.005, 0.3, 99.0):
        histogram.observe(seconds, "/a")
    samples = parse(histogram.text())
    buckets = [value(samples, "h_bucket", route="/a", le=le) for le in ("0.005", "0.5", "10.0")]
    assert [*buckets, value(samples, "h_bucket", route="/a", le="+Inf")] == [2, 3, 3, 4]
    assert value(samples, "h_count", route="/a") == 4
    assert value(samples, "h_sum", route="/a") == pytest.approx(99.305)


def test_hostile_label_values_come_back_as_they_were() -> None:
    counter = Counter("c_total", "Some.", "name")
    hostile = ['quo"te', "back\\slash", "new\nline", "\\n", "{}", 'a="b",c="d"', "ünï"]
    for name in hostile:
        counter.add(1, name)
    samples = parse(counter.text())
    assert {dict(labels)["name"] for _, labels in samples} == set(hostile)


def test_the_number_of_label_sets_is_bounded() -> None:
    metrics = Metrics()
    for number in range(10_000):
        metrics.attempts.add(1, f"model-{number}", "ok")
        metrics.request_seconds.observe(0.1, "GET", f"/{number}", "2xx")
    samples = parse(metrics.text())
    attempts = [place for place in samples if place[0] == "edgeneuro_attempts_total"]
    assert len(attempts) == 501
    others = value(samples, "edgeneuro_attempts_total", model="other", outcome="other")
    assert others == 10_000 - 500
    assert sum(samples[place] for place in attempts) == 10_000
