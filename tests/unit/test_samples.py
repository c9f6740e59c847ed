"""samples/: what the demonstration and the tutorial import."""

import re
from collections import Counter, defaultdict

from edgeneuro.classifier.features import plain
from scripts.demo_samples import AGENTS, NO_AGENT, Sample, dialogues, held_out, queries
from scripts.paths import SEED

MIN_OF_AGENT = 20


def test_there_are_300_queries_of_all_demonstration_agents() -> None:
    counts = Counter(each.agent for each in queries())
    assert counts.total() == 300
    assert set(counts) == {*AGENTS, NO_AGENT}
    assert min(counts.values()) >= MIN_OF_AGENT
    assert set(re.findall(r"^    '(\w+)', '", SEED.read_text("utf-8"), re.M)) == AGENTS


def test_no_query_is_there_twice() -> None:
    texts = Counter(plain(each.query) for each in queries())
    assert [text for text, count in texts.items() if count > 1] == []


def test_some_queries_are_in_other_languages() -> None:
    def foreign(text: str) -> bool:
        return any(letter.isalpha() and not letter.isascii() for letter in text)

    assert sum(foreign(each.query) for each in queries()) >= 20


def test_there_are_40_dialogues_whose_turns_follow_each_other() -> None:
    turns: dict[int, list[Sample]] = defaultdict(list)
    for each in dialogues():
        turns[each.dialogue].append(each)
    assert list(turns) == list(range(1, 41))
    kept = left = 0
    for first, *others in turns.values():
        assert first.context is None
        before = first
        for each in others:
            assert each.context is not None
            assert each.context["previous_agent"] == before.agent
            assert each.context["previous_user"] == before.query
            assert each.context["previous_assistant"]
            kept += each.agent == before.agent
            left += each.agent != before.agent
            before = each
    # What a training of follow-ups needs, also of the two thirds that the demonstration imports.
    assert kept >= 40 and left >= 30


def test_a_dialogue_is_learned_or_asked() -> None:
    learned, asked = held_out(dialogues(), by=lambda each: each.dialogue)
    assert not {each.dialogue for each in learned} & {each.dialogue for each in asked}
    assert len(learned) > 2 * len(asked) > 0
