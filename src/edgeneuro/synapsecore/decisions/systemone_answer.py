"""Answers in System One's format: the response of POST /v1/systemone."""

from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel

from edgeneuro.domain.decision import Usage
from edgeneuro.domain.question import Answer, ChoiceAnswer, Refusal, Score, ScoreAnswer
from edgeneuro.synapsecore.decisions.asked import AskedQuestion
from edgeneuro.synapsecore.decisions.facts import DecisionFacts, confidence_of, rounded


class NoulResult(BaseModel):
    """`noul` is the probability of yes; there is no `confidence`."""

    type: Literal["noul"] = "noul"
    noul: float


class SystemOneChoice(BaseModel):
    type: Literal["choice"] = "choice"
    choice: str
    probabilities: dict[str, float]
    confidence: float


class SystemOneScore(BaseModel):
    """`score` is the expected level, 0 for the lowest; `legend` has the levels' texts and
    `probabilities` their probabilities, both by the level's number as a text."""

    type: Literal["score"] = "score"
    score: float
    legend: dict[str, str]
    probabilities: dict[str, float]
    confidence: float


SystemOneAnswer = NoulResult | SystemOneChoice | SystemOneScore


class SystemOneUsage(BaseModel):
    input_tokens: int
    output_tokens: int


class SystemOneResponse(BaseModel):
    """`answers` are by the questions' ids. System One has no refusals: a question that the model
    declined to answer has no answer, and its id is in `edgeneuro.refused`. `model` is the decision
    model that answered, else the model whose ranking decided, else "auto"."""

    model: str
    answers: dict[str, SystemOneAnswer]
    usage: SystemOneUsage
    edgeneuro: DecisionFacts


def systemone_response(
    model: str,
    answers: Sequence[tuple[AskedQuestion, Answer]],
    usage: Usage,
    facts: DecisionFacts,
) -> SystemOneResponse:
    return SystemOneResponse(
        model=model,
        answers={
            asked.id: result
            for asked, answer in answers
            if (result := _result(asked, answer)) is not None
        },
        usage=SystemOneUsage(
            input_tokens=usage.prompt_tokens, output_tokens=usage.completion_tokens
        ),
        edgeneuro=facts,
    )


def _result(asked: AskedQuestion, answer: Answer) -> SystemOneAnswer | None:
    if isinstance(answer, Refusal):
        return None
    if isinstance(answer, ChoiceAnswer):
        shares = {name: rounded(share) for name, share in answer.probabilities.items()}
        confidence = confidence_of(list(answer.probabilities.values()))
        return SystemOneChoice(choice=answer.choice, probabilities=shares, confidence=confidence)
    if isinstance(answer, ScoreAnswer):
        assert isinstance(asked.question, Score), "an answer fits its question"
        return SystemOneScore(
            score=rounded(answer.score),
            legend={str(at): each.label for at, each in enumerate(asked.question.levels)},
            probabilities={str(at): rounded(each) for at, each in enumerate(answer.probabilities)},
            confidence=confidence_of(list(answer.probabilities)),
        )
    return NoulResult(noul=rounded(answer.probability))
