"""The fault matrix against real workerd: each cell of tests/worker/fault_matrix.py is tried."""

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from tests.worker.fault_matrix import MATRIX, WAYS, Cell, Row, Way
from tests.worker.faulty import Answered, Faulty, word
from tests.worker.product import LocalProduct
from tests.worker.test_keys import create_key

ATTEMPTS = "edgeneuro_attempts_total"
CALM = Row("nothing", (Cell(200), Cell(200), Cell(200)))
[NO_DATABASE] = [row for row in MATRIX if row.name == "D1 fails on everything"]
AT_ONCE = 20
STORMS: dict[str, tuple[str, Any]] = {
    "of AI Gateway": ("/_local/rate_limit", {"limit": 0, "interval_s": 60}),
    "of the model": ("/_local/faults", {"*": {"kind": "status", "status": 429, "retry_after": 9}}),
}


@pytest.fixture(scope="module")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Faulty]:
    product = LocalProduct(state=tmp_path_factory.mktemp("faults"))
    product.start()
    faulty = Faulty(product)
    try:
        yield faulty
    finally:
        faulty.close()
        product.stop()


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("row", MATRIX, ids=lambda row: row.name)
def test_what_comes_of_a_fault(faulty: Faulty, row: Row, way: Way) -> None:
    cell, mark = row.cell(way), word()
    faulty.prepare(row)
    key = faulty.cache_key(mark) if "{key}" in "".join(row.before) else ""
    earlier = faulty.rows(mark) if key else []
    attempts = faulty.counted(ATTEMPTS)
    failures = faulty.failures(row.failure)
    with faulty.trouble(row, key=key):
        answered = faulty.ask(way, mark)
        assert faulty.until(lambda: faulty.failures(row.failure) > failures or not row.failure)
    require_answer(answered, cell)
    rows = [each for each in faulty.rows(mark, len(earlier) + cell.logged) if each not in earlier]
    assert len(rows) == cell.logged
    tried = faulty.counted(ATTEMPTS) - attempts
    assert {outcome for _, outcome in tried} >= ({cell.outcome} if cell.outcome else set())
    if cell.logged:
        [logged] = rows
        assert (logged["status"], logged["reason"]) == (cell.status, cell.reason)
        assert logged["ending"] == cell.ending
        assert logged["layer"] == cell.layer
        outcomes = [attempt["outcome"] for attempt in logged["attempts"]]
        assert (outcomes[-1] if outcomes else None) == cell.outcome
        assert tried == Counter((each["model"], each["outcome"]) for each in logged["attempts"])
    faulty.prepare(replace(row, slow=False))
    require_well(faulty, way)
    assert len(faulty.rows(mark, 0)) == len(earlier) + cell.logged, "a row came late"


def require_answer(answered: Answered, cell: Cell) -> None:
    assert "Traceback" not in answered.text
    assert (answered.status, answered.code) == (cell.status, cell.code), answered.text[-500:]
    assert answered.whole is (cell.code is None)
    if answered.whole:
        assert answered.reason == cell.reason
    if answered.error:
        assert answered.error["request_id"] == answered.headers["x-request-id"]
    if cell.status != 200:
        assert answered.headers["x-should-retry"] == "false"


def require_well(faulty: Faulty, way: Way) -> None:
    """The fault has left nothing behind: the next question has its answer and its row."""
    mark = word()
    require_answer(faulty.ask(way, mark), Cell(200))
    [logged] = faulty.rows(mark)
    assert (logged["layer"], logged["reason"], logged["ending"]) == ("llm", None, "complete")


@pytest.mark.parametrize("storm", STORMS.values(), ids=STORMS.keys())
def test_a_storm_of_429s(faulty: Faulty, storm: tuple[str, Any]) -> None:
    faulty.prepare(CALM)
    mark = word()
    asked = [(way, f"{mark} {WAYS.index(way)} {n}") for way in WAYS for n in range(AT_ONCE)]
    with faulty.storm(*storm), ThreadPoolExecutor(len(asked)) as pool:
        answers = list(pool.map(lambda each: faulty.ask(*each), asked))
    for answered in answers[:AT_ONCE]:
        assert (answered.status, answered.reason) == (200, "rate_limited")
    for answered in answers[AT_ONCE:]:
        require_answer(answered, Cell(429, "upstream_rate_limited"))
        assert int(answered.headers["retry-after"]) > 0
    rows = faulty.rows(mark, len(asked))
    assert len({row["query"] for row in rows}) == len(rows) == len(asked)
    assert Counter(row["status"] for row in rows) == {200: AT_ONCE, 429: 2 * AT_ONCE}
    assert {row["reason"] for row in rows} == {"rate_limited"}
    faulty.configure(max_retries=0)  # closes the breakers
    for way in WAYS:
        require_well(faulty, way)


def test_without_a_database_only_limited_keys_have_to_wait(faulty: Faulty) -> None:
    faulty.prepare(CALM)
    limited = create_key(faulty.client, requests_per_minute=1_000)
    mark = word()
    assert faulty.ask("route", word(), key=limited["key"]).status == 200
    failures = faulty.failures("config_read")
    with faulty.trouble(NO_DATABASE):
        refused = faulty.ask("route", word(), key=limited["key"])
        assert (refused.status, refused.code) == (503, "database_unavailable")
        assert refused.headers["retry-after"] == "1"
        assert "no such table" not in refused.text
        # The settings are read anew, which fails: the kept ones go on.
        assert faulty.client.get("/v1/config").json()["fallback_models"]["value"] == []
        assert faulty.failures("config_read") > failures
        for way in WAYS:
            require_answer(faulty.ask(way, word()), Cell(200))
    assert faulty.ask("route", mark, key=limited["key"]).status == 200
    [logged] = faulty.rows(mark)
    assert logged["key_id"] == limited["id"]


@pytest.mark.parametrize(("ahead", "counted"), [(1, 2), (600, 1)])
def test_a_minute_that_another_clock_wrote(faulty: Faulty, ahead: int, counted: int) -> None:
    """The next one counts, as clocks are some seconds apart; hours ahead it is that of a clock that
    was wrong."""
    faulty.prepare(CALM)
    key = create_key(faulty.client, requests_per_minute=2)
    assert faulty.ask("route", word(), key=key["key"]).status == 200
    faulty.execute([f"UPDATE key_usage SET minute = minute + {ahead} WHERE key_id = '{key['id']}'"])
    assert faulty.ask("route", word(), key=key["key"]).status == 200
    query = f"SELECT minute_requests FROM key_usage WHERE key_id = '{key['id']}'"
    assert faulty.execute([query]) == [(counted,)]
