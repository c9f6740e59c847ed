"""Regular expressions of rules, searched in linear time.

Python's `re` backtracks: an expression like (a+)+$ can take longer than a Worker may run. So there
is a syntax of our own, a subset of Python's: characters, `.`, classes [a-z] and [^a-z], \\d \\w \\s
and \\D \\W \\S, `^` `$` \\b \\B, `|`, groups ( ) and (?: ), and the quantifiers ? * + {m} {m,}
{m,n}. Everything else is refused with a sentence. This module reads an expression,
pattern_program.py makes a program of it, and pattern_search.py runs that.

Expressions are for texts in the form of domain/query.normalise: one line, no upper case. So case
does not count, and neither does the Unicode form."""

import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass

MAX_CHARACTERS = 200
MAX_DEPTH = 20  # groups within groups
MAX_REPEATS = 100


class PatternError(ValueError):
    """Why an expression is refused: a sentence without its subject."""


def is_word(character: str) -> bool:
    """Letters, digits, the underscore, and marks, without which words of many scripts would have
    gaps."""
    if character.isalnum() or character == "_":
        return True
    return not character.isascii() and unicodedata.category(character)[0] == "M"


_ESCAPES: dict[str, Callable[[str], bool]] = {"d": str.isdecimal, "w": is_word, "s": str.isspace}


@dataclass(frozen=True)
class CharacterSet:
    """`ranges` are the first and last characters; `kinds` are letters of \\d \\w \\s, upper case
    for the opposite."""

    ranges: tuple[tuple[str, str], ...] = ()
    kinds: tuple[str, ...] = ()
    negated: bool = False

    def has(self, character: str) -> bool:
        return self._lists(character) is not self.negated

    @property
    def literal(self) -> str | None:
        """The character, if it is the only one."""
        if self.negated or self.kinds or len(self.ranges) != 1:
            return None
        first, last = self.ranges[0]
        return first if first == last else None

    def _lists(self, character: str) -> bool:
        upper = character.upper()
        for first, last in self.ranges:
            if first <= character <= last or (len(upper) == 1 and first <= upper <= last):
                return True
        return any(_ESCAPES[kind.lower()](character) is kind.islower() for kind in self.kinds)


ANY = CharacterSet(negated=True)

# An expression as a tree. An assertion is one of ^ $ b B.


@dataclass(frozen=True)
class Characters:
    one_of: CharacterSet


@dataclass(frozen=True)
class Assertion:
    kind: str


@dataclass(frozen=True)
class Series:
    parts: tuple["Node", ...]


@dataclass(frozen=True)
class Alternatives:
    parts: tuple["Node", ...]


@dataclass(frozen=True)
class Repeat:
    """`most` None is without a limit."""

    part: "Node"
    least: int
    most: int | None


Node = Characters | Assertion | Series | Alternatives | Repeat


def parse_pattern(text: str) -> Node:
    """Raises PatternError."""
    return _Parser(text).parse()


def required_text(node: Node) -> str:
    """A text that is in every text in which the expression is found: the longest of those that are
    plain to see. Most messages lack it, so that the search can be left out."""
    runs = [""]
    for part in _flat(node):
        if isinstance(part, Characters) and (literal := part.one_of.literal) is not None:
            runs[-1] += literal
        elif not isinstance(part, Assertion):
            runs.append("")
    return max(runs, key=len)


def _flat(node: Node) -> Iterable[Node]:
    if isinstance(node, Series):
        for part in node.parts:
            yield from _flat(part)
    else:
        yield node


