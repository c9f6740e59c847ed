"""The calibration of a model's ranking, applied after the ranking was made or read from a cache."""

from dataclasses import replace

from edgeneuro.domain.routing import RoutingConfig
from edgeneuro.synapsecore.ranking import Ranking


def calibrate(config: RoutingConfig, ranking: Ranking) -> Ranking:
    """The ranking with the calibration that is in force for the model that made it; the same
    ranking if there is none, or if the model gave no number.

    Only the probability of `best` (or that no agent fits) is calibrated. The others are scaled to
    share the rest in the same proportions, and none of them exceeds that of the best: a calibration
    changes no order. So their sum may be below 1."""
    calibration = config.calibrations.get(ranking.source.model_id or "")
    stated = ranking.confidence
    if calibration is None or stated is None:
        return ranking
    confidence = calibration.map.apply(stated)
    others = sum(ranking.probabilities.values()) + (ranking.none or 0.0) - stated
    scale = (1 - confidence) / others if others > 0 else 0.0

    def scaled(probability: float) -> float:
        return min(probability * scale, confidence)

    # The best one first: so it comes before others that are capped at the same value.
    probabilities = {} if ranking.best is None else {ranking.best: confidence}
    for agent_id, probability in ranking.probabilities.items():
        if agent_id != ranking.best:
            probabilities[agent_id] = scaled(probability)
    none = ranking.none
    if none is not None:
        none = confidence if ranking.best is None else scaled(none)
    return replace(
        ranking, probabilities=probabilities, none=none, calibrated=True, uncalibrated=ranking
    )
