"""Logs in the control plane: what was asked and what was answered, newest first."""

from collections.abc import Sequence
from typing import Any

from edgeneuro.call import Call
from edgeneuro.domain.agent import Agent
from edgeneuro.domain.conversation import PreviousTurn
from edgeneuro.domain.fields import page_of
from edgeneuro.domain.log import LogRecord, LogsFilter, LogsListQuery, LogsPage
from edgeneuro.domain.prompt import (
    DECISION_PROMPT_VERSION,
    PROMPT_VERSION,
    build_messages,
    states_confidence,
)
from edgeneuro.domain.router_names import DEFAULT_ROUTER
from edgeneuro.domain.routing import RoutingConfig
from edgeneuro.errors import InvalidRequestError, NotFoundError
from edgeneuro.store import logs as store
from edgeneuro.synapsecore.agent_selection import MAX_AGENTS
from edgeneuro.synapsecore.rankers.classifier import SESSION_LAYER
from edgeneuro.synapsecore.rankers.routing_question import build_question
from edgeneuro.synapsecore.router import LAYERS


async def list_logs(call: Call, query: LogsListQuery) -> LogsPage:
    """List log entries, newest first; the next page is `after` = the page's `last_id`, as long as
    `has_more`. All filters apply together. `q` searches for words of the query or parts of them, in
    any order. One request reads at most 20,000 rows: `searched_from` says how far it came, and the
    next page continues there. To follow the log, list what was `written_after` = the `newest_id` of
    the page before."""
    require_layer(query)
    db = call.services.db
    # Before the rows: one that is written meanwhile is then listed twice, but never missed.
    newest = await store.find_newest(db) if query.after is None else None
    found = await store.list_logs(db, query, limit=query.limit + 1)
    page = LogsPage(**dict(page_of(found.items, limit=query.limit)), newest_id=newest)
    if found.searched_id is None:
        return page
    more = {"has_more": True, "last_id": found.searched_id, "searched_from": found.searched_from}
    return page.model_copy(update=more)


def require_layer(query: LogsFilter) -> None:
    """Raises InvalidRequestError for a layer that is none."""
    if query.layer is not None and query.layer not in LAYERS:
        raise InvalidRequestError(
            f"layer: must be one of {', '.join(sorted(LAYERS))}.", param="layer"
        )


async def get_log(call: Call, log_id: str) -> LogRecord:
    """Read one log entry: how the decision came about, its labels and its feedback."""
    services = call.services
    log = await store.get_log(services.db, log_id)
    if log is None:
        raise NotFoundError(
            f"There is no log entry {log_id[:100]!r}: its id is wrong, or its time is over."
            " GET /v1/logs lists what there is.",
            code="unknown_log",
            param="log_id",
        )
    config = (await services.routing.current()).for_router(log.router or DEFAULT_ROUTER)
    return log if config is None else log.model_copy(update=_asked(log, config))


def _asked(log: LogRecord, config: RoutingConfig) -> dict[str, Any]:
    """What a model is sent for the query in this router, by the fields of the record."""
    known = log.agents_revision == config.agents_revision
    # The examples of a shorter question are not stored.
    known = known and not any(stage.offered for stage in log.stages or ())
    if not log.query or log.layer == "direct" or not known:
        return {}
    wanted = config.agents if log.candidates is None else log.candidates
    agents = [each for each in config.agents.values() if each.id in wanted]
    if log.prompt_version == PROMPT_VERSION:
        return {"messages": _messages(log, config, agents)}
    # Which of too many agents were offered is not stored.
    if log.prompt_version != DECISION_PROMPT_VERSION or len(agents) > MAX_AGENTS:
        return {}
    question = build_question(
        log.query,
        agents,
        context_window=_context_window(log, config),
        previous=PreviousTurn.of(log.context),
    )
    return {"questions": question.shown(), "state": question.state}


def _context_window(log: LogRecord, config: RoutingConfig) -> int | None:
    """That of the decision model which decided, or would have been asked."""
    if log.confidence_source != "decision_model" or log.kind != "route":
        return config.active.context_window
    found = (each for each in config.models.values() if each.base_model == log.model)
    return next((each.context_window for each in found), None)


def _messages(
    log: LogRecord, config: RoutingConfig, agents: Sequence[Agent]
) -> list[dict[str, str]]:
    by_classifier = log.layer in ("classifier", SESSION_LAYER)
    routed_by_model = log.model is not None and log.kind == "route" and not by_classifier
    # A chat's row names the model that answered it, not the one that routed it.
    adapter = log.adapter is not None if routed_by_model else config.active.type == "lora"
    confidence = states_confidence("lora" if adapter else "base")
    previous = PreviousTurn.of(log.context)
    return build_messages(log.query, agents, confidence=confidence, previous=previous)
