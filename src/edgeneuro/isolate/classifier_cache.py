"""The selected classifiers, loaded in the background and cached in this isolate.

No request waits for a load. While a load is running, or after it failed, the classifier that the
router used before stays in use; if there is none, the model answers.

A classifier serves the agents that are enabled now, which may be others than it was trained on
(classifier/joining.py). What it takes to join new ones is computed in the background too, once for
each set of agents."""

from collections import OrderedDict
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from edgeneuro.classifier.enabled_agents import new_agents, scorer_among
from edgeneuro.classifier.model import InvalidModelError, loads, version
from edgeneuro.classifier.scorer import Scorer, scorer_of
from edgeneuro.classifier.vectors import VectorTable
from edgeneuro.domain.classifier import ShortlistReport
from edgeneuro.domain.routing import RoutingConfig
from edgeneuro.errors import DatabaseError
from edgeneuro.store.classifiers import find_classifier, read_model
from edgeneuro.store.database import Database

# A classifier of 15 agents takes 0.6 MB, one of 250 takes 6 MB.
MAX_LOADED = 4
# Sets of agents that one classifier serves: routers, and revisions of their agents.
_MAX_SETS = 32
# After this time a load is started again, if it failed or its request was canceled, or if the
# classifier was evicted.
_RETRY_SECONDS = 30.0


@dataclass(frozen=True)
class LoadedClassifier:
    """`agents` are those that were enabled when it was trained, `scorer` knows these alone;
    `shortlist` says how many of its best agents a model is offered, None if that was not
    measured."""

    id: str
    version: str
    scorer: Scorer
    agents: frozenset[str]
    shortlist: ShortlistReport | None = None
    _for_agents: OrderedDict[str, Scorer] = field(default_factory=OrderedDict)

    def is_ready(self, config: RoutingConfig) -> bool:
        """Whether `scorer_for` of this configuration costs nothing."""
        known = config.agents_revision in self._for_agents
        return known or not new_agents(self.scorer, self.agents, config)

    def scorer_for(self, config: RoutingConfig) -> Scorer:
        """That of the enabled agents of this configuration."""
        key, known = config.agents_revision, self._for_agents
        if key not in known:
            known[key] = scorer_among(self.scorer, self.agents, config)
            if len(known) > _MAX_SETS:
                known.popitem(last=False)
        return known[key]


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
        # By classifier and revision of the agents.
        self._join_started_at: dict[tuple[str, str], float] = {}

    @property
    def loaded(self) -> list[LoadedClassifier]:
        return list(self._loaded.values())

    def find(self, classifier_id: str) -> LoadedClassifier | None:
        return self._loaded.get(classifier_id)

    def current(
        self,
        router: str,
        wanted: str | None,
        config: RoutingConfig,
        background: Callable[[Coroutine[Any, Any, None]], None],
    ) -> LoadedClassifier | None:
        """The classifier that answers in this router, whose agents are those of `config`; starts to
        load the wanted one if it is not there. None as well while it is made ready for agents that
        are new to it."""
        found = self._selected(router, wanted, config, background)
        if found is None or found.is_ready(config) or config.suspension(found.agents) is not None:
            return found
        joining = (found.id, config.agents_revision)
        if self._may_start(self._join_started_at.get(joining)):
            self._join_started_at[joining] = self._monotonic()
            background(self._join(found, config))
        return None

    async def _join(self, found: LoadedClassifier, config: RoutingConfig) -> None:
        try:
            found.scorer_for(config)
        except ValueError as error:  # an agent's texts that cannot be learned
            self._note_failure("classifier_join", error)
            return
        self._join_started_at.pop((found.id, config.agents_revision), None)

    def _selected(
        self,
        router: str,
        wanted: str | None,
        config: RoutingConfig,
        background: Callable[[Coroutine[Any, Any, None]], None],
    ) -> LoadedClassifier | None:
        if self._wanted.get(router) != wanted:
            self._select(router, wanted)
        if wanted is None:
            return None
        loaded = self._loaded.get(wanted)
        if loaded is None:
            if self._may_start(self._load_started_at.get(wanted)):
                self._load_started_at[wanted] = self._monotonic()
                background(self._load(wanted, config))
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
        for key in [each for each in self._join_started_at if each[0] not in needed]:
            del self._join_started_at[key]

    def _may_start(self, started_at: float | None) -> bool:
        return started_at is None or self._monotonic() - started_at >= _RETRY_SECONDS

    async def _load(self, wanted: str, config: RoutingConfig) -> None:
        """Makes it ready for the agents of `config` as well."""
        try:
            loaded = await read_classifier(self._db, wanted, self._word_vectors)
            if config.suspension(loaded.agents) is None:
                loaded.scorer_for(config)
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
