"""Each rule of the pre-flight, with an adapter that breaks it and the words that say so."""

import json
from codecs import BOM_UTF8
from typing import Any

import pytest

from edgeneuro.adapter.bases import LORA_BASES, MODULES
from edgeneuro.adapter.preflight import RULES, AdapterFacts, Report, check_adapter
from tests.unit.adapters import (
    GEMMA,
    Adapter,
    config_for,
    failures,
    header_of,
    tensors_for,
)

VISION = "@cf/meta/llama-3.2-11b-vision-instruct"
QWEN = "@cf/qwen/qwen2.5-coder-32b-instruct"
MISTRAL = "@cf/mistral/mistral-7b-instruct-v0.2-lora"
FIRST = "base_model.model.model.layers.0.self_attn.q_proj"


def judged(report: Report, rule: str) -> bool | None:
    return next(check.passed for check in report.checks if check.rule == rule)


@pytest.mark.parametrize("name", LORA_BASES)
def test_an_adapter_as_peft_saves_it_passes(name: str) -> None:
    base = LORA_BASES[name]
    modules = tuple(base.shapes)
    rank = 2 if name == QWEN else 4
    report = Adapter(
        base=name,
        config=config_for(name, rank=rank, modules=modules),
        tensors=tensors_for(name, rank=rank, modules=modules, dtype="BF16"),
    ).check()
    assert report.ok
    assert [check.rule for check in report.checks] == list(RULES)
    assert report.rank == rank
    assert report.target_modules == tuple(sorted(modules))
    assert report.parameters == base.layers * rank * sum(map(sum, base.shapes.values()))
    assert judged(report, "model_type") is (None if name == QWEN else True)
    assert all(not check.message for check in report.checks if check.passed)


@pytest.mark.parametrize(
    "prefix",
    [
        "base_model.model.language_model.model.layers",
        "base_model.model.model.language_model.layers",
    ],
)
def test_the_layers_of_a_model_with_eyes_may_lie_one_deeper(prefix: str) -> None:
    tensors = tensors_for(VISION, prefix=prefix)
    assert Adapter(base=VISION, config=config_for(VISION), tensors=tensors).check().ok


CONFIGS: list[tuple[dict[str, Any], str, str]] = [
    ({"peft_type": "LOHA"}, "peft_type", 'peft_type is "LOHA"; Workers AI takes LORA'),
    ({"task_type": "SEQ_CLS"}, "peft_type", "train for CAUSAL_LM"),
    ({"use_dora": True}, "peft_type", "use_dora is true"),
    ({"use_rslora": True}, "peft_type", "lora_alpha times the root of r"),
    ({"bias": "lora_only"}, "peft_type", 'train with "none"'),
    ({"fan_in_fan_out": True}, "peft_type", "fan_in_fan_out is true"),
    ({"kasa_config": {"beta": 1e-4}}, "peft_type", "train without KaSA"),
    ({"init_lora_weights": "lora_ga"}, "peft_type", "changes the base too"),
    ({"init_lora_weights": "pissa_niter_4"}, "peft_type", "changes the base too"),
    ({"r": 16}, "rank", f"The rank is 16; {GEMMA} takes at most 8"),
    ({"r": 0}, "rank", "r is 0; it is a whole number from 1 to 8"),
    ({"r": True}, "rank", "r is true"),
    ({"r": "8"}, "rank", 'r is "8"'),
    ({"r": 8.0}, "rank", "r is 8.0"),
    ({"r": 10**4000}, "rank", "takes at most 8"),
    ({"r": None}, "rank", "r is null"),
    ({"rank_pattern": {"q_proj": 4}}, "rank", "the one rank r"),
    ({"lora_alpha": 0}, "alpha", "lora_alpha is 0"),
    ({"lora_alpha": None}, "alpha", "lora_alpha is null"),
    ({"lora_alpha": [16]}, "alpha", "lora_alpha is [16]"),
    ({"alpha_pattern": {"q_proj": 4}}, "alpha", "the one lora_alpha"),
    ({"target_modules": "all-linear"}, "tensors", "target_modules in the configuration has down"),
    ({"target_modules": ""}, "target_modules", 'is the text ""'),
    ({"target_modules": ["model.layers.0.self_attn.x_proj"]}, "target_modules", 'has ["x_proj"]'),
    ({"target_modules": []}, "target_modules", "is a list of names"),
    ({"target_modules": ["q_proj", "q_proj"]}, "target_modules", "each once"),
    ({"target_modules": ["q_proj", 7]}, "target_modules", "is a list of names"),
    ({"target_modules": ["q_proj", "lm_head"]}, "target_modules", 'has ["lm_head"]'),
    ({"modules_to_save": ["lm_head"]}, "target_modules", "low-rank matrices alone"),
    ({"peft_type": None, "lora_parameters": {"rank": 8}}, "peft_type", "of an MLX adapter"),
    ({"model_type": "llama"}, "model_type", 'model_type is "llama"'),
    (
        {"base_model_name_or_path": "meta-llama/Llama-3.2-1B"},
        "base_match",
        "Train on google/gemma-2b-it",
    ),
    ({"base_model_name_or_path": "google/gemma-7b-it"}, "base_match", "google/gemma-7b-it"),
    (
        {"base_model_name_or_path": "/models/gemma-2b-it-gptq-4bit"},
        "not_quantised",
        "quantised by its name",
    ),
    ({"quantization_config": {"bits": 4}}, "not_quantised", "quantization_config"),
]


