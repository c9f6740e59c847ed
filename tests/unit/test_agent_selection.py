"""Which 254 of more agents a decision model is offered."""

from collections.abc import Iterable

import pytest

from edgeneuro.classifier.scorer import Scorer
from edgeneuro.domain.agent import Agent
from edgeneuro.domain.config import StoredConfig
from edgeneuro.domain.routing import RoutingConfig, build_routing_config
from edgeneuro.isolate.classifier_cache import LoadedClassifier
from edgeneuro.settings import Settings
from edgeneuro.synapsecore.agent_selection import select_agents
from tests.unit.classifiers import AGENTS, known, learned
from tests.unit.decision_models import agent


def config_of(settings: Settings, agents: list[Agent]) -> RoutingConfig:
    return build_routing_config(settings, 1, StoredConfig(), agents)


def many(**special: dict[str, object]) -> list[Agent]:
    """300 agents; the default one is the last."""
    named = [agent(name, **fields) for name, fields in special.items()]
    others = [agent(f"agent_{n:03}", description="Something else.") for n in range(300)]
    return [*others[: 299 - len(named)], *named, agent("zz_default", default=True)]


def selected(settings: Settings, query: str, agents: list[Agent]) -> list[str]:
    config = config_of(settings, agents)
    return [each.id for each in select_agents(tuple(agents), query, config, None)]


def test_up_to_254_agents_are_all_offered(settings: Settings) -> None:
    agents = many()[-254:]
    assert selected(settings, "anything", agents) == [each.id for each in agents]


def test_agents_that_share_words_come_first_then_the_order_decides(settings: Settings) -> None:
    agents = many(
        by_name={"name": "Password desk"},
        by_description={"description": "Forgotten PASSWORD, e-mail."},
        by_example={"examples": ["I lost my password"]},
        no_word={"description": "Passwordless."},
    )
    found = selected(settings, "Reset the password, please: password!", agents)
    assert len(found) == 254
    assert found[-4:] == ["by_name", "by_description", "by_example", "zz_default"]
    assert found[:-4] == [f"agent_{n:03}" for n in range(250)]  # the first of equal ones
    assert "no_word" not in found
    assert found == selected(settings, "Reset the password, please: password!", agents)


def test_more_shared_words_are_better_than_one(settings: Settings) -> None:
    one: dict[str, dict[str, object]] = {f"one_{n}": {"description": "vpn"} for n in range(254)}
    agents = many(**one, both={"description": "vpn certificate"})
    found = selected(settings, "My VPN certificate has expired", agents)
    assert "both" in found and found[-2:] == ["both", "zz_default"]
    assert len(found) == 254


@pytest.mark.parametrize("query", ["パスワードを忘れました", "ลืมรหัสผ่าน"])
def test_scripts_without_blanks_are_compared_by_pairs_of_characters(
    settings: Settings, query: str
) -> None:
    agents = many(fits={"description": f"X {query[:4]} Y"})
    assert "fits" in selected(settings, query, agents)


def test_changed_agents_are_compared_by_their_new_words(settings: Settings) -> None:
    agents = many(one={"description": "printer"}, two={"description": "scanner"})
    assert "one" in selected(settings, "printer", agents)
    changed = [
        each.model_copy(update={"description": "scanner"}) if each.id == "one" else each
        for each in agents
    ]
    assert "one" not in selected(settings, "printer", changed)


def test_only_allowed_agents_are_selected(settings: Settings) -> None:
    agents = many(fits={"description": "printer"})
    config = config_of(settings, agents)
    allowed = tuple(each for each in agents if each.id not in ("fits", "zz_default"))
    found = select_agents(allowed, "printer", config, None)
    assert len(found) == 254 and not {"fits", "zz_default"} & {each.id for each in found}


def classifier_that_knows(agents: Iterable[str]) -> LoadedClassifier:
    return LoadedClassifier("clf_1", "1", Scorer(learned()), frozenset(agents))


def test_a_classifier_selects_those_that_it_ranks_best(settings: Settings) -> None:
    agents = many(**{each: {} for each in AGENTS}, word={"description": known("agent_1")})
    config = config_of(settings, agents)
    loaded = classifier_that_knows(config.agents)
    found = [each.id for each in select_agents(tuple(agents), known("agent_1"), config, loaded)]
    assert len(found) == 254 and set(AGENTS) <= set(found) and found[-1] == "zz_default"
    assert "word" not in found
    without = select_agents(tuple(agents), known("agent_1"), config, None)
    assert "word" in {each.id for each in without}


def test_a_classifier_that_does_not_know_all_agents_is_not_used(settings: Settings) -> None:
    """It would leave out every agent that is new to it."""
    agents = many(fits={"description": "printer"})
    config = config_of(settings, agents)
    loaded = classifier_that_knows(AGENTS)
    found = select_agents(tuple(agents), "printer", config, loaded)
    assert "fits" in {each.id for each in found}
