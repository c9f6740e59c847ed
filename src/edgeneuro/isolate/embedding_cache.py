"""The second classifiers that this isolate has loaded, in the background: no request waits for a
load."""

from collections import OrderedDict
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from edgeneuro.classifier.model import loads, version
from edgeneuro.classifier.scorer import Scorer
from edgeneuro.domain.embedding import SelectedEmbedding
from edgeneuro.errors import DatabaseError
from edgeneuro.store.database import Database
from edgeneuro.store.embedding_classifiers import read_embedding_model

# One of 150 agents and 384 numbers takes some 5 MB.
MAX_LOADED = 2
_RETRY_SECONDS = 30.0  # until a load that failed, or whose request was canceled, is started again


@dataclass(frozen=True)
class LoadedEmbedding:
    id: str
    version: str
    scorer: Scorer


class EmbeddingCache:
    """At most MAX_LOADED, those that were used last."""

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
        self._loaded: OrderedDict[str, LoadedEmbedding] = OrderedDict()
        self._load_started_at: dict[str, float] = {}

    def current(
        self,
        wanted: SelectedEmbedding,
        background: Callable[[Coroutine[Any, Any, None]], None],
    ) -> LoadedEmbedding | None:
        """None while it loads."""
        loaded = self._loaded.get(wanted.id)
        if loaded is not None:
            self._loaded.move_to_end(wanted.id)
            return loaded
        started_at = self._load_started_at.get(wanted.id)
        if started_at is None or self._monotonic() - started_at >= _RETRY_SECONDS:
            self._load_started_at = {wanted.id: self._monotonic()}
            background(self._load(wanted.id))
        return self._loaded.get(wanted.id)

    def clear(self) -> None:
        self._loaded.clear()
        self._load_started_at.clear()

    async def _load(self, wanted: str) -> None:
        try:
            content = await read_embedding_model(self._db, wanted)
            loaded = LoadedEmbedding(wanted, version(content), Scorer(loads(content)))
        except (DatabaseError, ValueError) as error:  # D1 failed, or the stored model is damaged
            self._note_failure("embedding_load", error)
            return
        self._loaded[wanted] = loaded
        if len(self._loaded) > MAX_LOADED:
            self._loaded.popitem(last=False)
