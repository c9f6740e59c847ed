"""How fast background work goes: long work of the CPU in pieces, and pauses while models fail."""

from collections.abc import Awaitable, Callable, Iterable

from edgeneuro.classifier.dense import KEPT_NUMBERS
from edgeneuro.classifier.examples import Examples

# Of a training, in units of what it takes workerd to add one class of a visit to one label. Other
# requests have their turn after a step, of some 60 ms.
STEP_COST = 40_000
_VISIT_COST = 30  # beside the classes of a visit
_KEPT_FACTOR, _MADE_FACTOR = 2, 4  # of a visit with a vector that is kept, or made for the visit
# Some 60 ms of work in workerd, whose clock stands still while Python works.
_CHARACTERS_PER_PIECE = 100_000
_CHARACTERS_PER_ITEM = 200  # the work for an item beside its text
_FIRST_WAIT_MS, _MAX_WAIT_MS = 30_000, 300_000
_PAUSE_SECONDS = 0.01  # with a shorter one workerd continues here before it looks at others


def visit_cost(examples: Examples) -> int:
    """Of a training, in the unit of STEP_COST."""
    cost = len(examples.classes) + _VISIT_COST
    width = examples.vectors.width
    if not width:
        return cost
    return cost * (_KEPT_FACTOR if width * len(examples) <= KEPT_NUMBERS else _MADE_FACTOR)


class Pacer:
    """Lets other requests have their turn after each piece of work."""

    def __init__(self, sleep: Callable[[float], Awaitable[None]]) -> None:
        self._sleep = sleep
        self._spent = 0

    async def spend(self, characters: int) -> None:
        """Counts one item with a text of so many characters, and pauses if a piece is done."""
        self._spent += characters + _CHARACTERS_PER_ITEM
        if self._spent >= _CHARACTERS_PER_PIECE:
            await self.pause()

    async def pause(self) -> None:
        self._spent = 0
        await self._sleep(_PAUSE_SECONDS)


async def in_pieces(
    steps: Iterable[object], sleep: Callable[[float], Awaitable[None]], *, every: int = 200
) -> None:
    """Runs all steps, each of some 0.3 ms, and lets other requests have their turn between."""
    for number, _ in enumerate(steps):
        if number % every == 0:
            await sleep(_PAUSE_SECONDS)


def failure_pause_ms(attempts: int = 1) -> int:
    """After questions that all failed: the model has no capacity, or its circuit breaker is open.
    Doubled with each of the slices in a row that came to nothing, up to 5 minutes."""
    return int(min(_FIRST_WAIT_MS * 2 ** (max(1, attempts) - 1), _MAX_WAIT_MS))
