"""The memory of the workerd process that runs the product, as Linux counts it.

V8 collects its old generation when its heap has grown, and knows little of the native memory that
hangs on it: with gigabytes free a process grows by tens of KiB a request, under a JavaScript Worker
too. So the product is started with COLLECTS, by which every collection is a full one; what still
grows then is held by somebody. wrangler's proxy, a process of its own, is not counted: it does hold
some.
"""

from pathlib import Path
from statistics import linear_regression, median

GROWTH = 1.15  # from the first quarter to the last: what is more is no rounding of an allocator
COLLECTS = {"MINIFLARE_WORKERD_V8_FLAGS": "--gc-global"}
PAGE_KIB = 4
MIB = 1024


class Memory:
    """Samples of resident memory in KiB, by the number of requests begun."""

    def __init__(self, state: Path | None) -> None:
        self._process = None if state is None else product_process(state)
        self._collects = self._process is not None and collects(self._process)
        self.samples: list[tuple[int, int]] = []

    def sample(self, number: int) -> None:
        if self._process is not None:
            self.samples.append((number, resident_kib(self._process)))

    def report(self) -> bool | None:
        """Whether it is flat; None where nothing can be said, as of a product that was not started
        with COLLECTS. The first sample is left out: the isolate has not done anything by then."""
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
        return last <= first * GROWTH if self._collects else None


def product_process(state: Path) -> int | None:
    """The workerd that has files of this folder open; wrangler's proxy has none."""
    kept = state.resolve() / "v3"
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if (folder / "comm").read_text().strip() != "workerd":
                continue
            if any(file.readlink().is_relative_to(kept) for file in (folder / "fd").iterdir()):
                return int(folder.name)
        except OSError:  # ended, or somebody else's
            continue
    return None


def collects(process: int) -> bool:
    variables = Path(f"/proc/{process}/environ").read_bytes().split(b"\0")
    return all(f"{name}={value}".encode() in variables for name, value in COLLECTS.items())


def resident_kib(process: int) -> int:
    return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * PAGE_KIB
