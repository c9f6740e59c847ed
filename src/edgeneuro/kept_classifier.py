"""The classifier that this isolate keeps: the selected one, loaded behind the answers' back.

No request waits for a load. While one is under way, or where it fails, the classifier that was
loaded before goes on; without one the model answers."""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from edgeneuro.classifier.model import InvalidModelError, loads, version
from edgeneuro.classifier.scorer import Scorer
from edgeneuro.errors import DatabaseError
from edgeneuro.store.classifiers import find_classifier, read_model
from edgeneuro.store.database import Database

# Until a load that failed is tried again; one whose request went away has no other end.
_TRIED_AGAIN_SECONDS = 30.0


@dataclass(frozen=True)
class LoadedClassifier:
    """`agents` are those that were enabled when it was learned."""

    id: str
    version: str
    scorer: Scorer
    agents: frozenset[str]


class KeptClassifier:
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
        self._tried_at: float | None = None

    def current(
        self, wanted: str | None, background: Callable[[Coroutine[Any, Any, None]], None]
    ) -> LoadedClassifier | None:
        """The classifier to ask; begins to load the wanted one where it is another."""
        if wanted != self._wanted:
            self._wanted, self._tried_at = wanted, None
        if wanted is None:
            self.loaded = None
        elif (self.loaded is None or self.loaded.id != wanted) and self._may_try():
            self._tried_at = self._monotonic()
            background(self._load(wanted))
        return self.loaded

    def _may_try(self) -> bool:
        tried_at = self._tried_at
        return tried_at is None or self._monotonic() - tried_at >= _TRIED_AGAIN_SECONDS

    async def _load(self, wanted: str) -> None:
        try:
            loaded = await read_classifier(self._db, wanted)
        except (DatabaseError, ValueError) as error:  # of D1, or of what is damaged there
            self._note_failure("classifier_load", error)
            return
        if self._wanted == wanted:  # the settings may have changed meanwhile
            self.loaded = loaded


async def read_classifier(db: Database, classifier_id: str) -> LoadedClassifier:
    """Raises InvalidModelError where it is damaged, or is there no more."""
    content = await read_model(db, classifier_id)
    found = await find_classifier(db, classifier_id)
    if found is None:
        raise InvalidModelError(f"the classifier {classifier_id!r} was deleted while it was loaded")
    return LoadedClassifier(
        classifier_id, version(content), Scorer(loads(content)), frozenset(found.agents)
    )
