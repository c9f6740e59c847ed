"""The selected classifiers, loaded in the background and cached in this isolate.

No request waits for a load. While a load is running, or after it failed, the classifier that the
router used before stays in use; if there is none, the model answers."""

from collections import OrderedDict
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from edgeneuro.classifier.model import InvalidModelError, loads, version
from edgeneuro.classifier.scorer import Scorer, scorer_of
from edgeneuro.classifier.vectors import VectorTable
from edgeneuro.domain.classifier import ShortlistReport
from edgeneuro.errors import DatabaseError
from edgeneuro.store.classifiers import find_classifier, read_model
from edgeneuro.store.database import Database

# A classifier of 15 agents takes 0.6 MB, one of 250 takes 6 MB.
MAX_LOADED = 4
# After this time a load is started again, if it failed or its request was canceled, or if the
# classifier was evicted.
_RETRY_SECONDS = 30.0


@dataclass(frozen=True)
class LoadedClassifier:
    """`agents` are those that were enabled when it was trained; `shortlist` says how many of its
    best agents a model is offered, None if that was not measured."""

    id: str
    version: str
    scorer: Scorer
    agents: frozenset[str]
    shortlist: ShortlistReport | None = None


class ClassifierCache:
    """At most `MAX_LOADED` classifiers, those that were used last. Routers may share one."""

    def __init__(
        self,
        db: Database,
        *,
        monotonic: Callable[[], float],
        note_failure: Callable[[str, Exception], None],
        word_vectors: Callable[[], VectorTable | None],
    ) -> None:
        self._db = db
        self._monotonic = monotonic
        self._note_failure = note_failure
        self._word_vectors = word_vectors
        self._loaded: OrderedDict[str, LoadedClassifier] = OrderedDict()
        # By router: the classifier that is selected, and the one that answers.
        self._wanted: dict[str, str] = {}
        self._used: dict[str, str] = {}
        self._load_started_at: dict[str, float] = {}

    @property
    def loaded(self) -> list[LoadedClassifier]:
        return list(self._loaded.values())

    def find(self, classifier_id: str) -> LoadedClassifier | None:
        return self._loaded.get(classifier_id)

    def current(
        self,
        router: str,
        wanted: str | None,
        background: Callable[[Coroutine[Any, Any, None]], None],
    ) -> LoadedClassifier | None:
        """The classifier that answers in this router; starts to load the wanted one if it is not
        there."""
        if self._wanted.get(router) != wanted:
            self._select(router, wanted)
        if wanted is None:
            return None
        loaded = self._loaded.get(wanted)
        if loaded is None:
            if self._may_load(wanted):
                self._load_started_at[wanted] = self._monotonic()
                background(self._load(wanted))
            return self._loaded.get(self._used.get(router, ""))
        if self._used.get(router) != wanted:
            self._used[router] = wanted
            self._drop_unused()
        self._loaded.move_to_end(wanted)
        return loaded

    def clear(self) -> None:
        self._loaded.clear()

    def _select(self, router: str, wanted: str | None) -> None:
        if wanted is None:
            self._wanted.pop(router, None)
            self._used.pop(router, None)
        else:
            self._wanted[router] = wanted
        self._drop_unused()

    def _drop_unused(self) -> None:
        needed = {*self._wanted.values(), *self._used.values()}
        for gone in self._loaded.keys() - needed:
            del self._loaded[gone]
        for gone in self._load_started_at.keys() - needed:
            del self._load_started_at[gone]

    def _may_load(self, wanted: str) -> bool:
        started_at = self._load_started_at.get(wanted)
        return started_at is None or self._monotonic() - started_at >= _RETRY_SECONDS

    async def _load(self, wanted: str) -> None:
        try:
            loaded = await read_classifier(self._db, wanted, self._word_vectors)
        except (DatabaseError, ValueError) as error:  # D1 failed, or the stored model is damaged
            self._note_failure("classifier_load", error)
            return
        if wanted not in self._wanted.values():  # the settings may have changed meanwhile
            return
        self._loaded[wanted] = loaded
        self._used |= {router: each for router, each in self._wanted.items() if each == wanted}
        self._drop_unused()
        if len(self._loaded) > MAX_LOADED:
            self._loaded.popitem(last=False)


async def read_classifier(
    db: Database, classifier_id: str, word_vectors: Callable[[], VectorTable | None]
) -> LoadedClassifier:
    """Raises InvalidModelError if it is damaged or no longer there."""
    content = await read_model(db, classifier_id)
    found = await find_classifier(db, classifier_id)
    if found is None:
        raise InvalidModelError(f"the classifier {classifier_id!r} was deleted while it was loaded")
    return LoadedClassifier(
        classifier_id,
        version(content),
        scorer_of(loads(content), word_vectors),
        frozenset(found.agents),
        found.shortlist,
    )
