"""The watch over the selected classifier: each audit sample of its answers is counted as it is
stored, and the sequential test (domain/agreement_test.py) is read from the sums right after. If the
answers no longer agree with the model as often as they should, the classifier is disabled at once,
in whatever isolate the sample was taken: the model answers, until another classifier has passed.

This happens while `learning` is "on". In "observe" nothing is changed; GET /v1/learning says it."""

from edgeneuro.domain.agreement_test import LIMIT, evidence_of
from edgeneuro.domain.classifier import RULE
from edgeneuro.domain.learning import (
    DisabledClassifier,
    EnabledClassifier,
    LearnedState,
)
from edgeneuro.domain.model import ModelSelection
from edgeneuro.domain.router_names import DEFAULT_ROUTER
from edgeneuro.domain.routing import RoutingConfig
from edgeneuro.services import Services
from edgeneuro.store.audit import AuditEntry, insert_audit
from edgeneuro.store.database import Statement
from edgeneuro.store.learning import (
    blocks_from_rows,
    count_audit_sample,
    disable_classifier,
    select_audit_blocks,
)
from edgeneuro.store.sql import rfc3339

# Of a classifier that a person has selected nothing is known of how often it agrees with the model,
# which errs too: the same share as that of the drift alert (controlplane/learning/drift.py).
UNKNOWN_BOUND = 0.9
# After a change more of the answers are sampled, until there are so many samples: of some 200
# answers.
CHANGED_SHARE = 0.1
SETTLED_SAMPLES = 20


def enabled_state(config: RoutingConfig) -> EnabledClassifier | None:
    """What is known of the selected classifier, if the rule has enabled it."""
    found = config.stored.learned.enabled
    return found if found is not None and found.classifier_id == config.classifier else None


def bound_of(config: RoutingConfig) -> float:
    """The share of audit samples of the selected classifier that should agree with the model."""
    found = enabled_state(config)
    return UNKNOWN_BOUND if found is None else found.bound


def sample_share(config: RoutingConfig) -> float:
    """The share of the classifier's answers that the model is asked about too. 0 stays 0."""
    share, found = config.audit_sample_share, enabled_state(config)
    if not share or found is None or found.settled:
        return share
    return max(share, CHANGED_SHARE)


async def store_sample(
    services: Services,
    config: RoutingConfig,
    sample: Statement,
    *,
    log_id: str,
    classifier_id: str,
    agrees: bool,
) -> None:
    """Stores an audit sample of the classifier's answers, and disables the classifier where the
    samples show that it must not answer. Raises DatabaseError."""
    if config.router != DEFAULT_ROUTER:
        await services.db.run(sample)
        return
    counted = count_audit_sample(classifier_id, log_id, agrees=agrees)
    _, _, rows = await services.db.batch([counted, sample, select_audit_blocks(classifier_id)])
    await disable_below(services, config, classifier_id, blocks_from_rows(rows))


async def disable_below(
    services: Services, config: RoutingConfig, classifier_id: str, blocks: list[tuple[int, int]]
) -> bool:
    """Disables the classifier if these blocks of audit samples reject the bound; returns whether it
    did. Raises DatabaseError."""
    if config.learning != "on" or config.classifier != classifier_id:
        return False
    bound = bound_of(config)
    if evidence_of(blocks, bound) < LIMIT:
        return False
    samples, agreed = (sum(column) for column in zip(*blocks, strict=True))
    reason = (
        f"Of {samples} audit samples since it was selected {agreed} agreed with {config.active.id}"
        f" ({agreed / samples:.1%}); at least {bound:.1%} should. The model answers until another"
        " classifier has passed."
    )
    now_ms = services.now_ms()
    disabled = DisabledClassifier(
        classifier_id=classifier_id,
        at_ms=now_ms,
        samples=samples,
        agreed=agreed,
        bound=bound,
        reason=reason,
    )
    learned = LearnedState(enabled=config.stored.learned.enabled, disabled=disabled)
    audited = AuditEntry(
        id=services.new_id("aud"),
        created_at=rfc3339(now_ms),
        actor=RULE,
        request_id="audit_sample",
        action="disable",
        resource="classifier",
        resource_id=classifier_id,
        before=ModelSelection(active=classifier_id, previous=None).model_dump(mode="json"),
        after=disabled.model_dump(mode="json"),
    )
    try:
        [*_, gone, _] = await services.db.batch(
            [*disable_classifier(classifier_id, learned, now_ms=now_ms), insert_audit(audited)]
        )
    finally:
        services.routing.forget()
    if gone:
        services.metrics.classifiers_disabled.add(1)
    return bool(gone)
