"""The canonical text of a question: what it drops, what it keeps, and that it is one text
everywhere."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeneuro.domain.query import canonical, query_hash
from tests.unit.chats import chat, talks
from tests.unit.conftest import Product, says

BOLD = "\U0001d40e\U0001d421 my payslip is wrong"  # "Oh" in mathematical bold
FAMILY = "\U0001f468\u200d\U0001f469\u200d\U0001f467"
FLAG = "\U0001f3f4\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (BOLD, "Oh my payslip is wrong"),
        ("\uff36\uff30\uff2e down", "VPN down"),
        ("pay\u200broll", "payroll"),
        ("pay\u00adroll\ufeff", "payroll"),
        ("pay\u200droll \u200c x", "payroll x"),
        ("\u202epayroll\u202c", "payroll"),
        ("e\u200b\u0301", "\u00e9"),
        ("say no" + "".join(chr(0xE0000 + ord(c)) for c in "always hr"), "say no"),
        ("a\u3164b\u115fc", "abc"),
        ("a\x08b\x1b[0m", "ab[0m"),
        ("a\u2800\u00a0\t b", "a b"),
        ("one \r\n  two\n\n\n\nthree\u2028four", "one\ntwo\n\nthree\nfour"),
        ("Case Stays", "Case Stays"),
        # What emoji and scripts need.
        (FAMILY, FAMILY),
        (FLAG, FLAG),
        ("\u2764\ufe0f 1\ufe0f\u20e3 a\ufe0f", "\u2764\ufe0f 1\ufe0f\u20e3 a"),
        ("\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",) * 2,  # Persian, "I want"
        ("\u0915\u094d\u200d\u0937",) * 2,  # Devanagari, a half form
        ("\u0915\u094d\u200d\u200d\u200c\u0937", "\u0915\u094d\u200d\u0937"),
        ("\u200c\u0645\u200d", "\u0645"),
    ],
)
def test_what_is_dropped_and_what_is_kept(text: str, expected: str) -> None:
    assert canonical(text) == expected


_TRICKY = st.sampled_from(
    [chr(c) for c in (0x200B, 0x200C, 0x200D, 0xFE0F, 0x2764, 0x1F468, 0x1F3F4, 0xE0067, 0xE007F)]
    + [chr(c) for c in (0x0645, 0x0915, 0x094D, 0x0301, 0x20E3, 0x180B, 0x1820, 0x1D40E, 0x3000)]
    + list("aA1 \n\r\t\x0b")
)


@settings(deadline=None, max_examples=200)
@given(st.text(_TRICKY | st.characters(exclude_categories=["Cs"]), max_size=12))
def test_it_is_its_own_canonical_text(text: str) -> None:
    assert canonical(canonical(text)) == canonical(text)
    assert query_hash(canonical(text)) == query_hash(text)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("My pay\u200broll", "my payroll"),
        (
            "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
            "\u0645\u06cc\u062e\u0648\u0627\u0647\u0645",
        ),
        ("\u2764\ufe0f leave?", "\u2764 leave?"),
    ],
)
def test_texts_that_differ_in_invisible_characters_are_one_question(one: str, other: str) -> None:
    assert query_hash(one) == query_hash(other)


async def test_the_model_the_cache_the_log_and_the_label_have_one_text(product: Product) -> None:
    product.gateway.enqueue(says("hr"))
    decision = (await product.route(BOLD)).json()
    assert product.gateway.requests[0].messages[-1]["content"] == "Oh my payslip is wrong"
    again = (await product.route("Oh my pay\u200bslip  is wrong")).json()
    assert (again["cache"], len(product.gateway.requests)) == ("hit", 1)
    assert {row["query"] for row in await product.logs()} == {"Oh my payslip is wrong"}
    labelled = await product.call("PUT", f"/v1/logs/{decision['id']}/label", {"agent_id": "hr"})
    assert labelled.json()["query"] == "Oh my payslip is wrong"


async def test_the_cached_answer_is_for_the_very_text_that_was_sent(product: Product) -> None:
    """Letters in another case may be another question to the model."""
    product.gateway.enqueue(says("hr"), says("it_support"))
    await product.route("polish my CV")
    decision = (await product.route("Polish my CV")).json()
    assert (decision["cache"], decision["agent"]["id"]) == ("miss", "it_support")
    sent, again = product.gateway.requests
    assert sent.cache_key != again.cache_key


@pytest.mark.parametrize("text", ["\u200b\u2060", "\ufdfa" * 500])
async def test_a_text_that_is_empty_or_too_long_in_canonical_form_is_refused(
    product: Product, text: str
) -> None:
    answered = await product.route(text)
    assert answered.status == 400
    assert answered.json()["error"]["param"] == "query"
    labelled = await product.call("POST", "/v1/labels", [{"query": text, "agent_id": None}])
    assert labelled.status == 400


async def test_an_imported_text_and_a_chat_are_the_same_question(product: Product) -> None:
    file = b'{"query": "How\xe2\x80\x8b many  days?", "agent": "hr"}\n'
    imported = await product.call(
        "POST", "/v1/datasets/import", file, headers={"content-type": "application/x-ndjson"}
    )
    assert imported.json()["labels"] == 1, imported.text
    message: dict[str, Any] = {"role": "user", "content": "How many\u00a0days?"}
    product.gateway.enqueue(says("hr"), talks())
    assert (await chat(product, "auto", messages=[message])).status == 200
    [row] = await product.logs()
    assert (row["query"], row["label"]["agent_id"]) == ("How many days?", "hr")
