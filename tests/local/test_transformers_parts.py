"""The parts of the transformers engine: messages, ends, chance, batches, and what cannot start."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from local.app import build_engine
from local.engines import Adapter, Message, ToolCall
from local.engines.transformers_engine.base import catalogue_id
from local.engines.transformers_engine.conversation import Conversation
from local.engines.transformers_engine.engine import MAX_ROWS, MAX_TOKENS, Job, next_batch
from local.engines.transformers_engine.generation import Row, end_of_object
from local.engines.transformers_engine.sampling import Sampling
from local.errors import AiError
from local.settings import Settings, SettingsError

NO_SYSTEM = (
    "{% for message in messages %}{% if message.role == 'system' %}"
    "{{ raise_exception('System role not supported') }}{% endif %}"
    "<|{{ message.role }}|>{{ message.content }}<|end|>{% endfor %}"
)
ASKED = (Message("system", "Rules."), Message("user", "Hi"))


@pytest.fixture(scope="module")
def tokenizer(tiny_llama: Path) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(tiny_llama)


@pytest.fixture
def template(tokenizer: Any) -> Any:
    before = tokenizer.chat_template
    yield tokenizer
    tokenizer.chat_template = before


def read(tokenizer: Any, *messages: Message) -> str:
    text: str = tokenizer.decode(Conversation(tokenizer).tokens(messages))
    return text


def test_the_chat_template_is_followed(tokenizer: Any) -> None:
    assert read(tokenizer, *ASKED) == (
        "<|im_start|>system\nRules.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n"
        "<|im_start|>assistant\n"
    )


def test_a_template_without_a_system_role_gets_it_with_the_users_words(template: Any) -> None:
    template.chat_template = NO_SYSTEM
    assert read(template, *ASKED) == "<|user|>Rules.\n\nHi<|end|>"


def test_what_a_template_refuses_is_bad_input(template: Any) -> None:
    template.chat_template = "{{ raise_exception('roles must alternate') }}"
    with pytest.raises(AiError, match="roles must alternate") as caught:
        read(template, *ASKED)
    assert caught.value.code == 5006


def test_tools_are_told_in_words(tokenizer: Any) -> None:
    call = ToolCall("1", "look", "{}")
    text = read(tokenizer, Message("assistant", "", (call,)), Message("tool", "found", (), "1"))
    assert 'assistant\n{"name": "look", "arguments": "{}"}<|im_end|>' in text
    assert "user\nfound<|im_end|>" in text


def test_what_is_shared_is_all_before_the_last_message(tokenizer: Any) -> None:
    conversation = Conversation(tokenizer)
    tokens = conversation.tokens(ASKED)
    shared = conversation.shared(ASKED, tokens)
    assert tokenizer.decode(tokens[:shared]) == (
        "<|im_start|>system\nRules.<|im_end|>\n<|im_start|>user\n"
    )


@pytest.mark.parametrize(
    ("text", "end"),
    [
        ('{"a": {"b": "}"}} and on', 17),
        ('Sure: {"a": 1}', 14),
        ('{"a": 1', None),
        ('{"a": "}', None),
        ("[1]", None),
        ("}{", None),
    ],
)
def test_the_end_of_a_json_object(text: str, end: int | None) -> None:
    assert end_of_object(text) == end


class Letters:
    """A tokenizer whose tokens are characters."""

    def decode(self, tokens: list[int], *, skip_special_tokens: bool) -> str:
        return bytes(tokens).decode(errors="replace")


def taken(text: str, **more: Any) -> tuple[Row, list[str], int]:
    """A row that is given the text byte by byte until it ends; "$" is the end of a turn."""
    pieces: list[str] = []
    ends: list[int] = []
    said = pieces.append if more.pop("listens", True) else None
    row = Row([1], 100, Sampling(None), lambda: ends.append(1), said, **more)
    for token in text.encode():
        if row.finish_reason is None:
            row.take(token, Letters(), frozenset(b"$"))
    return row, pieces, len(ends)


def test_a_row_ends_with_its_turn() -> None:
    row, pieces, ends = taken("ab$c")
    assert (row.text, row.finish_reason, len(row.tokens), ends) == ("ab", "stop", 2, 1)
    assert pieces == ["a", "b"]
    silent, none, _ = taken("ab$", listens=False)
    assert (silent.text, none) == ("ab", [])


def test_a_row_ends_with_its_json() -> None:
    row, pieces, _ = taken('{"a": 1} and on', stops_at_json=True)
    assert (row.text, row.finish_reason) == ('{"a": 1}', "stop")
    assert "".join(pieces) == row.text


def test_half_a_character_waits_for_its_other_half() -> None:
    _, pieces, _ = taken("aé$")
    assert pieces == ["a", "é"]


def test_a_row_that_nobody_waits_for_ends() -> None:
    row, _, ends = taken("abc", cancelled=True)
    assert (len(row.tokens), ends) == (1, 1)


def test_the_nucleus_leaves_the_unlikely_out() -> None:
    logits = torch.tensor([3.0, 2.9, -9.0, -9.0])
    drawn = [Sampling(1.0, 0.9, seed).choose(logits) for seed in range(50)]
    assert set(drawn) == {0, 1}


def job(prompt: int = 1, shared: tuple[int, ...] = (), adapter: Adapter | None = None) -> Any:
    row = Row([0] * prompt, 1, Sampling(None), lambda: None)
    done: Any = None  # nobody waits for it
    return Job(adapter, shared, row, done)


def test_those_go_together_that_share_adapter_and_beginning() -> None:
    first, other, same = job(shared=(1,)), job(shared=(2,)), job(shared=(1,))
    tuned = job(shared=(1,), adapter=Adapter("a"))
    assert next_batch([first, other, tuned, same]) == [first, same]


def test_a_batch_is_bounded_in_rows_and_in_tokens() -> None:
    assert len(next_batch([job()] * 40)) == MAX_ROWS
    long = job(MAX_TOKENS // 2)
    assert len(next_batch([job(), long])) == 1
    assert len(next_batch([long, job()])) == 1


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("google/gemma-2b-it", "@local/gemma-2b-it"),
        ("/models/Gemma 3.GGUF", "@local/gemma-3"),
        ("./Tiny/", "@local/tiny"),
    ],
)
def test_the_name_in_the_catalogue(name: str, expected: str) -> None:
    assert catalogue_id(name) == expected


def test_a_model_that_cannot_be_loaded_is_a_mistake_of_settings(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF")
    for name in (str(tmp_path), str(tmp_path / "none.gguf"), str(broken)):
        with pytest.raises(SettingsError, match="LOCAL_AI_MODEL is"):
            build_engine(Settings(engine="transformers", model=name))


def test_missing_packages_are_named() -> None:
    program = (
        "import sys; sys.modules['torch'] = None\n"
        "from local.app import build_engine; from local.settings import Settings\n"
        "build_engine(Settings(engine='transformers', model='m'))"
    )
    root = Path(__file__).parents[2]
    ran = subprocess.run(
        [sys.executable, "-c", program], cwd=root, env=os.environ, capture_output=True, text=True
    )
    assert "SettingsError: LOCAL_AI_ENGINE is 'transformers', but the package torch" in ran.stderr
