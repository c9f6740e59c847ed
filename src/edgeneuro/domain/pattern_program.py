"""The program of a regular expression: a Thompson automaton of at most 1,000 instructions."""

from dataclasses import dataclass, field

from edgeneuro.domain.pattern import (
    Alternatives,
    Assertion,
    Characters,
    CharacterSet,
    Node,
    PatternError,
    Repeat,
    Series,
)

MAX_INSTRUCTIONS = 1_000
_VISITS = 10 * MAX_INSTRUCTIONS  # of nodes while a program is made: repeats of nothing emit nothing


@dataclass
class Program:
    """Instructions of a Thompson automaton. `consume[i]` is the set of characters that the
    instruction takes, to go on at i + 1; `jumps[i]` are the instructions at which one that takes
    nothing goes on; `asserts[i]` is what must hold there. The last instruction is the match."""

    consume: dict[int, CharacterSet] = field(default_factory=dict)
    jumps: dict[int, tuple[int, ...]] = field(default_factory=dict)
    asserts: dict[int, str] = field(default_factory=dict)
    size: int = 0


def compile_pattern(tree: Node) -> Program:
    """Raises PatternError."""
    return _Compiler().program(tree)


class _Compiler:
    def __init__(self) -> None:
        self._program = Program()
        self._visits = 0

    def program(self, node: Node) -> Program:
        self._emit(node)
        self._program.size += 1  # the match
        return self._program

    def _next(self) -> int:
        at = self._program.size
        self._program.size += 1
        if self._program.size > MAX_INSTRUCTIONS:
            raise self._too_large()
        return at

    @staticmethod
    def _too_large() -> PatternError:
        return PatternError(
            f"is too large: with its repeats written out it has more than {MAX_INSTRUCTIONS:,}"
            " parts. Repeat less, or write * or +"
        )

    def _emit(self, node: Node) -> None:
        self._visits += 1
        if self._visits > _VISITS:
            raise self._too_large()
        match node:
            case Characters(one_of):
                self._program.consume[self._next()] = one_of
            case Assertion(kind):
                self._program.asserts[self._next()] = kind
            case Series(parts):
                for part in parts:
                    self._emit(part)
            case Alternatives(parts):
                self._alternatives(parts)
            case Repeat():
                self._repeat(node)

    def _alternatives(self, parts: tuple[Node, ...]) -> None:
        split, ends, begins = self._next(), [], []
        for part in parts:
            begins.append(self._program.size)
            self._emit(part)
            ends.append(self._next())
        self._program.jumps[split] = tuple(begins)
        for end in ends:
            self._program.jumps[end] = (self._program.size,)

    def _repeat(self, node: Repeat) -> None:
        for _ in range(node.least):
            self._emit(node.part)
        if node.most is None:
            split = self._next()
            self._emit(node.part)
            self._program.jumps[self._next()] = (split,)
            self._program.jumps[split] = (split + 1, self._program.size)
            return
        splits = []
        for _ in range(node.most - node.least):
            splits.append(self._next())
            self._emit(node.part)
        for split in splits:
            self._program.jumps[split] = (split + 1, self._program.size)
