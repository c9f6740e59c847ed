"""Slices of questions: their language, length, session and metadata."""

import pytest

from edgeneuro.domain.slices import (
    MAX_KEYS,
    MAX_VALUES,
    Slice,
    SlicedQuestion,
    guess_language,
    slices_of,
)


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("How many days of leave do I have?", "en"),
        ("Wie viele Urlaubstage habe ich noch?", "de"),
        ("Comment puis-je changer mon mot de passe ?", "fr"),
        ("¿Cómo puedo cambiar mi contraseña?", "es"),
        ("Come posso cambiare la mia password?", "it"),
        ("Como posso mudar a minha senha?", "pt"),
        ("Hoe kan ik mijn wachtwoord veranderen?", "nl"),
        ("私のパスワードを変更したい", "ja"),
        ("我想改我的密码", "zh"),
        ("비밀번호를 바꾸고 싶어요", "ko"),
        ("Как изменить мой пароль?", "cyrillic"),
        ("كيف أغير كلمة المرور", "arabic"),
        ("VPN", "unknown"),
        ("", "unknown"),
        ("12345 !?", "unknown"),
        ("\U0001f600\U0001f600", "unknown"),
        ("ฉันต้องการเปลี่ยนรหัสผ่าน", "th"),
    ],
)
def test_languages_by_script_and_by_frequent_words(text: str, language: str) -> None:
    assert guess_language(text) == language


def sliced(query: str, turn: str | None = None, **metadata: object) -> SlicedQuestion:
    return SlicedQuestion(query, turn, metadata)


def test_each_question_has_its_slices() -> None:
    first, second, third = slices_of(
        [
            sliced("How do I reset my password?", "first"),
            sliced("x" * 61, "later", locale="pt_BR"),
            sliced("x" * 201),
        ]
    )
    assert first == [("language", "en"), ("length", "21-60"), ("session", "first")]
    assert second == [("language", "pt"), ("length", "61-200"), ("session", "later")]
    assert third == [("language", "unknown"), ("length", "over 200"), ("session", "none")]


def test_metadata_slices_are_those_that_questions_share() -> None:
    questions = [
        sliced("a", channel="web", customer=str(number), paid=True) for number in range(6)
    ] + [sliced("a", channel="phone")]
    found = [set(each) for each in slices_of(questions)]
    shared = {Slice("metadata.channel", "web"), Slice("metadata.paid", "true")}
    assert all(shared < each for each in found[:6])
    of_metadata = {one for each in found for one in each if one.by.startswith("metadata")}
    assert of_metadata == shared, "a customer of one question each is no slice, nor one phone call"


def test_metadata_slices_are_bounded() -> None:
    many = [
        sliced("a", **{f"k{key}": str(value) for key in range(16)})
        for value in range(50)
        for _ in range(5)
    ]
    of_metadata = {one for each in slices_of(many) for one in each if one.by.startswith("metadata")}
    assert len({one.by for one in of_metadata}) == MAX_KEYS
    assert len(of_metadata) == MAX_KEYS * MAX_VALUES
