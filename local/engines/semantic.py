"""The default matcher: which of a few described agents is nearest in meaning to a query?

all-MiniLM-L6-v2 (minilm/) makes vectors of the query and of each agent's texts: its description as
a whole, the phrases of the description, and its examples. An agent's score is the mean of three
cosines: those of the two texts nearest to the query, and that of the mean of all texts. A softmax
over the agents and a constant for "none fits" makes probabilities of the scores. local/README.md
has what was measured, by bench/emulated_agents.py, which also chose the constants.
"""

from __future__ import annotations

import asyncio
import math
import re
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from local.engines.matching import AgentText, Ranking, Result
from local.engines.minilm import WIDTH, MiniLm
from local.engines.minilm.model import Array

# By likelihood. On training queries of CLINC150, whose agents have long descriptions, the best
# NONE_SCORE is 0.23, on the queries of samples/ it is 0.17.
SHARPNESS = 24.0
NONE_SCORE = 0.2
# By accuracy on training dialogues of SGD and on those of samples/.
LEAVES_FROM, LEAVES_BY = 0.3, 0.2

_PHRASE_END = re.compile(r"[.;:,?!]\s+")
_MAX_PHRASES = 12
_MAX_CACHED = 20_000  # vectors of agents' texts, of 1.5 KB each
_MAX_QUERIES = 16  # one question ranks its query several times; asked again it is computed again
_BATCH = 64


class MiniLmMatcher:
    name = "emulated: all-MiniLM-L6-v2"
    notice = "an embedding model compares texts; not a language model"

    def __init__(self, model: MiniLm) -> None:
        self._model = model
        self._vectors: OrderedDict[str, Array] = OrderedDict()
        self._queries: OrderedDict[str, Array] = OrderedDict()
        # One thread: the first question after a start computes the agents' vectors, and those that
        # come with it wait for them.
        self._thread = ThreadPoolExecutor(1, "minilm")

    def prepare(self, agents: Sequence[AgentText]) -> None:
        self._thread.submit(self.rank, "Hello", agents)

    async def run(self, work: Callable[[], Result]) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def rank(self, query: str, agents: Sequence[AgentText]) -> Ranking:
        if not agents or not query.strip():
            even = {agent.id: 1 / len(agents) for agent in agents}
            return Ranking(None, dict.fromkeys(even, 0.0), even, 0.0, 0.9)
        texts = [texts_of(agent) for agent in agents]
        asked = self._embed([query], self._queries, _MAX_QUERIES)[0]
        rest = self._embed([text for each in texts for text in each], self._vectors, _MAX_CACHED)
        scores = {}
        for agent, each in zip(agents, texts, strict=True):
            scores[agent.id] = _score(asked, rest[: len(each)])
            rest = rest[len(each) :]
        return ranking_of(scores)

    def _embed(self, texts: Sequence[str], known: OrderedDict[str, Array], most: int) -> Array:
        """One row for each text. Those that are known are not computed again; at most so many stay
        known."""
        missing = [text for text in dict.fromkeys(texts) if text not in known]
        for start in range(0, len(missing), _BATCH):
            batch = missing[start : start + _BATCH]
            known.update(zip(batch, self._model.embed(batch)[0], strict=True))
        for text in texts:
            known.move_to_end(text)
        found = np.stack([known[text] for text in texts])
        while len(known) > most:
            known.popitem(last=False)
        assert found.shape == (len(texts), WIDTH)
        return found


def texts_of(agent: AgentText) -> list[str]:
    """At least one: the id of an agent without a description."""
    whole = agent.description.strip() or agent.id.replace("_", " ")
    phrases = [each.strip(" .,;:") for each in _PHRASE_END.split(whole)][:_MAX_PHRASES]
    return list(dict.fromkeys(text for text in (whole, *phrases, *agent.examples) if text.strip()))


def ranking_of(
    scores: dict[str, float], sharpness: float = SHARPNESS, none_score: float = NONE_SCORE
) -> Ranking:
    """From the agents' scores to probabilities, with "none fits" beside them."""
    best = max(scores, key=lambda name: scores[name])
    top = max(scores[best], none_score)
    weights = {name: math.exp((score - top) * sharpness) for name, score in scores.items()}
    none = math.exp((none_score - top) * sharpness)
    whole = sum(weights.values())
    nobody = none / (whole + none)
    return Ranking(
        best if weights[best] > none else None,
        scores,
        {name: weight / whole for name, weight in weights.items()},
        evidence=1 - nobody,
        nobody=round(nobody, 2),
        leaves_from=LEAVES_FROM,
        leaves_by=LEAVES_BY,
    )


def _score(query: Array, texts: Array) -> float:
    """Vectors have length 1, the mean of several a shorter one."""
    cosines = np.sort(texts @ query)[::-1]
    mean = texts.mean(0)
    near = float(cosines[0] + cosines[min(1, len(cosines) - 1)])
    return (near + float(mean @ query) / float(np.linalg.norm(mean))) / 3
