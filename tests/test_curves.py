import csv
import io
import json
from itertools import pairwise

import numpy as np
import pytest
import soundfile

from rest_bridge.config import Config
from rest_bridge.curves import (
    Curves,
    as_bvh,
    as_live_link_csv,
    curves_of_file,
    is_curves,
    write_curves,
)
from rest_bridge.errors import ConfigError, SinkError, SinkUnavailable
from rest_bridge.gallery import built_in_voice
from rest_bridge.mouth_cues import SHAPES, as_rhubarb_json, as_tsv, mouth_cues
from rest_bridge.rig import RIG_INDEX, RIG_NAMES, VISEME_NAMES, viseme_basis
from rest_bridge.sinks.rig_values import LIVE_LINK_NAMES
from rest_bridge.types import FRAME_DURATION_NS, RigFrame


def spoken(*parts: tuple[str, int]) -> tuple[np.ndarray, np.ndarray]:
    """Return rig and visemes of (viseme, frames) parts, each viseme in full."""
    names = [VISEME_NAMES.index(name) for name, count in parts for _ in range(count)]
    return viseme_basis()[names], np.eye(15, dtype=np.float32)[names]


@pytest.fixture
def voice_path(tmp_path):
    """Two seconds of the built-in voice."""
    samples, rate = soundfile.read(built_in_voice(), dtype="float32")
    soundfile.write(tmp_path / "voice.wav", samples[: 2 * rate], rate)
    return tmp_path / "voice.wav"


def letters(cues) -> str:
    return "".join(cue.shape for cue in cues)


def curves(count: int = 30) -> Curves:
    rigs = []
    for index in range(count):
        values = np.zeros(len(RIG_NAMES), np.float32)
        values[RIG_INDEX["headYaw"]], values[RIG_INDEX["jawOpen"]] = 0.5 * index, 0.25
        visemes = np.eye(15, dtype=np.float32)[0]
        rigs.append(RigFrame(index, index * FRAME_DURATION_NS, values, visemes, 0.1, "speaking"))
    return Curves("voice.wav", tuple(rigs))


def test_a_word_becomes_its_mouths_with_its_closure():
    parts = [("sil", 20), ("PP", 2), ("aa", 6), ("PP", 2), ("ou", 6), ("sil", 20)]
    assert letters(mouth_cues(*spoken(*parts))).replace("C", "") == "XDAFX"


@pytest.mark.parametrize(
    ("viseme", "shape"),
    [("PP", "X"), ("FF", "G"), ("TH", "H"), ("SS", "B"), ("E", "C"), ("aa", "D"), ("oh", "E"),
     ("ou", "F"), ("sil", "X")],
)  # fmt: skip
def test_each_viseme_held_long_is_its_shape(viseme, shape):
    assert letters(mouth_cues(*spoken((viseme, 20)))) == shape


@pytest.mark.parametrize("viseme", VISEME_NAMES)
def test_every_viseme_has_a_shape(viseme):
    assert letters(mouth_cues(*spoken((viseme, 20)))) in SHAPES


def test_a_closure_of_one_frame_is_drawn():
    assert letters(mouth_cues(*spoken(("E", 10), ("PP", 1), ("E", 10)))) == "CAC"


def test_cues_have_no_gaps_and_none_is_too_short():
    rng = np.random.default_rng(3)
    parts = [
        (VISEME_NAMES[i], n)
        for i, n in zip(rng.integers(0, 15, 80), rng.integers(1, 5, 80), strict=True)
    ]
    rig, visemes = spoken(*parts)
    cues = mouth_cues(rig, visemes)
    assert cues[0].start_s == 0
    assert cues[-1].end_s == pytest.approx(len(rig) / 25)
    for a, b in pairwise(cues):
        assert a.end_s == pytest.approx(b.start_s)
        assert a.shape != b.shape
    assert min(cue.end_s - cue.start_s for cue in cues[:-1]) > 0.055


def test_nothing_said_is_no_cue():
    assert mouth_cues(np.zeros((0, 58), np.float32), np.zeros((0, 15), np.float32)) == []
    assert as_tsv([]) == "0.00\tX\n"


def test_rhubarbs_forms():
    cues = mouth_cues(*spoken(("sil", 10), ("E", 10)))
    assert as_tsv(cues) == "0.00\tX\n0.41\tC\n0.80\tX\n"
    told = json.loads(as_rhubarb_json(cues, "a.wav"))
    assert told["metadata"] == {"soundFile": "a.wav", "duration": 0.8}
    assert told["mouthCues"][1] == {"start": 0.41, "end": 0.8, "value": "C"}


def test_the_table_is_as_the_app_records_it():
    rows = list(csv.reader(io.StringIO(as_live_link_csv(curves()))))
    assert rows[0] == ["Timecode", "BlendshapeCount", *LIVE_LINK_NAMES]
    assert rows[1][:2] == ["00:00:00:00.000", "61"]
    assert rows[27][0] == "00:00:01:01.000"
    assert float(rows[1][rows[0].index("JawOpen")]) == 0.25
    assert float(rows[3][rows[0].index("HeadYaw")]) == pytest.approx(np.radians(1.0), abs=1e-6)


def test_bvh_has_a_line_of_six_numbers_a_frame():
    lines = as_bvh(curves(3)).splitlines()
    assert "Frames: 3" in lines
    assert [float(v) for v in lines[-1].split()] == [0, 0, 0, 0, 0, 1.0]


@pytest.mark.parametrize("name", ["c.json", "c.csv", "c.bvh", "c.tsv", "c.rhubarb.json"])
def test_the_ending_chooses_the_format(name, tmp_path):
    write_curves(curves(), tmp_path / name)
    assert is_curves(tmp_path / name)
    text = (tmp_path / name).read_text()
    if name == "c.json":
        told = json.loads(text)
        assert told["frames"][2]["time"] == pytest.approx(0.1)
        assert len(told["frames"][0]["rig"]) == len(told["rigNames"])
    assert ("mouthCues" in text) == (name == "c.rhubarb.json")


def test_another_ending_and_a_missing_folder_are_refused(tmp_path):
    assert not is_curves(tmp_path / "face.mp4")
    with pytest.raises(ConfigError, match=r"\.fbx.*\.csv"):
        write_curves(curves(), tmp_path / "c.fbx")
    with pytest.raises(SinkError, match="No such file"):
        write_curves(curves(), tmp_path / "none" / "c.csv")


def test_a_voice_file_becomes_curves_without_pictures(voice_path, tmp_path):
    told: list[float] = []
    made = curves_of_file(
        voice_path, tmp_path / "c.csv", Config(), progress=lambda done, _: told.append(done)
    )
    rows = list(csv.reader(io.StringIO((tmp_path / "c.csv").read_text())))
    assert len(rows) - 1 == len(made.rigs) == 50
    jaw = [float(row[rows[0].index("JawOpen")]) for row in rows[1:]]
    assert max(jaw) > 0.05
    assert told[-1] == 1


def test_the_voice_file_is_never_replaced(voice_path, tmp_path):
    same = tmp_path / "same.json"
    same.hardlink_to(voice_path)
    with pytest.raises(ConfigError, match="replace the voice"):
        curves_of_file(voice_path, same, Config())
    with pytest.raises(SinkUnavailable, match="folder"):
        curves_of_file(voice_path, tmp_path / "none" / "c.csv", Config())
