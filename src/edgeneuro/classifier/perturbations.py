"""Ways to write a question differently without changing its meaning, for the robustness report. A
hash of the question chooses the greeting, name or letter, so the same questions give the same
report.

Some phrases are on no list of `domain/courtesy.py`: the report covers what people write, not only
what the features ignore."""

from zlib import crc32

PERTURBATIONS = ("greeting", "signature", "please", "typo", "all")

_GREETINGS = (
    "Good morning! {} Thank you",
    "Hi, {}",
    "Hello there, {}, thanks in advance",
    "Hey team, {}",
    "Hi Sarah, quick question: {}",
    "Dear support team,\n{}",
    "Good afternoon, hope you had a nice weekend. {}",
    "Hello! I hope you are doing well. {} Many thanks!",
)
_SIGNATURES = (
    "{}\n\nBest regards,\nJohn Smith",
    "{}\n\nThanks,\nAnna",
    "{}\n-- \nMaria Lopez\nSales, ACME Inc.\n+1 555 0100",
    "{}. Kind regards, Peter",
    "{}\n\nSent from my iPhone",
    "{}\n\nCheers\nTom",
    "{}\nJ. Miller, extension 4711",
)
_PLEASES = (
    "please {}",
    "{} please",
    "{}, please!",
    "could you please help me: {}",
    "pls {}",
    "{} asap please",
)
_MIN_LETTERS = 4  # of a word that gets a typo
_TYPO_WORDS = 8  # a text gets one typo, and one more for each 8 words


def perturb(query: str, kind: str) -> str:
    """The question written differently; `kind` is one of PERTURBATIONS."""
    if kind == "greeting":
        return _one_of(_GREETINGS, query, kind).format(query)
    if kind == "signature":
        return _one_of(_SIGNATURES, query, kind).format(query)
    if kind == "please":
        return _one_of(_PLEASES, query, kind).format(query)
    if kind == "typo":
        return _with_typos(query)
    text = _one_of(_PLEASES, query, kind).format(_with_typos(query))
    text = _one_of(_GREETINGS, query, kind).format(text)
    return _one_of(_SIGNATURES, query, kind).format(text)


def _one_of(templates: tuple[str, ...], query: str, kind: str) -> str:
    return templates[_number(query, kind) % len(templates)]


def _with_typos(query: str) -> str:
    words = query.split(" ")
    for turn in range(1 + len(words) // _TYPO_WORDS):
        long = [at for at, word in enumerate(words) if len(word) >= _MIN_LETTERS and word.isalpha()]
        if not long:
            break
        number = _number(query, f"typo {turn}")
        at = long[number % len(long)]
        words[at] = _with_typo(words[at], number // len(long))
    return " ".join(words)


def _with_typo(word: str, number: int) -> str:
    """Two letters swapped, one left out, or one doubled; the first letter stays."""
    way, number = number % 3, number // 3
    at = 1 + number % (len(word) - 2)
    if way == 0:
        return word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    return word[:at] + word[at + 1 :] if way == 1 else word[: at + 1] + word[at:]


def _number(query: str, kind: str) -> int:
    return crc32(f"{kind}/{query}".encode("utf-8", "surrogatepass"))
