"""Configuration: defaults, and one clear sentence for every mistake."""

import pytest

from local.app import build_app, build_engine
from local.settings import Settings, SettingsError, read_settings
from tests.local.emulator import build_emulator


def test_defaults() -> None:
    assert read_settings({}) == Settings()
    assert build_engine(Settings()).name == "emulated: all-MiniLM-L6-v2"
    assert build_engine(Settings(engine="emulated")).name == "emulated"


def test_the_former_name_of_the_engine_is_still_accepted() -> None:
    assert read_settings({"LOCAL_AI_ENGINE": "stand-in"}).engine == "emulated"


async def test_the_openai_engine_is_built_and_closed_with_the_app() -> None:
    settings = read_settings(
        {
            "LOCAL_AI_ENGINE": "openai",
            "LOCAL_AI_URL": "http://127.0.0.1:8080/v1/",
            "LOCAL_AI_MODEL": "tiny",
            "LOCAL_AI_ADAPTERS": "one, two,",
            "LOCAL_AI_PORT": "0",
            "LOCAL_AI_DECISIONS": "decisions",
        }
    )
    assert settings.decisions == "decisions"
    assert settings.url == "http://127.0.0.1:8080/v1"
    assert settings.adapters == {"one", "two"}
    app = build_app(build_emulator(build_engine(settings)).gateway)
    async with app.router.lifespan_context(app):
        pass


@pytest.mark.parametrize(
    ("env", "words"),
    [
        ({"LOCAL_AI_ENGINE": "gpt"}, "'minilm', 'emulated', 'openai', 'transformers' or 'dataset'"),
        ({"LOCAL_AI_ENGINE": "transformers"}, "LOCAL_AI_MODEL must name"),
        ({"LOCAL_AI_DTYPE": "int8"}, "'float32' or 'bfloat16'"),
        ({"LOCAL_AI_DECISIONS": "both"}, "'systemone' or 'decisions'"),
        ({"LOCAL_AI_PORT": "http"}, "port number"),
        ({"LOCAL_AI_PORT": "65536"}, "port number"),
        ({"LOCAL_AI_ENGINE": "openai"}, "LOCAL_AI_URL"),
        ({"LOCAL_AI_ENGINE": "openai", "LOCAL_AI_URL": "localhost"}, "http://"),
    ],
)
def test_mistakes(env: dict[str, str], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        read_settings(env)
