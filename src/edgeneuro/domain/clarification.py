"""Clarifying questions: the text that asks which agent is meant, and the reply to it.

Nothing is stored. The text has one form, a sentence and a numbered list of the agents' names, so
that it is recognised when the caller sends it back as the answer of the previous turn:

    Which of these should help you?
    1. IT Support
    2. Human Resources
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel

from edgeneuro.domain.agent import Agent
from edgeneuro.domain.query import canonical, normalise

MAX_OPTIONS = 3
# A longer reply is a message of its own.
_MAX_WORDS = 8
_MAX_WORDS_WITH_NAME = 12
_MAX_OTHER_WORDS = 2  # beside a name: they say something else than "please"
_OPTION = re.compile(r"([1-9])\. (.+)")
_WORD = re.compile(r"[^\W_]+(?:['\u2019][^\W_]+)*")
# Beside what they choose, replies are made of such words. English, German, French, Spanish.
_FILLERS = frozenset(
    (
        "please thanks thank you the a an option number nr no agent team department one i i'd i'll"
        " i'm it it's is its that's that this would want need like to go with for by talk speak"
        " take choose pick select use let's my me think guess probably ok okay yes sure then just"
        " um uh hm hmm from on in of think at desk"
        " bitte danke der die das den dem ich es ist wir möchte will nehme nimm wähle zu zur zum"
        " von mit ja gerne lieber mal option nummer glaube denke"
        " le la les un une merci je veux voudrais prends c'est avec pour oui s'il vous te plait"
        " plaît numéro option"
        " el los las por favor gracias quiero quisiera con para es sí opción número"
    ).split()
)
_ORDINALS: Mapping[str, int] = {
    **dict.fromkeys(("first", "1st", "former", "erste", "ersten", "erster", "erstes"), 0),
    **dict.fromkeys(("premier", "première", "1er", "primero", "primera", "primer"), 0),
    **dict.fromkeys(("second", "2nd", "zweite", "zweiten", "zweiter", "zweites"), 1),
    **dict.fromkeys(("seconde", "deuxième", "2e", "segundo", "segunda"), 1),
    **dict.fromkeys(("third", "3rd", "dritte", "dritten", "dritter", "drittes"), 2),
    **dict.fromkeys(("troisième", "3e", "tercero", "tercera", "tercer"), 2),
}
_LAST = frozenset(("last", "latter", "letzte", "letzten", "letzter", "dernier", "dernière"))
# Such a word chooses an option if the reply says nothing else.
_CARDINALS: Mapping[str, int] = {
    **dict.fromkeys(("1", "one", "eins", "uno"), 0),
    **dict.fromkeys(("2", "two", "zwei", "deux", "dos"), 1),
    **dict.fromkeys(("3", "three", "drei", "trois", "tres"), 2),
}
_COUNTED = frozenset(("option", "number"))
_NONE = frozenset(
    (
        "none neither nobody nothing no nope keine keiner keins keines nein niemand nichts aucun"
        " aucune personne non rien ninguno ninguna nadie nada"
    ).split()
)
_NONE_BESIDE = frozenset(
    (
        "of these those them the two three either thanks thank you please sorry davon von diesen"
        " danke bitte de ces ceux merci ni l'un l'autre estos esas ellos gracias"
    ).split()
)
_ALL = frozenset("both all beide beiden alle tous toutes ambos ambas todos todas".split())
_NOT = frozenset(("not", "don't", "dont", "nicht", "kein", "keine", "pas", "no", "except", "ohne"))


class ClarifyOption(BaseModel):
    """`label` is the agent's name, as the text has it."""

    agent_id: str
    label: str


class Clarification(BaseModel):
    """A question to the person: `text` can be shown as it is, `options` are the agents that it
    names, in its order. Send the reply as the next message, with `text` as the assistant's message
    before it."""

    text: str
    options: list[ClarifyOption]


# What a reply says: an option's index, that none of them is meant, or that all are.
Reply = int | Literal["none", "all"]


@dataclass(frozen=True, slots=True)
class AskedOption:
    """An option of a question that was asked: its text, and the agent that it names; None if there
    is no such agent any more."""

    label: str
    agent: Agent | None


def clarification(
    sentence: str, agents: Sequence[Agent], everybody: Iterable[Agent] = ()
) -> Clarification:
    """The question that names these agents. Of an agent whose name another one of them or of
    `everybody` has too, the id is shown: the reply is read among all."""
    everyone = {agent.id: agent for agent in (*agents, *everybody)}
    names = Counter(normalise(_name(agent)) for agent in everyone.values())
    options = []
    for agent in agents:
        name = _name(agent)
        label = name if names[normalise(name)] == 1 else f"{name} ({agent.id})"
        options.append(ClarifyOption(agent_id=agent.id, label=label))
    lines = [f"{at}. {option.label}" for at, option in enumerate(options, 1)]
    return Clarification(text="\n".join([sentence, *lines]), options=options)


