"""A state is cut to the context window of a decision model."""

import json

import pytest

from edgeneuro.domain.question import Choice, Level, Question, Score, YesNo
from edgeneuro.synapsecore.context_window import (
    MIN_STATE_BYTES,
    cut_text,
    fit_state,
    questions_bytes,
    text_bytes,
    window_bytes,
)

ASKED: dict[str, Question] = {"urgent": YesNo("Is it urgent?")}


def test_a_text_that_fits_stays_as_it_is() -> None:
    assert cut_text("a" * 100, 100) == ("a" * 100, 0)
    assert cut_text("", 0) == ("", 0)


@pytest.mark.parametrize("character", ["a", "ß", "語", "🙂"])
def test_head_and_tail_are_kept_and_the_rest_is_counted(character: str) -> None:
    text = f"begin {character * 5_000} end"
    cut, left_out = cut_text(text, 1_000)
    assert text_bytes(cut) <= 1_000
    head, mark, tail = cut.partition(f"\n[{left_out} characters left out]\n")
    assert head.startswith("begin ") and tail.endswith(" end") and mark
    assert len(head) + len(tail) + left_out == len(text)
    assert text.startswith(head) and text.endswith(tail)
    assert text_bytes(cut) > 990  # no more is left out than has to be


def test_half_a_surrogate_does_not_stop_the_cut() -> None:
    cut, left_out = cut_text("\ud83d" * 5_000, 1_000)
    assert left_out and cut.encode()  # it can be sent


@pytest.mark.parametrize(("window", "expected"), [(None, 47_900), (24_000, 47_900), (10, 0)])
def test_the_bytes_of_a_window(window: int | None, expected: int) -> None:
    assert window_bytes(window) == expected


def test_a_state_of_a_megabyte_fits_the_window() -> None:
    cut = fit_state("My VPN is down. " * 65_536, ASKED, 24_000)
    assert text_bytes(cut.state) + questions_bytes(ASKED) <= window_bytes(24_000)
    assert cut.left_out > 900_000


@pytest.mark.parametrize("state", ["short", {"order": 7}, ["a", {"b": None}], 7, None])
def test_a_state_that_fits_keeps_its_type(state: object) -> None:
    cut = fit_state(state, ASKED, None)
    assert cut.state is state and cut.left_out == 0


def test_a_json_state_that_is_too_long_becomes_the_text_of_its_json() -> None:
    state = [{"role": "user", "content": "語" * 100_000}, {"role": "user", "content": "the end"}]
    cut = fit_state(state, ASKED, 24_000)
    assert cut.state.startswith('[{"role": "user", "content": "語')
    assert cut.state.endswith('{"role": "user", "content": "the end"}]')
    assert len(json.dumps(state, ensure_ascii=False)) > cut.left_out > 80_000


def test_questions_that_fill_the_window_leave_a_part_of_the_state() -> None:
    huge: dict[str, Question] = {
        "agent": Choice("Which?", {f"option_{n}": "x" * 500 for n in range(200)}),
        "score": Score("How much?", tuple(Level(str(n), "y" * 500) for n in range(10))),
    }
    cut = fit_state("z" * 50_000, huge, 24_000)
    assert MIN_STATE_BYTES - 10 < text_bytes(cut.state) <= MIN_STATE_BYTES


def test_all_texts_of_the_questions_count() -> None:
    text = "x" * 100
    asked: list[Question] = [
        YesNo(text, yes=text, no=text),
        Choice(text, {"a": text, "b": text}),
        Score(text, (Level("a", text), Level("b", text))),
    ]
    for question in asked:
        assert 300 < questions_bytes({"id": question}) < 400
