"""What a message says of the answer before it: the wish for a human, thanks, or neither."""

import pytest

from edgeneuro.domain.reaction import reaction_of


@pytest.mark.parametrize(
    "message",
    [
        "A human please",
        "human!!",
        "Can I talk to a real person?",
        "I want to speak with a human being now",
        "please connect me to a representative",
        "transfer me to an operator",
        "I need a human",
        "Ich möchte mit einem Menschen sprechen",
        "Einen Mitarbeiter bitte!",
        "Je voudrais parler à un conseiller",
        "Un humain, s'il vous plaît",
        "Quiero hablar con una persona",
        "Quero falar com um atendente",
        "Vorrei parlare con un operatore",
        "Ik wil met een medewerker spreken",
        "Chcę rozmawiać z konsultantem",
        "转人工",
        "人間と話したいです",
        "상담원 연결해 주세요",
    ],
)
def test_a_wish_for_a_human(message: str) -> None:
    assert reaction_of(message) == "human_wanted"


@pytest.mark.parametrize(
    "message",
    [
        "Thanks!",
        "thank you so much, that helped",
        "Perfect, thx",
        "Great answer, thanks a lot for your help!",
        "Vielen Dank für die schnelle Hilfe",
        "Merci beaucoup",
        "¡Muchas gracias por tu ayuda!",
        "Grazie mille",
        "Muito obrigada",
        "Dziękuję bardzo",
        "спасибо",
        "谢谢",
        "ありがとうございます",
        "감사합니다",
    ],
)
def test_thanks(message: str) -> None:
    assert reaction_of(message) == "thanks"


@pytest.mark.parametrize(
    "message",
    [
        "",
        "Who in human resources can help me with my contract?",
        "I want human resources",
        "I need to speak to the person in charge of payroll",
        "How do I hire a person for my team?",
        "My VPN is down",
        "No thanks",
        "Thanks, but that is not what I asked",
        "Thanks. And how do I reset it?",
        "How do I write a thank you note?",
        "nein danke",
        "Book a table for one person",
        "x" * 161 + " a human please",
    ],
)
def test_neither(message: str) -> None:
    assert reaction_of(message) is None


@pytest.mark.parametrize(
    "text", ["speak to " * 17, "thanks " * 22, "a " * 80, "einen " * 26, " " * 160, "'" * 160]
)
def test_a_search_that_backtracked_would_not_end(text: str) -> None:
    assert reaction_of(text[:160]) in (None, "thanks")
