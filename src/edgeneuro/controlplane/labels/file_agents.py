"""What files of labels call agents: which agent is meant, and which could be created for a name
that none has."""

import re
import unicodedata
from collections.abc import Collection, Iterable, Mapping, Sequence

from edgeneuro.domain.agent import NO_AGENT, Agent
from edgeneuro.domain.import_mapping import FileAgentCreate

_MAX_ID, _MAX_NAME, _MAX_DESCRIPTION = 64, 100, 1000
# How data sets call queries that no agent fits.
_OUT_OF_SCOPE = {"oos", "ood", "out_of_scope", "outofscope", "no_agent", "no_intent", "null", "n_a"}
# Words that say nothing of what an agent does.
_COMMON_WORDS = {"agent", "assistant", "bot", "department", "dept", "desk", "queue", "team", "the"}


class AgentNames:
    """Finds agents by what files call them: as `chosen` says, or by the id, else the one agent
    whose id or name is the same but for case, accents and punctuation."""

    def __init__(
        self, agents: Iterable[Agent], chosen: Mapping[str, str] = {}, skip: Collection[str] = ()
    ) -> None:
        self._ids: set[str] = set()
        self._by_slug: dict[str, set[str]] = {}
        self._by_words: dict[frozenset[str], set[str]] = {}
        self._chosen = chosen
        self.skip = frozenset(skip)
        for agent in agents:
            self._ids.add(agent.id)
            for name in (agent.id, agent.name):
                self._by_slug.setdefault(_slug(name), set()).add(agent.id)
                self._by_words.setdefault(_words(name), set()).add(agent.id)

    def find(self, name: str) -> str | None:
        """The agent's id, or "none"; None if there is no such agent."""
        if name in self._chosen:
            return self._chosen[name]
        if name in self._ids or name == NO_AGENT:
            return name
        slug = _slug(name)
        return _only(self._by_slug.get(slug)) if slug else None

    def similar(self, name: str) -> str | None:
        """For a name that find() does not know: the one agent with the same words but for common
        ones, or "none"."""
        if _slug(name) in _OUT_OF_SCOPE:
            return NO_AGENT
        words = _words(name)
        return _only(self._by_words.get(words)) if words else None


def _only(found: set[str] | None) -> str | None:
    return next(iter(found)) if found is not None and len(found) == 1 else None


def _slug(name: str) -> str:
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "_", plain).strip("_")


def _words(name: str) -> frozenset[str]:
    return frozenset(_slug(name).split("_")) - _COMMON_WORDS - {""}


class Suggestions:
    """Agents that could be created for names of a file: each with an id of its own."""

    def __init__(self, taken: Iterable[str]) -> None:
        self._taken = {NO_AGENT, *taken}

    def suggest(self, name: str, description: str | None) -> FileAgentCreate | None:
        """None if nothing visible is left of the name."""
        shown = _shown_name(name)
        if not shown:
            return None
        text = (description or "").strip() or f"Queries about {_in_sentence(shown)}."
        return FileAgentCreate(
            id=self._new_id(name), name=shown, description=text[:_MAX_DESCRIPTION]
        )

    def _new_id(self, name: str) -> str:
        base = _slug(name)[:_MAX_ID].strip("_") or "agent"
        found, number = base, 2
        while found in self._taken:
            ending = f"_{number}"
            found, number = base[: _MAX_ID - len(ending)] + ending, number + 1
        self._taken.add(found)
        return found


def _shown_name(name: str) -> str:
    """A name that was written for programs, as people write it: "card_arrival" is "Card
    arrival"."""
    text = " ".join(re.sub(r"[_\s]+", " ", name).split())
    if re.fullmatch(r"[\w.-]+", name):
        text = " ".join(re.sub(r"(?<=[a-z0-9])(?=[A-Z])|[-.]+", " ", text).split())
    return (text[:1].upper() + text[1:])[:_MAX_NAME].strip()


def _in_sentence(name: str) -> str:
    first = name.split(" ", 1)[0]
    return name if first.isupper() else name[:1].lower() + name[1:]


def next_names(counted: Mapping[str, int], limit: int) -> Sequence[str]:
    """The most frequent names, and of equally frequent ones in the order of the alphabet."""
    return sorted(counted, key=lambda name: (-counted[name], name))[:limit]
