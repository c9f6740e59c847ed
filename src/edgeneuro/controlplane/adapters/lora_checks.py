"""What is looked at before an adapter is taken, and after: its name, Workers AI's list, and whether
it answers."""

from collections.abc import Mapping, Sequence

from edgeneuro.domain.agent import Agent
from edgeneuro.domain.catalogue import find_model
from edgeneuro.domain.lora import Lora, LoraDrift
from edgeneuro.domain.model import Model
from edgeneuro.domain.prompt import build_messages
from edgeneuro.errors import ConflictError, UpstreamError
from edgeneuro.gateway.cloudflare_api import Finetune
from edgeneuro.gateway.interface import ModelRequest
from edgeneuro.services import Services

_LIST_MS = 60_000
_PROBE_MS = 30_000  # an adapter's first answer waits until it is loaded
_PROBE_PARAMETERS = {"max_tokens": 64, "temperature": 0, "seed": 1}
_WORDS_SHOWN = 120


def require_free_name(models: Mapping[str, Model], name: str, base_model: str) -> None:
    """Raises ConflictError where another model has that name; the adapter itself may, as one of the
    vars or one that was registered by hand."""
    taken = find_model(models, name)
    if taken is None or (taken.adapter, taken.base_model) == (name, base_model):
        return
    raise ConflictError(
        f"name: {name!r} already names the model {taken.id!r}; choose another.",
        code="model_exists",
        param="name",
    )


async def recent_finetunes(services: Services, uploaded: Sequence[Lora]) -> list[Finetune] | str:
    """Workers AI's list, or why it could not be read; at most a minute old, because lists of
    adapters are polled and Cloudflare limits calls of its API. The list is read again at once when
    the adapters that it should have are others, so that a new one is not shown as missing."""
    now_ms = services.now_ms()
    key = " ".join(lora.finetune_id or "" for lora in uploaded)
    found = services.recent_finetunes.get(key, now_ms=now_ms)
    if found is None:
        try:
            found = await services.finetunes.list()
        except UpstreamError as error:
            found = error.message
        services.recent_finetunes.put(key, found, expires_at_ms=now_ms + _LIST_MS)
    return found


async def probe(services: Services, base_model: str, adapter: str) -> str:
    """One question to it, as the router asks. Raises errors.UpstreamError."""
    config = await services.routing.current()
    agents = list(config.agents.values())
    started = services.monotonic()
    answer = await services.gateway.run(
        ModelRequest(
            model=base_model,
            adapter=adapter,
            messages=build_messages(_question(agents), agents, confidence=False),
            parameters=_PROBE_PARAMETERS,
            timeout_ms=_PROBE_MS,
            cache_key=None,
            cache_ttl_seconds=config.cache_ttl_seconds,
            metadata={"purpose": "probe"},
        )
    )
    ms = (services.monotonic() - started) * 1000
    return f"answered {str(answer.content)[:_WORDS_SHOWN]!r} after {ms:.0f} ms"


def _question(agents: Sequence[Agent]) -> str:
    examples = [example for agent in agents for example in agent.examples]
    return examples[0] if examples else "Who can help me?"


def drift_of(lora: Lora, listed: Finetune | None) -> LoraDrift | None:
    """How Workers AI's list differs from what we know of this adapter."""
    if listed is None:
        return LoraDrift(
            name=lora.name,
            problem="missing",
            message=f"Workers AI has no finetune {lora.name!r} any more; upload it again under"
            " another name.",
        )
    if listed.model not in (None, lora.base_model):
        return LoraDrift(
            name=lora.name,
            problem="other_base",
            message=f"Workers AI has the finetune {lora.name!r} on {listed.model!r}, not on"
            f" {lora.base_model!r}; register it with that base model.",
        )
    return None


def drift_of_all(loras: Sequence[Lora], listed: Sequence[Finetune]) -> list[LoraDrift]:
    """`loras` are those that were uploaded; retired ones are known, but not missed."""
    there = {each.id: each for each in listed}
    found = [
        drift
        for lora in loras
        if lora.state != "retired"
        and (drift := drift_of(lora, there.get(lora.finetune_id or ""))) is not None
    ]
    known = {lora.finetune_id for lora in loras}
    return found + [
        LoraDrift(
            name=each.name,
            problem="unknown",
            message=f"It is not registered here: POST /v1/loras with its name {each.name!r} and its"
            " base model.",
        )
        for each in listed
        if each.id not in known
    ]
