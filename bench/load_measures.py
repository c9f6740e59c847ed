"""What bench/load.py measures of one target: times beside the bare Worker's, CPU, rows of D1."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import httpx

from bench.load_generator import Load, Measured, generate
from bench.load_places import Place, headers

ALONE, BURSTS, AT_ONCE = 5, 4, 25
_PAUSE_SECONDS = 0.1
_QUIET_LOOKS = 4  # so often the count must be the same, until all writes behind answers are done
_ROWS_WRITTEN = 'edgeneuro_d1_rows_total{kind="written"}'
_PROCESSES = Path("/proc")


@dataclass(frozen=True)
class Piece:
    """A target's load, and the bare Worker's just before it. `cpu_ms` is an answer's, None where it
    cannot be read."""

    own: Measured
    bare: Measured
    cpu_ms: float | None

    @property
    def p50_ratio(self) -> float:
        return self.own.p50 / self.bare.p50

    @property
    def rate_ratio(self) -> float:
        return self.own.per_second / self.bare.per_second


@dataclass
class Pieces:
    """Those of one target with the same number of connections; each figure is their median."""

    all: list[Piece] = field(default_factory=list)

    def of(self, figure: Callable[[Piece], float]) -> float:
        return median(map(figure, self.all))

    def span(self, figure: Callable[[Piece], float]) -> tuple[float, float]:
        """The lowest and the highest."""
        values = [figure(each) for each in self.all]
        return min(values), max(values)

    @property
    def cpu_ms(self) -> float | None:
        known = [each.cpu_ms for each in self.all if each.cpu_ms is not None]
        return median(known) if known else None

    @property
    def requests(self) -> int:
        return sum(each.own.requests for each in self.all)


@dataclass(frozen=True)
class Rows:
    """Rows of D1 written an answer, those of indexes counted: of answers that come alone, and of
    `AT_ONCE` at once."""

    alone: float
    burst: float


def measure_load(
    place: Place, load: Load, *, connections: int, seconds: float
) -> tuple[Measured, float | None]:
    """The load, and the CPU time of an answer in ms."""
    before = thread_seconds(place.process_id)
    measured = generate(load, connections=connections, seconds=seconds)
    after = thread_seconds(place.process_id)
    if not after:
        return measured, None
    busiest = max(used - before.get(thread, 0.0) for thread, used in after.items())
    return measured, busiest / measured.requests * 1000


def thread_seconds(process_id: int | None) -> dict[str, float]:
    """The CPU time of each thread of a process. workerd runs all isolates of a process in one: that
    of the Worker, and those in which miniflare emulates D1 and Workers AI."""
    found: dict[str, float] = {}
    if process_id is None:
        return found
    for folder in (_PROCESSES / str(process_id) / "task").iterdir():
        try:
            nanoseconds = (folder / "schedstat").read_text(encoding="utf-8").split()[0]
        except OSError:  # it has ended
            continue
        found[folder.name] = int(nanoseconds) / 1e9
    return found


def measure_rows(place: Place, load: Load) -> Rows:
    with (
        httpx.Client(base_url=place.url, headers=headers(), timeout=120) as client,
        ThreadPoolExecutor(AT_ONCE) as pool,
    ):

        def written_by(count: int) -> int:
            """The rows that so many answers at once write, with all that is written behind them."""
            before = _settled(client)
            list(pool.map(lambda body: _ask(client, load.url, body), load.some(count)))
            return _settled(client) - before

        alone = [written_by(1) for _ in range(ALONE)]
        bursts = [written_by(AT_ONCE) for _ in range(BURSTS)]
    return Rows(sum(alone) / ALONE, sum(bursts) / BURSTS / AT_ONCE)


def _ask(client: httpx.Client, url: str, body: str) -> None:
    client.post(url, content=body.encode()).raise_for_status()


def _settled(client: httpx.Client) -> int:
    """The rows written so far, once no more are."""
    found: list[int] = []
    while len(found) < _QUIET_LOOKS or len(set(found[-_QUIET_LOOKS:])) > 1:
        time.sleep(_PAUSE_SECONDS)
        found.append(_rows_written(client))
    return found[-1]


def _rows_written(client: httpx.Client) -> int:
    text = client.get("/metrics").raise_for_status().text
    [line] = [each for each in text.splitlines() if each.startswith(_ROWS_WRITTEN)]
    return int(float(line.rpartition(" ")[2]))
