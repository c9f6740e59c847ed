"""What is said to a base whose chat template takes no system message. Training and serving both use
this, so that an adapter is asked as it was taught."""

SYSTEM = "system"
USER = "user"
BETWEEN = "\n\n"


def fold_system(messages: list[dict[str, str]]) -> list[dict[str, str]]:
    """The system texts go before the first user message, with a blank line between. Where nobody
    says anything as the user, they are what the user says. The list given stays as it is."""
    texts = [each["content"] for each in messages if each["role"] == SYSTEM]
    rest = [dict(each) for each in messages if each["role"] != SYSTEM]
    if not texts:
        return rest
    for each in rest:
        if each["role"] == USER:
            each["content"] = BETWEEN.join([*texts, each["content"]])
            return rest
    return [{"role": USER, "content": BETWEEN.join(texts)}, *rest]
