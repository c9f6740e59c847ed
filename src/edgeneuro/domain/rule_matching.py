"""Which rules hold for a message, and what they come to."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Literal

from edgeneuro.domain.agent import Agent
from edgeneuro.domain.decision import MetadataValue
from edgeneuro.domain.pattern import is_word
from edgeneuro.domain.pattern_search import Budget, StepLimitError, pattern_of
from edgeneuro.domain.query import normalise
from edgeneuro.domain.rule import MAX_RULES, MAX_WORDS, Rule, RuleConditions

# Scripts that are written without blanks between words: there every place is a boundary. Thai to
# Lao, Myanmar, Khmer, kana, Han.
_UNSPACED = (
    ("\u0e00", "\u0eff"),
    ("\u1000", "\u109f"),
    ("\u1780", "\u17ff"),
    ("\u3040", "\u30ff"),
    ("\u3400", "\u9fff"),
    ("\uf900", "\ufaff"),
    ("\U00020000", "\U0003ffff"),
)
# In the notes of rules with these effects.
EXCLUDES, ROUTES_BY = "excludes", "routes by"
EffectName = Literal["agent_id", "never", "prefer", "model"]


@dataclass(kw_only=True)
class Message:
    """What the conditions are about. `agents` are the router's enabled agents by id, whom a
    message may mention."""

    query: str
    agents: Mapping[str, Agent]
    key_id: str
    user: str | None = None
    metadata: Mapping[str, MetadataValue] | None = None
    budget: Budget = field(default_factory=Budget)

    @cached_property
    def text(self) -> str:
        return normalise(self.query)

    @cached_property
    def mentioned(self) -> str | None:
        """The id of the agent that is mentioned first; of two at one place the longer name
        counts, then an id before a name."""
        text = self.text
        if "@" not in text:
            return None
        found: list[tuple[int, int, int, str]] = []
        for agent_id, agent in self.agents.items():
            for is_name, name in enumerate((agent_id, _phrase(agent.name))):
                at = _mention_at(text, name)
                if at is not None:
                    found.append((at, -len(name), is_name, agent_id))
        return min(found)[3] if found else None


@dataclass(frozen=True)
class Outcome:
    """What the rules come to. `agent_id` decides. Without it: `never` are the agents that are not
    allowed, `prefer` is the agent that answers if no stage decides, `model` is the one that routes.
    `effective` are the rules that have an effect, in their order, each with its kind; `notes` say
    what was done, and why a rule that holds was skipped."""

    agent_id: str | None
    never: frozenset[str]
    prefer: str | None
    model: str | None
    effective: tuple[tuple[Rule, EffectName], ...]
    notes: tuple[str, ...]


def apply_rules(
    rules: Iterable[Rule],
    message: Message,
    *,
    allowed: Sequence[str],
    model_refusal: Callable[[str], str | None],
    model_named: bool = False,
) -> Outcome:
    """The first rule that names an agent or a model ends the list; the others add up. `allowed` are
    the ids of the allowed agents, `model_refusal` says why a model cannot be used. With
    `model_named` the request has a model of its own: only "never" counts."""
    return _Application(message, allowed, model_refusal, model_named).run(rules)


class _Application:
    def __init__(
        self,
        message: Message,
        allowed: Sequence[str],
        model_refusal: Callable[[str], str | None],
        model_named: bool,
    ) -> None:
        self._message = message
        self._allowed = set(allowed)
        self._model_refusal = model_refusal
        self._model_named = model_named
        self._never: set[str] = set()
        self._preferred: list[tuple[Rule, str]] = []
        self._effective: list[tuple[Rule, EffectName]] = []
        self._notes: list[str] = []
        self._agent_id: str | None = None
        self._model: str | None = None

    def run(self, rules: Iterable[Rule]) -> Outcome:
        for rule in rules:
            if self._model_named and (rule.then is None or rule.then.never is None):
                continue
            try:
                holds = matches(rule.when, self._message)
            except StepLimitError:
                self._skip(rule, "its expression took too many steps")
                continue
            if holds and self._apply(rule):
                break
        prefer = None
        for rule, agent_id in self._preferred:
            if self._agent_id is None and agent_id not in self._never:
                prefer = agent_id
                self._effective.append((rule, "prefer"))
                self._notes.append(f"{rule.title} prefers {agent_id!r}")
                break
        return Outcome(
            self._agent_id,
            frozenset(self._never),
            prefer,
            self._model,
            tuple(self._effective),
            tuple(self._notes),
        )

    def _apply(self, rule: Rule) -> bool:
        """Whether the rule ends the list."""
        effect = rule.then
        if effect is None or effect.agent_id is not None:
            agent_id = self._message.mentioned if effect is None else effect.agent_id
            if agent_id is None or self._refused(rule, agent_id):
                return False
            self._agent_id = agent_id
            self._note(rule, "agent_id", f"names {agent_id!r}")
            return True
        if effect.model is not None:
            refusal = self._model_refusal(effect.model)
            if refusal is not None:
                self._skip(rule, refusal)
                return False
            self._model = effect.model
            self._note(rule, "model", f"{ROUTES_BY} {effect.model!r}")
            return True
        if effect.prefer is not None:
            if not self._refused(rule, effect.prefer):
                self._preferred.append((rule, effect.prefer))
            return False
        removed = [each for each in effect.never or () if each in self._allowed]
        if removed:
            self._never.update(removed)
            self._allowed.difference_update(removed)
            self._note(rule, "never", f"{EXCLUDES} {', '.join(removed)}")
        return False

    def _refused(self, rule: Rule, agent_id: str) -> bool:
        if agent_id in self._allowed:
            return False
        if agent_id in self._never:
            reason = f"an earlier rule excludes {agent_id!r}"
        elif agent_id not in self._message.agents:
            reason = f"the agent {agent_id!r} is not enabled, or not in this router"
        else:
            reason = f"the agent {agent_id!r} is not allowed"
        self._skip(rule, reason)
        return True

    def _skip(self, rule: Rule, reason: str) -> None:
        self._notes.append(f"{rule.title} is skipped: {reason}")

    def _note(self, rule: Rule, name: EffectName, text: str) -> None:
        self._effective.append((rule, name))
        self._notes.append(f"{rule.title} {text}")


def matches(when: RuleConditions, message: Message) -> bool:
    """Whether all conditions hold; those that cost least are tried first. Raises
    StepLimitError."""
    if when.key_id is not None and when.key_id != message.key_id:
        return False
    if when.user is not None and when.user != message.user:
        return False
    if when.metadata is not None and not _has_all(message.metadata or {}, when.metadata):
        return False
    if when.mention and message.mentioned is None:
        return False
    if when.words is not None and not any(has_words(message.text, each) for each in when.words):
        return False
    return when.pattern is None or pattern_of(when.pattern).search(message.text, message.budget)


def _has_all(given: Mapping[str, MetadataValue], wanted: Mapping[str, MetadataValue]) -> bool:
    return all(name in given and _same(given[name], value) for name, value in wanted.items())


def _same(one: MetadataValue, other: MetadataValue) -> bool:
    """true is not 1."""
    return isinstance(one, bool) is isinstance(other, bool) and one == other


def has_words(text: str, words: str) -> bool:
    """Whether a normalised text has the word or the phrase, as whole words."""
    phrase = _phrase(words)
    at = text.find(phrase)
    while at >= 0:
        if not _joined(text, at) and not _joined(text, at + len(phrase)):
            return True
        at = text.find(phrase, at + 1)
    return False


@lru_cache(maxsize=MAX_RULES * MAX_WORDS)
def _phrase(words: str) -> str:
    return normalise(words)


def _joined(text: str, at: int) -> bool:
    """Whether a word goes on across this place."""
    if at <= 0 or at >= len(text):
        return False
    before, after = text[at - 1], text[at]
    return is_word(before) and is_word(after) and not (_unspaced(before) or _unspaced(after))


def _unspaced(character: str) -> bool:
    return any(first <= character <= last for first, last in _UNSPACED)


def _mention_at(text: str, name: str) -> int | None:
    """Where "@" and the name are, as a word: not within an e-mail address, and not as the beginning
    of a longer name."""
    at = text.find(f"@{name}")
    while at >= 0:
        end = at + 1 + len(name)
        begins = at == 0 or not is_word(text[at - 1]) or _unspaced(text[at - 1])
        if begins and not _continues(text, end):
            return at
        at = text.find(f"@{name}", at + 1)
    return None


def _continues(text: str, end: int) -> bool:
    if _joined(text, end):
        return True
    after, following = text[end : end + 1], text[end + 1 : end + 2]
    return after in ("-", ".", "@") and after != "" and following != "" and is_word(following)
