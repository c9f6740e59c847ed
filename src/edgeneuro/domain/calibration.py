"""Calibration: how the confidence of a model is mapped to the share of answers that were right, and
the reliability of confidences in an evaluation."""

import hashlib
import json
import math
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict

from edgeneuro.domain.agent import ModelId
from edgeneuro.domain.analytics import AccuracyEstimate

# Decision models round probabilities to four decimals: 0 and 1 stand for all that is nearer to them
# than half a unit of the last one.
_NEAREST = 0.00005


def log_odds(probability: float) -> float:
    """Finite for 0 and 1 too."""
    clipped = min(max(probability, _NEAREST), 1 - _NEAREST)
    return math.log(clipped / (1 - clipped))


@dataclass(frozen=True, slots=True)
class ConfidenceMap:
    """Platt's sigmoid over the log-odds of a confidence."""

    slope: float
    intercept: float

    def apply(self, confidence: float) -> float:
        """The calibrated confidence."""
        value = self.slope * log_odds(confidence) + self.intercept
        if value >= 0:  # the exponent is never positive, so it cannot overflow
            return 1 / (1 + math.exp(-value))
        return math.exp(value) / (1 + math.exp(value))

    @property
    def version(self) -> str:
        """16 hex digits: two calibrations with the same one map all confidences alike."""
        parts = json.dumps([self.slope, self.intercept])
        return hashlib.sha256(parts.encode()).hexdigest()[:16]


class Calibration(BaseModel):
    """The calibration of a model, from the answers of one evaluation. The calibrated confidence is
    1 / (1 + exp(-(slope x + intercept))), and x is the natural logarithm of p / (1 - p) for the
    model's own confidence p, at least 0.00005 and at most 0.99995. `n` answers were learned from.
    `ece_before` and `ece_after` are expected calibration errors; the one after is cross-fitted."""

    object: Literal["calibration"] = "calibration"
    model_id: str
    evaluation_id: str
    prompt_version: str
    n: int
    slope: float
    intercept: float
    ece_before: float
    ece_after: float
    created_at: str

    @property
    def map(self) -> ConfidenceMap:
        return ConfidenceMap(self.slope, self.intercept)


class ModelCalibration(BaseModel):
    """The calibration that is in force for a model: the evaluation that it was made from, with `n`
    answers, and the expected calibration error before and after it (cross-fitted)."""

    evaluation_id: str
    n: int
    ece_before: float
    ece_after: float
    created_at: str

    @classmethod
    def of(cls, calibration: Calibration) -> "ModelCalibration":
        return cls.model_validate(calibration.model_dump(include=set(cls.model_fields)))


class CalibrateRequest(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    model_id: ModelId


class CalibrationDeleted(BaseModel):
    """`id` is the id of the model."""

    object: Literal["calibration.deleted"] = "calibration.deleted"
    id: str
    deleted: Literal[True] = True


# Why confidences cannot be calibrated.
NotCalibratable = Literal[
    "too_few",
    "all_right",
    "all_wrong",
    "one_confidence",
    "slope",
    "unstable",
    "classifier",
    "pipeline",
]


class ReliabilityBin(BaseModel):
    """Answers with similar confidences, from `low` to `high`: how many, their mean confidence, and
    the share of them that named the labeled agent."""

    low: float
    high: float
    n: int
    confidence: float
    accuracy: AccuracyEstimate


class ReliabilityTable(BaseModel):
    """`ece` is the expected calibration error: the mean difference between the confidence and the
    share of right answers over the bins, weighted by their `n`. `brier` is the mean squared
    difference between the confidence and 1 for a right answer, 0 for a wrong one. There are at most
    ten bins, with equally many answers as far as equal confidences allow: these stay together. A
    table after a calibration has the same answers in its bins."""

    ece: float
    brier: float
    bins: list[ReliabilityBin]


class Reliability(BaseModel):
    """The reliability of the confidences of `n` answers. An answer is right if the agent that the
    model named, whatever the threshold, is the labeled one. Answers that failed or have no
    confidence do not count. `before` is of the model's own confidences; for a pipeline, of those
    that the threshold was compared with. `after` is of confidences that were calibrated by the
    answers to other questions (five folds), so that no answer is measured by a calibration that has
    learned from it. `slope` and `intercept` are those of the calibration by all answers. `reason`
    says why there is no calibration, and `message` what to do."""

    n: int
    before: ReliabilityTable | None
    after: ReliabilityTable | None = None
    slope: float | None = None
    intercept: float | None = None
    reason: NotCalibratable | None = None
    message: str | None = None
