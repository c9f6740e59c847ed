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
