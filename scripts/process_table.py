"""What runs below a process. Linux has it in /proc, other systems print it with `ps`."""

import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")
_ENDED = "ZX"  # states


@dataclass(frozen=True)
class Process:
    pid: int
    parent: int
    group: int
    name: str  # of the program, without its folder
    cpu_seconds: float
    started: float  # in the order of their starts


def processes_below(pid: int) -> list[Process]:
    """The process and those below it, parents first. Empty if it does not run."""
    children: dict[int, list[Process]] = {}
    found: list[Process] = []
    for process in _all_processes():
        if process.pid == pid:
            found.append(process)
        children.setdefault(process.parent, []).append(process)
    for process in found:  # it grows meanwhile
        found += children.get(process.pid, ())
    return found


def processes_in_group(group: int) -> list[Process]:
    return [process for process in _all_processes() if process.group == group]


def is_alive(pid: int) -> bool:
    """Whether there is such a process of this user."""
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def _all_processes() -> Iterator[Process]:
    """Without those that have ended and wait for their parent to notice."""
    if not (_PROC / "self" / "stat").exists():
        yield from _printed_by_ps()
        return
    tick = os.sysconf("SC_CLK_TCK")
    for folder in _PROC.iterdir():
        if folder.name.isdecimal():
            with suppress(OSError):  # it has ended meanwhile
                head, _, tail = (folder / "stat").read_text().rpartition(")")
                fields = tail.split()
                cpu = (int(fields[11]) + int(fields[12])) / tick
                ids = int(folder.name), int(fields[1]), int(fields[2])
                if fields[0] not in _ENDED:
                    yield Process(*ids, head.partition("(")[2], cpu, int(fields[19]))


def _printed_by_ps() -> Iterator[Process]:
    command = ["ps", "-A", "-o", "pid=,ppid=,pgid=,stat=,time=,etime=,comm="]
    output = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    for line in output.splitlines():
        with suppress(ValueError):
            pid, parent, group, state, cpu, age, name = line.split(maxsplit=6)
            times = seconds_of(cpu), -seconds_of(age)
            if state[0] not in _ENDED:
                yield Process(int(pid), int(parent), int(group), Path(name).name, *times)


def seconds_of(text: str) -> float:
    """A time as `ps` prints it, [[days-]hours:]minutes:seconds. Raises ValueError for another."""
    found = re.fullmatch(r"(?:(?:(\d+)-)?(\d+):)?(\d+):([\d.]+)", text)
    if not found:
        raise ValueError(f"no time: {text!r}")
    days, hours, minutes, seconds = found.groups("0")
    return ((int(days) * 24 + int(hours)) * 60 + int(minutes)) * 60 + float(seconds)
