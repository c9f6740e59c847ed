"""A Llama that is trained in seconds: two small layers of random weights, and a tokenizer made of
the texts that it is to know."""

import contextlib
import random
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch.nn.functional import cross_entropy
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from trainer.data import Example
from trainer.encoding import encode
from trainer.packing import Packer

START, END = "<|im_start|>", "<|im_end|>"
TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}"
    "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """What is so small takes several times the CPU's seconds where two threads share it."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def make_tiny_llama(folder: Path, texts: Sequence[str], *, seed: int = 0) -> Path:
    """A folder that transformers loads a model and its tokenizer from."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=600,
        special_tokens=[START, END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token=END, pad_token=END, chat_template=TEMPLATE
    )
    fast.save_pretrained(folder)
    config = LlamaConfig(
        vocab_size=len(fast),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=2_048,
        initializer_range=0.1,  # with less it learns to tell apart in hundreds of steps only
        bos_token_id=None,
        eos_token_id=fast.eos_token_id,
        pad_token_id=fast.pad_token_id,
    )
    with torch.random.fork_rng([]):  # what other tests draw does not depend on this
        torch.manual_seed(seed)
        LlamaForCausalLM(config).save_pretrained(folder)
    return folder


@one_thread()
def teach(folder: Path, examples: Sequence[Example], *, steps: int = 60) -> Path:
    """Trains all of its weights on these lines: what the base knows before there is an adapter.

    Each batch is of lines with the same messages before the question: these it computes once."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = LlamaForCausalLM.from_pretrained(folder)
    encoded = encode(tokenizer, examples, max_length=2_000, name="lessons")
    groups = defaultdict(list)
    for line, example in zip(encoded, examples, strict=True):
        groups[example.prompt[:-1]].append({"ids": line.ids, "start": line.start})
    lots = list(groups.values())
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.003)
    pack, drawn = Packer(torch.float32), random.Random(0)
    for step in range(steps):
        batch = pack(drawn.sample(lots[step % len(lots)], 16))
        labels, _ = batch.pop("labels"), batch.pop("owners")
        cross_entropy(model(**batch).logits[0], labels).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
    model.save_pretrained(folder)
    return folder
