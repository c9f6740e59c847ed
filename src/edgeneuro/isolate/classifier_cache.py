"""The selected classifier, loaded in the background and cached in this isolate.

No request waits for a load. While a load is running, or after it failed, the previous classifier
stays in use; if there is none, the model answers."""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from edgeneuro.classifier.model import InvalidModelError, loads, version
from edgeneuro.classifier.scorer import Scorer
from edgeneuro.errors import DatabaseError
from edgeneuro.store.classifiers import find_classifier, read_model
from edgeneuro.store.database import Database

# After this time a load is started again, if it failed or if its request was canceled.
_RETRY_SECONDS = 30.0


@dataclass(frozen=True)
class LoadedClassifier:
    """`agents` are those that were enabled when it was trained."""

    id: str
    version: str
    scorer: Scorer
    agents: frozenset[str]


class ClassifierCache:
    def __init__(
        self,
        db: Database,
        *,
        monotonic: Callable[[], float],
        note_failure: Callable[[str, Exception], None],
    ) -> None:
        self.loaded: LoadedClassifier | None = None
        self._db = db
        self._monotonic = monotonic
        self._note_failure = note_failure
        self._wanted: str | None = None
        self._load_started_at: float | None = None

    def current(
        self, wanted: str | None, background: Callable[[Coroutine[Any, Any, None]], None]
    ) -> LoadedClassifier | None:
        """The loaded classifier; starts to load the wanted one if that is another one."""
        if wanted != self._wanted:
            self._wanted, self._load_started_at = wanted, None
        if wanted is None:
            self.loaded = None
        elif (self.loaded is None or self.loaded.id != wanted) and self._may_load():
            self._load_started_at = self._monotonic()
            background(self._load(wanted))
        return self.loaded

    def _may_load(self) -> bool:
        started_at = self._load_started_at
        return started_at is None or self._monotonic() - started_at >= _RETRY_SECONDS

    async def _load(self, wanted: str) -> None:
        try:
            loaded = await read_classifier(self._db, wanted)
        except (DatabaseError, ValueError) as error:  # D1 failed, or the stored model is damaged
            self._note_failure("classifier_load", error)
            return
        if self._wanted == wanted:  # the settings may have changed meanwhile
            self.loaded = loaded


async def read_classifier(db: Database, classifier_id: str) -> LoadedClassifier:
    """Raises InvalidModelError if it is damaged or no longer there."""
    content = await read_model(db, classifier_id)
    found = await find_classifier(db, classifier_id)
    if found is None:
        raise InvalidModelError(f"the classifier {classifier_id!r} was deleted while it was loaded")
    return LoadedClassifier(
        classifier_id, version(content), Scorer(loads(content)), frozenset(found.agents)
    )
