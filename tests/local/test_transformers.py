"""The transformers engine on a tiny Llama: what it says is what plain generation says, alone, in a
batch, behind a shared prefix and with an adapter."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM

from local.engines import Adapter, CompletionRequest, Message
from local.engines.transformers_engine.adapters import Shelf
from local.engines.transformers_engine.base import Base, load_base
from local.engines.transformers_engine.engine import TransformersEngine
from local.errors import AiError
from local.finetunes import CONFIG_FILE, FILES, WEIGHTS_FILE, FinetuneStore
from tests.local.emulator import HELLO, LLAMA, Emulator, build_emulator
from tests.local.test_finetunes import upload
from tests.local.test_streams import events
from tests.tiny_llama import one_thread

# PEFT has not yet followed transformers there.
pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")

RULES = "You route queries. The agents are it for computers and hr for people. Name one of them."
QUERIES = ["vpn", "My laptop is broken, and so is the other one", "Holidays?", "x", "pay " * 9]
TOKENS = 12


@pytest.fixture(scope="session")
def folder(tiny_llama: Path) -> Path:
    return tiny_llama


@pytest.fixture
def base(folder: Path) -> Base:
    return load_base(str(folder), "float32")


@pytest.fixture(scope="module")
def adapters(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Three that change what is said, each in another way."""
    return [make_adapter(folder, tmp_path_factory.mktemp("adapter"), seed) for seed in range(3)]


def make_adapter(base: Path, folder: Path, seed: int, **config: Any) -> Path:
    torch.manual_seed(seed)
    given = {"r": 4, "target_modules": ["q_proj", "v_proj"], "init_lora_weights": False}
    peft: Any = get_peft_model(
        AutoModelForCausalLM.from_pretrained(base), LoraConfig(**{**given, **config})
    )
    with torch.no_grad():
        for name, weights in peft.named_parameters():
            if "lora_B" in name:
                weights.normal_()
    peft.save_pretrained(folder)
    return folder


@pytest.fixture
async def engine(base: Base) -> Any:
    engine = TransformersEngine(base)
    yield engine
    await engine.aclose()


def request(base: Base, query: str, adapter: Path | None = None, **more: Any) -> CompletionRequest:
    messages = (Message("system", RULES), Message("user", query))
    lora = None if adapter is None else Adapter("router", adapter)
    return CompletionRequest(base.entry, messages, TOKENS, lora=lora, **more)


def plain(folder: Path, base: Base, query: str, adapter: Path | None = None) -> str:
    """What transformers and PEFT say by themselves."""
    model: Any = AutoModelForCausalLM.from_pretrained(folder)
    if adapter is not None:
        model.load_adapter(str(adapter))
    prompt = base.conversation.tokens(request(base, query).messages)
    said = model.generate(
        torch.tensor([prompt]),
        max_new_tokens=TOKENS,
        do_sample=False,
        eos_token_id=sorted(base.stop_ids),
    )
    text: str = base.conversation.tokenizer.decode(said[0][len(prompt) :], skip_special_tokens=True)
    return text


async def test_alone_and_together_it_says_what_plain_generation_says(
    engine: TransformersEngine, base: Base, folder: Path
) -> None:
    expected = [plain(folder, base, query) for query in QUERIES]
    assert len(set(expected)) > 1
    for query, said in zip(QUERIES, expected, strict=True):
        answer = await engine.complete(request(base, query))
        assert answer.text == said
    together = await asyncio.gather(*(engine.complete(request(base, each)) for each in QUERIES))
    assert [answer.text for answer in together] == expected


async def test_without_anything_shared_a_batch_says_the_same(
    engine: TransformersEngine, base: Base
) -> None:
    def asked(query: str) -> CompletionRequest:
        return CompletionRequest(base.entry, (Message("user", query),), TOKENS)

    alone = [(await engine.complete(asked(query))).text for query in QUERIES]
    together = await asyncio.gather(*(engine.complete(asked(query)) for query in QUERIES))
    assert [answer.text for answer in together] == alone


