"""What routing came to, before it is answered and recorded."""

from dataclasses import dataclass

from edgeneuro.domain.decision import Decision
from edgeneuro.domain.routing import RoutingConfig
from edgeneuro.errors import UpstreamError
from edgeneuro.store.database import Statement
from edgeneuro.synapsecore.question import Question
from edgeneuro.synapsecore.stages import StageClock


@dataclass(frozen=True)
class Routed:
    """`refused` is the upstream's failure where the request forbids that another agent stands in
    for it; `passed_on` says why the classifier did not answer; `writes` go into the log row's
    batch."""

    decision: Decision
    question: Question
    config: RoutingConfig
    stages: StageClock
    spent_usd: float
    upstream_ms: float
    refused: UpstreamError | None
    passed_on: str | None
    writes: tuple[Statement, ...]
