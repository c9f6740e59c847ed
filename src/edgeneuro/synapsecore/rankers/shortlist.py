"""The model, offered the classifier's best agents alone. If none of them fits, or none with enough
confidence to be decided on, the next stage offers it all."""

from dataclasses import replace

from edgeneuro.synapsecore.calibrate import calibrate
from edgeneuro.synapsecore.rankers.model import ModelRanker
from edgeneuro.synapsecore.ranking import Changed, Ranking, Skip
from edgeneuro.synapsecore.turn import Turn

_MIN_LEFT_MS = 200  # of the time budget, for the question with all agents


class ShortlistRanker:
    """Both questions share the time budget of the decision."""

    name = "shortlist"
    layer = ModelRanker.layer

    def __init__(self, model: ModelRanker) -> None:
        self._model = model

    async def rank(self, turn: Turn) -> Ranking | Skip | Changed:
        assert turn.offered is not None, "the stage is there only if fewer agents are offered"
        started = turn.services.monotonic()
        found = await self._model.rank(turn)
        if isinstance(found, Skip):
            return found
        found = replace(found, offered=tuple(agent.id for agent in turn.offered))
        left_ms = turn.time_budget_ms - (turn.services.monotonic() - started) * 1000
        if _is_settled(turn, found) or left_ms < _MIN_LEFT_MS:
            return found
        many = f"of the {len(turn.offered)} agents offered"
        if found.best is None:
            note = f"none {many} fits, so all are offered"
        else:
            note = f"none {many} has the confidence threshold, so all are offered"
        whole = replace(turn, offered=None, time_budget_ms=round(left_ms))
        return Changed(whole, note, (), replace(found, sure=False, note=note))


def _is_settled(turn: Turn, ranking: Ranking) -> bool:
    """Whether its best agent would be decided on."""
    if ranking.best is None:
        return False
    confidence = calibrate(turn.config, ranking).confidence
    return confidence is None or confidence >= turn.config.confidence_threshold