@pytest.mark.parametrize(("change", "rule", "words"), CONFIGS)
def test_a_configuration_that_breaks_a_rule(change: dict[str, Any], rule: str, words: str) -> None:
    adapter = Adapter()
    adapter.config |= change
    found = failures(adapter.check())
    assert words in found[rule]
    # What is wrong in the one file may show in the comparison of the two as well.
    assert set(found) <= {rule, "shapes", "tensors"}


def test_a_quantised_name_of_the_hub_is_refused_as_another_base_too() -> None:
    adapter = Adapter()
    adapter.config["base_model_name_or_path"] = "unsloth/gemma-2b-it-AWQ"
    assert set(failures(adapter.check())) == {"not_quantised", "base_match"}


@pytest.mark.parametrize(
    ("base", "trained_on"),
    [
        (GEMMA, "unsloth/gemma-2b-it-bnb-4bit"),
        (GEMMA, "/models/gemma-2b-it-bnb-4bit/"),
        (VISION, "unsloth/Llama-3.2-11B-Vision-Instruct-unsloth-bnb-4bit"),
        (MISTRAL, "unsloth/mistral-7b-instruct-v0.2-bnb-4bit"),
        ("@cf/meta-llama/llama-2-7b-chat-hf-lora", "unsloth/llama-2-7b-chat-bnb-4bit"),
    ],
)
def test_a_bitsandbytes_copy_counts_as_its_original(base: str, trained_on: str) -> None:
    config = config_for(base, base_model_name_or_path=trained_on)
    report = Adapter(base=base, config=config, tensors=tensors_for(base)).check()
    assert report.ok
    assert judged(report, "base_match") is True
    assert judged(report, "not_quantised") is True


UNSLOTH_PATTERN = (
    r"(?:.*?(?:language|text).*?(?:self_attn|mlp).*?(?:q_proj|k_proj|v_proj|o_proj).*?)"
    r"|(?:\bmodel\.layers\.[\d]{1,}\.(?:self_attn|mlp)\.(?:(?:q_proj|k_proj|v_proj|o_proj)))"
)


@pytest.mark.parametrize(
    ("written", "modules"),
    [
        (r".*\.(q|v)_proj", ("q_proj", "v_proj")),
        (UNSLOTH_PATTERN, ("k_proj", "o_proj", "q_proj", "v_proj")),
        (r"(a+)+$" * 20, ("q_proj", "v_proj")),  # would take for ever if it were run
        ("all-linear", tuple(sorted(MODULES))),
        (
            [f"model.layers.{n}.self_attn.{m}" for n in range(18) for m in ("q_proj", "v_proj")],
            ("q_proj", "v_proj"),
        ),
        (["self_attn.q_proj", "v_proj"], ("q_proj", "v_proj")),
    ],
)
def test_target_modules_as_tools_write_them(written: object, modules: tuple[str, ...]) -> None:
    adapter = Adapter(
        config=config_for(GEMMA, target_modules=written),
        tensors=tensors_for(GEMMA, modules=modules),
    )
    report = adapter.check()
    assert report.ok, failures(report)
    assert report.target_modules == modules
    assert judged(report, "tensors") is True
    sent = json.loads(report.config_to_upload or b"")
    assert sent == adapter.config | {"target_modules": list(modules)}


def test_paths_of_some_layers_name_a_part() -> None:
    adapter = without_layer(7)
    paths = [f"model.layers.{n}.self_attn.{m}" for n in range(18) for m in ("q_proj", "v_proj")]
    adapter.config["target_modules"] = [each for each in paths if ".7." not in each]
    assert adapter.check().ok


