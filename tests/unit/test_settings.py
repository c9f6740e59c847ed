"""Settings are declared once, in SettingValues; all else follows from it."""

import re
from dataclasses import fields
from pathlib import Path

import pytest

from edgeneuro.domain.config import SETTINGS, SettingValues, StoredConfig
from edgeneuro.domain.config_models import Config, ConfigPatch
from edgeneuro.domain.routing import RoutingConfig

ROOT = Path(__file__).parents[2]
STATE = {"challenger", "cache_epoch", "previous_model", "learned"}  # stored beside the settings
# Models and the classifier are selected on other pages.
ELSEWHERE = {"routing_model", "fallback_models", "classifier"}


def test_every_place_has_the_settings_that_are_declared() -> None:
    declared = [field.name for field in fields(SettingValues)]
    assert list(SETTINGS) == declared
    assert set(StoredConfig.model_fields) - STATE == set(declared)
    assert set(Config.model_fields) - {"object"} == set(declared)
    assert list(ConfigPatch.model_fields) == declared
    assert set(declared) <= {field.name for field in fields(RoutingConfig)}


def test_no_other_module_lists_the_settings() -> None:
    """So that a new one is one field, and code where it is used."""
    sources = sorted((ROOT / "src").rglob("*.py"))
    names = {path: set(re.findall(r"\w+", path.read_text())) & set(SETTINGS) for path in sources}
    listing = [path.name for path, found in names.items() if 2 * len(found) > len(SETTINGS)]
    assert listing == ["config.py"]


@pytest.mark.parametrize("name", SETTINGS)
def test_every_default_is_one_that_could_be_stored(name: str) -> None:
    default = SETTINGS[name].default
    assert getattr(ConfigPatch.model_validate({name: default}), name) == default


@pytest.mark.parametrize("name", SETTINGS)
def test_the_openapi_document_says_what_a_setting_does(name: str) -> None:
    about = SETTINGS[name].about
    field = ConfigPatch.model_json_schema()["properties"][name]
    shown = Config.model_json_schema(mode="serialization")["properties"][name]
    assert (field["description"], shown["description"]) == (about.text, about.text)
    assert (field["x-group"], field.get("x-unit")) == (about.group, about.unit)


def test_the_settings_page_has_every_setting_with_its_bounds() -> None:
    page = (ROOT / "public/parts/settings.js").read_text()
    parts = re.split(r'\[\s*"(\w+)",\s*"[^"]+",\s*\{', page)
    specs = dict(zip(parts[1::2], parts[2::2], strict=True))
    assert set(specs) == set(SETTINGS) - ELSEWHERE
    properties = ConfigPatch.model_json_schema()["properties"]
    for name, spec in specs.items():
        kinds = properties[name]["anyOf"] if "anyOf" in properties[name] else [properties[name]]
        bounds = [
            float(kind[key])
            for kind in kinds
            for key in ("minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum")
            if key in kind
        ]
        found = {key: float(value) for key, value in re.findall(r"(min|max): ([\d.]+)", spec)}
        expected = dict(zip(("min", "max"), bounds, strict=False))
        assert found == expected, name
