"""The text that a model reads: its own chat template, or that of its family where a base was
published without one. The `transformers` engine in local/ uses the same."""

from collections.abc import Sequence
from typing import Any

from edgeneuro.adapter.messages import fold_system
from trainer.errors import TrainingError

# By a token that its family alone has.
_FAMILIES = {
    "<start_of_turn>": (
        "{{ bos_token }}{% for message in messages %}<start_of_turn>"
        "{{ 'model' if message['role'] == 'assistant' else message['role'] }}\n"
        "{{ message['content'] | trim }}<end_of_turn>\n{% endfor %}"
        "{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"
    ),
    "<|im_start|>": (
        "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
        "{{ message['content'] }}<|im_end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    ),
}
# Llama 3's templates put the day into the prompt, which then would be another one each day.
_DAY = "26 Jul 2024"  # what they say themselves where they know none
_WITHOUT_SYSTEM = "<start_of_turn>"  # whose template has no place for a system message
# What ends an answer, in those of the families that have it.
END_TOKENS = ("<end_of_turn>", "<|im_end|>", "<|eot_id|>", "</s>", "<eos>")


def give_template(tokenizer: Any) -> None:
    """Gives it the family's where it has none. Raises TrainingError where that is not known."""
    if tokenizer.chat_template is not None:
        return
    vocabulary = tokenizer.get_vocab()
    for token, template in _FAMILIES.items():
        if token in vocabulary:
            tokenizer.chat_template = template
            return
    raise TrainingError(
        "The base model has no chat template, and its family is not known. Choose the variant that"
        " was tuned for chat (its name often ends in -it, -instruct or -chat)."
    )


def end_token_ids(tokenizer: Any) -> list[int]:
    """All that end an answer."""
    vocabulary = tokenizer.get_vocab()
    found = [vocabulary[token] for token in END_TOKENS if token in vocabulary]
    if tokenizer.eos_token_id is not None:
        found.append(tokenizer.eos_token_id)
    return sorted(set(found))


def render(tokenizer: Any, messages: Sequence[dict[str, str]], *, answer: str | None = None) -> str:
    """The text up to where the answer begins, or with it. A system message goes to the user's where
    the template refuses it."""
    given = list(messages)
    if answer is not None:
        given.append({"role": "assistant", "content": answer})
    takes_system = _WITHOUT_SYSTEM not in str(tokenizer.chat_template)
    if takes_system:
        try:
            return _applied(tokenizer, given, answer is None)
        except Exception as error:  # Jinja's, raised by the template itself
            if not any(message["role"] == "system" for message in given):
                raise TrainingError(f"The chat template refuses the messages: {error}") from error
    return _applied(tokenizer, fold_system(given), answer is None)


def _applied(tokenizer: Any, messages: list[dict[str, str]], open_ended: bool) -> str:
    text: str = tokenizer.apply_chat_template(
        messages, tokenize=False, add_generation_prompt=open_ended, date_string=_DAY
    )
    return text
