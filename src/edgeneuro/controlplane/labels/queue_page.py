"""A page of the label queue: what feedback asks for first, then the questions that are worth most
together. Ten questions of one kind teach hardly more than one, so each that is taken makes its like
worth less."""

import heapq
from collections import Counter
from collections.abc import Iterable, Sequence

from edgeneuro.classifier.reading import likeness
from edgeneuro.controlplane.labels.ranking import Question

_MAX_SHARE_OF_A_KEY = 0.5
_MAX_SHARE_OUT_OF_SCOPE = 0.2
# What a question loses of its score for each that is as good as the same on the page.
_SAME = 2.0
_CANDIDATES_A_PLACE = 6
_MIN_CANDIDATES = 300


def compose(ranked: Sequence[Question], limit: int) -> list[Question]:
    """At most `limit` of the ranked questions, near-duplicates left out already. While there are
    others, one key fills at most half of the page, and questions that no agent was found for fill
    at most a fifth."""
    page = _Page(limit)
    page.take_in_order(question for question in ranked if question.judged)
    page.take_spread([question for question in ranked if not question.judged])
    return page.questions()


class _Page:
    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._most_of_a_key = max(1, int(limit * _MAX_SHARE_OF_A_KEY))
        self._most_out_of_scope = max(1, int(limit * _MAX_SHARE_OUT_OF_SCOPE))
        self._of_a_key: Counter[str] = Counter()
        self._out_of_scope = 0
        self._taken: list[Question] = []
        self._beyond: list[Question] = []

    def questions(self) -> list[Question]:
        page = self._taken + self._beyond[: self._limit - len(self._taken)]
        return sorted(page, key=lambda question: not question.judged)

    @property
    def _full(self) -> bool:
        return len(self._taken) == self._limit

    def _take(self, question: Question) -> bool:
        """Takes it unless it is over a bound: then it waits for a place that stays free."""
        over = self._of_a_key[question.key_id] >= self._most_of_a_key
        if not question.judged and question.out_of_scope:
            over = over or self._out_of_scope >= self._most_out_of_scope
        if over:
            self._beyond.append(question)
            return False
        self._of_a_key[question.key_id] += 1
        self._out_of_scope += question.out_of_scope
        self._taken.append(question)
        return True

    def take_in_order(self, questions: Iterable[Question]) -> None:
        for question in questions:
            if self._full:
                return
            self._take(question)

    def take_spread(self, questions: Sequence[Question]) -> None:
        """Greedily: each time the one whose score, less what the page has of it, is highest; of
        several the first. A value only falls as the page grows, so one that was highest before and
        still is after a look at the page needs no look at the others."""
        most = max(_MIN_CANDIDATES, _CANDIDATES_A_PLACE * self._limit)
        left = [_Candidate(question, place) for place, question in enumerate(questions[:most])]
        while left and not self._full:
            best = left[0]
            if best.compare(self._taken):
                heapq.heapreplace(left, best)
            else:
                heapq.heappop(left)
                self._take(best.question)
        self.take_in_order(questions[most:])


class _Candidate:
    def __init__(self, question: Question, place: int) -> None:
        self.question = question
        self._score, self._place = question.score, place
        self._value = self._score
        self._likeness, self._compared = 0.0, 0

    def __lt__(self, other: "_Candidate") -> bool:
        return (-self._value, self._place) < (-other._value, other._place)

    def compare(self, taken: Sequence[Question]) -> bool:
        """With those that it was not compared with yet; whether it is worth less than before."""
        before = self._likeness
        for question in taken[self._compared :]:
            self._likeness = max(self._likeness, likeness(self.question.sketch, question.sketch))
        self._compared = len(taken)
        self._value = self._score - _SAME * self._likeness
        return self._likeness > before