async def test_adapters_are_applied_by_request_and_leave_the_base_alone(
    engine: TransformersEngine, base: Base, folder: Path, adapters: list[Path]
) -> None:
    wanted = [None, *adapters, None]
    expected = [plain(folder, base, "vpn", adapter) for adapter in wanted]
    assert len(set(expected)) == 4
    answers = await asyncio.gather(
        *(engine.complete(request(base, "vpn", adapter)) for adapter in wanted)
    )
    assert [answer.text for answer in answers] == expected
    assert [answer.metadata.get("lora") for answer in answers[:2]] == [None, "router"]
    one = await engine.complete(request(base, "Holidays?", adapters[0]))
    assert one.text == plain(folder, base, "Holidays?", adapters[0])


async def test_an_adapter_without_files_is_not_applied_and_said_so(
    engine: TransformersEngine, base: Base
) -> None:
    asked = CompletionRequest(base.entry, (Message("user", "vpn"),), TOKENS, lora=Adapter("old"))
    assert "not applied" in (await engine.complete(asked)).metadata["lora"]


def test_the_least_used_adapter_makes_room(base: Base, adapters: list[Path], folder: Path) -> None:
    model: Any = AutoModelForCausalLM.from_pretrained(folder)
    shelf = Shelf(model, kept=1)
    ids = torch.tensor([[5, 6, 7]])

    def logits(adapter: Path | None) -> torch.Tensor:
        given = None if adapter is None else Adapter("a", adapter)
        with torch.inference_mode(), shelf.applied(given):
            return torch.Tensor(model(ids).logits)

    before, first = logits(None), logits(adapters[0])
    logits(adapters[1])
    names = {name for name, _ in model.named_parameters() if "lora_A.adapter" in name}
    assert {name.split("lora_A.")[1].split(".")[0] for name in names} == {"adapter_1"}
    assert torch.equal(logits(adapters[0]), first)
    assert torch.equal(logits(None), before)
    assert not torch.equal(before, first)


def broken(kind: str, adapter: Path, folder: Path, tmp_path: Path) -> Path:
    made = tmp_path / kind
    if kind == "shapes":
        shutil.copytree(adapter, made)
        config = json.loads((made / CONFIG_FILE).read_text())
        (made / CONFIG_FILE).write_text(json.dumps({**config, "r": 8}))
    elif kind == "modules":
        make_adapter(folder, made, 0, target_modules=["q_proj"])
        config = json.loads((made / CONFIG_FILE).read_text())
        changed = {**config, "target_modules": ["q_proj", "k_proj"]}
        (made / CONFIG_FILE).write_text(json.dumps(changed))
    else:
        shutil.copytree(adapter, made)
        name, content = {
            "garbage": (WEIGHTS_FILE, b"\xff" * 100),
            "empty": (WEIGHTS_FILE, b""),
            "no json": (CONFIG_FILE, b"{"),
            "no lora": (CONFIG_FILE, b'{"peft_type": "PROMPT_TUNING", "num_virtual_tokens": 4}'),
            "nowhere": (CONFIG_FILE, b'{"peft_type": "LORA", "r": 4, "target_modules": ["zz"]}'),
        }[kind]
        (made / name).write_bytes(content)
    return made


@pytest.mark.parametrize(
    "kind", ["shapes", "modules", "garbage", "empty", "no json", "no lora", "nowhere"]
)
async def test_a_broken_adapter_is_an_error_and_the_others_go_on(
    engine: TransformersEngine,
    base: Base,
    folder: Path,
    adapters: list[Path],
    tmp_path: Path,
    kind: str,
) -> None:
    bad = broken(kind, adapters[0], folder, tmp_path)
    for _ in range(2):
        with pytest.raises(AiError, match="adapter cannot be applied") as caught:
            await engine.complete(request(base, "vpn", bad))
        assert caught.value.code == 3043
    for adapter in (None, adapters[0]):
        answer = await engine.complete(request(base, "vpn", adapter))
        assert answer.text == plain(folder, base, "vpn", adapter)


