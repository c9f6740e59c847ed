"""What a chat may take of its caller's limits: at most so much for an answer of each model."""

import json
from typing import Any

from edgeneuro.access.limits import Estimate, estimate
from edgeneuro.domain.agent import Agent
from edgeneuro.domain.chat import ChatRequest
from edgeneuro.domain.key import KeyLimits
from edgeneuro.domain.model import Model
from edgeneuro.synapsecore.chat_models import is_endpoint
from edgeneuro.synapsecore.chat_sent import map_image_urls

_MAX_TOKENS = 4_096
# What an image comes to in most models, as bytes of text; its address is shorter.
_IMAGE_BYTES = 8_192


class AnswerBounds:
    """Where the caller has a budget, every answer has a bound: the model is told of it."""

    def __init__(self, request: ChatRequest, limits: KeyLimits | None) -> None:
        self._bounded = limits is not None and limits.has_budget
        self._parameters = request.parameters(extras=False)
        self._bytes = _size(request, self._parameters) if self._bounded else 0

    def parameters(self, model: Model) -> dict[str, Any]:
        """All that bears on an answer beside the messages, in OpenAI's words."""
        if not self._bounded or "max_tokens" in self._parameters:
            return self._parameters
        return {**self._parameters, "max_tokens": _most_tokens(model)}

    def estimate(self, model: Model, agent: Agent | None) -> Estimate:
        """Of one model's answer; nothing for a caller without a budget. Agents that are not spoken
        to in OpenAI's words tell no usage and take no bound: what they use is their own matter."""
        if not self._bounded:
            return Estimate()
        prompt = ""
        if agent is not None:
            if is_endpoint(model, agent) and agent.protocol != "openai":
                return Estimate()
            prompt = agent.system_prompt or ""
        most_tokens = self.parameters(model)["max_tokens"]
        return estimate(
            [model], self._bytes + len(prompt.encode(errors="surrogatepass")), most_tokens
        )


def _most_tokens(model: Model) -> int:
    """Of a small context, half is left for the messages."""
    half = (model.context_window or 2 * _MAX_TOKENS) // 2
    return max(1, min(_MAX_TOKENS, half))


def _size(request: ChatRequest, parameters: dict[str, Any]) -> int:
    """Bytes of text, with so many for each image: what a model makes of an image does not depend on
    the length of its address, or of the data in it."""
    images = 0

    def counted(url: str) -> str:
        nonlocal images
        images += 1
        return ""

    sent = map_image_urls(request.sent_messages(extras=True), counted)
    others = [parameters.get("tools"), parameters.get("response_format")]
    text = json.dumps([sent, *others], ensure_ascii=False)
    return len(text.encode(errors="surrogatepass")) + images * _IMAGE_BYTES
