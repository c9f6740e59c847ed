"""A packed batch learns what its lines would teach apart."""

from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch.nn.functional import cross_entropy
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    LlamaConfig,
    MistralConfig,
    MistralForCausalLM,
)

from tests.trainer.exports import prompt_line, questions, write
from trainer.data import read_data
from trainer.encoding import Encoded, encode
from trainer.errors import TrainingError
from trainer.machine import DecidingTokens, deciding_tokens, look
from trainer.packing import Packer, attention_windows, shared_length


@pytest.fixture
def encoded(tiny_llama: Path, tmp_path: Path) -> list[Encoded]:
    data = read_data(write(tmp_path / "data", [prompt_line(*one) for one in questions(4)]))
    tokenizer = AutoTokenizer.from_pretrained(tiny_llama)
    return encode(tokenizer, data.examples, max_length=500, name="data")


def llama(tiny_llama: Path, vocabulary: int) -> Any:
    return AutoModelForCausalLM.from_pretrained(tiny_llama, dtype=torch.float64)


def gemma(tiny_llama: Path, vocabulary: int, *, window: int = 200) -> Any:
    """Of two kinds of attention, one of which looks back less far than a row is long."""
    torch.manual_seed(1)
    config = Gemma3TextConfig(
        vocab_size=vocabulary,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=16,
        sliding_window=window,
        layer_types=["sliding_attention", "full_attention"],
    )
    return Gemma3ForCausalLM(config).to(torch.float64)


def short_sighted_gemma(tiny_llama: Path, vocabulary: int) -> Any:
    """It looks back less far than a line is long."""
    return gemma(tiny_llama, vocabulary, window=30)


def short_sighted_mistral(tiny_llama: Path, vocabulary: int) -> Any:
    """All of its layers do, and it has no names for them."""
    torch.manual_seed(1)
    config = MistralConfig(
        vocab_size=vocabulary,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        sliding_window=30,
    )
    return MistralForCausalLM(config).to(torch.float64)


def adapted(model: Any) -> Any:
    torch.manual_seed(2)
    made = get_peft_model(model, LoraConfig(r=4, target_modules=["q_proj", "v_proj"]))
    for name, parameter in made.named_parameters():
        if "lora_B" in name:  # which begins at nothing, and would leave A without a gradient
            torch.nn.init.normal_(parameter, std=0.1)
    return made.train(False)


def gradients(model: Any) -> dict[str, torch.Tensor]:
    found = {
        name: parameter.grad.clone()
        for name, parameter in model.named_parameters()
        if parameter.grad is not None
    }
    model.zero_grad()
    return found


@pytest.mark.parametrize("make", [llama, gemma, short_sighted_gemma, short_sighted_mistral])
def test_loss_and_gradients_are_those_of_the_lines_apart(
    tiny_llama: Path, encoded: list[Encoded], make: Any
) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny_llama)
    model = adapted(make(tiny_llama, len(tokenizer)))
    batch = Packer(torch.float64, attention_windows(model.config))(
        [{"ids": each.ids, "start": each.start} for each in encoded]
    )
    labels, _ = batch.pop("labels"), batch.pop("owners")
    packed = cross_entropy(model(**batch).logits[0], labels)
    packed.backward()
    of_packed = gradients(model)

    losses, tokens = [], 0
    for each in encoded:
        logits = model(input_ids=torch.tensor([each.ids])).logits[0]
        wanted = torch.tensor(each.ids[each.start :])
        losses.append(cross_entropy(logits[each.start - 1 : -1], wanted, reduction="sum"))
        tokens += len(wanted)
    apart = torch.stack(losses).sum() / tokens
    apart.backward()
    of_apart = gradients(model)

    assert len(batch["input_ids"][0]) < sum(len(each.ids) for each in encoded) / 2
    torch.testing.assert_close(packed, apart)
    assert of_packed.keys() == of_apart.keys()
    assert any(bool(each.abs().max() > 1e-6) for each in of_apart.values())
    for name, gradient in of_apart.items():
        torch.testing.assert_close(of_packed[name], gradient)