def asked_options(
    sentence: str, text: str | None, agents: Sequence[Agent]
) -> tuple[AskedOption, ...]:
    """The options of a clarifying question with this sentence; empty if the text is another one.
    `agents` are those that a name may mean."""
    if not text or not text.startswith(sentence):
        return ()
    lines = text[len(sentence) :].strip().split("\n")
    found = [_OPTION.fullmatch(line.strip()) for line in lines]
    labels = [match[2] for match in found if match is not None]
    numbers = [match[1] for match in found if match is not None]
    in_order = numbers == [str(at) for at in range(1, len(lines) + 1)]
    if not in_order or not 2 <= len(lines) <= MAX_OPTIONS:
        return ()
    by_label: dict[str, Agent] = {}
    for agent in agents:
        name = normalise(_name(agent))
        by_label.setdefault(name, agent)
        by_label[normalise(f"{name} ({agent.id})")] = agent
    return tuple(AskedOption(label, by_label.get(normalise(label))) for label in labels)


def read_reply(reply: str, options: Sequence[AskedOption]) -> Reply | None:
    """What a reply to these options says; None if it does not choose: it may be a new message."""
    text = normalise(reply)
    exactly = [at for at, option in enumerate(options) if text in _phrases(option)]
    if len(exactly) == 1:  # whatever the words of the name mean elsewhere
        return exactly[0]
    words = _WORD.findall(text)
    if not words or len(words) > _MAX_WORDS_WITH_NAME:
        return None
    named = [at for at, option in enumerate(options) if _names(text, option)]
    if named:
        own = _words_of(options[named[0]])
        others = [word for word in words if word not in _FILLERS and word not in own]
        denies = any(word in _NOT for word in words)
        is_choice = len(named) == 1 and not denies and len(others) <= _MAX_OTHER_WORDS
        return named[0] if is_choice else None
    if len(words) > _MAX_WORDS:
        return None
    if any(word in _NONE for word in words) and all(
        word in _NONE or word in _NONE_BESIDE for word in words
    ):
        return "none"
    if any(word in _ALL for word in words) and all(
        word in _ALL or word in _NONE_BESIDE or word in _FILLERS for word in words
    ):
        return "all"
    chosen = _by_place(words, len(options))
    return _by_words(words, options) if chosen is None else chosen


def _by_place(words: Sequence[str], count: int) -> int | None:
    """ "2", "option 2", "the second one", "the last"."""
    rest = [word for word in words if word not in _FILLERS]
    places = [_ORDINALS[word] for word in rest if word in _ORDINALS]
    places += [count - 1 for word in rest if word in _LAST]
    if not places:
        if not rest and (len(words) == 1 or not _COUNTED.isdisjoint(words)):
            rest = [word for word in words if word == "one"]  # elsewhere it is a filler
        places = [_CARDINALS[word] for word in rest if word in _CARDINALS]
    if len(places) != 1 or len(rest) != 1 or places[0] >= count:
        return None
    return places[0]


def _by_words(words: Sequence[str], options: Sequence[AskedOption]) -> int | None:
    """The option of which the reply has words that the others have not, and nothing else."""
    own = [_words_of(option) for option in options]
    # "it" is a filler, but not where IT is an option.
    known = set().union(*own)
    rest = [word for word in words if word not in _FILLERS or word in known]
    found = []
    for at, mine in enumerate(own):
        others = set().union(*(each for other, each in enumerate(own) if other != at))
        if rest and all(word in mine for word in rest) and not others.issuperset(rest):
            found.append(at)
    return found[0] if len(found) == 1 else None


def _names(text: str, option: AskedOption) -> bool:
    """Whether the text has the option's whole name, or its agent's id."""
    return any(phrase not in _FILLERS and _has_phrase(text, phrase) for phrase in _phrases(option))


def _phrases(option: AskedOption) -> list[str]:
    """The label, and the id and the name of its agent."""
    phrases = [normalise(option.label)]
    if option.agent is not None:
        phrases += [option.agent.id, normalise(_name(option.agent))]
    return phrases


def _has_phrase(text: str, phrase: str) -> bool:
    at = text.find(phrase)
    while at >= 0:
        end = at + len(phrase)
        if not (text[at - 1 : at].isalnum() or text[end : end + 1].isalnum()):
            return True
        at = text.find(phrase, at + 1)
    return False


def _words_of(option: AskedOption) -> set[str]:
    """The words of the name and of the id, and the name's initials: "hr" is Human Resources."""
    name = _WORD.findall(normalise(option.label if option.agent is None else option.agent.name))
    ids = [] if option.agent is None else re.split("[_-]", option.agent.id)
    initials = ["".join(word[0] for word in name)] if len(name) > 1 else []
    return {*name, *ids, *initials}


def _name(agent: Agent) -> str:
    """In one line: the text has a line for each agent."""
    return " ".join(canonical(agent.name).split()) or agent.id
