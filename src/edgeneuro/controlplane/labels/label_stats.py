"""How many labels there are, whose they are, and how far the labelers agree."""

from collections import Counter
from typing import Any

from edgeneuro.call import Call
from edgeneuro.domain.label import AgentLabels, Agreement, LabelerLabels, LabelStats
from edgeneuro.store.database import Rows
from edgeneuro.store.label_reads import read_label_sums


async def show_label_stats(call: Call) -> LabelStats:
    """Count the labels per agent, labeler and split, and measure agreement on questions that two
    labelers labeled."""
    sums = await read_label_sums(call.services.db)
    agents, labelers, splits, agents_ever, labelers_ever = (_counts(rows) for rows in sums[:5])
    return LabelStats(
        labels=sum(splits.values()),
        random=int(sums[6][0]["n"]),
        conflicts=int(sums[7][0]["n"]),
        agents=[
            AgentLabels(agent_id=name, labels=agents.get(name, 0), history=agents_ever[name])
            for name in sorted(agents_ever, key=lambda name: (name is None, name or ""))
        ],
        labelers=[
            LabelerLabels(labeler=name, labels=labelers.get(name, 0), history=labelers_ever[name])
            for name in sorted(labelers_ever)
        ],
        splits={
            "train": splits.get("train", 0),
            "validation": splits.get("validation", 0),
            "test": splits.get("test", 0),
        },
        agreement=_agreement(sums[5]),
    )


def _counts(rows: Rows) -> dict[Any, int]:
    return {row["name"]: int(row["n"]) for row in rows}


def _agreement(rows: Rows) -> Agreement:
    pairs = agreeing = 0
    ones: Counter[str | None] = Counter()
    others: Counter[str | None] = Counter()
    for row in rows:
        count = int(row["pairs"])
        pairs += count
        agreeing += count if row["one"] == row["other"] else 0
        ones[row["one"]] += count
        others[row["other"]] += count
    if pairs == 0:
        return Agreement(pairs=0, agreeing=0, share=None, kappa=None)
    # In whole numbers, so that "chance alone would agree always" is no question of rounding.
    by_chance = sum(count * others[name] for name, count in ones.items())
    rest = pairs * pairs - by_chance
    kappa = (agreeing * pairs - by_chance) / rest if rest else None
    return Agreement(
        pairs=pairs,
        agreeing=agreeing,
        share=round(agreeing / pairs, 4),
        kappa=None if kappa is None else round(kappa, 4),
    )
