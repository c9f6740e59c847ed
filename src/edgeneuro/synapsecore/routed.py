"""What routing came to, before it is answered and recorded."""

from dataclasses import dataclass

from edgeneuro.domain.decision import ConfidenceSource, Decision
from edgeneuro.domain.model import Model
from edgeneuro.domain.routing import RoutingConfig
from edgeneuro.errors import UpstreamError
from edgeneuro.store.database import Statement
from edgeneuro.synapsecore.question import Question
from edgeneuro.synapsecore.stages import StageClock


@dataclass(frozen=True)
class Routed:
    """`failure` is why no stage had an answer, `refused` the same if the request forbids that the
    fallback agent answers then; `stated_confidence` is the answer's, 0 without one and None where
    it is unknown, `confidence_source` where it comes from; `passed_on` says why the classifier did
    not answer, `no_label` why no label did; `writes` go into the log row's batch."""

    decision: Decision
    question: Question
    config: RoutingConfig
    stages: StageClock
    spent_usd: float
    usage_unknown: tuple[Model, ...]
    upstream_ms: float
    stated_confidence: float | None
    confidence_source: ConfidenceSource | None
    failure: UpstreamError | None
    refused: UpstreamError | None
    passed_on: str | None
    no_label: str | None
    writes: tuple[Statement, ...]