def test_a_pattern_without_weights_is_not_judged() -> None:
    report = check_adapter(
        names=("adapter_config.json",),
        config=json.dumps(config_for(GEMMA, target_modules=".*_proj")).encode(),
        weights_start=None,
        weights_size=None,
        facts=AdapterFacts(GEMMA),
    )
    assert judged(report, "target_modules") is None


def test_what_peft_does_not_write_is_added_for_the_upload() -> None:
    adapter = Adapter()
    del adapter.config["model_type"]
    start, size = header_of(adapter.tensors)
    report = check_adapter(
        names=adapter.names,
        config=BOM_UTF8 + json.dumps(adapter.config).encode(),
        weights_start=start,
        weights_size=size,
        facts=AdapterFacts(GEMMA),
    )
    assert report.ok
    sent = report.config_to_upload or b""
    assert not sent.startswith(BOM_UTF8)
    assert json.loads(sent) == adapter.config | {"model_type": "gemma"}


def test_a_lone_surrogate_in_a_configuration_that_is_rewritten_does_not_raise() -> None:
    adapter = Adapter()
    adapter.config |= {"model_type": None, "revision": "\ud800"}
    sent = adapter.check().config_to_upload or b""
    assert json.loads(sent) == adapter.config | {"model_type": "gemma"}


def test_a_configuration_in_the_documented_form_is_sent_as_it_is() -> None:
    adapter = Adapter()
    assert adapter.check().config_to_upload == json.dumps(adapter.config).encode()


@pytest.mark.parametrize(
    ("key", "value"),
    [("base_model_name_or_path", "./gemma"), ("base_model_name_or_path", None)],
)
def test_a_base_that_the_name_does_not_tell_is_left_to_the_shapes(key: str, value: Any) -> None:
    adapter = Adapter()
    adapter.config[key] = value
    report = adapter.check()
    assert report.ok
    assert judged(report, "base_match") is None


@pytest.mark.parametrize(
    "name", ["models/gemma-2b-it", "/data/Gemma-2b-it/", "a-mirror/gemma-2b-it"]
)
def test_a_copy_of_the_base_is_known_by_its_name(name: str) -> None:
    adapter = Adapter()
    adapter.config["base_model_name_or_path"] = name
    assert judged(adapter.check(), "base_match") is True


def renamed(old: str, new: str, adapter: Adapter | None = None) -> Adapter:
    adapter = adapter or Adapter()
    adapter.tensors = {name.replace(old, new): tensor for name, tensor in adapter.tensors.items()}
    return adapter


def with_tensor(name: str, dtype: str, shape: list[int]) -> Adapter:
    adapter = Adapter()
    adapter.tensors[name] = (dtype, shape)
    return adapter


def without(name: str) -> Adapter:
    adapter = Adapter()
    del adapter.tensors[name]
    return adapter


def without_layer(number: int) -> Adapter:
    adapter = Adapter()
    adapter.tensors = {n: t for n, t in adapter.tensors.items() if f".layers.{number}." not in n}
    return adapter


@pytest.mark.parametrize(
    ("adapter", "rule", "words"),
    [
        (with_tensor("base_model.model.lm_head.weight", "F32", [4, 4]), "tensors", "(1 such)"),
        (renamed(".layers.", ".language_model.layers."), "tensors", "does not belong to"),
        (renamed("base_model.model.model", "model"), "tensors", "by the full path in the model"),
        (renamed("base_model.model.model", "some.model"), "tensors", "name of a LoRA matrix"),
        (
            renamed("base_model.model.model", "model", renamed(".lora_A.weight", ".lora_a")),
            "tensors",
            "a name of MLX",
        ),
        (renamed(".lora_A.weight", ".lora_A.default.weight"), "tensors", "as state_dict() of"),
        (renamed(".self_attn.", ".cross_attn."), "tensors", "has self_attn.q_proj"),
        (without(f"{FIRST}.lora_B.weight"), "tensors", "only one of lora_A and lora_B"),
        (renamed(".17.", ".18."), "tensors", "tensor of layer 18"),
        (without_layer(7), "tensors", "layer 7 lacks it"),
        (renamed("v_proj", "k_proj"), "tensors", "target_modules in the configuration has q_proj"),
        (Adapter(tensors={}), "tensors", "hold no tensor"),
        (Adapter(tensors=tensors_for(GEMMA, dtype="F64")), "dtype", "tensors of F64"),
        (Adapter(tensors=tensors_for(GEMMA, dtype="I8")), "dtype", "F32, F16, BF16"),
        (Adapter(tensors=tensors_for(GEMMA, rank=4)), "shapes", "is of rank 4; r in the"),
        (with_tensor(f"{FIRST}.lora_A.weight", "F32", [8, 2304]), "shapes", "2048 is wanted"),
        (with_tensor(f"{FIRST}.lora_A.weight", "F32", [8, 2048, 1]), "shapes", "it is a matrix"),
    ],
)
def test_weights_that_break_a_rule(adapter: Adapter, rule: str, words: str) -> None:
    assert words in failures(adapter.check())[rule]


