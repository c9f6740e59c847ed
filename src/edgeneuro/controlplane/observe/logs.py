"""Logs in the control plane: what was asked and what was answered, newest first."""

from edgeneuro.call import Call
from edgeneuro.domain.fields import page_of
from edgeneuro.domain.log import LogRecord, LogsPage, LogsQuery
from edgeneuro.domain.prompt import PROMPT_VERSION, build_messages, states_confidence
from edgeneuro.domain.routing import RoutingConfig
from edgeneuro.errors import InvalidRequestError, NotFoundError
from edgeneuro.store import logs as store
from edgeneuro.synapsecore.router import LAYERS


async def list_logs(call: Call, query: LogsQuery) -> LogsPage:
    """List log entries, newest first; the next page is `after` = the page's `last_id`, as long as
    `has_more`. All filters apply together. `q` searches for words of the query or parts of them, in
    any order. One request reads at most 20,000 rows: `searched_from` says how far it came, and the
    next page continues there."""
    if query.layer is not None and query.layer not in LAYERS:
        raise InvalidRequestError(
            f"layer: must be one of {', '.join(sorted(LAYERS))}.", param="layer"
        )
    found = await store.list_logs(call.services.db, query, limit=query.limit + 1)
    page = page_of(found.items, limit=query.limit)
    if found.searched_id is None:
        return LogsPage(**dict(page))
    more = {"has_more": True, "last_id": found.searched_id}
    return LogsPage(**dict(page) | more, searched_from=found.searched_from)


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
    return log.model_copy(update={"messages": _messages(log, await services.routing.current())})


def _messages(log: LogRecord, config: RoutingConfig) -> list[dict[str, str]] | None:
    known = (PROMPT_VERSION, config.agents_revision)
    if not log.query or log.layer == "direct" or (log.prompt_version, log.agents_revision) != known:
        return None
    wanted = config.agents if log.candidates is None else log.candidates
    agents = [each for each in config.agents.values() if each.id in wanted]
    routed_by_model = log.model is not None and log.kind == "route" and log.layer != "classifier"
    # A chat's row names the model that answered it, not the one that routed it.
    adapter = log.adapter is not None if routed_by_model else config.active.type == "lora"
    confidence = states_confidence("lora" if adapter else "base")
    return build_messages(log.query, agents, confidence=confidence)