async def test_the_way_of_an_adapter_onto_a_emulator(
    engine: TransformersEngine, base: Base, folder: Path, adapters: list[Path], tmp_path: Path
) -> None:
    emulator = build_emulator(engine, finetunes=FinetuneStore(tmp_path))
    search = "/client/v4/accounts/acc/ai/models/search"
    listed = {entry["name"] for entry in (await emulator.client.get(search)).json()["result"]}
    assert base.entry.id in listed
    assert base.entry.id.startswith("@local/tiny-llama")
    url = "/client/v4/accounts/acc/ai/finetunes"
    made = await emulator.client.post(url, json={"model": base.entry.id, "name": "router"})
    assert made.json()["success"]
    for name in FILES:
        content = (adapters[1] / name).read_bytes()
        assert (await upload(emulator, "router", name, content)).status_code == 200
    messages = [{"role": "system", "content": RULES}, {"role": "user", "content": "vpn"}]
    inputs = {"messages": messages, "max_tokens": TOKENS, "lora": "router"}
    answer = await said(await emulator.run(inputs, base.entry.id))
    text = answer["choices"][0]["message"]["content"]
    assert text == plain(folder, base, "vpn", adapters[1])
    assert answer["metadata"] == {
        "engine": "transformers",
        "model": base.entry.id,
        "lora": "router",
    }
    assert answer["usage"]["completion_tokens"] <= TOKENS
    streamed = await emulator.run({**inputs, "stream": True}, base.entry.id)
    chunks = [event["choices"] for event in events(streamed.content)[:-1]]
    pieces = [choices[0]["delta"].get("content") or "" for choices in chunks if choices]
    assert "".join(pieces) == text


async def said(answer: httpx.Response) -> Any:
    assert answer.status_code == 200, answer.text
    return answer.json()["result"]


async def test_any_model_is_answered_by_it(engine: TransformersEngine) -> None:
    emulator: Emulator = build_emulator(engine)
    assert (await said(await emulator.run({**HELLO, "max_tokens": 3}, LLAMA)))["usage"][
        "completion_tokens"
    ] <= 3


async def test_chance_has_a_seed(engine: TransformersEngine, base: Base) -> None:
    async def say(**more: Any) -> str:
        return (await engine.complete(request(base, "vpn", **more))).text

    first = await say(temperature=5.0, seed=1)
    assert await say(temperature=5.0, seed=1) == first
    assert await say(temperature=5.0, seed=2) != first
    greedy = await say()
    assert await say(temperature=0.0) == greedy
    assert await say(temperature=5.0, top_p=1e-9, seed=1) == greedy


async def test_usage_and_ends(engine: TransformersEngine, base: Base) -> None:
    asked = request(base, "vpn")
    answer = await engine.complete(asked)
    assert answer.finish_reason == "length"
    prompt = len(base.conversation.tokens(asked.messages))
    assert answer.usage.as_dict() == {
        "prompt_tokens": prompt,
        "completion_tokens": TOKENS,
        "total_tokens": prompt + TOKENS,
    }


async def test_a_prompt_beyond_the_window(engine: TransformersEngine, base: Base) -> None:
    with pytest.raises(AiError, match=r"\(2048\)") as caught:
        await engine.complete(request(base, "é∂ß" * 1_024))
    assert caught.value.code == 5021


async def test_whoever_leaves_is_not_waited_for(engine: TransformersEngine, base: Base) -> None:
    stream = engine.stream(request(base, "vpn"))
    waiting = asyncio.create_task(engine.complete(request(base, "Holidays?", None, seed=3)))
    first = await anext(stream)
    assert first.text
    await stream.aclose()
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert (await engine.complete(request(base, "vpn"))).text


async def test_closing_ends_those_who_wait(base: Base) -> None:
    engine = TransformersEngine(base)
    waiting = [asyncio.create_task(engine.complete(request(base, each))) for each in QUERIES]
    await asyncio.sleep(0)
    await engine.aclose()
    ends = await asyncio.gather(*waiting, return_exceptions=True)
    assert {type(end) for end in ends} <= {AiError}


@pytest.fixture(autouse=True)
def of_one_thread() -> Iterator[None]:
    with one_thread():
        yield


async def test_the_probabilities_of_its_tokens(base: Base, engine: TransformersEngine) -> None:
    plain = await engine.complete(request(base, QUERIES[1]))
    detailed = await engine.complete(request(base, QUERIES[1], logprobs=True))
    assert (plain.text, plain.tokens) == (detailed.text, ())
    assert "".join(token.text for token in detailed.tokens) == detailed.text
    assert all(token.logprob < 0 for token in detailed.tokens)
    # The likeliest token has at least an even share of the vocabulary.
    least = -torch.tensor(float(base.model.config.vocab_size)).log()
    assert all(token.logprob > least for token in detailed.tokens)