def test_layers_may_be_left_out_where_the_configuration_says_so() -> None:
    adapter = without_layer(7)
    adapter.config["layers_to_transform"] = [n for n in range(18) if n != 7]
    assert adapter.check().ok


def test_an_adapter_for_another_base_of_the_same_kind_is_told_by_its_shapes() -> None:
    adapter = Adapter(tensors=tensors_for("@cf/google/gemma-7b-it-lora"))
    adapter.config["base_model_name_or_path"] = "/models/mine"
    found = failures(adapter.check())
    assert "layers 0 to 17" in found["tensors"]
    assert "2048 is wanted for 3072" in found["shapes"]


def test_weights_that_are_too_large() -> None:
    start, size = header_of(
        tensors_for(QWEN, rank=32, modules=("gate_proj", "up_proj", "down_proj"))
    )
    report = check_adapter(
        names=(), config=None, weights_start=start, weights_size=size, facts=AdapterFacts(QWEN)
    )
    assert "Workers AI takes less than 300,000,000" in failures(report)["size"]


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ((), "(none)"),
        (("adapter_config.json", "adapter_model.bin"), "safe_serialization=True"),
        (("adapter_config.json", "model.safetensors"), "Rename the weights"),
        (("adapter_config.json", "adapters.safetensors"), "is an MLX adapter"),
        (("ADAPTER_CONFIG.JSON", "adapter_model.safetensors"), "exactly these names"),
    ],
)
def test_files_by_other_names(names: tuple[str, ...], words: str) -> None:
    assert words in failures(Adapter(names=names).check())["files"]


def test_files_beside_the_two_do_no_harm() -> None:
    more = ("README.md", "adapter_config.json", "adapter_model.safetensors", "training_card.json")
    assert Adapter(names=more).check().ok


def test_what_is_not_there_is_not_judged() -> None:
    report = check_adapter(
        names=(), config=None, weights_start=None, weights_size=None, facts=AdapterFacts(GEMMA)
    )
    assert set(failures(report)) == {"files"}
    assert judged(report, "shapes") is None
    assert [check.rule for check in report.checks] == list(RULES)


def test_the_account_and_the_catalogue() -> None:
    full = Adapter(slots_used=100, supports_lora=False).check()
    assert "100 of 100" in failures(full)["slots"]
    assert "takes no LoRA, by the catalogue" in failures(full)["base_supports_lora"]
    unknown = Adapter(slots_used=None, supports_lora=None).check()
    assert unknown.ok
    assert judged(unknown, "slots") is None
    assert judged(unknown, "base_supports_lora") is True


def test_of_a_base_that_is_not_known_the_files_are_compared_with_each_other() -> None:
    adapter = Adapter(base="@local/gemma-2b-it", supports_lora=None)
    report = adapter.check()
    assert report.ok
    assert judged(report, "base_match") is True
    assert judged(report, "shapes") is None
    assert judged(report, "base_supports_lora") is None
    adapter.tensors[f"{FIRST}.lora_B.weight"] = ("F32", [1024, 8])
    assert "Take both files from one training" in failures(adapter.check())["shapes"]


def test_a_gguf_file_may_be_the_base_of_a_local_model() -> None:
    adapter = Adapter(base="@local/gemma-3-270m", supports_lora=True)
    adapter.config |= {
        "base_model_name_or_path": "/models/gemma-3-270m-q4-k-m.gguf",
        "r": 16,
        "model_type": "gemma3_text",
    }
    adapter.tensors = tensors_for(GEMMA, rank=16)
    report = adapter.check()
    assert report.ok
    assert {c.rule for c in report.checks if c.passed is None} == {
        "rank",
        "model_type",
        "base_match",
        "not_quantised",
        "shapes",
    }


def test_a_shape_of_no_features_is_no_size_of_a_base() -> None:
    adapter = Adapter(tensors=tensors_for(MISTRAL), base=MISTRAL, config=config_for(MISTRAL))
    adapter.tensors[f"{FIRST}.lora_A.weight"] = ("F32", [8, 0])
    assert "4096 is wanted for 0" in failures(adapter.check())["shapes"]
