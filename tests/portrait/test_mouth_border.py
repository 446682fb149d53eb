"""The mouth's box leaves no trace: collars stay, and round lips gather at their corners."""

import numpy as np
import pytest

from rest_bridge.avatar import Avatar
from rest_bridge.generator.base_flow import BaseFlow
from rest_bridge.generator.decoder import FaceDecoder
from rest_bridge.generator.fields import grid_points, read_field
from rest_bridge.inference.package import ModelPackage
from rest_bridge.rig import RIG_INDEX, VISEME_NAMES, viseme_basis
from rest_bridge.types import Array
from tests.support.portraits import built_in_avatar


@pytest.mark.parametrize("name", ["luna", "maya"])
def test_the_mouths_sheets_end_as_the_face_around_them_moves(
    package: ModelPackage, name: str
) -> None:
    avatar = built_in_avatar(name, package)
    mouth, face = avatar.mouth, avatar.face
    places = grid_points(mouth.box, *mouth.seal_upper.shape[:2])
    rim = np.ones(places.shape[:2], bool)
    rim[1:-1, 1:-1] = False
    for shape, upper, lower in zip(face.basis, mouth.upper, mouth.lower, strict=True):
        around = read_field(shape.astype(np.float32), face.box, places)[rim]
        for sheet in (upper, lower):
            away = np.abs(sheet.astype(np.float32)[rim] - around).max()
            assert away < 0.01 * avatar.eye_distance


@pytest.mark.parametrize("name", ["luna", "theo"])
def test_a_smile_leaves_the_collar_alone(package: ModelPackage, name: str) -> None:
    avatar = built_in_avatar(name, package)
    decoder = FaceDecoder(package, avatar, 400)
    rig = np.zeros(58, np.float32)
    at_rest = decoder.render(rig).astype(int)
    rig[[RIG_INDEX["mouthSmileLeft"], RIG_INDEX["mouthSmileRight"]]] = 0.8
    below = int((avatar.landmarks[8, 1] + 0.45 * avatar.eye_distance) * 400)
    changed = np.abs(decoder.render(rig).astype(int) - at_rest)[below:].max(-1)
    assert (changed > 24).mean() < 0.002


def _touching(avatar: Avatar, rig: Array) -> float:
    """Return which share of the lips touches beside the opening, 0..1."""
    flow, mouth = BaseFlow(avatar), avatar.mouth
    made = flow.expression(rig[6:])
    open_at = flow.line_places[(made.lower_line - made.upper_line) > 1e-4]
    # Where the lips' ends went: the backward field that shows them there.
    ends = np.linspace(-1.2, 1.2, 961, dtype=np.float32)
    axis, along = mouth.axes
    line = (axis + ends[:, None] * along)[None].astype(np.float32)
    source = line + read_field(made.upper, mouth.box, line)
    s = ((source[0] - axis) @ along) / float(along @ along)
    corner = float(np.interp(0.98, s, ends))
    return 1 - float(open_at.max()) / corner


@pytest.mark.parametrize("viseme", ["oh", "ou"])
def test_little_of_a_round_mouth_touches_beside_the_opening(
    package: ModelPackage, viseme: str
) -> None:
    rig = viseme_basis()[VISEME_NAMES.index(viseme)]
    assert _touching(built_in_avatar("maya", package), rig) < 0.3
