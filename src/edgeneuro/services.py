"""The container of what every handler and stage works with."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Protocol

from edgeneuro.access.identity import Identity, RateLimiter
from edgeneuro.classifier.scorer import Reading, Scorer
from edgeneuro.classifier.vectors import VectorsError, VectorTable, load_table
from edgeneuro.domain.chat_answer import ChatAnswer
from edgeneuro.domain.decision import CallPurpose
from edgeneuro.domain.routing import RoutingConfig
from edgeneuro.domain.session import Session
from edgeneuro.gateway.agents.endpoint import AgentEndpoints
from edgeneuro.gateway.breaker import Breakers
from edgeneuro.gateway.chain import Chain
from edgeneuro.gateway.cloudflare_api import Finetune, FinetuneClient
from edgeneuro.gateway.interface import Gateway
from edgeneuro.gateway.span_exporter import SpanExporter
from edgeneuro.gateway.webhooks import WebhookSender
from edgeneuro.isolate.cache import CachedAnswer, CurrentLabel, ExpiringLru
from edgeneuro.isolate.classifier_cache import ClassifierCache
from edgeneuro.isolate.classifier_examples import ClassifierExamples
from edgeneuro.isolate.embedding_cache import EmbeddingCache
from edgeneuro.isolate.embedding_gain import EmbeddingGain
from edgeneuro.isolate.log_sink import LogQueue, LogSink
from edgeneuro.isolate.log_writer import LogWriter
from edgeneuro.isolate.metrics import Failures, Metrics
from edgeneuro.isolate.minute_budget import MinuteBudget
from edgeneuro.isolate.refusal_counter import RefusalCounter
from edgeneuro.isolate.routing_config import RoutingConfigCache
from edgeneuro.isolate.schema_check import SchemaCheck
from edgeneuro.isolate.single_flight import SingleFlight
from edgeneuro.settings import Settings
from edgeneuro.store.database import Database, SessionDatabase

# Audit samples of queries on which classifier and model differ, beside the random ones: each is
# three rows of D1.
MAX_DIFFERING_A_MINUTE = 60
_MAX_ANSWERS = 1_000
_MAX_READINGS = 2_500  # of some 1.3 KB: the label queue's window
_MAX_VECTORS = 1_000  # of some 400 bytes
_MAX_BUDGETS = 1_000
_MAX_CHATS = 200  # of at most 64 KB
_MAX_SESSIONS = 1_000  # of some 2 KB, at most 20 KB


class JobQueue(Protocol):
    """A queue whose consumer runs the jobs that are due (controlplane/jobs)."""

    async def send(self) -> None: ...


class LogBucket(Protocol):
    """A bucket that gets files of log rows (controlplane/observe/log_slices.py)."""

    async def put(self, name: str, content: bytes, /) -> None:
        """Replaces a file of this name. Raises OSError."""


@dataclass(frozen=True, kw_only=True)
class Services:
    """`now` gives unix seconds, `monotonic` seconds for durations, `sleep` waits for so many,
    `new_id(prefix)` gives a new id whose order is the order in time, `new_secret()` 40 random
    characters, `new_hex(n)` n random bytes as hex digits, `open_session(bookmark)` a session of D1,
    `secret(name)` the value of a Worker secret, `read_vectors()` the table of word vectors. A
    stream that is silent for `stream_silence_seconds` sends a comment. `emulated`: the local
    emulator answers in place of Workers AI and of vendors. The last fields are this
    isolate's caches: answers, labels, answers of chats, Workers AI's list of finetunes or the
    reason why it could not be read, the newest classifier's results for the questions of the label
    queue, that classifier, sessions, vectors of queries, what the embedding stage saves, the base
    models that turned out to have no JSON mode, and the used-up budgets whose events were written
    of."""

    settings: Settings
    db: Database
    gateway: Gateway
    finetunes: FinetuneClient
    endpoints: AgentEndpoints
    webhooks: WebhookSender
    rate_limiter: RateLimiter | None
    routing: RoutingConfigCache
    identity: Identity
    failures: Failures
    now: Callable[[], float]
    monotonic: Callable[[], float]
    new_id: Callable[[str], str]
    new_secret: Callable[[], str]
    new_hex: Callable[[int], str]
    sleep: Callable[[float], Awaitable[None]]
    secret: Callable[[str], str | None] = lambda name: None
    job_queue: JobQueue | None = None
    log_queue: LogQueue | None = None
    span_exporter: SpanExporter | None = None
    log_bucket: LogBucket | None = None
    open_session: Callable[[str], SessionDatabase] | None = None
    stream_silence_seconds: float = 5.0
    emulated: bool = False
    read_vectors: Callable[[], VectorTable] = load_table
    recent_answers: ExpiringLru[CachedAnswer] = field(
        default_factory=lambda: ExpiringLru(_MAX_ANSWERS)
    )
    recent_labels: ExpiringLru[CurrentLabel] = field(
        default_factory=lambda: ExpiringLru(_MAX_ANSWERS)
    )
    recent_chats: ExpiringLru[ChatAnswer] = field(default_factory=lambda: ExpiringLru(_MAX_CHATS))
    recent_finetunes: ExpiringLru[list[Finetune] | str] = field(
        default_factory=lambda: ExpiringLru(1)
    )
    recent_readings: ExpiringLru[Reading] = field(
        default_factory=lambda: ExpiringLru(_MAX_READINGS)
    )
    recent_sessions: ExpiringLru[Session] = field(
        default_factory=lambda: ExpiringLru(_MAX_SESSIONS)
    )
    recent_scorers: ExpiringLru[Scorer] = field(default_factory=lambda: ExpiringLru(1))
    recent_vectors: ExpiringLru[bytes] = field(default_factory=lambda: ExpiringLru(_MAX_VECTORS))
    embedding_gain: EmbeddingGain = field(default_factory=EmbeddingGain)
    without_json_mode: set[str] = field(default_factory=set)
    told_budgets: ExpiringLru[bool] = field(default_factory=lambda: ExpiringLru(_MAX_BUDGETS))
    metrics: Metrics = field(default_factory=Metrics)

    @cached_property
    def schema(self) -> SchemaCheck:
        return SchemaCheck(self.db, monotonic=self.monotonic, failures=self.failures)

    @cached_property
    def classifier(self) -> ClassifierCache:
        return ClassifierCache(
            self.db,
            monotonic=self.monotonic,
            note_failure=self.failures.note,
            word_vectors=self.word_vectors,
        )

    @cached_property
    def classifier_examples(self) -> ClassifierExamples:
        return ClassifierExamples(
            self.db, monotonic=self.monotonic, note_failure=self.failures.note
        )

    @cached_property
    def embeddings(self) -> EmbeddingCache:
        return EmbeddingCache(self.db, monotonic=self.monotonic, note_failure=self.failures.note)

    @cached_property
    def breakers(self) -> Breakers:
        return Breakers(self.monotonic)

    @cached_property
    def single_flight(self) -> SingleFlight:
        return SingleFlight(self.monotonic, self.sleep)

    @cached_property
    def log_writer(self) -> LogWriter:
        return LogWriter(
            monotonic=self.monotonic,
            sleep=self.sleep,
            note_failure=self.failures.note,
            write=self.log_sink.write,
            durable=self.settings.durable_log,
        )

    @cached_property
    def log_sink(self) -> LogSink:
        return LogSink(
            self.log_queue,
            now_ms=self.now_ms,
            note_failure=self.failures.note,
            count_rows=self.metrics.log_rows.add,
        )

    @cached_property
    def refusals(self) -> RefusalCounter:
        return RefusalCounter(
            monotonic=self.monotonic, sleep=self.sleep, note_failure=self.failures.note
        )

    @cached_property
    def differing_samples(self) -> MinuteBudget:
        return MinuteBudget(MAX_DIFFERING_A_MINUTE, self.monotonic)

    def over(self, db: Database) -> "Services":
        """The same isolate with the same caches, over another view of its database."""
        other = replace(self, db=db)
        for name, value in vars(Services).items():
            if isinstance(value, cached_property):
                other.__dict__[name] = getattr(self, name)  # one of each in an isolate
        return other

    def word_vectors(self) -> VectorTable | None:
        """The table of word vectors. It is read once in an isolate, which takes some 50 ms: not for
        a request that waits. None if it is missing or damaged; then that is counted."""
        try:
            return self.read_vectors()
        except VectorsError as error:
            self.failures.note("vectors_load", error)
            return None

    def now_ms(self) -> int:
        return round(self.now() * 1000)

    def new_chain(self, config: RoutingConfig, *, purpose: CallPurpose, budget_ms: int) -> Chain:
        self.breakers.at_revision(config.revision)
        return Chain(
            self.breakers,
            purpose=purpose,
            budget_ms=budget_ms,
            max_retries=config.max_retries,
            monotonic=self.monotonic,
            sleep=self.sleep,
        )
