"""Field types that requests and responses share: texts, ids, times, whole numbers, pages of lists.

A page has OpenAI's shape, with keyset cursors, newest or lowest id first."""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    StringConstraints,
    ValidationInfo,
    WithJsonSchema,
)
from pydantic_core import CoreSchema, core_schema

from edgeneuro.domain.query import canonical

MAX_QUERY_CHARACTERS = 8_000
MAX_SHORT_CHARACTERS = 200  # of the names that a caller gives to people and conversations


ID_RULE = (
    "must be 1 to 64 small letters, digits, hyphens and underscores, with a letter or a digit first"
)


class Matches:
    """Of a text, in Annotated: it matches `pattern` as a whole. The refusal is the `rule`, a
    sentence without its subject, where pydantic's own shows the expression."""

    def __init__(self, pattern: str, rule: str) -> None:
        self._pattern = pattern
        self._compiled = re.compile(pattern)
        self._rule = rule

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {**handler(schema), "pattern": f"^(?:{self._pattern})$"}

    def _check(self, text: str) -> str:
        if self._compiled.fullmatch(text) is None:
            raise ValueError(self._rule)
        return text


def is_none(value: object) -> bool:
    """For fields that are left out of an answer if they are null (`exclude_if`)."""
    return value is None


def is_empty(value: object) -> bool:
    """The same, if they are empty lists."""
    return value == []


def is_false(value: object) -> bool:
    """The same, if they are false."""
    return value is False


def without_nul(text: str) -> str:
    if "\0" in text:  # SQLite ends a text at NUL, so only a part would be kept
        raise ValueError("must not hold the character U+0000; remove it")
    return text


def question_text(text: str) -> str:
    """The canonical text of a question. Raises ValueError where nothing visible is left, or where
    Unicode's compatibility forms unfold to more than 8,000 characters."""
    text = canonical(text)
    if not text:
        raise ValueError("holds no visible character; send a text")
    if len(text) > MAX_QUERY_CHARACTERS:
        raise ValueError(
            f"must have at most {MAX_QUERY_CHARACTERS} characters once its Unicode form is NFKC;"
            " shorten it"
        )
    return text


def one_line_text(text: str) -> str:
    """The canonical text, in one line."""
    return " ".join(canonical(text).split())


def routed_text(text: str) -> str:
    """The canonical text that a message is routed and logged by: its first 8,000 characters."""
    # The canonical text may be shorter, so more than what counts is looked at.
    text = canonical(text[: 2 * MAX_QUERY_CHARACTERS])
    return canonical(text[:MAX_QUERY_CHARACTERS])


QueryText = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_QUERY_CHARACTERS),
    AfterValidator(without_nul),
    AfterValidator(question_text),
]
Note = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=1000),
    AfterValidator(without_nul),
]
Id = Annotated[str, StringConstraints(min_length=1, max_length=128)]
DisplayName = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=100),
    Matches(r"[^\x00-\x1f\x7f]+", "must not hold control characters, such as line breaks"),
]
_Text = TypeVar("_Text", bound=str)


def distinct(names: list[_Text]) -> list[_Text]:
    """Each name once, where it was first."""
    return list(dict.fromkeys(names))


_MAX_CHARACTERS = 40
_YEARS = range(1971, 9000)  # those that every time zone can represent
# RFC 3339, and what people and their tools write for it: a date alone, a blank for the T, small
# letters, any number of fractional digits.
_TIME = re.compile(
    r"(\d{4}-\d\d-\d\d)(?:[Tt ](\d\d:\d\d:\d\d)(?:\.(\d+))?([Zz]|[+-]\d\d:\d\d))?", re.ASCII
)
_ADVICE = (
    "a time like 2027-01-15T08:00:00Z or a date like 2027-01-15 (in an address write + as %2B)"
)


def read_timestamp(text: str) -> str:
    """The time in UTC, with microseconds, so that such texts sort by time. A date alone is its
    midnight in UTC; further fractional digits are cut off. Raises ValueError."""
    found = _TIME.fullmatch(text)
    if found is None:
        raise ValueError(f"must be {_ADVICE}")
    date, time, fraction, offset = found.groups()
    written = f"{date}T{time or '00:00:00'}.{(fraction or '')[:6]:0<6}{(offset or 'Z').upper()}"
    try:
        moment = datetime.fromisoformat(written)
        year = moment.year
        if year in _YEARS:
            return moment.astimezone(UTC).isoformat(timespec="microseconds")
    except ValueError as error:
        raise ValueError(f"is no time that exists; send {_ADVICE}") from error
    raise ValueError(f"must be in the years {_YEARS.start} to {_YEARS.stop - 1}")


Timestamp = Annotated[
    str,
    Field(max_length=_MAX_CHARACTERS),
    AfterValidator(read_timestamp),
    WithJsonSchema({"type": "string", "format": "date-time", "maxLength": _MAX_CHARACTERS}),
]


def after_its_beginning(to: str | None, info: ValidationInfo) -> str | None:
    """Validates the end of a window that begins at the field `since`, which is before it."""
    since = info.data.get("since")
    if to is not None and since is not None and to <= since:
        raise ValueError("must be after `from`")
    return to


def _whole(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


# Goes last into an Annotated[int, Field(…), INTEGRAL], or the schema loses the field's limits.
INTEGRAL = BeforeValidator(_whole)


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


def renamed(given: object, names: Mapping[str, str]) -> object:
    """The same body or query with the present names of its fields, for models that still accept an
    old name. A field that has both stays as it is: the old name is then an unknown field."""
    if not isinstance(given, dict):
        return given
    old = {name for name, new in names.items() if new not in given}
    return {names[key] if key in old else key: value for key, value in given.items()}


def hide_defaults(schema: dict[str, Any]) -> None:
    """For bodies of PATCH, whose defaults only make the fields optional: the schema hides them."""
    for field in schema["properties"].values():
        field.pop("default", None)
