"""Machine labels: what models decided with confidence and nobody contradicted, as examples for a
training. They are read from the log rows and stored nowhere else, so one is gone with its row, and
counts no longer once somebody says that it was wrong.

They are no labels: they decide nothing, measure nothing, and are counted apart from labels."""

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from edgeneuro.domain.agent import NO_AGENT

# All that a training uses, if there are as many: a third of the labels that fit an isolate.
MAX_MACHINE_LABELS = 15_000
# What one caller may give of an agent in any case, and what an agent may have in any case.
FREE_OF_CALLER, FREE_OF_AGENT = 50, 50
# A caller gives at most a quarter of an agent's machine labels, or twice its share of the others.
_CALLER_SHARE, _CALLER_FACTOR = 0.25, 2
# An agent has at most so many times the mean of the other agents.
_AGENT_FACTOR = 10
_ONE_SIDED, _MIN_ONE_SIDED = 0.9, 50


@dataclass(frozen=True)
class Candidate:
    """A decision that may be a machine label: the log row `seq`, in the order in which the rows
    were written, and the number of its `caller` (a key, or a user of a key). `stated` says whether
    the model stated a confidence, and `model` is its place in the chain of models."""

    seq: int
    caller: int
    stated: bool = True
    model: int = 0


@dataclass(frozen=True, kw_only=True)
class Candidates:
    """Decisions by agent id, NO_AGENT for those that no agent fits; those of `single` messages, and
    those of `turns` in conversations. `left_out` counts the others by reason."""

    single: Mapping[str, Sequence[Candidate]] = field(default_factory=dict)
    turns: Mapping[str, Sequence[Candidate]] = field(default_factory=dict)
    left_out: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class MachineLabel:
    """A decision that was chosen: of the log row `seq`, for the agent (NO_AGENT: none fits), by the
    model at this place in the chain."""

    seq: int
    agent: str
    model: int = 0


@dataclass(frozen=True, kw_only=True)
class MachineLabels:
    """Those that were chosen, the newest first: of `single` messages, and of `turns` in
    conversations. `left_out` counts the decisions that were not chosen, by reason, and `decided`
    those of single messages by agent before they were balanced. `off` says why there are none at
    all."""

    single: Sequence[MachineLabel] = ()
    turns: Sequence[MachineLabel] = ()
    decided: Mapping[str, int] = field(default_factory=dict)
    left_out: Mapping[str, int] = field(default_factory=dict)
    off: str | None = None

    @property
    def counts(self) -> dict[str, int]:
        """How many of single messages there are, by agent id."""
        return dict(sorted(Counter(each.agent for each in self.single).items()))

    @property
    def one_sided(self) -> str | None:
        """The agent that more than nine of ten decisions name, NO_AGENT too: a model that gives the
        same answer to nearly everything teaches nothing. None where they are too few to say so."""
        total = sum(self.decided.values())
        agent = max(sorted(self.decided), key=lambda each: self.decided[each], default=None)
        if agent is None or total < _MIN_ONE_SIDED:
            return None
        return agent if self.decided[agent] > _ONE_SIDED * total else None


def choose(
    candidates: Candidates, agents: Sequence[str], *, per_agent: int, total: int, turns: int
) -> MachineLabels:
    """The newest of each agent, at most `per_agent` and together at most `total`; of those in
    conversations the newest `turns`. Where a model stated no confidence, its decisions only fill
    up what others leave."""
    left_out = Counter(candidates.left_out)
    shared = _within_share(candidates.single, left_out)
    limits = balanced(
        {agent: len(shared.get(agent, ())) for agent in (*agents, NO_AGENT)},
        per_agent=per_agent,
        total=total,
    )
    single = {agent: _first(found, limits.get(agent, 0)) for agent, found in shared.items()}
    # What a turn in a conversation is about that fits nobody, the turn before it may say.
    left_out["none_in_conversation"] += len(candidates.turns.get(NO_AGENT, ()))
    of_agents = {agent: each for agent, each in candidates.turns.items() if agent != NO_AGENT}
    in_turns = _newest(_within_share(of_agents, left_out))
    left_out["over_the_limit"] = max(0, len(in_turns) - turns) + sum(
        len(found) - len(single[agent]) for agent, found in shared.items()
    )
    return MachineLabels(
        single=_newest(single),
        turns=in_turns[:turns],
        decided={agent: len(found) for agent, found in shared.items() if found},
        left_out={why: count for why, count in sorted(left_out.items()) if count},
    )


def balanced(counts: Mapping[str, int], *, per_agent: int, total: int) -> dict[str, int]:
    """How many each agent may have, so that none has more than `per_agent` or ten times the mean of
    the others (50 in any case), and all have at most `total`: what rare agents leave of it, the
    others share equally."""
    others = max(1, len(counts) - 1)
    whole = sum(min(count, per_agent) for count in counts.values())
    limits = {
        agent: min(
            count,
            per_agent,
            max(FREE_OF_AGENT, math.ceil(_AGENT_FACTOR * (whole - min(count, per_agent)) / others)),
        )
        for agent, count in counts.items()
    }
    level = _level(list(limits.values()), total)
    return {agent: min(limit, level) for agent, limit in limits.items()}


def _level(counts: Sequence[int], total: int) -> int:
    """The highest number that all counts can be cut to so that their sum is at most `total`."""
    left, waiting = total, len(counts)
    for count in sorted(counts):
        if count * waiting > left:
            return left // waiting
        left -= count
        waiting -= 1
    return max(counts, default=0)


def _within_share(
    decided: Mapping[str, Sequence[Candidate]], left_out: Counter[str]
) -> dict[str, list[Candidate]]:
    """Without what a caller has given of an agent beyond its share, the oldest first."""
    of_caller = Counter(each.caller for found in decided.values() for each in found)
    whole = of_caller.total()
    kept: dict[str, list[Candidate]] = {}
    for agent, found in decided.items():
        by_caller: defaultdict[int, list[Candidate]] = defaultdict(list)
        for each in found:
            by_caller[each.caller].append(each)
        kept[agent] = []
        for caller, own in by_caller.items():
            limit = _share_limit(
                own=len(own),
                of_agent=len(found),
                elsewhere=of_caller[caller] - len(own),
                others=whole - len(found),
            )
            kept[agent] += _first(own, limit)
            left_out["share_of_caller"] += max(0, len(own) - limit)
    return kept


def _newest(decided: Mapping[str, Sequence[Candidate]]) -> list[MachineLabel]:
    return sorted(
        (
            MachineLabel(each.seq, agent, each.model)
            for agent, found in decided.items()
            for each in found
        ),
        key=lambda each: (-each.seq, each.agent),
    )


def _first(found: Sequence[Candidate], limit: int) -> list[Candidate]:
    """The newest, those with a stated confidence first."""
    return sorted(found, key=lambda each: (each.stated, each.seq), reverse=True)[:limit]


def _share_limit(*, own: int, of_agent: int, elsewhere: int, others: int) -> int:
    """`own` of the agent's decisions are the caller's, and `elsewhere` of those of all `others`. A
    caller who has little part in the rest and much in one agent is likely to flood it; one who
    has most of everything is the only application there is."""
    if not others or own <= FREE_OF_CALLER:
        return own
    share = max(_CALLER_SHARE, _CALLER_FACTOR * elsewhere / others)
    if share >= 1:
        return own
    return max(FREE_OF_CALLER, math.floor((of_agent - own) * share / (1 - share)))
