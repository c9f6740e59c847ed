"""The text that a base reads."""

from pathlib import Path

import pytest
from transformers import AutoTokenizer

from trainer.templates import render

MESSAGES = [{"role": "system", "content": "Route."}, {"role": "user", "content": "My laptop"}]
TURNS = "{% for each in messages %}[{{ each.role }}] {{ each.content }}{% endfor %}"
# As Llama 3.2 has it.
WITH_THE_DAY = (
    "{% if not date_string is defined %}{% set date_string = strftime_now('%d %b %Y') %}{% endif %}"
    "Today Date: {{ date_string }} " + TURNS
)
# As Mistral 0.2 has it.
WITHOUT_SYSTEM = (
    "{% if messages[0].role == 'system' %}{{ raise_exception('Roles must alternate') }}{% endif %}"
    + TURNS
)


@pytest.mark.parametrize(
    ("template", "text"),
    [
        (WITH_THE_DAY, "Today Date: 26 Jul 2024 [system] Route.[user] My laptop"),
        (WITHOUT_SYSTEM, "[user] Route.\n\nMy laptop"),
    ],
)
def test_the_text_is_the_same_each_day_and_has_all_messages(
    tiny_llama: Path, template: str, text: str
) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny_llama)
    tokenizer.chat_template = template
    assert render(tokenizer, MESSAGES) == text
    assert render(tokenizer, MESSAGES, answer="it") == f"{text}[assistant] it"
