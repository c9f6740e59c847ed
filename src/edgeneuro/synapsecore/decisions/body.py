"""The bodies of the decision APIs as bytes: JSON within bounds, with images set aside."""

import json
import math
import re
from abc import abstractmethod
from collections import Counter
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, PrivateAttr

from edgeneuro.bounded_json import InvalidJsonError, loads
from edgeneuro.domain.images import Images, set_images_aside
from edgeneuro.errors import BodyTooLargeError, InvalidRequestError

MAX_BODY_BYTES = 20 * 1024 * 1024  # with images; an isolate has 128 MB for all its requests
MAX_TEXT_BYTES = 2 * 1024 * 1024  # a state of 1 MB, partly escaped, and the questions
# Empty lists take thirty times as much memory as text, and 100,000 options a second of CPU. 64
# questions of 255 options have 16,000 brackets.
_MAX_BRACKETS = 40_000
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


class RepeatedNames(dict[str, Any]):
    """An object that has one of its names twice; `name` is that one."""

    name: str


class Liberal(BaseModel):
    """Fields that are not known are dropped; those that are known have their types."""

    model_config = ConfigDict(extra="ignore", strict=True)


class DecisionBody(Liberal):
    """A body of a decision API. `images` are those that it has placeholders for."""

    images_in_lists: ClassVar[bool] = False
    _images: Images = PrivateAttr(default_factory=Images)

    @property
    def images(self) -> Images:
        return self._images

    @abstractmethod
    def image_urls(self) -> list[str]:
        """The images of the request, where the format has them."""

    @classmethod
    def read_body(cls, body: bytes) -> Self:
        """Raises ValidationError, InvalidRequestError for what is no JSON or nested too deep, and
        BodyTooLargeError if there are more than 2 MB, or 40,000 brackets, beside the images."""
        text, images = set_images_aside(body, in_lists=cls.images_in_lists)
        request = cls.model_validate(_parsed(text))
        if images.placeholders - set(request.image_urls()):  # one is where no image belongs
            return cls.model_validate(_parsed(body))
        request._images = images
        return request


def _parsed(text: bytes) -> Any:
    if len(text) > MAX_TEXT_BYTES:
        raise BodyTooLargeError(
            f"The body has more than {MAX_TEXT_BYTES} bytes beside its images; send less text."
        )
    if text.count(b"[") + text.count(b"{") > _MAX_BRACKETS:
        raise BodyTooLargeError(
            f"The body has more than {_MAX_BRACKETS} opening brackets; send less JSON."
        )
    try:
        found = loads(
            text, object_pairs_hook=_object, parse_constant=_refuse_constant, parse_float=_finite
        )
    except InvalidJsonError as error:
        raise InvalidRequestError(f"The body {error}.", code="invalid_json") from error
    if _SURROGATE.search(text):
        _require_characters(found)
    return found


def _require_characters(found: Any) -> None:
    try:
        json.dumps(found, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise InvalidRequestError(
            "The body holds half of a character (a lone surrogate); send whole ones.",
            code="invalid_json",
        ) from error


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) == len(pairs):
        return found
    repeated = RepeatedNames(found)
    counts = Counter(name for name, _ in pairs)
    repeated.name = counts.most_common(1)[0][0]
    return repeated


def _finite(text: str) -> float:
    """Python reads 1e999 as infinity, which it could not send on as JSON."""
    number = float(text)
    if math.isinf(number):
        raise InvalidJsonError("holds a number that is too large")
    return number


def _refuse_constant(name: str) -> Any:
    raise InvalidJsonError(f"holds {name}, which is not JSON")
