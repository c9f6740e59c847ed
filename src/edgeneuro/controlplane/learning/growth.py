"""When enough is new for another training.

The first one needs MIN_EXAMPLES labels and decisions of models together. After that their number
has to grow: by a half while they are few, by a fifth later, by 1,000 at most. So there are few
trainings, about one for each doubling, until there is much to gain no more; then an hour, and with
still more of them a day, has to pass too. A training that refused because it had too little to
learn from counts like any other. After a failure of another kind the next one waits an hour, after
each further failure in a row twice as long, up to a day."""

from collections.abc import Sequence
from dataclasses import dataclass

from edgeneuro.domain.classifier import Classifier
from edgeneuro.domain.routing import RoutingConfig
from edgeneuro.services import Services
from edgeneuro.store import classifiers as store
from edgeneuro.store.learning import count_model_decisions, read_model_decisions
from edgeneuro.store.sql import unix_ms
from edgeneuro.store.usage import DAY, HOUR

MIN_EXAMPLES = 100
MIN_AGENTS = 2
MIN_NEW, _MAX_NEW = 50, 1_000
_FEW, _GROWS_BY_FEW, _GROWS_BY = 1_000, 0.5, 0.2
# From so many labels and decisions on, so much time has to pass between two trainings.
_INTERVALS = ((20_000, DAY), (5_000, HOUR))
_LOOKED_AT = 8  # trainings, for failures in a row
_DECISION_DAYS = 30


@dataclass(frozen=True)
class Growth:
    """`new` labels and decisions of models came since the newest training began, and `wanted` are
    needed for the next; `not_before_ms` is when it may begin."""

    new: int
    wanted: int
    not_before_ms: int = 0

    def is_due(self, now_ms: int) -> bool:
        return self.new >= self.wanted and now_ms >= self.not_before_ms

    @property
    def missing(self) -> int:
        return max(0, self.wanted - self.new)


def wanted_after(known: int) -> int:
    """How many more a training needs after one that knew so many."""
    share = _GROWS_BY_FEW if known < _FEW else _GROWS_BY
    return max(MIN_NEW, min(_MAX_NEW, round(known * share)), MIN_EXAMPLES - known)


def interval_ms(known: int) -> int:
    return next((interval for least, interval in _INTERVALS if known >= least), 0)


def backoff_ms(trainings: Sequence[Classifier]) -> int:
    """After failures in a row that say nothing about the labels; `trainings` are the newest
    first."""
    failures = 0
    for each in trainings:
        if each.state != "failed" or each.needs is not None:
            break
        failures += 1
    return min(HOUR << (failures - 1), DAY) if failures else 0


async def growth(services: Services, newest: Classifier | None) -> Growth:
    """`newest` is the newest training of all agents; None: there was none. Raises DatabaseError."""
    db = services.db
    began_ms = 0 if newest is None else unix_ms(newest.created_at)
    label = None if newest is None else newest.last_label_id
    labels = await store.count_newer_labels(db, label, most=_MAX_NEW)
    decisions = await count_model_decisions(db, after_ms=began_ms, most=_MAX_NEW)
    new = labels + decisions
    if newest is None:
        return Growth(new, MIN_EXAMPLES)
    now_ms = services.now_ms()
    since_ms = now_ms - _DECISION_DAYS * DAY
    since = await read_model_decisions(db, since_ms=since_ms - since_ms % HOUR)
    known = newest.labels + max(0, since.by_model - decisions)
    trainings = await store.list_classifiers(db, limit=_LOOKED_AT)
    pause = max(interval_ms(known), backoff_ms(trainings))
    return Growth(new, wanted_after(known), began_ms + pause)


def learns(config: RoutingConfig) -> bool:
    """Whether the router has agents enough to learn from, and may."""
    return config.learning != "off" and len(config.agents) >= MIN_AGENTS
