from pathlib import Path

import numpy as np
import pytest

from rest_bridge.errors import ConfigError
from rest_bridge.training import kind_sheets
from rest_bridge.training.evaluation import card, report
from rest_bridge.training.evaluation.jobs import Row


def _report(r: float) -> report.Report:
    values = {"r": r, "sentence": r, "other": 0.1, "lag_ms": 20.0, "range": 1.0, "closed": 0.9}
    return report.Report({}, [Row("lips", "strangers", "a", "vera", values)])


def test_marked_places_are_filled_and_everything_else_stays() -> None:
    text = "# Card\n<!-- evaluation:lips -->\nold\n<!-- evaluation:lips end -->\nwords\n"
    filled = card.filled(text, {"lips": "| new |"})
    assert filled == text.replace("old", "| new |")
    assert card.filled(filled, {"lips": "| new |"}) == filled
    assert card.filled("no place", {"lips": "x"}) == "no place"


def test_a_place_without_end_is_refused() -> None:
    with pytest.raises(ConfigError, match="no end"):
        card.filled("<!-- evaluation:lips -->", {"lips": "x"})


def test_tables_hold_the_numbers_of_the_report(package_path: Path) -> None:
    tables = card.card_tables(_report(0.71), package_path, _report(0.5))
    assert "| **strangers** | 1 | 0.71 | 0.71 | 0.10 | +20 | 1.00 | 0.90 |" in tables["lips"]
    assert "| strangers, vera | 1 |" in tables["lips"]
    assert "0.50 (missed) | 0.71" in tables["comparison"]
    assert "MB in all" in tables["size"]


def test_the_documents_have_their_places() -> None:
    page = Path(__file__).resolve().parents[3] / "docs" / "evaluation.md"
    filled = card.filled(page.read_text(encoding="utf-8"), {"targets": "| x |"})
    assert "| x |" in filled


def test_a_label_stands_over_its_tile_and_transparency_shows_the_ground() -> None:
    frame = np.zeros((96, 96, 4), np.uint8)
    frame[:48] = (255, 0, 0, 255)
    tile = kind_sheets.labelled_tile(frame, "p", 48)
    bar = tile.shape[0] - 48
    assert tile.shape[1] == 48
    assert (tile[bar + 2, 10] == (0, 0, 255)).all(), "BGR"
    assert tile[-3, 10].min() > 190


def test_sheets_are_named_after_their_kinds(tmp_path: Path) -> None:
    picture = np.zeros((20, 20, 3), np.uint8)
    paths = kind_sheets.write_sheets({"3-D": picture}, tmp_path, png=tmp_path)
    assert [path.name for path in paths] == ["kind-3-d.jpg"]
    assert (tmp_path / "kind-3-d.png").is_file()
