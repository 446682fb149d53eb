"""The page's languages: complete, the same places to fill in, and nothing asked for in vain."""

import json
import re
from pathlib import Path

import pytest

from rest_bridge.page.desk import STATIC
from rest_bridge.tiers import TIER_NAMES

LANGUAGES = {path.stem: json.loads(path.read_text("utf-8")) for path in STATIC.glob("lang/*.json")}
PLACE = re.compile(r"\{\w+\}")


def test_there_is_english_and_two_translations() -> None:
    assert set(LANGUAGES) == {"en", "de", "ja"}
    listed = re.search(r"LANGUAGES = \{(.*?)\}", (STATIC / "words.js").read_text("utf-8"))
    assert listed
    assert set(re.findall(r"(\w+):", listed[1])) == set(LANGUAGES)


@pytest.mark.parametrize("name", ["de", "ja"])
def test_a_translation_is_complete(name: str) -> None:
    english, words = LANGUAGES["en"], LANGUAGES[name]
    assert list(words) == list(english), "the same keys in the same order"
    for key, text in words.items():
        assert text.strip()
        assert sorted(PLACE.findall(text)) == sorted(PLACE.findall(english[key])), key


def test_every_text_that_the_page_asks_for_is_there() -> None:
    code = "".join(path.read_text("utf-8") for path in STATIC.glob("*.js"))
    html = (STATIC / "index.html").read_text("utf-8")
    asked = set(re.findall(r"\bt\(\"([^\"]+)\"", code))
    asked |= set(re.findall(r"data-t(?:-label)?=\"([^\"]+)\"", html))
    assert asked - set(LANGUAGES["en"]) == set()
    families = {key.split(".")[0] for key in re.findall(r"\bt\(`([a-z]+\.)\$", code)}
    known = {key.split(".")[0] for key in LANGUAGES["en"]}
    assert families <= known


def test_what_the_daemon_names_has_a_text() -> None:
    from rest_bridge.generator.steering import EXPRESSIONS

    english = LANGUAGES["en"]
    for name in ("neutral", *EXPRESSIONS):
        assert f"mood.{name}" in english
    for name in TIER_NAMES:
        assert f"tier.{name}" in english
    source = (Path(__file__).parents[2] / "rest_bridge/portrait/importer.py").read_text("utf-8")
    steps = re.findall(r"report\(\"([^\"]+)\"", source)
    assert len(steps) >= 6
    for step in steps:
        assert f"import.{step}" in english
