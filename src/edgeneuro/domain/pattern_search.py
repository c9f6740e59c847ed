"""Searches a text for an expression of domain/pattern.py, in time linear in its length.

The automaton's states are sets of instructions, as the bits of an integer, and are made when a text
first leads to them (a lazily built deterministic automaton). What is kept is bounded: when there
are too many states they are dropped, and made again. Each character costs one look into a table,
or, where that has no entry, at most one step for each instruction. A `Budget` counts these steps
for all expressions that one message is put to."""

from dataclasses import dataclass, field
from functools import lru_cache

from edgeneuro.domain.pattern import CharacterSet, is_word, parse_pattern, required_text
from edgeneuro.domain.pattern_program import compile_pattern

MAX_STEPS = 300_000
_MAX_STATES = 300  # of one expression
_MAX_LETTERS = 1_000
# What is before and after a position.
_EDGE, _WORD, _OTHER = range(3)


class StepLimitError(Exception):
    """The budget is used up: it is not known whether the expression is found."""


@dataclass
class Budget:
    """`steps` are those that are left."""

    steps: int = MAX_STEPS

    def spend(self, steps: int) -> None:
        self.steps -= steps
        if self.steps < 0:
            raise StepLimitError


@dataclass(eq=False)
class _State:
    """The instructions that come next (bits), and what kind of character was read last. `next` has
    the following state by letter; None: the expression is found."""

    core: int
    before: int
    next: dict[int, "_State | None"] = field(default_factory=dict)
    found_at_end: bool | None = None


class Pattern:
    def __init__(self, text: str) -> None:
        """Raises PatternError."""
        tree = parse_pattern(text)
        self._required = required_text(tree)
        self._program = compile_pattern(tree)
        self._match = 1 << (self._program.size - 1)
        sets: dict[CharacterSet, int] = {}
        for at, one_of in self._program.consume.items():
            sets[one_of] = sets.get(one_of, 0) | 1 << at
        self._sets = tuple(sets.items())
        self._closures: dict[tuple[int, int, int], int] = {}
        self._reset()

    def search(self, text: str, budget: Budget) -> bool:
        """Whether the expression is found anywhere in a normalised text. Raises StepLimitError."""
        if self._required not in text:
            return False
        state = self._start
        letters = self._letters
        for character in text:
            letter = letters.get(character)
            if letter is None:
                letter = self._letter(character, budget)
            try:
                after = state.next[letter]
            except KeyError:
                after = self._step(state, letter, budget)
            if after is None:
                return True
            state = after
        if state.found_at_end is None:
            state.found_at_end = bool(self._reach(state, _EDGE, budget) & self._match)
        return state.found_at_end

    def _reset(self) -> None:
        """Drops all states, and the numbers of letters that they are by."""
        self._start = _State(1, _EDGE)
        self._states = {(1, _EDGE): self._start}
        self._letters: dict[str, int] = {}
        self._alike: dict[tuple[int, int], int] = {}
        self._masks: list[tuple[int, int]] = []

    def _letter(self, character: str, budget: Budget) -> int:
        """The number of the character's letter: characters that are in the same sets are one."""
        budget.spend(len(self._sets) + 1)
        mask = 0
        for one_of, at in self._sets:
            if one_of.has(character):
                mask |= at
        alike = (mask, _WORD if is_word(character) else _OTHER)
        letter = self._alike.get(alike)
        if letter is None:
            letter = self._alike[alike] = len(self._masks)
            self._masks.append(alike)
        if len(self._letters) >= _MAX_LETTERS:
            self._letters.clear()  # the numbers stay
        self._letters[character] = letter
        return letter

    def _step(self, state: _State, letter: int, budget: Budget) -> _State | None:
        mask, kind = self._masks[letter]
        reached = self._reach(state, kind, budget)
        if reached & self._match:
            state.next[letter] = None
            return None
        # The search may begin at every position: bit 0.
        core = (reached & mask) << 1 | 1
        after = self._states.get((core, kind))
        if after is None:
            if len(self._states) >= _MAX_STATES:
                for each in self._states.values():
                    each.next.clear()
                self._states = {(1, _EDGE): self._start}
            after = self._states[(core, kind)] = _State(core, kind)
        state.next[letter] = after
        return after

    def _reach(self, state: _State, kind: int, budget: Budget) -> int:
        """The instructions that take a character, or match, where the next character is of this
        kind."""
        core, reached = state.core, 0
        budget.spend(core.bit_count())
        while core:
            lowest = core & -core
            core ^= lowest
            key = (lowest.bit_length() - 1, state.before, kind)
            closure = self._closures.get(key)
            if closure is None:
                closure = self._closures[key] = self._closure(*key, budget)
            reached |= closure
        return reached

    def _closure(self, first: int, before: int, after: int, budget: Budget) -> int:
        program, seen, found, waiting = self._program, {first}, 0, [first]
        while waiting:
            at = waiting.pop()
            jumps = program.jumps.get(at, ())
            budget.spend(1 + len(jumps))
            if at in program.consume or at == program.size - 1:
                found |= 1 << at
            elif at in program.asserts:
                jumps = (at + 1,) if _holds(program.asserts[at], before, after) else ()
            fresh = [each for each in jumps if each not in seen]
            seen.update(fresh)
            waiting += fresh
        return found


def _holds(assertion: str, before: int, after: int) -> bool:
    if assertion == "^":
        return before == _EDGE
    if assertion == "$":
        return after == _EDGE
    boundary = (before == _WORD) is not (after == _WORD)
    return boundary is (assertion == "b")


@lru_cache(maxsize=128)  # more than the rules of one installation
def pattern_of(text: str) -> Pattern:
    """The expression with the states that earlier texts have led to. Raises PatternError."""
    return Pattern(text)
