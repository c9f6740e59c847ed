"""What a training that has ended says of its labels and agents."""

from collections.abc import Mapping, Sequence

from edgeneuro.classifier.examples import OUT_OF_SCOPE, Examples
from edgeneuro.classifier.model import Model
from edgeneuro.classifier.needs import training_needs
from edgeneuro.domain.classifier import AgentThreshold, Classifier, TrainingNeeds


def needs_of(job: Classifier, examples: Examples) -> TrainingNeeds:
    """What the training needed of labels, and what there was."""
    counts, place = examples.counts(), {each: n for n, each in enumerate(examples.classes)}
    return training_needs(
        {each: counts[place[each]] if each in place else 0 for each in job.agents},
        counts[OUT_OF_SCOPE],
        target=job.options.target,
        min_labels=job.options.min_labels,
    )


def not_precise_enough(
    needs: TrainingNeeds, refusal: str, warnings: Sequence[str]
) -> TrainingNeeds:
    """There were labels enough, but `refusal` says why nothing could be answered, and `warnings`
    what probably stands in the way."""
    return needs.model_copy(
        update={
            "ready": False,
            "message": f"{refusal[0].upper()}{refusal[1:]}. `per_agent` says how often each agent"
            " was right. Label more questions of the weakest ones, correct wrong labels, or train"
            f" with a lower `target`.{''.join(f' {text}' for text in warnings)}",
        }
    )


def per_agent(
    job: Classifier, model: Model, examples: Examples, held_out: Mapping[int, tuple[int, int]]
) -> list[AgentThreshold]:
    """Of each agent that was enabled, how many labels it had, from when on it is answered, and how
    often it was right when it was held out."""
    calibration, counts = model.calibration, examples.counts()
    place = {agent: number for number, agent in enumerate(model.classes)}
    agents = []
    for agent in job.agents:
        at = place.get(agent)
        asked, right = (0, 0) if at is None else held_out.get(at, (0, 0))
        missing = f"0 labels; {job.options.min_labels} are needed"
        agents.append(
            AgentThreshold(
                agent_id=agent,
                labels=0 if at is None else counts[at],
                threshold=None if at is None else calibration.thresholds[at],
                reason=missing if at is None else calibration.reasons.get(agent),
                held_out=asked,
                held_out_right=right,
            )
        )
    return agents
