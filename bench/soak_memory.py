"""The memory of the workerd processes of one installation, as Linux counts it."""

from pathlib import Path
from statistics import linear_regression, median

GROWTH = 1.15  # from the first quarter to the last: what is more is no rounding of an allocator
PAGE_KIB = 4
MIB = 1024


class Memory:
    """Samples of resident memory in KiB, by the number of requests begun."""

    def __init__(self, state: Path | None) -> None:
        self._processes = [] if state is None else workerd_processes(state)
        self.samples: list[tuple[int, int]] = []

    def sample(self, number: int) -> None:
        if self._processes:
            self.samples.append((number, sum(map(resident_kib, self._processes))))

    def report(self) -> bool | None:
        """Whether it is flat; None where nothing can be said. The first sample is left out: the
        isolate has not done anything by then."""
        samples = self.samples[1:]
        if len(samples) < 8:
            return None
        quarter = len(samples) // 4
        first = median(kib for _, kib in samples[:quarter])
        last = median(kib for _, kib in samples[-quarter:])
        later = samples[len(samples) // 2 :]
        slope = linear_regression(*zip(*later, strict=True)).slope
        print(f"memory       {' '.join(f'{kib / MIB:.0f}' for _, kib in self.samples)} MiB")
        print(f"             first quarter {first / MIB:.1f} MiB, last {last / MIB:.1f} MiB")
        print(f"             slope of the second half {slope:.2f} KiB a request")
        return last <= first * GROWTH


def workerd_processes(state: Path) -> list[int]:
    """They are known by the registry in their environment, which scripts/wrangler.py sets."""
    mark = f"WRANGLER_REGISTRY_PATH={state / 'registry'}".encode()
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            is_ours = mark in (folder / "environ").read_bytes().split(b"\0")
            if is_ours and (folder / "comm").read_text().strip() == "workerd":
                found.append(int(folder.name))
        except OSError:  # ended, or somebody else's
            continue
    return found


def resident_kib(process: int) -> int:
    return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * PAGE_KIB
