"""Rankings of a model that are there already: the one of a log row, and one of D1's cache of
decisions. A replay uses them instead of a call, and only if a call now would send the same model
the same messages."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from edgeneuro.domain.decision import (
    Attempt,
    CachedRanking,
    QuestionCut,
    StageRecord,
    deciding_stage,
)
from edgeneuro.domain.log import LogEntry
from edgeneuro.domain.model import Model
from edgeneuro.domain.prompt import prompt_version
from edgeneuro.domain.rule_matching import EXCLUDES
from edgeneuro.store.sql import unix_ms
from edgeneuro.synapsecore.policy import PREFERRED, UNDETERMINED
from edgeneuro.synapsecore.rankers.routing_question import DECISION_LAYER, routing_question
from edgeneuro.synapsecore.ranking import (
    MAX_REASON,
    Ranking,
    Skip,
    Source,
    partial_ranking,
    ranking_from_cache,
)
from edgeneuro.synapsecore.turn import Turn

_MODEL_STAGES = ("memory_cache", "stored_cache", "shortlist", "model")


class LoggedModelRanker:
    """The model's ranking that the logged decision was made from, as far as the log row has it: the
    best agent and its probability are exact, the four next ones are rounded to four digits."""

    name = "logged_model"
    layer = "llm"

    def __init__(self, entry: LogEntry, stages: Sequence[StageRecord]) -> None:
        self._entry = entry
        self._stages = stages

    async def rank(self, turn: Turn) -> Ranking | Skip:
        model = turn.models[0]
        stage = deciding_stage(self._stages)
        if stage is None or stage.name not in _MODEL_STAGES:
            return Skip("the logged decision was not made from a model's ranking")
        refusal = self._refusal(turn, model, stage)
        if refusal is not None:
            return Skip(refusal)
        found = self._ranking(model, stage)
        if found is None:
            return Skip("the log row does not show which agent was the best")
        return found

    def _refusal(self, turn: Turn, model: Model, stage: StageRecord) -> str | None:
        """Why a call now may get another answer; None if the model would be sent the same."""
        entry, config = self._entry, turn.config
        if not self._made_by(turn, model):
            return "another model made it, or the model has changed since"
        if entry.prompt_version != prompt_version(model.type):
            return "the prompt has changed since"
        if entry.agents_revision != config.agents_revision:
            return "the agents have changed since"
        if turn.narrowed or self._was_narrowed():
            return "rules exclude agents"
        if model.type == "decision" and not _whole(turn, model, stage):
            return "the question is cut to the model's context window"
        return self._calibration_refusal(turn, model, stage)

    def _made_by(self, turn: Turn, model: Model) -> bool:
        """Whether this very model made the ranking, and asks for confidence in the same way."""
        entry, config = self._entry, turn.config
        call = _answered(entry)
        names = (model.base_model, model.adapter)
        if call is not None:
            made_by = (call.model, call.adapter) == names and call.provider == model.provider
        else:
            # From a cache. A chat's row names the model that answered the chat.
            same = [each for each in config.models.values() if _names(each) == names]
            made_by = entry.kind == "route" and (entry.model, entry.adapter) == names
            made_by = made_by and len(same) == 1
        if not made_by or (entry.confidence_source == "logprobs") != model.logprobs:
            return False
        provider = config.providers.get(model.provider)
        moved = provider is not None and provider.updated_at > entry.created_at
        return not moved and 1000 * model.created <= unix_ms(entry.created_at)

    def _was_narrowed(self) -> bool:
        for stage in self._stages:
            if stage.name == "rule" and stage.reason is not None and stage.rules:
                # A longer reason was cut.
                return EXCLUDES in stage.reason or len(stage.reason) >= MAX_REASON
        return False

    def _calibration_refusal(self, turn: Turn, model: Model, stage: StageRecord) -> str | None:
        calibration = turn.config.calibrations.get(model.id)
        if stage.calibrated:
            same = calibration is not None and calibration.created_at <= self._entry.created_at
            return None if same else "it is calibrated otherwise"
        if calibration is not None and stage.none_probability is not None:
            # The probabilities beyond the fifth would get a part of the rest.
            return None if len(turn.agents) <= len(stage.scores) else "it is not logged as a whole"
        return None

    def _ranking(self, model: Model, stage: StageRecord) -> Ranking | None:
        entry = self._entry
        best, confidence = _best(entry, stage), entry.stated_confidence
        if entry.reason in UNDETERMINED:
            # The confidence of the row may be that of another agent. What models state has no more
            # digits than the record, in contrast to what is computed.
            if stage.calibrated or not stage.scores or entry.confidence_source == "logprobs":
                return None
            confidence = stage.scores[0].probability
        if best is _UNKNOWN:
            return None
        source_name = entry.confidence_source
        of_questions = model.type == "decision"
        # Without an id no calibration is applied a second time.
        source = Source(
            DECISION_LAYER if of_questions else "llm",
            model.base_model,
            model.adapter,
            model_id=None if stage.calibrated else model.id,
        )
        found = partial_ranking(best, confidence, source, source_name)
        found = replace(found, cached=True, calibrated=stage.calibrated)
        if not of_questions:
            return found
        probabilities = {score.agent_id: score.probability for score in stage.scores}
        none = stage.none_probability
        if best is not None and confidence is not None:
            probabilities[best] = confidence
        elif best is None:
            none = confidence
        return replace(
            found,
            partial=False,
            probabilities=probabilities,
            none=none,
            clarify_probability=stage.clarify_probability,
            several_probability=stage.several_probability,
        )


class KnownRankings:
    """Rankings of D1's cache that were read for many turns at once, by cache key."""

    name = "known_rankings"
    layer = "cache"

    def __init__(self, cached: Mapping[str, CachedRanking]) -> None:
        self._cached = cached

    async def rank(self, turn: Turn) -> Ranking | Skip:
        found = self._cached.get(turn.cache_key)
        if found is None:
            return Skip("no entry for this query")
        return ranking_from_cache(found, turn.models[0].id)


_UNKNOWN = "?"  # no agent can have this id


def _best(entry: LogEntry, stage: StageRecord) -> str | None:
    """The best agent of the ranking; None: no agent fits."""
    if entry.reason == "out_of_scope":
        return None
    if entry.reason in ("low_confidence", PREFERRED):
        # If a rule preferred an agent, no alternative stands for "no agent fits".
        return entry.alternatives[0].agent_id if entry.alternatives else None
    if entry.outcome == "agent" and entry.reason is None:
        return entry.agent_id
    if entry.reason in UNDETERMINED and stage.scores:
        return stage.scores[0].agent_id
    return _UNKNOWN


def _answered(entry: LogEntry) -> Attempt | None:
    """The call that made the decision."""
    calls = [each for each in entry.attempts if each.purpose == "route" and each.outcome == "ok"]
    return calls[-1] if calls else None


def _whole(turn: Turn, model: Model, stage: StageRecord) -> bool:
    """Whether the question is not cut, and was not."""
    was_cut = stage.agents_left_out or stage.agents_cut or stage.state_cut
    return not was_cut and routing_question(turn, model).cut == QuestionCut()


def _names(model: Model) -> tuple[str, str | None]:
    return model.base_model, model.adapter
