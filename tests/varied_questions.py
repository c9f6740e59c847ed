"""Questions that differ in more than a word, as a classifier needs them: variants of one question
count as one."""

TOPICS = {
    "it_support": ("laptop", "VPN", "password", "printer", "Wi-Fi", "software"),
    "hr": ("vacation", "parental leave", "sick note", "appraisal", "onboarding", "pension"),
    "finance": ("invoice", "salary", "expenses", "budget", "purchase order", "refund"),
    "legal": ("contract", "NDA", "licence", "trademark", "GDPR request", "lawsuit"),
    "facilities": ("desk", "badge", "heating", "meeting room", "parking lot", "coffee machine"),
    # Of these the calibration needs 50 that it can hold out.
    "none": (
        *("horoscope", "poem", "recipe", "football score", "film", "holiday in Spain"),
        *("guitar lesson", "tomato plant"),
    ),
}
FRAMES = (
    "I have a question about my {}",
    "Who helps me with the {}?",
    "There is a problem with a {}",
    "please look after the {} today",
    "Where do I find the {} that I need",
    "The {} again, since yesterday",
    "can somebody tell me about the {}",
    "How does this {} work?",
    "My colleague asks for a {}",
)


def questions(agent: str) -> list[str]:
    """54 questions for the agent, 72 for "none"."""
    return [frame.format(topic) for topic in TOPICS[agent] for frame in FRAMES]


REPLIES = (
    "Yes please, the {} one",
    "no, not the {}, the other one",
    "ok, and what does {} cost?",
    "That is right, {} it is",
    "sounds good, tell me more about {}",
)
_NAMES = ("Alpha", "Bravo", "Charlie", "Delta", "Echo", "Foxtrot", "Golf", "Hotel")


def conversations(count: int) -> list[dict[str, object]]:
    """Labels as lines of an import: of each conversation two replies that go on with its agent, and
    a question that leaves it for another one."""
    agents = [agent for agent in TOPICS if agent != "none"]
    lines: list[dict[str, object]] = []
    for number in range(count):
        agent = agents[number % len(agents)]
        other = agents[(number + 1 + number // len(agents) % 4) % len(agents)]
        said = questions(agent)[7 * number % 54]
        for turn in range(3):
            first, second = (_NAMES[(number + turn + n) % len(_NAMES)] for n in range(2))
            context = {
                "previous_agent": agent,
                "previous_user": said,
                "previous_assistant": f"Ticket {number}: there are {first} and {second}. Which?",
            }
            leaves = turn == 2
            said = REPLIES[(number + turn) % len(REPLIES)].format(first)
            if leaves:
                said = questions(other)[(5 * number + 3) % 54]
            lines.append({"query": said, "agent": other if leaves else agent, "context": context})
    return lines
