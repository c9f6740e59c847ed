"""The labels that a training needs before the classifier can answer anything. The statistics of the
data set and the training itself share this rule."""

from collections.abc import Mapping

from edgeneuro.classifier.calibration import MIN_TEXTS
from edgeneuro.classifier.thresholds import MIN_NEGATIVES
from edgeneuro.domain.classifier import AgentLabelNeed, TrainingNeeds

# With three agents or more, one pass of a training leaves out every fifth agent, to measure false
# accepts on unknown topics.
LEFT_OUT_AGENTS = 5
# Hard questions are not held out if there are so many others.
MIN_FAIR_LABELS = 133


def training_needs(
    labels: Mapping[str, int], out_of_scope: int, *, min_labels: int
) -> TrainingNeeds:
    """`labels` counts the train and validation labels of each enabled agent, `out_of_scope` those
    that no agent fits. A training with enough labels can still refuse: if the labels contradict
    each other."""
    ready = sum(count >= min_labels for count in labels.values()) >= 2
    return TrainingNeeds(
        ready=ready,
        message=_message(ready, min_labels, out_of_scope),
        labels=sum(labels.values()),
        labels_needed=2 * min_labels,
        labels_needed_of_each=min_labels,
        out_of_scope=out_of_scope,
        agents=[
            AgentLabelNeed(agent_id=agent, labels=count, missing=max(0, min_labels - count))
            for agent, count in sorted(labels.items())
        ],
    )


def _message(ready: bool, min_labels: int, out_of_scope: int) -> str:
    if not ready:
        return (
            f"A training needs, of labels outside the test part, two agents with {min_labels}"
            " labels or more. Without them it learns the agents' own texts (name, description,"
            f" examples), {MIN_TEXTS} of each of two agents, and answers only what is certain."
            " Label more questions (GET /v1/labels/queue lists the most useful ones) or import"
            " labels, then train again."
        )
    enough = "There are enough labels to train a classifier."
    if out_of_scope >= MIN_NEGATIVES:
        return enough
    return (
        f"{enough} With {MIN_NEGATIVES} questions that no agent fits (there are {out_of_scope}) it"
        " would know better what it does not know, and answer more."
    )
