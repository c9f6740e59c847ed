"""The traffic's mix of agents: labels are rarely of the same mix, and a precision holds for one mix
only."""

from collections.abc import Mapping, Sequence

from edgeneuro.classifier.examples import Examples
from edgeneuro.domain.analytics import accuracy_of
from edgeneuro.domain.classifier import (
    Classifier,
    ClassifierScore,
    TrafficScore,
    TrainingMix,
    TrainingMixShare,
)
from edgeneuro.services import Services
from edgeneuro.store.analytics import read_decisions
from edgeneuro.store.usage import DAY, HOUR

MIX_DAYS = 30
MIN_DECISIONS = 200


async def decisions_by_agent(services: Services, agents: Sequence[str]) -> dict[str, int]:
    """The router's decisions of the last 30 days for each of these agents."""
    stop = services.now_ms() - services.now_ms() % HOUR + HOUR
    found = await read_decisions(services.db, start=stop - MIX_DAYS * DAY, stop=stop)
    return {agent: found.get(agent, 0) for agent in agents}


def known_mix(decisions: Mapping[str, int]) -> Mapping[str, int] | None:
    """None where there are too few decisions to know the mix by."""
    return decisions if sum(decisions.values()) >= MIN_DECISIONS else None


def agent_mix(job: Classifier, examples: Examples, decisions: Mapping[str, int]) -> TrainingMix:
    counts, place = examples.counts(), {each: n for n, each in enumerate(examples.classes)}
    labels = {each: counts[place[each]] if each in place else 0 for each in job.agents}
    all_labels, all_decisions = sum(labels.values()), sum(decisions.values())
    known = known_mix(decisions) is not None
    shares = [
        TrainingMixShare(
            agent_id=agent,
            labels=round(count / all_labels, 6) if all_labels else 0.0,
            traffic=round(decisions[agent] / all_decisions, 6) if known else None,
        )
        for agent, count in labels.items()
    ]
    apart = [abs(each.labels - each.traffic) for each in shares if each.traffic is not None]
    return TrainingMix(
        source="traffic" if known else "labels",
        decisions=all_decisions,
        distance=round(sum(apart) / 2, 4) if known else None,
        agents=shares,
    )


def with_traffic(score: ClassifierScore, decisions: Mapping[str, int]) -> ClassifierScore:
    """The score with `traffic` as these decisions weigh it. Agents without a test question are left
    out; an out-of-scope question counts as one."""
    mix = known_mix(decisions)
    asked = [each for each in score.agents if each.agent_id is not None]
    inside = sum(each.n for each in asked)
    share = {each.agent_id: (mix or {}).get(each.agent_id or "", 0) for each in asked}
    whole = sum(share.values())
    if mix is None or not whole:
        return score.model_copy(update={"traffic": None})
    weight = {each.agent_id: share[each.agent_id] * inside / whole / each.n for each in asked}
    answered = squares = float(score.false_accepts)
    right = 0.0
    for each in asked:
        own = weight[each.agent_id]
        answered += own * each.answered
        right += own * each.right
        squares += own * own * each.answered
    precision = (
        accuracy_of(round(right * answered / squares), round(answered * answered / squares))
        if squares
        else accuracy_of(0, 0)
    )
    covered = sum(share[each.agent_id] * each.answered / each.n for each in asked)
    traffic = TrafficScore(
        answered=precision.labelled,
        right=precision.right,
        precision=round(right / answered, 6) if answered else None,
        low=precision.low,
        high=precision.high,
        coverage=round(covered / whole, 6),
    )
    return score.model_copy(update={"traffic": traffic})
