"""The facts about the bases, what is said before a training, and messages for bases without a
system role."""

from typing import Any

import pytest

from edgeneuro.adapter.bases import LORA_BASES, MODULES, find_base
from edgeneuro.adapter.messages import fold_system
from edgeneuro.adapter.preflight import check_plan, predict_bytes
from tests.unit.adapters import GEMMA, header_of, tensors_for

QWEN = "@cf/qwen/qwen2.5-coder-32b-instruct"


@pytest.mark.parametrize(
    ("name", "rank", "layers", "q", "k", "down"),
    [
        ("google/gemma-2b-it", 8, 18, (2048, 2048), (256, 2048), (2048, 16384)),
        ("google/gemma-7b-it", 8, 28, (4096, 3072), (4096, 3072), (3072, 24576)),
        ("mistralai/Mistral-7B-Instruct-v0.2", 8, 32, (4096, 4096), (1024, 4096), (4096, 14336)),
        ("meta-llama/Llama-2-7b-chat-hf", 8, 32, (4096, 4096), (4096, 4096), (4096, 11008)),
        (
            "meta-llama/Llama-3.2-11B-Vision-Instruct",
            32,
            40,
            (4096, 4096),
            (1024, 4096),
            (4096, 14336),
        ),
        ("Qwen/Qwen2.5-Coder-32B-Instruct", 32, 64, (5120, 5120), (1024, 5120), (5120, 27648)),
    ],
)
def test_the_sizes_are_those_of_the_published_configurations(
    name: str,
    rank: int,
    layers: int,
    q: tuple[int, int],
    k: tuple[int, int],
    down: tuple[int, int],
) -> None:
    base = find_base(name)
    assert base is not None
    assert (base.max_rank, base.layers) == (rank, layers)
    assert (base.shapes["q_proj"], base.shapes["k_proj"]) == (q, k)
    assert base.shapes["o_proj"] == q[::-1]
    assert base.shapes["v_proj"] == k
    assert base.shapes["down_proj"] == down
    assert base.shapes["up_proj"] == base.shapes["gate_proj"] == down[::-1]
    assert tuple(base.shapes) == MODULES


def test_a_base_is_found_by_either_name_in_any_case() -> None:
    for base in LORA_BASES.values():
        for name in (base.id, *base.hub_ids):
            assert find_base(f" {name.upper()} ") is base
    assert find_base("@cf/meta/llama-3.2-1b-instruct") is None


def test_which_bases_read_a_system_message() -> None:
    assert {base.model_type for base in LORA_BASES.values() if not base.system_role} == {
        "gemma",
        "mistral",
    }


def test_a_plan_that_holds() -> None:
    checks = check_plan(
        rank=8, target_modules=["v_proj", "q_proj"], base="google/gemma-2b-it", alpha=16
    )
    assert [check.rule for check in checks] == [
        "rank",
        "alpha",
        "target_modules",
        "base_supports_lora",
        "size",
    ]
    assert all(check.passed for check in checks)


def test_a_plan_that_does_not() -> None:
    checks = check_plan(rank=64, target_modules="all-linear", base=QWEN, alpha=0)
    assert [check.rule for check in checks if check.passed is False] == [
        "rank",
        "alpha",
        "target_modules",
    ]
    large = check_plan(rank=32, target_modules=MODULES, base=QWEN)
    assert [check.rule for check in large if check.passed is False] == ["size"]
    assert "smaller rank or on fewer modules" in large[-1].message


def test_a_plan_for_a_base_that_is_not_known() -> None:
    checks = check_plan(rank=16, target_modules=["wq"], base="/models/tiny")
    assert {check.rule for check in checks} == {
        check.rule for check in checks if check.passed is None
    }
    counted = check_plan(rank=4, target_modules=["q_proj"], base="tiny", parameters=10**9)
    assert counted[-1].passed is False


@pytest.mark.parametrize("modules", [("q_proj",), ("q_proj", "v_proj"), MODULES])
def test_the_size_is_predicted_within_a_percent(modules: tuple[str, ...]) -> None:
    _, size = header_of(tensors_for(GEMMA, modules=modules))
    shown = predict_bytes(rank=8, target_modules=modules, base=GEMMA)
    assert shown is not None
    assert size <= shown <= size * 1.01


S, U, A = "system", "user", "assistant"
PARTS = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
IMAGE = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}


@pytest.mark.parametrize(
    ("given", "folded"),
    [
        ([], []),
        ([(U, "q")], [(U, "q")]),
        ([(S, "s"), (U, "q"), (A, "a")], [(U, "s\n\nq"), (A, "a")]),
        ([(S, "s"), (S, "t"), (U, "q"), (U, "r")], [(U, "s\n\nt\n\nq"), (U, "r")]),
        ([(S, "s"), (A, "hello"), (U, "q")], [(A, "hello"), (U, "s\n\nq")]),
        ([(S, "s"), (A, "a")], [(U, "s"), (A, "a")]),
        ([(S, "s")], [(U, "s")]),
        ([(S, PARTS), (U, PARTS)], [(U, "a\nb\n\na\nb")]),
        ([(S, PARTS)], [(U, "a\nb")]),
        ([(S, "s"), (U, [*PARTS, IMAGE])], [(U, [{"type": "text", "text": "s"}, *PARTS, IMAGE])]),
    ],
)
def test_the_system_text_goes_before_the_first_question(
    given: list[tuple[str, Any]], folded: list[tuple[str, Any]]
) -> None:
    messages = [{"role": role, "content": content} for role, content in given]
    before = [dict(each) for each in messages]
    assert [(each["role"], each["content"]) for each in fold_system(messages)] == folded
    assert messages == before
