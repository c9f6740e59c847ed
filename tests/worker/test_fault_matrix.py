"""The fault matrix against real workerd: D1, what takes its time, and one of each other class.
tests/unit/test_fault_matrix.py tries all that need no real time."""

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.http_client import http_client
from tests.worker.fault_matrix import MATRIX, OVER_HTTP, WAYS, Cell, Row, Way
from tests.worker.faulty import (
    Faulty,
    file_execute,
    require_answer,
    require_cell,
    require_well,
    word,
)
from tests.worker.product import LocalProduct
from tests.worker.test_keys import create_key

CALM = Row("nothing", (Cell(200), Cell(200), Cell(200)))
[NO_DATABASE] = [row for row in MATRIX if row.name == "D1 fails on everything"]
AT_ONCE = 20
STORMS: dict[str, tuple[str, Any]] = {
    "of AI Gateway": ("/_local/rate_limit", {"limit": 0, "interval_s": 60}),
    "of the model": ("/_local/faults", {"*": {"kind": "status", "status": 429, "retry_after": 9}}),
}


@pytest.fixture(scope="module")
def faulty(sandbox: LocalProduct) -> Iterator[Faulty]:
    assert sandbox.local_ai_url is not None
    with (
        http_client(sandbox.base_url, sandbox.admin_token, timeout=60) as client,
        http_client(sandbox.local_ai_url) as emulator,
    ):
        yield Faulty(client, emulator, file_execute(sandbox.database))


def _id(part: Row | Way) -> str:
    return part.name if isinstance(part, Row) else part


@pytest.mark.parametrize(("row", "way"), OVER_HTTP, ids=_id)
def test_what_comes_of_a_fault(faulty: Faulty, row: Row, way: Way) -> None:
    require_cell(faulty, row, way)


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


# The tables are away: D1 says so, or of a statement that it had prepared, that the schema changed.
_WITHOUT_TABLES = ("schema_mismatch", "database_unavailable")


def test_without_a_database_only_limited_keys_have_to_wait(faulty: Faulty) -> None:
    faulty.prepare(CALM)
    limited = create_key(faulty.client, requests_per_minute=1_000)
    mark = word()
    assert faulty.ask("route", word(), key=limited["key"]).status == 200
    with faulty.trouble(NO_DATABASE):
        refused = faulty.ask("route", word(), key=limited["key"])
        assert refused.status == 503 and refused.code in _WITHOUT_TABLES
        assert refused.headers["retry-after"] == "1"
        assert "no such table" not in refused.text
        # The control plane shows no cached settings; routing goes on with them.
        settings = faulty.client.get("/v1/config")
        assert settings.status_code == 503
        assert settings.json()["error"]["code"] in _WITHOUT_TABLES
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
