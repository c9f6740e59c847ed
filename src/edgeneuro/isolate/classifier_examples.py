"""The labeled queries that may stand as examples in shorter questions, read in the background and
kept in this isolate.

They are shown only while the labels are as they were when they were read: an erased or corrected
label is not shown any more once this isolate knows that the labels have changed, within seconds."""

from collections import OrderedDict
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edgeneuro.classifier.scorer import read_query
from edgeneuro.errors import DatabaseError
from edgeneuro.store.classifier_examples import read_examples
from edgeneuro.store.database import Database

# Those of a classifier of 150 agents take 1 MB.
_MAX_CLASSIFIERS = 2
_RETRY_SECONDS = 5.0  # labels may change all the time


@dataclass(frozen=True, slots=True)
class KnownExample:
    """A labeled query; `sketch` is what it is compared by (classifier/scorer.py)."""

    query: str
    sketch: int


KnownExamples = Mapping[str, Sequence[KnownExample]]  # by agent id
_NONE: KnownExamples = {}


class ClassifierExamples:
    def __init__(
        self,
        db: Database,
        *,
        monotonic: Callable[[], float],
        note_failure: Callable[[str, Exception], None],
    ) -> None:
        self._db = db
        self._monotonic = monotonic
        self._note_failure = note_failure
        # By classifier: the revision of the labels, and the examples.
        self._known: OrderedDict[str, tuple[int, KnownExamples]] = OrderedDict()
        self._started_at: dict[str, float] = {}

    def current(
        self,
        classifier_id: str,
        labels_revision: int,
        background: Callable[[Coroutine[Any, Any, None]], None],
    ) -> KnownExamples:
        """Those of this revision of the labels; none while they are being read."""
        known = self._known.get(classifier_id)
        if known is not None and known[0] == labels_revision:
            return known[1]
        self._known.pop(classifier_id, None)
        started_at, now = self._started_at.get(classifier_id), self._monotonic()
        if started_at is None or now - started_at >= _RETRY_SECONDS:
            self._started_at = {classifier_id: now, **_newest(self._started_at, classifier_id)}
            background(self._load(classifier_id, labels_revision))
        return _NONE

    async def _load(self, classifier_id: str, labels_revision: int) -> None:
        try:
            rows = await read_examples(self._db, classifier_id)
        except DatabaseError as error:
            self._note_failure("classifier_examples_read", error)
            return
        found: dict[str, list[KnownExample]] = {}
        for row in rows:
            example = KnownExample(row["query"], read_query(row["query"], None).sketch)
            found.setdefault(row["agent_id"], []).append(example)
        self._known[classifier_id] = labels_revision, found
        if len(self._known) > _MAX_CLASSIFIERS:
            self._known.popitem(last=False)


def _newest(started_at: Mapping[str, float], but: str) -> dict[str, float]:
    others = [(name, at) for name, at in started_at.items() if name != but]
    return dict(others[: _MAX_CLASSIFIERS - 1])
