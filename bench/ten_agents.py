"""The ten domains of CLINC150 as agents with names and descriptions, which the data set does not
have. They were written once from the names of the intents, as an operator would who knows what an
agent is for, and before anything was measured with them."""

from edgeneuro.domain.agent import Agent

_TEXTS = {
    "auto_and_commute": (
        "Car and commute",
        "Everything about your car and the way to work. Gas, tires, oil changes and maintenance,"
        " traffic, directions and distances, ride booking.",
    ),
    "banking": (
        "Banking",
        "Accounts, transfers and bills. Balances, transactions and spending, PIN changes, checks,"
        " routing numbers, blocked accounts and fraud.",
    ),
    "credit_cards": (
        "Credit cards",
        "Applications for credit cards, limits, APR, rewards and credit scores. Lost, damaged,"
        " declined or expired cards and replacements.",
    ),
    "home": (
        "Home and lists",
        "Reminders, calendar, to-do lists and shopping lists. Music and playlists, smart home"
        " devices, online orders.",
    ),
    "kitchen_and_dining": (
        "Kitchen and dining",
        "Recipes, ingredients, cooking times, calories and nutrition. Restaurant suggestions,"
        " reviews and reservations.",
    ),
    "meta": (
        "Assistant settings",
        "Settings of the assistant itself: language, accent, speed, volume, names, whisper mode,"
        " reset and sync. Answers such as yes, no, maybe, cancel or repeat.",
    ),
    "small_talk": (
        "Small talk",
        "Greetings, thanks and goodbyes, jokes and fun facts. Questions about the assistant: its"
        " name, age, hobbies and who made it.",
    ),
    "travel": (
        "Travel",
        "Flights, hotels and rental cars. Luggage, visas, vaccines, exchange rates, time zones,"
        " translations, travel alerts and suggestions.",
    ),
    "utility": (
        "Utilities",
        "Alarms, timers, time, date and weather. Calculations, conversions, spelling and"
        " definitions, coin flips and dice, calls, text messages and finding your phone.",
    ),
    "work": (
        "Work and HR",
        "Vacation days and requests, paydays, salary and direct deposit, taxes and W-2, insurance,"
        " 401k, meetings and holidays.",
    ),
}
NAMES = tuple(_TEXTS)


def agent_of(agent_id: str, examples: list[str]) -> Agent:
    """One of NAMES; another id is an agent that has no text but its name."""
    plain = agent_id.replace("_", " ")
    name, description = _TEXTS.get(agent_id, (plain, plain))
    return made_agent(agent_id, name, description, examples)


def made_agent(agent_id: str, name: str, description: str, examples: list[str]) -> Agent:
    """An enabled agent with these texts and no endpoint."""
    return Agent(
        id=agent_id,
        name=name,
        description=description,
        examples=examples,
        endpoint=None,
        protocol="openai",
        system_prompt=None,
        model=None,
        enabled=True,
        default=False,
        created_at="",
        updated_at="",
    )
