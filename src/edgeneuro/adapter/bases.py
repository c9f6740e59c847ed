"""The bases on Workers AI that take an adapter, the sizes of their layers, and names of finetunes.

Which: cloudflare-docs, workers-ai/features/fine-tunes/loras.mdx for the four `-lora` bases, and the
changelog of 2025-04-11 ("ranks of up to 32 with a 300MB safetensors file limit") for newer ones, of
which those are here whose catalogue entry says `lora: true`. Limits: that page as of 2025-10-27,
"r <=8 as well as larger ranks if up to 32", "< 300MB", "up to 100 LoRA adapters per account".
Sizes: `config.json` of each model on the Hugging Face Hub.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

MAX_ADAPTERS = 100  # an account
MAX_WEIGHTS_BYTES = 300_000_000  # the file is smaller than this
MAX_RANK = 32  # of any base
COMMON_RANK = 8  # every base takes this
MAX_NAME = 100  # characters of a finetune's name
RESERVED_PREFIX = "cf-public-"
DOCUMENTED_MODEL_TYPES = ("mistral", "gemma", "llama")
MODULES = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


@dataclass(frozen=True)
class LoraBase:
    """`shapes` has (out_features, in_features) of each module of a layer. `system_role` says
    whether the chat template takes a system message; if not, `messages.fold_system` moves it. In
    `cross_attention_layers` attention is named `cross_attn`, and reads an image."""

    id: str
    model_type: str
    hub_ids: tuple[str, ...]
    max_rank: int
    layers: int
    shapes: Mapping[str, tuple[int, int]]
    system_role: bool
    cross_attention_layers: frozenset[int] = frozenset()


def layer_shapes(
    hidden: int, *, heads: int, kv_heads: int, head_size: int, mlp: int
) -> Mapping[str, tuple[int, int]]:
    attention, keys = heads * head_size, kv_heads * head_size
    return MappingProxyType(
        {
            "q_proj": (attention, hidden),
            "k_proj": (keys, hidden),
            "v_proj": (keys, hidden),
            "o_proj": (hidden, attention),
            "gate_proj": (mlp, hidden),
            "up_proj": (mlp, hidden),
            "down_proj": (hidden, mlp),
        }
    )


# Cloudflare documents no rule for the names of finetunes but the reserved prefix (cloudflare-docs,
# workers-ai/features/fine-tunes/public-loras.mdx); these characters need no escaping anywhere.
_FINETUNE_NAME = re.compile(rf"[A-Za-z0-9][A-Za-z0-9._-]{{0,{MAX_NAME - 1}}}")

_ALL = (
    LoraBase(
        id="@cf/google/gemma-2b-it-lora",
        model_type="gemma",
        hub_ids=("google/gemma-2b-it", "unsloth/gemma-2b-it"),
        max_rank=8,
        layers=18,
        shapes=layer_shapes(2048, heads=8, kv_heads=1, head_size=256, mlp=16384),
        system_role=False,
    ),
    LoraBase(
        id="@cf/google/gemma-7b-it-lora",
        model_type="gemma",
        hub_ids=("google/gemma-7b-it", "unsloth/gemma-7b-it"),
        max_rank=8,
        layers=28,
        shapes=layer_shapes(3072, heads=16, kv_heads=16, head_size=256, mlp=24576),
        system_role=False,
    ),
    LoraBase(
        id="@cf/mistral/mistral-7b-instruct-v0.2-lora",
        model_type="mistral",
        hub_ids=("mistralai/Mistral-7B-Instruct-v0.2", "unsloth/mistral-7b-instruct-v0.2"),
        max_rank=8,
        layers=32,
        shapes=layer_shapes(4096, heads=32, kv_heads=8, head_size=128, mlp=14336),
        system_role=False,
    ),
    LoraBase(
        id="@cf/meta-llama/llama-2-7b-chat-hf-lora",
        model_type="llama",
        hub_ids=(
            "meta-llama/Llama-2-7b-chat-hf",
            "NousResearch/Llama-2-7b-chat-hf",
            "unsloth/llama-2-7b-chat",
        ),
        max_rank=8,
        layers=32,
        shapes=layer_shapes(4096, heads=32, kv_heads=32, head_size=128, mlp=11008),
        system_role=True,
    ),
    LoraBase(
        id="@cf/meta/llama-3.2-11b-vision-instruct",
        model_type="llama",
        hub_ids=(
            "meta-llama/Llama-3.2-11B-Vision-Instruct",
            "unsloth/Llama-3.2-11B-Vision-Instruct",
        ),
        max_rank=32,
        layers=40,
        shapes=layer_shapes(4096, heads=32, kv_heads=8, head_size=128, mlp=14336),
        system_role=True,
        cross_attention_layers=frozenset({3, 8, 13, 18, 23, 28, 33, 38}),
    ),
    LoraBase(
        id="@cf/qwen/qwen2.5-coder-32b-instruct",
        model_type="qwen2",
        hub_ids=("Qwen/Qwen2.5-Coder-32B-Instruct", "unsloth/Qwen2.5-Coder-32B-Instruct"),
        max_rank=32,
        layers=64,
        shapes=layer_shapes(5120, heads=40, kv_heads=8, head_size=128, mlp=27648),
        system_role=True,
    ),
)
LORA_BASES: Mapping[str, LoraBase] = MappingProxyType({base.id: base for base in _ALL})
_BY_NAME = {name.casefold(): base for base in _ALL for name in (base.id, *base.hub_ids)}


# Names of copies that were quantised with bitsandbytes: unsloth/gemma-2b-it-bnb-4bit,
# unsloth/Llama-3.2-11B-Vision-Instruct-unsloth-bnb-4bit.
_BNB_COPY = re.compile(r"-(?:unsloth-)?bnb-[48]bit$", re.IGNORECASE)


def original_name(name: str) -> str:
    """The name of the model that a bitsandbytes copy was made from; other names are not changed.
    QLoRA trains on such a copy, and its adapters are for the original."""
    return _BNB_COPY.sub("", name.strip().rstrip("/"))


def find_base(name: str) -> LoraBase | None:
    """By its id at Cloudflare or on the Hub, or by that of a bitsandbytes copy, in any case."""
    return _BY_NAME.get(original_name(name).casefold())


def count_parameters(
    rank: int, modules: tuple[str, ...], *, layers: int, shapes: Mapping[str, tuple[int, int]]
) -> int:
    """The parameters of an adapter on these modules in every layer: A is (rank, in), B (out,
    rank)."""
    return layers * sum(rank * sum(shapes[module]) for module in modules)


def wrong_name(name: str) -> str:
    """Why this is not a valid name for a finetune; empty if it is."""
    if not _FINETUNE_NAME.fullmatch(name):
        return (
            f"A finetune's name has 1 to {MAX_NAME} letters, digits and - _ . and begins with a"
            " letter or digit."
        )
    if name.lower().startswith(RESERVED_PREFIX):
        return f"Names that begin with {RESERVED_PREFIX} are Cloudflare's own."
    return ""
