"""The CPU time of this process's children and theirs, as of a workerd that it has started. Where
the machine does other work too, it says more than the time that passed."""

import os
import time
from collections import defaultdict
from pathlib import Path

_PROCESSES = Path("/proc")


def children_seconds() -> float:
    """Since each of them began, in steps of 10 ms; without a /proc the time that passed."""
    if not _PROCESSES.exists():
        return time.perf_counter()
    ticks = os.sysconf("SC_CLK_TCK")
    children: defaultdict[int, list[tuple[int, float]]] = defaultdict(list)
    for folder in _PROCESSES.glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        except OSError:  # it has ended
            continue
        used = (int(fields[11]) + int(fields[12])) / ticks
        children[int(fields[1])].append((int(folder.name), used))
    total, parents = 0.0, [os.getpid()]
    while parents:
        for child, used in children[parents.pop()]:
            total += used
            parents.append(child)
    return total
