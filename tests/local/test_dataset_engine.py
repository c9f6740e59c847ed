"""The engine that answers from a data set: how many mistakes and of which kind, and both questions
of the router."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from edgeneuro.domain.agent import Agent
from edgeneuro.domain.conversation import PreviousTurn
from edgeneuro.domain.prompt import answer_schema, build_messages
from local.app import build_engine
from local.catalogue import MODELS
from local.decisions import Choice, ChoiceAnswer, DecisionRequest, Question, YesNo
from local.engines import CompletionRequest, JsonMode, Message
from local.engines.dataset import DatasetEngine
from local.engines.dataset_table import DatasetTable, Mistakes
from local.settings import SettingsError, read_settings

CLASSES = ("flight", "recipe", "taxes", "music", "weather")
TEXT_MODEL = "@cf/meta/llama-3.2-1b-instruct"


def lines() -> list[dict[str, Any]]:
    made = [
        {"query": f"{verb} {name} {noun} {n}", "agent": name}
        for name in CLASSES
        for verb in ("find", "show", "book", "tell")
        for noun in ("today", "please", "now", "again", "home")
        for n in range(10)
    ]
    return [*made, {"query": "why do wombats dig", "agent": None}]


def table(right: float = 0.9, mistakes: Mistakes = "independent", seed: int = 0) -> DatasetTable:
    return DatasetTable(lines(), right=right, mistakes=mistakes, seed=seed)


def wrong(of: DatasetTable) -> dict[str, str | None]:
    said = {line["query"]: of.answer(line["query"]).agent for line in lines()}
    return {query: agent for query, agent in said.items() if agent != of.truth(query)}


@pytest.mark.parametrize("mistakes", ["independent", "systematic"])
def test_so_many_answers_are_wrong(mistakes: Mistakes) -> None:
    found = wrong(table(0.9, mistakes))
    assert 0.07 <= len(found) / 1_000 <= 0.13
    assert set(found.values()) <= set(CLASSES)
    assert wrong(table(0.9, mistakes)) == found, "the same at every time"
    assert wrong(table(0.9, mistakes, seed=1)) != found
    assert wrong(table(1.0, mistakes)) == {}


def neighbours_wrong_alike(mistakes: Mistakes) -> float:
    """Of the mistakes, the share of the five most alike queries that are the same mistake."""
    of = table(0.9, mistakes)
    found = wrong(of)
    shares = []
    for query, agent in found.items():
        words = set(query.split())
        alike = [each["query"] for each in lines() if each["agent"] == of.truth(query)]
        alike.sort(key=lambda each: -len(words & set(each.split())))
        shares.append(sum(found.get(each) == agent for each in alike[1:6]) / 5)
    return sum(shares) / len(shares)


def test_systematic_mistakes_are_of_alike_queries_and_alike() -> None:
    assert neighbours_wrong_alike("systematic") > 0.25
    assert neighbours_wrong_alike("independent") < 0.15


def test_what_fits_no_agent_is_known_and_spelling_does_not_count() -> None:
    of = table(0.5)
    assert of.answer("Why do  wombats DIG").agent is None
    assert of.answer("find flight today 1") == of.answer(" FIND flight  today 1 ")


def test_wrong_answers_are_less_sure_on_average() -> None:
    of = table(0.5)
    sure: dict[bool, list[float]] = {True: [], False: []}
    for line in lines():
        said = of.answer(line["query"])
        sure[said.agent == line["agent"]].append(said.confidence)
    means = {right: sum(found) / len(found) for right, found in sure.items()}
    assert 0.8 < means[False] < means[True] < 1


def agents(*ids: str) -> list[Agent]:
    fields: dict[str, Any] = {
        "examples": [],
        "endpoint": None,
        "protocol": "openai",
        "system_prompt": None,
        "model": None,
        "enabled": True,
        "default": False,
        "created_at": "",
        "updated_at": "",
    }
    return [
        Agent.model_validate({"id": each, "name": each, "description": each, **fields})
        for each in ids
    ]


def asked(query: str, *ids: str, json_mode: bool, previous: PreviousTurn | None = None) -> Any:
    offered = agents(*ids)
    messages = build_messages(query, offered, confidence=True, previous=previous or PreviousTurn())
    schema = answer_schema(offered, confidence=True)
    return CompletionRequest(
        model=MODELS[TEXT_MODEL],
        messages=tuple(Message(each["role"], each["content"]) for each in messages),
        max_tokens=100,
        json_mode=JsonMode(schema) if json_mode else None,
    )


@pytest.mark.parametrize("json_mode", [True, False])
async def test_the_routers_prompt_is_answered(json_mode: bool) -> None:
    engine = DatasetEngine(table(1.0))
    done = await engine.complete(asked("find flight today 1", *CLASSES, json_mode=json_mode))
    said = json.loads(done.text)
    assert said["agent"] == "flight" and 0.8 < said["confidence"] < 1
    done = await engine.complete(asked("why do wombats dig", *CLASSES, json_mode=json_mode))
    assert json.loads(done.text)["agent"] == "none"
    done = await engine.complete(asked("find flight today 1", "music", json_mode=json_mode))
    assert json.loads(done.text)["agent"] == "none", "it was not offered"
    assert done.metadata["engine"] == "dataset"


async def test_a_message_in_a_conversation_is_found() -> None:
    previous = PreviousTurn("music", "play something", "Which song?")
    request = asked("find taxes now 3", *CLASSES, json_mode=True, previous=previous)
    done = await DatasetEngine(table(1.0)).complete(request)
    assert json.loads(done.text)["agent"] == "taxes"


async def test_a_decision_model_gives_all_probabilities() -> None:
    options: dict[str, str | None] = {**dict.fromkeys(CLASSES), "none": "None fits."}
    questions: dict[str, Question] = {
        "agent": Choice("Which?", options),
        "clarify": YesNo("Is it unclear?"),
    }
    model = MODELS["@cf/cloudflare/clef-omni"]
    request = DecisionRequest(model, "clef", "find recipe home 4", questions)
    decided = await DatasetEngine(table(1.0)).decide(request)
    answer = decided.answers["agent"]
    assert isinstance(answer, ChoiceAnswer)
    found = answer.probabilities
    assert max(found, key=lambda each: found[each]) == "recipe"
    assert set(found) == set(options) and abs(sum(found.values()) - 1) < 0.01
    assert "clarify" in decided.answers


async def test_anything_else_is_the_emulated_engines() -> None:
    request = CompletionRequest(MODELS[TEXT_MODEL], (Message("user", "Hello"),), 100)
    done = await DatasetEngine(table()).complete(request)
    assert "emulator" in done.text


def environment(path: Path, **more: str) -> dict[str, str]:
    return {"LOCAL_AI_ENGINE": "dataset", "LOCAL_AI_DATA": str(path), **more}


def test_it_is_chosen_by_the_environment(tmp_path: Path) -> None:
    path, other = tmp_path / "a.jsonl", tmp_path / "b.jsonl"
    path.write_text('{"query": "one", "agent": "x"}\n{"query": "two", "agent": "y"}\n')
    other.write_text('{"query": "three", "agent": null}\n')
    names = f"{path}{os.pathsep}{other}"
    env = environment(path, LOCAL_AI_MISTAKES="systematic")
    settings = read_settings({**env, "LOCAL_AI_DATA": names, "LOCAL_AI_RIGHT": "0.94"})
    assert settings.data == (path, other)
    assert build_engine(settings).name == "dataset"


@pytest.mark.parametrize(
    "wrong_part",
    [
        {"LOCAL_AI_DATA": ""},
        {"LOCAL_AI_RIGHT": "94"},
        {"LOCAL_AI_RIGHT": "x"},
        {"LOCAL_AI_MISTAKES": "many"},
        {"LOCAL_AI_SEED": "-1"},
        {"LOCAL_AI_DATA": "/nowhere/x.jsonl"},
    ],
    ids=str,
)
def test_what_cannot_be_is_said(tmp_path: Path, wrong_part: dict[str, str]) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"query": "one", "agent": "x"}\n')
    with pytest.raises(SettingsError, match=next(iter(wrong_part))):
        build_engine(read_settings({**environment(path), **wrong_part}))
