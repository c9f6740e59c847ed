"""Which of the candidates become machine labels: balance between agents, and shares of callers."""

import pytest

from edgeneuro.domain.agent import NO_AGENT
from edgeneuro.domain.machine_label import (
    FREE_OF_AGENT,
    FREE_OF_CALLER,
    Candidate,
    Candidates,
    MachineLabels,
    balanced,
    choose,
)


def of(count: int, *, caller: int = 1, start: int = 0, stated: bool = True) -> list[Candidate]:
    return [Candidate(start + n, caller, stated) for n in range(count)]


def chosen(
    single: dict[str, list[Candidate]], *, per_agent: int = 1_000, total: int = 15_000
) -> MachineLabels:
    agents = [each for each in single if each != NO_AGENT]
    return choose(Candidates(single=single), agents, per_agent=per_agent, total=total, turns=0)


def seqs(found: MachineLabels, agent: str) -> list[int]:
    return [each.seq for each in found.single if each.agent == agent]


def test_the_newest_of_each_agent_are_chosen() -> None:
    found = chosen({"hr": of(30), "it": of(10, start=100)}, per_agent=20)
    assert seqs(found, "hr") == list(range(29, 9, -1))
    assert seqs(found, "it") == list(range(109, 99, -1))
    assert found.left_out == {"over_the_limit": 10}
    assert found.decided == {"hr": 30, "it": 10}


@pytest.mark.parametrize(
    ("counts", "per_agent", "total", "limits"),
    [
        ([500, 500], 1_000, 600, [300, 300]),
        # What the rare agent leaves, the others share.
        ([500, 500, 20], 1_000, 620, [300, 300, 20]),
        ([500, 500], 200, 10_000, [200, 200]),
        # Ten times the mean of the others, 50 in any case.
        ([5_000, 10, 10], 10_000, 15_000, [100, 10, 10]),
        ([5_000, 0, 0], 10_000, 15_000, [FREE_OF_AGENT, 0, 0]),
        ([5_000], 10_000, 15_000, [FREE_OF_AGENT]),
        ([10, 10], 0, 100, [0, 0]),
        ([10, 10], 10, 0, [0, 0]),
    ],
)
def test_agents_are_balanced(
    counts: list[int], per_agent: int, total: int, limits: list[int]
) -> None:
    named = {f"agent_{n}": count for n, count in enumerate(counts)}
    assert list(balanced(named, per_agent=per_agent, total=total).values()) == limits


def test_150_agents_have_100_each() -> None:
    named = {f"agent_{n}": 700 for n in range(150)}
    assert set(balanced(named, per_agent=1_000, total=15_000).values()) == {100}


@pytest.mark.parametrize("agent", ["hr", NO_AGENT])
def test_a_model_that_always_gives_one_answer_teaches_little_and_is_seen(agent: str) -> None:
    single = {"hr": of(0), "it": of(0), "legal": of(0)} | {agent: of(2_000)}
    found = chosen(single)
    assert found.counts == {agent: FREE_OF_AGENT} and found.one_sided == agent
    honest = chosen({"hr": of(800), "it": of(200, start=1_000), "legal": of(50, start=2_000)})
    assert honest.one_sided is None and honest.counts["hr"] == 800
    assert chosen({"hr": of(20), "it": []}).one_sided is None


def test_a_caller_who_floods_one_agent_gives_a_quarter_of_it() -> None:
    honest = [each for user in range(40) for each in of(3, caller=user, start=user * 3)]
    elsewhere = [Candidate(10_000 + n, n % 40) for n in range(600)]
    flood = of(3_000, caller=99, start=20_000)
    found = chosen({"hr": honest + flood, "it": elsewhere})
    assert found.counts == {"hr": 120 + FREE_OF_CALLER, "it": 600}
    assert found.left_out == {"share_of_caller": 3_000 - FREE_OF_CALLER}
    many = [each for user in range(40) for each in of(15, caller=user, start=user * 15)]
    found = chosen({"hr": many + flood, "it": elsewhere})
    assert found.counts["hr"] == 600 + 200


def test_the_only_application_gives_everything() -> None:
    rare = of(15, caller=2, start=9_000)
    found = chosen({"hr": of(700) + rare, "it": of(600, start=1_000)})
    assert found.counts == {"hr": 715, "it": 600} and found.left_out == {}
    # Who asks for one agent alone is bounded, whoever it is.
    assert chosen({"hr": of(700), "it": of(600, start=1_000)}).counts["hr"] == 700
    lonely = chosen({"hr": of(700, caller=7), "it": of(600, start=1_000)})
    assert lonely.counts == {"hr": FREE_OF_CALLER, "it": FREE_OF_CALLER}


def test_decisions_without_a_stated_confidence_fill_up_what_others_leave() -> None:
    old, new = of(30), of(30, start=500, stated=False)
    found = chosen({"hr": old + new, "it": of(40, start=1_000)}, per_agent=40)
    assert seqs(found, "hr") == [*range(529, 519, -1), *range(29, -1, -1)]


def test_of_conversations_the_newest_are_chosen() -> None:
    turns = {"hr": of(5), "it": of(5, start=3)}
    found = choose(Candidates(turns=turns), ["hr", "it"], per_agent=10, total=10, turns=6)
    assert [each.seq for each in found.turns] == [7, 6, 5, 4, 4, 3]
    assert found.left_out == {"over_the_limit": 4} and not found.single
