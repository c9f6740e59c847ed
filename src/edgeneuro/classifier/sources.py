"""Where an example comes from, and how much it counts beside others."""

from collections.abc import Sequence

# The numbers are stored with the examples of a training. Of one question, the example with the
# lowest number counts.
HUMAN = 0  # a label that somebody gave
MODEL = 1  # the decision of a model
AGENT_TEXT = 2  # the name, the description or an example of an agent

# In thirds of a label. With 300 labels an agent, texts that weigh as much as labels cost accuracy,
# 0.3 points without word vectors, and with 5 they bring no more than these.
_WEIGHTS = {HUMAN: 3, MODEL: 1, AGENT_TEXT: 2}


def weighted_rate(rate: int, source: int) -> int:
    """The learning rate of an example of this source; `rate` is that of a label."""
    return rate * _WEIGHTS[source] // 3


def by_source_of(learned: Sequence[int], held_out: Sequence[int]) -> dict[str, int]:
    """What metrics say of the sources of the examples that were learned as single messages, and of
    the questions of agents that were held out."""
    return {
        "learned_human": learned.count(HUMAN),
        "learned_machine": learned.count(MODEL),
        "learned_texts": learned.count(AGENT_TEXT),
        "held_out_human": held_out.count(HUMAN),
        "held_out_machine": held_out.count(MODEL),
    }
