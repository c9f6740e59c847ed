"""The labels that a training needs before the classifier can answer anything. The statistics of the
data set and the training itself share this rule."""

from collections.abc import Mapping
from math import ceil

from edgeneuro.classifier.calibration import MIN_NEGATIVES, Z, wilson
from edgeneuro.domain.classifier import AgentLabelNeed, TrainingNeeds

# With three agents or more, one pass of a training leaves out every fifth agent, to measure false
# accepts on unknown topics.
LEFT_OUT_AGENTS = 5


def training_needs(
    labels: Mapping[str, int], out_of_scope: int, *, target: float, min_labels: int
) -> TrainingNeeds:
    """`labels` counts the train and validation labels of each enabled agent, `out_of_scope` those
    that no agent fits. A training with enough labels can still refuse: if no threshold reaches the
    target on the held-out questions."""
    enough_agents = sum(count >= min_labels for count in labels.values()) >= 2
    total, needed = sum(labels.values()), labels_needed(target)
    classes = sorted(labels)  # an agent without a label is learned from its texts
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
    """The fewest answers that show the target if all of them are right."""
    needed = ceil(Z * Z * target / (1 - target))
    while wilson(needed, needed) < target:
        needed += 1
    return needed


def _message(missing: list[str]) -> str:
    if not missing:
        return "There are enough labels to train a classifier."
    return (
        f"A training needs, of labels outside the test part: {'; '.join(missing)}. Label more"
        " questions (GET /v1/labels/queue lists the most useful ones) or import labels, then train"
        " again."
    )
