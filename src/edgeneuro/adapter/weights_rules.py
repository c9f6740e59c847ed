"""The rules about `adapter_model.safetensors`, by its header and size alone; none of them raises.

Names are PEFT's: `base_model.model.model.layers.N.self_attn.q_proj.lora_A.weight`, (rank, in), and
`lora_B`, (out, rank); a vision model has its layers under `language_model`.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from edgeneuro.adapter.bases import MAX_WEIGHTS_BYTES, LoraBase
from edgeneuro.adapter.checks import Check, failed, passed, unjudged
from edgeneuro.adapter.safetensors import Header, Tensor
from edgeneuro.adapter.strict_json import shown

DTYPES = ("F32", "F16", "BF16")

_NAME = re.compile(
    r"base_model\.model\.(?P<nested>model\.language_model\.|language_model\.model\.)?(?:model\.)?"
    r"layers\.(?P<layer>[0-9]{1,4})\.(?P<block>[A-Za-z0-9_]{1,40})\.(?P<module>[A-Za-z0-9_]{1,40})"
    r"\.lora_(?P<kind>[AB])\.weight"
)
# How other tools name the same matrices, and how to fix it.
_OTHER_NAMES = (
    (
        re.compile(r"\.lora_[ab]$"),
        "has a name of MLX, whose matrices are also transposed. Train with PEFT, or convert:"
        " X.lora_a becomes base_model.model.X.lora_A.weight, transposed",
    ),
    (
        re.compile(r"^(?:model\.)?layers\..*\.lora_[AB]\.weight$"),
        "is named by the full path in the model; PEFT's names begin with base_model.model. Save it"
        " with save_pretrained of the PEFT model, or rename the tensors",
    ),
    (
        re.compile(r"\.lora_[AB]\.[A-Za-z0-9_]+\.weight$"),
        "still has the adapter's name in it, as state_dict() of a PEFT model does. Save it with"
        " save_pretrained of the PEFT model",
    ),
    (
        re.compile(r"^lora_(?:te|unet)|\.lora_(?:down|up)\.weight$"),
        "has a name of kohya-ss or diffusers, for image models. Train a language model with PEFT",
    ),
)
# Other formats by their first bytes. A pickle or a zip can run code when it is loaded.
_OTHER_FORMATS = (
    (b"PK\x03\x04", "a zip archive, as PyTorch's .bin files are"),
    (b"\x80\x02", "a Python pickle, as older PyTorch files are"),
    (b"\x80\x03", "a Python pickle"),
    (b"\x80\x04", "a Python pickle"),
    (b"\x80\x05", "a Python pickle"),
    (b"GGUF", "a GGUF file"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"\x89HDF", "an HDF5 file"),
    (b"version ", "a Git LFS pointer, not the file itself"),
    (b"<", "a web page"),
    (b"{", "JSON"),
)


@dataclass(frozen=True)
class LoraMatrix:
    """One of the two matrices, A or B (`kind`), of one module in one layer."""

    layer: int
    block: str
    module: str
    kind: str
    nested: bool
    tensor: Tensor

    @property
    def rank(self) -> int:
        return self.tensor.shape[0 if self.kind == "A" else 1]

    @property
    def features(self) -> int:
        return self.tensor.shape[1 if self.kind == "A" else 0]


def other_format(start: bytes) -> str | None:
    """The format of a file with these first bytes; None if it may be safetensors."""
    # A safetensors file begins with a number, so with any bytes; its ninth byte is a brace.
    if start[8:9] == b"{":
        return None
    return next((name for magic, name in _OTHER_FORMATS if start.startswith(magic)), None)


def check_size(size: int) -> Check:
    found = f"{size:,} bytes"
    if size >= MAX_WEIGHTS_BYTES:
        return failed(
            "size",
            found,
            f"The weights have {found}; Workers AI takes less than {MAX_WEIGHTS_BYTES:,}. Train"
            " with a"
            " smaller rank or on fewer modules, or save as BF16.",
        )
    return passed("size", found)


def lora_matrices(header: Header) -> tuple[list[LoraMatrix], list[str]]:
    """The LoRA matrices, and the names of all other tensors."""
    matrices, others = [], []
    for tensor in header.tensors:
        found = _NAME.fullmatch(tensor.name)
        if found is None:
            others.append(tensor.name)
        else:
            matrices.append(
                LoraMatrix(
                    int(found["layer"]),
                    found["block"],
                    found["module"],
                    found["kind"],
                    found["nested"] is not None,
                    tensor,
                )
            )
    return matrices, others


def check_tensors(
    header: Header, modules: tuple[str, ...], *, part: bool, base: LoraBase | None
) -> Check:
    """`part`: the configuration says that not every layer has an adapter."""
    rule, (matrices, others) = "tensors", lora_matrices(header)
    found = f"{len(header.tensors)} tensors"
    if not header.tensors:
        return failed(rule, found, "The weights hold no tensor. Train and save the adapter again.")
    wrong = (
        _wrong_names(others)
        or _wrong_pairs(matrices)
        or _wrong_modules(matrices, modules)
        or (base and _wrong_layers(matrices, part, base))
    )
    if wrong:
        return failed(rule, found, wrong)
    if not modules:
        return unjudged(rule, found, "target_modules does not say which modules there are to be.")
    return passed(rule, found)


def _wrong_names(others: list[str]) -> str:
    if not others:
        return ""
    for pattern, tool in _OTHER_NAMES:
        if pattern.search(others[0]):
            return f"The tensor {shown(others[0], 120)} {tool} ({len(others)} such)."
    return (
        f"The tensor {shown(others[0], 120)} does not have PEFT's name of a LoRA matrix of a text"
        f" layer ({len(others)} such). Save the adapter alone, with save_pretrained of the PEFT"
        " model."
    )


def _wrong_pairs(matrices: list[LoraMatrix]) -> str:
    def places(kind: str) -> set[tuple[int, str, str]]:
        return {(each.layer, each.block, each.module) for each in matrices if each.kind == kind}

    alone = places("A") ^ places("B")
    if alone:
        layer, block, module = min(alone)
        return (
            f"{block}.{module} of layer {layer} has only one of lora_A and lora_B ({len(alone)}"
            " such)."
            " Save the adapter again, whole."
        )
    if 2 * len(places("A")) != len(matrices):
        return "Two tensors are the same matrix under two names. Save the adapter again."
    return ""


def _wrong_modules(matrices: list[LoraMatrix], modules: tuple[str, ...]) -> str:
    there, wanted = {each.module for each in matrices}, set(modules)
    if not modules or there == wanted:
        return ""
    return (
        f"The weights have {', '.join(sorted(there))}, target_modules in the configuration has"
        f" {', '.join(sorted(wanted))}. Take both files from one training."
    )


def _wrong_layers(matrices: list[LoraMatrix], part: bool, base: LoraBase) -> str:
    for each in matrices:
        if each.layer >= base.layers:
            return (
                f"There is a tensor of layer {each.layer}; {base.id} has the layers 0 to"
                f" {base.layers - 1}. It was trained on another base: train on {base.hub_ids[0]}."
            )
        block = block_of(each.module, each.layer, base)
        if each.block != block or (each.nested and not base.cross_attention_layers):
            return (
                f"The tensor {shown(each.tensor.name, 120)} does not belong to {base.id}, where"
                f" layer {each.layer} has {block}.{each.module}. Train on {base.hub_ids[0]}."
            )
    return "" if part else _missing_layers(matrices, base)


def _missing_layers(matrices: list[LoraMatrix], base: LoraBase) -> str:
    for module in sorted({each.module for each in matrices}):
        there = {each.layer for each in matrices if each.module == module}
        if len(there) < base.layers:
            missing = min(set(range(base.layers)) - there)
            return (
                f"{module} is there for {len(there)} of the {base.layers} layers of {base.id};"
                " layer"
                f" {missing} lacks it. Train on {base.hub_ids[0]}, and save the adapter whole."
            )
    return ""


def block_of(module: str, layer: int, base: LoraBase) -> str:
    if module in ("gate_proj", "up_proj", "down_proj"):
        return "mlp"
    return "cross_attn" if layer in base.cross_attention_layers else "self_attn"


def check_dtype(header: Header) -> Check:
    there = sorted({tensor.dtype for tensor in header.tensors})
    found = ", ".join(there)
    strange = [dtype for dtype in there if dtype not in DTYPES]
    if strange:
        return failed(
            "dtype",
            found,
            f"There are tensors of {', '.join(strange)}; Workers AI takes {', '.join(DTYPES)}."
            " Save the"
            " adapter in one of these.",
        )
    return passed("dtype", found)


def check_shapes(header: Header, rank: int | None, base: LoraBase | None) -> Check:
    rule, (matrices, _) = "shapes", lora_matrices(header)
    if not matrices:
        return unjudged(rule, "", "There is no matrix to measure.")
    found = f"rank {', '.join(map(str, sorted(_ranks(matrices))[:3])) or '?'}"
    shapes = None if base is None else base.shapes
    wrong = _wrong_rank(matrices, rank) or _wrong_sizes(matrices, shapes or _sizes_of(matrices))
    if wrong:
        fix = (
            "Take both files from one training." if base is None else f"Train on {base.hub_ids[0]}."
        )
        return failed(rule, found, f"{wrong} {fix}")
    if base is None:
        return unjudged(
            rule, found, "They fit each other; the sizes of the base are not known here."
        )
    if rank is None:
        return unjudged(rule, found, "They fit the base; the configuration has no usable r.")
    return passed(rule, found)


def _ranks(matrices: Iterable[LoraMatrix]) -> set[int]:
    return {each.rank for each in matrices if len(each.tensor.shape) == 2}


def _wrong_rank(matrices: list[LoraMatrix], rank: int | None) -> str:
    for each in matrices:
        if len(each.tensor.shape) != 2:
            shape = shown(each.tensor.shape)
            return f"{shown(each.tensor.name, 120)} has the shape {shape}; it is a matrix."
    ranks = _ranks(matrices)
    wanted = {rank} if rank is not None else set(sorted(ranks)[:1])
    for each in matrices:
        if each.rank not in wanted:
            return (
                f"{shown(each.tensor.name, 120)} has the shape {shown(each.tensor.shape)}, which"
                " is of"
                f" rank {each.rank}; r in the configuration is {shown(rank)}."
            )
    return ""


def _sizes_of(matrices: list[LoraMatrix]) -> dict[str, tuple[int, int]]:
    """The sizes (out, in) of each module, from its first pair."""
    sizes: dict[str, dict[str, int]] = {}
    for each in matrices:
        sizes.setdefault(each.module, {}).setdefault(each.kind, each.features)
    return {module: (size.get("B", 0), size.get("A", 0)) for module, size in sizes.items()}


def _wrong_sizes(matrices: list[LoraMatrix], shapes: Mapping[str, tuple[int, int]]) -> str:
    for each in matrices:
        if each.module not in shapes:
            continue  # the rule `tensors` reports it
        wanted = shapes[each.module][1 if each.kind == "A" else 0]
        if each.features != wanted and wanted:
            return (
                f"{shown(each.tensor.name, 120)} has the shape {shown(each.tensor.shape)}, where"
                f" {wanted} is wanted for {each.features}."
            )
    return ""
