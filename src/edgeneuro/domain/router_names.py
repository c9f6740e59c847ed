"""How requests name a router: by its id, or as a model."""

from typing import Annotated

from edgeneuro.domain.fields import ID_RULE, Matches

DEFAULT_ROUTER = "default"  # always there; it has no row
AUTO = "auto"  # the caller's router, else the default one
_PREFIX = "auto:"

RouterId = Annotated[str, Matches(r"[a-z0-9][a-z0-9_-]{0,63}", ID_RULE)]


def model_name(router_id: str) -> str:
    """The router as the model of a request."""
    return f"{_PREFIX}{router_id}"


def is_router_name(model: str) -> bool:
    """Whether a request with this model leaves the choice of the agent to a router."""
    return model == AUTO or model.startswith(_PREFIX)


def router_named(model: str) -> str | None:
    """The id in such a name; None for "auto"."""
    return None if model == AUTO else model.removeprefix(_PREFIX)