class _Parser:
    def __init__(self, text: str) -> None:
        if len(text) > MAX_CHARACTERS:
            raise PatternError(f"must have at most {MAX_CHARACTERS} characters; shorten it")
        self._text = unicodedata.normalize("NFC", text)
        self._at = 0
        self._depth = 0

    def parse(self) -> Node:
        node = self._alternatives()
        if self._at < len(self._text):
            raise PatternError("has a ) without its (; write \\) for the character")
        return node

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]

    def _take(self) -> str:
        character = self._peek()
        self._at += 1
        return character

    def _alternatives(self) -> Node:
        parts = [self._sequence()]
        while self._peek() == "|":
            self._take()
            parts.append(self._sequence())
        return parts[0] if len(parts) == 1 else Alternatives(tuple(parts))

    def _sequence(self) -> Node:
        parts: list[Node] = []
        while self._peek() not in ("", "|", ")"):
            parts.append(self._repeated())
        return Series(tuple(parts))

    def _repeated(self) -> Node:
        node = self._atom()
        bounds = self._quantifier()
        if bounds is None:
            return node
        if isinstance(node, Assertion):
            raise PatternError(f"repeats {_written(node)}, which stands for no character")
        if self._peek() in ("?", "*", "+", "{"):
            raise PatternError(
                "has one quantifier after another. A rule only needs to know whether the expression"
                " is found: leave out the second one, or put a group around the first"
            )
        return Repeat(node, *bounds)

    def _quantifier(self) -> tuple[int, int | None] | None:
        simple: dict[str, tuple[int, int | None]] = {"?": (0, 1), "*": (0, None), "+": (1, None)}
        if self._peek() in simple:
            return simple[self._take()]
        return self._counted() if self._peek() == "{" else None

    def _counted(self) -> tuple[int, int | None]:
        end = self._text.find("}", self._at)
        inside = self._text[self._at + 1 : end] if end > 0 else ""
        least, comma, most = inside.partition(",")
        numbers = [each for each in (least, most) if each]
        if not least or not all(each.isascii() and each.isdecimal() for each in numbers):
            raise PatternError("has a { without numbers: write {2}, {2,} or {2,5}, or \\{")
        self._at = end + 1
        if any(len(each) > 4 or int(each) > MAX_REPEATS for each in numbers):
            raise PatternError(
                f"repeats more than {MAX_REPEATS} times; write * or + for any number"
            )
        if most and int(most) < int(least):
            raise PatternError(f"has the quantifier {{{inside}}}, whose numbers are reversed")
        return int(least), int(most) if most else (None if comma else int(least))

    def _atom(self) -> Node:
        character = self._take()
        if character == "(":
            return self._group()
        if character == "[":
            return Characters(self._class())
        if character == ".":
            return Characters(ANY)
        if character in ("^", "$"):
            return Assertion(character)
        if character == "\\":
            return self._escape()
        if character in ("?", "*", "+", "{"):
            raise PatternError(
                f"has a {character} with nothing before it to repeat; write \\{character} for the"
                " character"
            )
        return _literal(character)

    def _group(self) -> Node:
        if self._peek() == "?":
            if self._text[self._at : self._at + 2] != "?:":
                raise PatternError(
                    "has a group that begins with (?. Only ( ) and (?: ) are there: no flags (case"
                    " never counts), no names, no look-ahead or look-behind"
                )
            self._at += 2
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise PatternError(f"has groups more than {MAX_DEPTH} deep; make it simpler")
        node = self._alternatives()
        self._depth -= 1
        if self._take() != ")":
            raise PatternError("has a ( without its ); write \\( for the character")
        return node

    def _escape(self) -> Node:
        character = self._escaped()
        if character in ("b", "B"):
            return Assertion(character)
        if character.lower() in _ESCAPES and character.isascii():
            return Characters(CharacterSet(kinds=(character,)))
        return _literal(_punctuation(character))

    def _escaped(self) -> str:
        character = self._take()
        if not character:
            raise PatternError("ends with a \\; write \\\\ for the character")
        return character

    def _class(self) -> CharacterSet:
        negated = self._peek() == "^"
        if negated:
            self._take()
        ranges: list[tuple[str, str]] = []
        kinds: list[str] = []
        while self._peek() != "]" or not (ranges or kinds):
            first = self._member(kinds)
            if first is None:
                continue
            last = first
            if self._peek() == "-" and self._text[self._at + 1 : self._at + 2] not in ("", "]"):
                self._take()
                end = self._member(kinds)
                if end is None or end < first:
                    raise PatternError(
                        "has a class with a range that does not go from a lower character to a"
                        " higher one; write \\- for the character"
                    )
                last = end
            ranges.append((_in_class(first), _in_class(last)) if first == last else (first, last))
        self._take()
        return CharacterSet(tuple(ranges), tuple(kinds), negated)

    def _member(self, kinds: list[str]) -> str | None:
        """A character of a class; None for one of \\d \\w \\s, which goes to `kinds`."""
        character = self._take()
        if not character:
            raise PatternError("has a [ without its ]; write \\[ for the character")
        if character == "[":
            raise PatternError("has a [ within a class; write \\[ for the character")
        if character != "\\":
            return character
        character = self._escaped()
        if character.isascii() and character.lower() in _ESCAPES:
            kinds.append(character)
            return None
        return _punctuation(character)


def _punctuation(character: str) -> str:
    if character.isalnum():
        raise PatternError(
            f"has \\{character}, which is not there: only \\d \\w \\s \\b, their opposites \\D \\W"
            " \\S \\B, and punctuation marks follow a \\. There are no back-references"
        )
    return character


def _folded(character: str) -> str:
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", character).casefold())


def _literal(character: str) -> Node:
    """In the form of the texts, which may have several characters."""
    found = [Characters(CharacterSet(((each, each),))) for each in _folded(character) or character]
    return found[0] if len(found) == 1 else Series(tuple(found))


def _in_class(character: str) -> str:
    folded = _folded(character)
    if len(folded) != 1:
        raise PatternError(
            f"has {character} in a class, which is {folded!r} without regard to case; write it as"
            " an alternative, like (a|b)"
        )
    return folded


def _written(node: Assertion) -> str:
    return node.kind if node.kind in "^$" else "\\" + node.kind
