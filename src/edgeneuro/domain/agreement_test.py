"""The sequential test that watches an enabled classifier: do its audit samples still agree with the
model as often as they should?

The null hypothesis is that each sample agrees with at least the probability `bound`. Against it the
test bets on lower ones: the evidence is a mean of likelihood ratios over alternatives and over the
sample from which on they hold. While the null hypothesis is true no such ratio grows on average, so
by Ville's inequality the evidence reaches 1 / ALPHA with a probability of at most ALPHA, however
often it is looked at and for however long. (Ramdas, Grünwald, Vovk and Shafer, "Game-theoretic
statistics and safe anytime-valid inference", Statistical Science 38, 2023; the mean over possible
changes is that of Shin, Ramdas and Rinaldo, "E-detectors", NEJSDS 2, 2024, with weights that sum to
1, so that the bound holds for the whole life of a classifier and not for a run of a given length.)

Only sums are needed: of each block of samples how many there were and how many agreed. A change may
begin with any block."""

from collections.abc import Iterable

ALPHA = 0.01
LIMIT = 1 / ALPHA
BLOCK_SAMPLES = 25
# The rates of disagreement that it bets on, as shares of the way from the one of `bound` to 1. The
# steps are closer near the bound, where a change is hard to see.
_STEPS = tuple((step / 8) ** 2 for step in range(1, 8))


class AgreementTest:
    """`bound` is over 0 and under 1."""

    def __init__(self, bound: float) -> None:
        differing = 1 - bound
        rates = [differing + step * bound for step in _STEPS]
        # What one sample multiplies each ratio by.
        self._agrees = [(1 - rate) / bound for rate in rates]
        self._differs = [rate / differing for rate in rates]
        self._ratios = [0.0] * len(rates)
        self._blocks = 0

    @property
    def evidence(self) -> float:
        """Against the null hypothesis; it is rejected from LIMIT on."""
        return sum(self._ratios) / len(self._ratios)

    @property
    def rejected(self) -> bool:
        return self.evidence >= LIMIT

    def begin_block(self) -> None:
        """A change may begin with the samples that are added from here on."""
        self._blocks += 1
        weight = 1 / (self._blocks * (self._blocks + 1))  # they sum to 1
        self._ratios = [ratio + weight for ratio in self._ratios]

    def add(self, agreed: int, differing: int) -> None:
        self._ratios = [
            min(ratio * agrees**agreed * differs**differing, LIMIT * LIMIT)
            for ratio, agrees, differs in zip(
                self._ratios, self._agrees, self._differs, strict=True
            )
        ]


def evidence_of(blocks: Iterable[tuple[int, int]], bound: float) -> float:
    """The evidence after these blocks, each with its number of samples and of those that agreed."""
    test = AgreementTest(bound)
    for samples, agreed in blocks:
        test.begin_block()
        test.add(agreed, samples - agreed)
    return test.evidence
