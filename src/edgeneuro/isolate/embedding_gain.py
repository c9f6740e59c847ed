"""Whether the embedding stage saves more than it costs, as this isolate has seen it.

The stage takes its time and money for every query that it is asked, and saves those of the model
for the queries that it decides. Over the last WINDOW queries both are compared. If either is lost,
the stage is off, and a sample of the queries goes on measuring it."""

from collections import deque
from dataclasses import dataclass

WINDOW = 200  # queries that the stage was asked, and calls of models
MIN_QUERIES = 50  # before that it is on
SAMPLE = 20  # while it is off, one query of so many is asked


@dataclass(frozen=True)
class Gain:
    """Of the last `queries` that the stage was asked, `hit_share` were decided. `saved_ms` and
    `saved_usd` are what it saves on average a query, below 0 if it costs more; None: not known
    yet, or no price is."""

    on: bool
    queries: int
    hit_share: float | None
    saved_ms: float | None
    saved_usd: float | None


class EmbeddingGain:
    """Milliseconds and USD. A call without a known price has none in its sums. `of` is the second
    classifier that is measured."""

    def __init__(self) -> None:
        self._asked: deque[tuple[bool, float, float | None]] = deque(maxlen=WINDOW)
        self._model: deque[tuple[float, float | None]] = deque(maxlen=WINDOW)
        self._skipped = 0
        self.of = ""

    def about(self, identity: str) -> None:
        """What is measured: another classifier or model starts with empty sums."""
        if identity != self.of:
            self.of = identity
            self._asked.clear()
            self._model.clear()
            self._skipped = 0

    def note_stage(self, *, decided: bool, ms: float, usd: float | None) -> None:
        self._asked.append((decided, ms, usd))

    def note_model(self, *, ms: float, usd: float | None) -> None:
        """A call of the model that the stage may save."""
        self._model.append((ms, usd))

    def asks(self) -> bool:
        """Whether this query is asked; of those that are not, one of SAMPLE is."""
        if self.gain().on:
            self._skipped = 0
            return True
        self._skipped += 1
        if self._skipped < SAMPLE:
            return False
        self._skipped = 0
        return True

    def gain(self) -> Gain:
        asked, model = list(self._asked), list(self._model)
        if not asked or not model:
            return Gain(True, len(asked), None, None, None)
        share = sum(decided for decided, _, _ in asked) / len(asked)
        saved_ms = share * _mean([ms for ms, _ in model]) - _mean([ms for _, ms, _ in asked])
        prices = [usd for _, usd in model if usd is not None]
        costs = [usd for _, _, usd in asked if usd is not None]
        saved_usd = share * _mean(prices) - _mean(costs) if prices and costs else None
        lost = saved_ms < 0 or (saved_usd is not None and saved_usd < 0)
        on = not lost or len(asked) < MIN_QUERIES
        return Gain(on, len(asked), share, saved_ms, saved_usd)


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)
