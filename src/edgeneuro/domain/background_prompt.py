"""Background prompts: what chat interfaces send by themselves, in the name of the person, for the
title of a conversation, its tags, follow-up suggestions, a search query or a summary. They are no
questions, so no agent is chosen for them.

They are recognised by their first words, as the interfaces have them in their sources: in the last
message, or in the system message before it. A person who asks for a title, or for tags, in other
words is not taken for an interface. Two messages are read, in time that is linear in their
length."""

from collections.abc import Sequence

from edgeneuro.domain.chat_message import Message, texts_of
from edgeneuro.domain.query import canonical

_READ_CHARACTERS = 1_000  # of a message; white space and all
_INSTRUCTIONS = ("system", "developer")

# Open WebUI's templates begin with the first text, and have the conversation between the tags.
# People write such headings too, but not the tag.
_TASK, _CHAT_HISTORY = "### task:", "<chat_history>"

# The first words in canonical form and small letters, with single blanks.
_FIRST_WORDS = (
    # Open WebUI: image prompts, emoji, several answers made one; titles until version 0.4
    "### task: detect the language of the given image generation prompt",
    "### task: enhance the given image generation prompt",
    "your task is to reflect the speaker's likely facial expression through a fitting emoji",
    "you have been provided with a set of responses from various models to the latest user query",
    "create a concise, 3-5 word title with an emoji as a title for the chat history",
    "create a concise, 3-5 word phrase as a header for the following query, strictly adhering",
    # LibreChat
    "provide a concise, 5-word-or-less title for the conversation, using title case",
    "analyze this conversation and provide: 1. the detected language of the conversation 2. a",
    "please generate a concise title (max 40 characters) for a conversation that starts with",
    "please generate a concise, 5-word-or-less title for the conversation, using its same language",
    "write an extremely concise subtitle for this conversation with no more than a few words",
    # Chatbox
    "based on the chat history, give this conversation a name. keep it short",
    "based on the chat history, give this conversation a title. keep it short",
    # NextChat
    "please generate a four to five word title summarizing our conversation without any lead-in",
    "summarize the discussion briefly in 200 words or less to use as a prompt for future context",
    "使用四到五个字直接返回这句话的简要主题,不要解释、不要标点",
    "简要总结一下对话内容,用作后续的上下文提示 prompt,控制在 200 字以内",
    # LobeChat and Cherry Studio
    "you are a professional conversation summarizer. generate a concise title",
    "you're an assistant who's good at extracting key takeaways from conversations and summarizing",
    "you are an assistant skilled in conversation. you need to summarize the user's conversation",
    "你是一名擅长会话的助理,你需要将用户的会话总结为 10 个字以内的标题",
    # Hugging Face's Chat UI
    "you are a chat thread titling assistant. goal: produce a very short, descriptive title",
    "you are a summarization ai. you'll never answer a user's question directly, but instead",
    "you are a summarization ai. summarize the user's request into a single short sentence",
    # big-AGI, n8n, Continue, Vercel's chatbot template
    "you are an ai conversation titles assistant who specializes in creating",
    "generate a concise, descriptive title for this conversation based on the user's message",
    "given the following... please reply with a title for the chat that is 3-4 words in length",
    "- you will generate a short title based on the first message a user begins a conversation",
    # SillyTavern
    "ignore previous instructions. summarize the most important facts and events in the story so",
)
# Open WebUI's choice of tools: the list of them stands before the instructions.
_TOOLS, _CHOICE = (
    "available tools: ",
    "your task is to choose and return the correct tool(s) from the list of available tools based",
)


def is_background_prompt(messages: Sequence[Message]) -> bool:
    last, first = messages[-1], messages[0]
    if last.role in ("user", *_INSTRUCTIONS) and _is_marked(last):
        return True
    return first is not last and first.role in _INSTRUCTIONS and _is_marked(first)


def _is_marked(message: Message) -> bool:
    text = next(iter(texts_of(message)), "")
    beginning = " ".join(canonical(text[:_READ_CHARACTERS]).casefold().split())
    if beginning.startswith(_FIRST_WORDS):
        return True
    if beginning.startswith(_TASK):
        return _CHAT_HISTORY in text
    return beginning.startswith(_TOOLS) and _CHOICE in text.casefold()
