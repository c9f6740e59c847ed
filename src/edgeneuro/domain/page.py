"""Lists and their pages, in OpenAI's shape: keyset cursors, newest or lowest id first."""

from collections.abc import Sequence
from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

Item = TypeVar("Item")


class PageQuery(BaseModel):
    """`after` is the id of the last item that the caller has seen."""

    model_config = ConfigDict(extra="forbid")

    limit: Annotated[int, Field(ge=1, le=100)] = 20
    after: Annotated[str, Field(min_length=1, max_length=128)] | None = None


class Page(BaseModel, Generic[Item]):
    object: Literal["list"] = "list"
    data: list[Item]
    has_more: bool = False
    first_id: str | None = None
    last_id: str | None = None


def page_of(found: Sequence[Any], *, limit: int) -> Page[Any]:
    """The page out of what a look for one item more than `limit` found; items have an `id`."""
    data = list(found[:limit])
    return Page(
        data=data,
        has_more=len(found) > limit,
        first_id=data[0].id if data else None,
        last_id=data[-1].id if data else None,
    )
