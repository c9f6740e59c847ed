"""The next best agent after a refusal, without a model call: how often the ranking that a wrong
decision was made from names it, and how often it is right.

    PYTHONPATH=src .build/venv/bin/python -m bench.next_best --data DIR

DIR holds CLINC150 as bench.classifier reads it. For the rankings of classifiers with few and with
many labels: every query whose best agent is wrong is refused once.
"""

import argparse
import asyncio
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from bench.classifier import Data, draw_each, learn
from edgeneuro.classifier.model import loads
from edgeneuro.classifier.scorer import Scorer
from edgeneuro.domain.analytics import accuracy_of
from edgeneuro.synapsecore.rankers.next_best import EarlierRanking, NextBestRanker
from edgeneuro.synapsecore.ranking import Ranking

KEY = "agent"
SHOTS = (10, 50, 200)
LOGGED = 5  # scores of a log row, with four digits
THRESHOLD = 0.5  # the default of confidence_threshold


def main() -> None:
    parser = argparse.ArgumentParser(description="Measures the next best agent after a refusal.")
    parser.add_argument("--data", type=Path, required=True, help="folder with the JSONL files")
    data = Data.read(parser.parse_args().data)
    print(f"{'labels an agent':18}{'wrong':>7}{'second':>9}{'decided':>9}  right, of the decided")
    for shots in (*SHOTS, None):
        lines = data.train if shots is None else draw_each(data.train, KEY, shots)
        scorer = Scorer(loads(learn(lines, data.oos_train, KEY).data))
        show("all" if shots is None else str(shots), scorer, data.validation)


def show(name: str, scorer: Scorer, lines: Sequence[dict[str, Any]]) -> None:
    """`second`: the share of the wrong ones whose second best agent is right, decided or not."""
    wrong = second = decided = right = 0
    for line in lines:
        ranking = scorer.rank(line["query"])
        refused, truth = ranking.prediction.agent_id, line[KEY]
        if refused == truth:
            continue
        wrong += 1
        in_order = sorted(ranking.probabilities.items(), key=lambda each: -each[1])
        second += in_order[1][0] == truth
        logged = {agent: round(share, 4) for agent, share in in_order[:LOGGED]}
        next_best = next_agent(
            EarlierRanking(logged, round(ranking.none, 4), "classifier"), refused
        )
        if next_best is not None:
            decided += 1
            right += next_best == truth
    found = accuracy_of(right, decided)
    share = "-" if found.accuracy is None else f"{found.accuracy:.1%}"
    interval = "" if found.low is None else f" ({found.low:.1%} to {found.high:.1%})"
    print(
        f"{name:18}{wrong:7}{second / wrong:9.1%}{decided / wrong:9.1%}  {right}/{decided} {share}"
        f"{interval}",
        flush=True,
    )


def next_agent(earlier: EarlierRanking, refused: str) -> str | None:
    """None if the stage leaves the decision to a model."""
    agents = [SimpleNamespace(id=each) for each in earlier.probabilities if each != refused]
    config = SimpleNamespace(confidence_threshold=THRESHOLD)
    turn: Any = SimpleNamespace(agents=agents, config=config)
    found = asyncio.run(NextBestRanker(earlier).rank(turn))
    return found.best if isinstance(found, Ranking) and found.sure else None


if __name__ == "__main__":
    main()
