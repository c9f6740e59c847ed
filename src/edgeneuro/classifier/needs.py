"""What a training needs of labels before anything can be answered: the one rule for the data set's
statistics and for the training itself."""

from collections.abc import Mapping
from math import ceil

from edgeneuro.classifier.calibration import MIN_NEGATIVES, Z, wilson
from edgeneuro.domain.classifier import AgentLabelNeed, TrainingNeeds

# A training leaves out every fifth agent, if there are three or more, to see what it makes of
# topics that it does not know.
LEFT_OUT_AGENTS = 5


def training_needs(
    labels: Mapping[str, int], out_of_scope: int, *, target: float, min_labels: int
) -> TrainingNeeds:
    """`labels` counts the train and validation labels of each enabled agent, `out_of_scope` those
    that no agent fits. A training that has what it needs can still refuse: if no confidence reaches
    the target on what it held out."""
    enough_agents = sum(count >= min_labels for count in labels.values()) >= 2
    total, needed = sum(labels.values()), labels_needed(target)
    classes = sorted(agent for agent, count in labels.items() if count)
    unknown = sum(labels[agent] for agent in classes[::LEFT_OUT_AGENTS]) if len(classes) > 2 else 0
    enough_unknown = max(unknown, out_of_scope) >= MIN_NEGATIVES
    missing = []
    if not enough_agents:
        missing.append(f"two agents with {min_labels} labels or more")
    if total < needed:
        missing.append(
            f"{needed} labels of agents to show a precision of {target:.1%} (there are {total})"
        )
    if not enough_unknown:
        missing.append(
            f"{MIN_NEGATIVES} questions that no agent fits (there are {out_of_scope}), from which"
            " it learns what it does not know"
        )
    of_each = max(min_labels, ceil(needed / max(2, len(labels))))
    return TrainingNeeds(
        ready=not missing,
        message=_message(missing),
        labels=total,
        labels_needed=needed,
        out_of_scope=out_of_scope,
        out_of_scope_needed=0 if unknown >= MIN_NEGATIVES else MIN_NEGATIVES,
        labels_needed_of_each=of_each,
        agents=[
            AgentLabelNeed(agent_id=agent, labels=count, missing=max(0, of_each - count))
            for agent, count in sorted(labels.items())
        ],
    )


def labels_needed(target: float) -> int:
    """The fewest answers, all of them right, that show the target."""
    needed = ceil(Z * Z * target / (1 - target))
    while wilson(needed, needed) < target:
        needed += 1
    return needed


def _message(missing: list[str]) -> str:
    if not missing:
        return "There are labels enough to train a classifier."
    return (
        f"A training needs, of labels outside the test part: {'; '.join(missing)}. Label more"
        " questions (GET /v1/labels/queue lists the most useful ones) or import labels, then train"
        " again."
    )
