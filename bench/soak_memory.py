"""The memory of the isolate, and of the workerd process that runs it, as Linux counts that.

The isolate is asked through workerd's debugger what it still holds after full collections. It is
judged by the median growth between two samples of the second half: a classifier that is loaded is
one step, while what every request leaves behind is in all of them. The process holds some twenty
other isolates, of wrangler's emulators of D1 and the rest, and is reported only.

V8 collects its old generation when its heap has grown, and knows little of the native memory that
hangs on it: with gigabytes free a process grows by tens of KiB a request, under a JavaScript Worker
too. So the product is started with COLLECTS, by which every collection is a full one; what still
grows then is held by somebody. wrangler's proxy, a process of its own, is not counted: it does hold
some.
"""

from itertools import pairwise
from pathlib import Path
from statistics import linear_regression, median
from threading import Lock

from tests.worker.inspector import Held, Inspector

MAX_GROWTH_BYTES = 512  # a request
MAX_ISOLATE_BYTES = 128_000_000  # Cloudflare ends an isolate that has more
COLLECTS = {"MINIFLARE_WORKERD_V8_FLAGS": "--gc-global"}
PAGE_KIB = 4
MIB = 1024


class Memory:
    """Samples by the number of requests begun: resident memory of the process in KiB, and what the
    isolate holds. Both are missing where `state` is not on this machine."""

    def __init__(self, url: str, state: Path | None) -> None:
        self._url = url
        self._process = None if state is None else product_process(state)
        self._collects = self._process is not None and collects(self._process)
        self.samples: list[tuple[int, int]] = []
        self.held: list[tuple[int, Held]] = []
        self._alone = Lock()

    def sample(self, number: int) -> None:
        if self._process is not None:
            self.samples.append((number, resident_kib(self._process)))

    def sample_isolate(self, number: int) -> None:
        """Stops the isolate for the time of five collections."""
        if self._process is None:
            return
        # A second session would end the first.
        with self._alone, Inspector(self._url, self._process) as inspector:
            self.held.append((number, inspector.held()))

    def report(self) -> bool | None:
        """Whether the isolate's memory is level; None where nothing can be said."""
        self._report_process()
        later = self.held[len(self.held) // 2 :]
        if len(later) < 3:
            return None
        for name in ("python", "javascript", "memory"):
            sizes = [getattr(held, f"{name}_bytes") for _, held in self.held]
            print(f"{name:12} {' '.join(f'{size / 1e6:.1f}' for size in sizes)} MB")
        print(f"references   {' '.join(str(held.references) for _, held in self.held)}")
        growth = median(
            (in_use(after) - in_use(before)) / (number - former)
            for (former, before), (number, after) in pairwise(later)
        )
        largest = max(held.memory_bytes + held.javascript_bytes for _, held in self.held)
        print(
            f"isolate      {growth:.0f} bytes a request in the second half, {largest / 1e6:.0f} MB"
        )
        return growth <= MAX_GROWTH_BYTES and largest <= MAX_ISOLATE_BYTES

    def _report_process(self) -> None:
        """The first sample is left out: the isolate has not done anything by then."""
        samples = self.samples[1:]
        if len(samples) < 8:
            return
        later = samples[len(samples) // 2 :]
        slope = linear_regression(*zip(*later, strict=True)).slope
        collecting = "" if self._collects else ", without full collections"
        print(f"process      {' '.join(f'{kib / MIB:.0f}' for _, kib in self.samples)} MiB")
        print(f"             slope of the second half {slope:.2f} KiB a request{collecting}")


def in_use(held: Held) -> int:
    return held.python_bytes + held.javascript_bytes


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