def test_lines_that_share_nothing_are_packed_too(tiny_llama: Path) -> None:
    lines = [Encoded([5, 6, 7, 8], 2), Encoded([9, 10, 11], 2)]
    assert shared_length(lines) == 0
    batch = Packer(torch.float32)([{"ids": each.ids, "start": each.start} for each in lines])
    assert batch["position_ids"].tolist() == [[0, 1, 2, 3, 0, 1, 2]]
    assert batch["labels"].tolist() == [7, 8, 11]
    assert batch["logits_to_keep"].tolist() == [1, 2, 5]
    assert batch["owners"].tolist() == [0, 0, 1]


def test_a_prompt_keeps_a_token_of_its_own() -> None:
    same = [Encoded([1, 2, 3, 4], 3), Encoded([1, 2, 3, 5], 3)]
    assert shared_length(same) == 2


def test_what_is_learned_is_the_completion_and_its_end(
    tiny_llama: Path, encoded: list[Encoded]
) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny_llama)
    for each in encoded:
        completion = tokenizer.decode(each.ids[each.start :])
        assert completion.startswith('{"agent": "')
        assert completion.endswith('"}<|im_end|>')
        assert tokenizer.decode(each.ids[: each.start]).endswith("<|im_start|>assistant\n")


def test_layers_that_would_mix_the_lines_are_refused() -> None:
    config = LlamaConfig(num_hidden_layers=2)
    config.layer_types = ["full_attention", "linear_attention"]
    with pytest.raises(TrainingError, match="layers of the kind linear_attention"):
        attention_windows(config)


def test_exact_is_what_greedy_decoding_writes(tiny_llama: Path, encoded: list[Encoded]) -> None:
    """The model's own greedy answers, put in as the right ones, are all right; another is not."""
    model = AutoModelForCausalLM.from_pretrained(tiny_llama)
    own = []
    for each in encoded:
        prompt = torch.tensor([each.ids[: each.start]])
        mask = torch.ones_like(prompt)
        made = model.generate(
            prompt, attention_mask=mask, do_sample=False, max_new_tokens=6, min_new_tokens=6
        )
        own.append(Encoded(made[0].tolist(), each.start))
    pack = Packer(torch.float32)

    def shares(lines: list[Encoded]) -> tuple[float, float]:
        batch = pack([{"ids": each.ids, "start": each.start} for each in lines])
        found = look(model, [batch], lambda given: given, DecidingTokens(1, 2))
        return found["accuracy"], found["exact"]

    def spoiled(place: int) -> list[Encoded]:
        ids = list(own[0].ids)
        ids[own[0].start + place] = (ids[own[0].start + place] + 1) % 100
        return [Encoded(ids, own[0].start), *own[1:]]

    fewer = 1 - 1 / len(own)
    assert shares(own) == (1, 1)
    assert shares(spoiled(5)) == (1, fewer), "the last tokens do not name the agent"
    assert shares(spoiled(3)) == (fewer, fewer)


@pytest.mark.parametrize(
    ("answers", "deciding"),
    [
        ([[1, 2, 5, 8, 9], [1, 2, 6, 7, 8, 9]], (2, 1)),
        ([[1, 5, 8, 9], [1, 5, 6, 8, 9]], (2, 1)),  # one id begins with the other
        ([[1, 8, 9], [1, 8, 8, 9]], (2, 0)),
        ([[1, 2], [3, 4, 5]], (0, 0)),
        ([[1, 2], [1, 2]], (0, 0)),
    ],
)
def test_the_tokens_that_decide_between_answers(
    answers: list[list[int]], deciding: tuple[int, int]
) -> None:
    assert deciding_tokens([Encoded([0, 0, *answer], 2) for answer in answers]) == deciding


def test_a_line_that_is_too_long_is_named(tiny_llama: Path, tmp_path: Path) -> None:
    lines = [prompt_line("my laptop", "it"), prompt_line("leave " * 400, "hr")]
    data = read_data(write(tmp_path / "data", lines))
    tokenizer = AutoTokenizer.from_pretrained(tiny_llama)
    with pytest.raises(TrainingError, match=r"1 lines have more than 300 tokens \(line 2 has"):
        encode(tokenizer, data.examples, max_length=300, name="data")
