"""Messages in the form that the models of Workers AI take: some take only texts, and some have a
chat template without a system message. Training and serving share this code, so that an adapter is
called as it was trained."""

from typing import Any

SYSTEM = "system"
USER = "user"
BETWEEN = "\n\n"
_BETWEEN_PARTS = "\n"  # as vLLM and the router itself join the parts of a message


def flatten_content(content: Any) -> Any:
    """A list of text parts as one text; anything else unchanged. Older models refuse lists."""
    if not isinstance(content, list) or not all(_is_text(part) for part in content):
        return content
    return _BETWEEN_PARTS.join(part["text"] for part in content)


def fold_system(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Moves the system texts before the first user message, with a blank line between. If there is
    no user message, they become one. Contents are texts or lists of parts. The given list does not
    change."""
    texts = [_text(each["content"]) for each in messages if each["role"] == SYSTEM]
    rest = [dict(each) for each in messages if each["role"] != SYSTEM]
    if not texts:
        return rest
    for each in rest:
        if each["role"] == USER:
            each["content"] = _prepend(texts, flatten_content(each["content"]))
            return rest
    return [{"role": USER, "content": BETWEEN.join(texts)}, *rest]


def _prepend(texts: list[str], content: Any) -> Any:
    if isinstance(content, list):  # with an image in it
        return [{"type": "text", "text": BETWEEN.join(texts)}, *content]
    return BETWEEN.join([*texts, content])


def _text(content: Any) -> str:
    """The text of a system message, which may hold texts only."""
    flat = flatten_content(content)
    return flat if isinstance(flat, str) else ""


def _is_text(part: Any) -> bool:
    return isinstance(part, dict) and isinstance(part.get("text"), str)
