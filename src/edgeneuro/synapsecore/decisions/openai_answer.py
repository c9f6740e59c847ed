"""Answers in OpenAI's format: the response of POST /v1/decisions (openai/types/decision.py)."""

from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel

from edgeneuro.domain.decision import Usage
from edgeneuro.domain.question import Answer, ChoiceAnswer, Refusal, Score, ScoreAnswer
from edgeneuro.synapsecore.decisions.asked import AskedQuestion
from edgeneuro.synapsecore.decisions.facts import DecisionFacts, confidence_of, rounded


class PredicateResult(BaseModel):
    type: Literal["predicate"] = "predicate"
    name: str | None
    probability: float


class OptionProbability(BaseModel):
    value: str | bool
    probability: float


class ChoiceResult(BaseModel):
    type: Literal["choice"] = "choice"
    name: str | None
    choice: str | bool
    probabilities: list[OptionProbability]
    confidence: float


class LevelProbability(BaseModel):
    """`value` is the level's index, 0 for the lowest."""

    label: str
    value: int
    probability: float


class ScoreResult(BaseModel):
    """`score` is the expected level: the mean of the levels' indices, weighted by probability."""

    type: Literal["score"] = "score"
    name: str | None
    score: float
    probabilities: list[LevelProbability]
    confidence: float


class RefusalResult(BaseModel):
    type: Literal["refusal"] = "refusal"
    name: str | None


class InputTokensDetails(BaseModel):
    cached_tokens: int = 0
    cache_write_tokens: int = 0


class OutputTokensDetails(BaseModel):
    reasoning_tokens: int = 0


class DecisionUsage(BaseModel):
    input_tokens: int
    input_tokens_details: InputTokensDetails = InputTokensDetails()
    output_tokens: int
    output_tokens_details: OutputTokensDetails = OutputTokensDetails()
    total_tokens: int


Result = PredicateResult | ChoiceResult | ScoreResult | RefusalResult


class DecisionsResponse(BaseModel):
    """`answers` are in the order of the questions. The probabilities of an answer have the sum 1,
    `confidence` is 0 if all are equal and 1 if one has all. `model` is the decision model that
    answered, else the model whose ranking decided, else "auto". `usage` is the sum over all
    calls."""

    model: str
    answers: list[Result]
    usage: DecisionUsage
    edgeneuro: DecisionFacts


def openai_response(
    model: str,
    answers: Sequence[tuple[AskedQuestion, Answer]],
    usage: Usage,
    facts: DecisionFacts,
) -> DecisionsResponse:
    return DecisionsResponse(
        model=model,
        answers=[_result(question, answer) for question, answer in answers],
        usage=DecisionUsage(
            input_tokens=usage.prompt_tokens,
            output_tokens=usage.completion_tokens,
            total_tokens=usage.total_tokens,
        ),
        edgeneuro=facts,
    )


def _result(asked: AskedQuestion, answer: Answer) -> Result:
    name = asked.name
    if isinstance(answer, Refusal):
        return RefusalResult(name=name)
    if isinstance(answer, ChoiceAnswer):
        values = {option.id: option.value for option in asked.options}
        return ChoiceResult(
            name=name,
            choice=values.get(answer.choice, answer.choice),
            probabilities=[
                OptionProbability(value=values.get(option, option), probability=rounded(share))
                for option, share in answer.probabilities.items()
            ],
            confidence=confidence_of(list(answer.probabilities.values())),
        )
    if isinstance(answer, ScoreAnswer):
        assert isinstance(asked.question, Score), "an answer fits its question"
        return ScoreResult(
            name=name,
            score=rounded(answer.score),
            probabilities=[
                LevelProbability(label=level.label, value=value, probability=rounded(share))
                for value, (level, share) in enumerate(
                    zip(asked.question.levels, answer.probabilities, strict=True)
                )
            ],
            confidence=confidence_of(list(answer.probabilities)),
        )
    return PredicateResult(name=name, probability=rounded(answer.probability))
