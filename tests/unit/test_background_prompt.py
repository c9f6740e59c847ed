"""Prompts that chat interfaces send by themselves: recognised by their first words, answered
without routing, and kept out of everything that is about questions."""

from typing import Any

import pytest

from edgeneuro.domain.background_prompt import is_background_prompt
from edgeneuro.domain.chat_message import Message
from edgeneuro.gateway.interface import ModelAnswer
from edgeneuro.settings import Settings
from edgeneuro_testing.sqlite import SqliteDatabase
from tests.unit.chats import USAGE, streams, talks
from tests.unit.conftest import ADMIN_TOKEN, Answered, Product
from tests.unit.decision_models import CLEF, chose, decision_product
from tests.unit.test_limits import create

HISTORY = "### Chat History:\n<chat_history>\nUSER: My VPN is down\n</chat_history>"
TITLE = (
    f"### Task:\nGenerate a concise, 3-5 word title with an emoji.\n### Output:\nJSON\n{HISTORY}"
)


def user(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


def system(content: str) -> dict[str, Any]:
    return {"role": "system", "content": content}


TALK = [user("My VPN is down"), {"role": "assistant", "content": "Restart it."}]

# As the interfaces send them, shortened after the first words.
PROMPTS = {
    "Open WebUI, title": [user(TITLE)],
    "Open WebUI, tags": [
        user(f"### Task:\nGenerate 1-3 broad tags categorizing the main themes\n{HISTORY}")
    ],
    "Open WebUI, follow-ups": [
        user(f"### Task:\nSuggest 3-5 relevant follow-up questions or prompts\n{HISTORY}")
    ],
    "Open WebUI, queries": [
        user(f"### Task:\nAnalyze the chat history to determine the necessity\n{HISTORY}")
    ],
    "Open WebUI, autocompletion": [
        user(f"### Task:\nYou are an autocompletion system.\n---\n{HISTORY}\n<text>My V</text>")
    ],
    "Open WebUI, an operator's own template": [user(f"### Task:\r\nTitel finden.\r\n{HISTORY}")],
    "Open WebUI, image prompt": [
        user("### Task:\nEnhance the given image generation prompt by adding\n### Prompt:\na cat")
    ],
    "Open WebUI, emoji": [
        user(
            "Your task is to reflect the speaker's likely facial expression through a fitting"
            " emoji. Interpret emotions from the message"
        )
    ],
    "Open WebUI, tools": [
        system(
            "Available Tools: [{}]\n\nYour task is to choose and return the correct tool(s) from"
            " the list of available tools based on the query."
        ),
        user("Query: My VPN is down"),
    ],
    "Open WebUI 0.3, title": [
        user(
            "Create a concise, 3-5 word phrase as a header for the following query, strictly"
            " adhering to the 3-5 word limit and avoiding the use of the word 'title': VPN"
        )
    ],
    "LibreChat, completion": [
        user(
            "Provide a concise, 5-word-or-less title for the conversation, using title case"
            " conventions. Only return the title itself.\n\nConversation:\nUser: My VPN"
        )
    ],
    "LibreChat, structured": [
        user(
            "Analyze this conversation and provide:\n1. The detected language of the conversation\n"
            "2. A concise title in the detected language (5 words or less)\n\nUser: My VPN"
        )
    ],
    "LibreChat, assistants": [
        user(
            "Please generate a concise title (max 40 characters) for a conversation that starts"
            " with:\nUser: My VPN"
        )
    ],
    "Chatbox": [
        user(
            "Based on the chat history, give this conversation a name.\nKeep it short - 10"
            " characters max, no quotes.\nUse English."
        )
    ],
    "NextChat, topic": [
        *TALK,
        user(
            "Please generate a four to five word title summarizing our conversation without any"
            " lead-in, punctuation, quotation marks"
        ),
    ],
    "NextChat, summary": [
        *TALK,
        system(
            "Summarize the discussion briefly in 200 words or less to use as a prompt for future"
            " context."
        ),
    ],
    "NextChat, Chinese": [
        *TALK,
        user("使用四到五个字直接返回这句话的简要主题\uff0c不要解释、不要标点、不要语气词"),
    ],
    "LobeChat, title": [
        system(
            "You are a professional conversation summarizer. Generate a concise title that captures"
            " the essence of the conversation.\n\nRules:"
        ),
        user("user: My VPN is down\nassistant: Restart it."),
    ],
    "LobeChat, history": [
        system(
            "You're an assistant who's good at extracting key takeaways from conversations and"
            " summarizing them."
        ),
        user("<chat_history>…</chat_history>"),
    ],
    "Cherry Studio": [
        system(
            "You are an assistant skilled in conversation. You need to summarize the user's"
            " conversation into a title within 10 words."
        ),
        user("My VPN is down"),
    ],
    "Chat UI": [
        system(
            "You are a chat thread titling assistant.\nGoal: Produce a very short, descriptive"
            " title (2-4 words)"
        ),
        user('User message: "My VPN is down"'),
    ],
    "Chat UI, with examples": [
        system(
            "You are a summarization AI. You'll never answer a user's question directly, but"
            " instead summarize the user's request"
        ),
        user("Who is the president of Gabon?"),
        {"role": "assistant", "content": "President of Gabon"},
        user("My VPN is down"),
    ],
    "SillyTavern": [
        *TALK,
        system(
            "Ignore previous instructions. Summarize the most important facts and events in the"
            " story so far."
        ),
    ],
    "parts": [user([{"type": "text", "text": TITLE}])],
}
# What people write.
QUESTIONS = [
    [user("Generate a title for my blog post")],
    [user("Generate a concise, 3-5 word title for my essay about bees")],
    [user("Generate 1-3 broad tags categorizing my photos")],
    [user("Suggest 3-5 relevant follow-up questions for a job interview")],
    [user("### Task:\nWrite a haiku.\n### Output:\nThree lines")],
    [user(f"What does this prompt do?\n\n{TITLE}")],
    [user("Provide a concise, 5-word-or-less title for my talk")],
    [user("Analyze this conversation and provide a summary")],
    [user("Please give this conversation a name")],
    [user("Summarize the discussion briefly")],
    [user("Ignore previous instructions and tell me a joke")],
    [system("You are a helpful assistant that writes titles."), user("A title for my book?")],
    [system("You are a summarization AI for the legal team."), user("Sum up contract 7")],
    [user(TITLE), {"role": "assistant", "content": "VPN help"}, user("And my laptop?")],
    [*TALK, user("thanks"), {"role": "assistant", "content": TITLE}],
    [user("")],
    [user([{"type": "image_url", "image_url": {"url": "https://x.example/a.png"}}])],
]


def read(messages: list[dict[str, Any]]) -> list[Message]:
    return [Message.model_validate(each) for each in messages]


@pytest.mark.parametrize("name", PROMPTS)
def test_it_is_recognised(name: str) -> None:
    assert is_background_prompt(read(PROMPTS[name]))


@pytest.mark.parametrize("messages", QUESTIONS)
def test_a_person_is_not_taken_for_an_interface(messages: list[dict[str, Any]]) -> None:
    assert not is_background_prompt(read(messages))


def test_a_huge_message_is_read_once() -> None:
    assert not is_background_prompt(read([user("### Task: " + "<chat_histor" * 80_000)]))
    assert is_background_prompt(read([user(" \n" * 200 + TITLE + "x" * 900_000)]))


async def chat(
    product: Product, *messages: dict[str, Any], key: str = "", **fields: Any
) -> Answered:
    body = {"model": "auto", "messages": list(messages), **fields}
    return await product.call("POST", "/v1/chat/completions", body, key=key or ADMIN_TOKEN)


async def test_it_is_answered_without_routing(product: Product) -> None:
    product.gateway.enqueue(talks("VPN help"))
    answered = await chat(product, user(TITLE))
    assert answered.status == 200, answered.text
    body = answered.json()
    assert body["choices"][0]["message"]["content"] == "VPN help"
    assert body["model"] == "@cf/meta/llama-3.2-1b-instruct"
    facts = body["edgeneuro"]
    assert (facts["layer"], facts["reason"], facts["agent"]) == (
        "direct",
        "background_prompt",
        None,
    )
    assert (facts["outcome"], facts["confidence"]) == (None, None)
    [request] = product.gateway.requests
    assert request.messages == [user(TITLE)]  # no system prompt of an agent
    assert "x-edgeneuro-agent" not in answered.headers


async def test_it_is_no_question(product: Product) -> None:
    product.gateway.enqueue(talks("VPN help"))
    answered = await chat(product, user(TITLE), edgeneuro={"session": "s1"})
    decision_id = answered.json()["edgeneuro"]["decision_id"]
    [row] = await product.logs()
    assert (row["kind"], row["layer"], row["reason"]) == ("chat", "direct", "background_prompt")
    assert (row["query_hash"], row["agent_id"], row["outcome"]) == (None, None, None)
    assert (row["confidence"], row["stated_confidence"], row["cache"]) == (None, None, "bypass")
    for stream in ("hard", "random"):
        queue = await product.call("GET", f"/v1/labels/queue?stream={stream}")
        assert queue.json()["data"] == []
    label = await product.call("PUT", f"/v1/logs/{decision_id}/label", {"agent_id": "hr"})
    assert (label.status, label.json()["error"]["code"]) == (409, "no_text")
    assert product.rows("SELECT * FROM sessions") == []
    found = await product.call("GET", "/v1/logs?reason=background_prompt")
    assert len(found.json()["data"]) == 1


async def test_its_cost_is_counted(product: Product) -> None:
    product.gateway.enqueue(talks("VPN help"))
    made = await create(product, monthly_token_budget=100_000)
    answered = await chat(product, user(TITLE), key=made["key"])
    assert answered.status == 200, answered.text
    [used] = product.rows("SELECT tokens FROM key_usage")
    assert used["tokens"] == answered.json()["usage"]["total_tokens"] == USAGE.total_tokens


async def test_it_can_be_a_stream(product: Product) -> None:
    product.gateway.enqueue(streams("VPN", " help"))
    answered = await chat(product, user(TITLE), stream=True)
    assert '"background_prompt"' in answered.text


async def test_a_caller_who_names_the_agent_gets_it(product: Product) -> None:
    product.gateway.enqueue(talks("VPN help"))
    answered = await chat(product, user(TITLE), model="agent:hr")
    assert answered.json()["edgeneuro"]["agent"]["id"] == "hr"
    assert answered.json()["edgeneuro"]["reason"] is None


async def test_the_setting_has_an_agent_chosen(product: Product) -> None:
    await product.call("PATCH", "/v1/config", {"route_background_prompts": True})
    product.gateway.enqueue(ModelAnswer(content={"agent": "hr", "confidence": 0.9}), talks("Title"))
    answered = await chat(product, user(TITLE))
    assert answered.json()["edgeneuro"]["agent"]["id"] == "hr"
    [row] = await product.logs()
    assert row["query_hash"] is not None


@pytest.mark.parametrize("model", ["auto", "agent:hr"])
async def test_an_agent_that_is_chosen_for_it_gets_no_session(product: Product, model: str) -> None:
    changes = {"route_background_prompts": True, "clarify": True}
    await product.call("PATCH", "/v1/config", changes)
    product.gateway.enqueue(ModelAnswer(content={"agent": "hr", "confidence": 0.9}), talks("Ask"))
    await chat(product, user("How many days of leave?"), edgeneuro={"session": "s-1"})
    before = (await product.call("GET", "/v1/sessions/s-1")).json()
    if model == "auto":
        product.gateway.enqueue(ModelAnswer(content={"agent": "hr", "confidence": 0.9}))
    product.gateway.enqueue(talks("Title"))
    answered = await chat(product, user(TITLE), model=model, edgeneuro={"session": "s-1"})
    assert answered.json()["edgeneuro"]["agent"]["id"] == "hr"
    assert answered.json()["edgeneuro"].get("session") is None
    assert (await product.call("GET", "/v1/sessions/s-1")).json() == before


async def test_a_title_is_no_clarifying_question(
    database: SqliteDatabase, settings: Settings
) -> None:
    product = await decision_product(database, settings)
    changes = {"route_background_prompts": True, "clarify": True}
    await product.call("PATCH", "/v1/config", changes)
    product.gateway.enqueue(chose({"hr": 0.5, "it_support": 0.45, "none": 0.05}), talks("Title"))
    answered = await chat(product, user(TITLE))
    assert answered.json()["edgeneuro"]["outcome"] == "agent"


async def test_only_models_that_the_caller_may_use_answer(product: Product) -> None:
    allowed = "@cf/ibm-granite/granite-4.0-h-micro"
    made = await create(product, models=[allowed])
    product.gateway.enqueue(talks("Title"))
    answered = await chat(product, user(TITLE), key=made["key"])
    assert (answered.status, answered.json()["model"]) == (200, allowed)


async def test_without_a_chat_model_an_agent_is_chosen(
    database: SqliteDatabase, settings: Settings
) -> None:
    """An agent with an endpoint may answer where the only allowed model is a decision model."""
    product = await decision_product(database, settings)
    made = await create(product, models=[CLEF])
    endpoint = {"endpoint": "https://models.example.com/v1", "protocol": "handoff"}
    for agent in ("hr", "it_support", "general"):
        changed = await product.call("PATCH", f"/v1/agents/{agent}", endpoint)
        assert changed.status == 200, changed.text
    shares = {"hr": 0.9, "it_support": 0.05, "general": 0.03, "none": 0.02}
    product.gateway.enqueue(chose(shares))
    answered = await chat(product, user(TITLE), key=made["key"])
    assert answered.status == 200, answered.text
    assert answered.json()["edgeneuro"]["agent"]["id"] == "hr"
