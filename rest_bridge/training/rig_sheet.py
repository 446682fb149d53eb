"""Shows that the rig values carry the face: a mesh moved by received packets, beside the picture.

The built-in voice goes through the pipeline that users run. Its rig values leave as Live Link Face
packets over UDP, are read by `pylivelinkface` (not ours), and move a MakeHuman head that knows
nothing else; the pictures of the same frames come from the decoder. Writes a contact sheet and
prints how the two agree: the lip gap of the mesh against the one tracked in the pictures.

Run as `python -m rest_bridge.training.rig_sheet --assets DATA --out docs/images/rig.jpg`.
"""

import argparse
import dataclasses
import socket
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np

from rest_bridge.errors import ConfigError
from rest_bridge.gallery import built_in_voice, load_avatar
from rest_bridge.inference.package import ModelPackage
from rest_bridge.rig import ARKIT_NAMES, POSE_NAMES, RIG_INDEX, RIG_NAMES
from rest_bridge.sinks.live_link import LiveLinkOutput
from rest_bridge.sinks.rig_clock import instant_of
from rest_bridge.sinks.rig_values import LIVE_LINK_NAMES
from rest_bridge.training.evaluation.agreement import best_lag_ms, count_events, pearson
from rest_bridge.training.evaluation.driving import Driver, on_grey, read_voice
from rest_bridge.training.pictures import on_backdrop, telling_frames
from rest_bridge.training.render.makehuman import Head, sample_description
from rest_bridge.training.tracks import LandmarkTracker, measure
from rest_bridge.types import VOICE_RATE_HZ, ByteArray, FloatArray, RigFrame

_FACE: Final = "maya"
_PERSON_SEED: Final = 5
_COLUMNS: Final = 10
_TILE_PX: Final = 150
_INNER_LIPS: Final = (60, 64)
"""Upper and lower middle of the inner lips among the 66 points."""


def received(rigs: list[RigFrame]) -> FloatArray:
    """Send rig values as Live Link packets and read what arrives.

    Args:
        rigs: to send.

    Returns:
        float32 [F, 61] in `LIVE_LINK_NAMES` order, as another program decoded them.

    Raises:
        ConfigError: pylivelinkface is not installed.
    """
    try:
        import pylivelinkface  # pyright: ignore[reportMissingTypeStubs]
    except ImportError as error:
        raise ConfigError('The reader is missing: pip install "rest-bridge[test]".') from error
    rows: list[Any] = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(5)
        output = LiveLinkOutput(port=receiver.getsockname()[1], rate_hz=25)
        output.open()
        for rig in rigs:
            output.emit(instant_of(rig))
            found, face = pylivelinkface.PyLiveLinkFace.decode(receiver.recv(2048))
            assert found
            rows.append([face.get_blendshape(shape) for shape in pylivelinkface.FaceBlendShape])
        output.close()
    return np.array(rows, np.float32)


def rig_of(values: FloatArray) -> FloatArray:
    """Turn received values into rigs: weights as they are, the head's rotation in degrees.

    Args:
        values: float32 [F, 61].

    Returns:
        float32 [F, 58]; the head's position is not in the packets and stays 0.
    """
    rig = np.zeros((len(values), len(RIG_NAMES)), np.float32)
    for name in ARKIT_NAMES:
        rig[:, RIG_INDEX[name]] = values[:, LIVE_LINK_NAMES.index(name[0].upper() + name[1:])]
    for name in POSE_NAMES[:3]:
        column = LIVE_LINK_NAMES.index(name[0].upper() + name[1:])
        rig[:, RIG_INDEX[name]] = np.degrees(values[:, column])
    return rig


def straight(rgba: FloatArray) -> ByteArray:
    """Turn float32 [H, W, 4] premultiplied 0..1 into uint8 straight alpha."""
    colour = rgba[..., :3] / np.maximum(rgba[..., 3:], 1e-3)
    both = np.concatenate([colour, rgba[..., 3:]], -1)
    return np.rint(both.clip(0, 1) * 255).astype(np.uint8)


def main() -> None:
    """Render both, write the sheet, print the agreement."""
    parser = argparse.ArgumentParser(description="A mesh moved by packets, beside the pictures.")
    parser.add_argument("--assets", type=Path, required=True, help="the data folder")
    parser.add_argument("--out", type=Path, required=True, help="JPEG to write")
    parser.add_argument("--seconds", type=float, default=12.0)
    args = parser.parse_args()
    package = ModelPackage.load()
    voice = read_voice(built_in_voice())[: int(args.seconds * VOICE_RATE_HZ)]
    driver = Driver(package, size_px=512, seed=0)
    frames = list(driver.pictures(load_avatar(_FACE, package), _FACE, voice))
    rig = rig_of(received([frame.rig for frame in frames]))
    person = sample_description(np.random.default_rng(_PERSON_SEED))
    head = Head(dataclasses.replace(person, shape={}), texture_px=1024, soft_light=8)
    chosen = telling_frames(rig, _COLUMNS)
    rows = [
        [on_backdrop(frames[i].rgba) for i in chosen],
        [on_backdrop(straight(head.render(rig[i], size_px=256).rgba)) for i in chosen],
    ]
    size = (_TILE_PX, _TILE_PX)
    tiles = [
        np.concatenate([cv2.resize(t, size, interpolation=cv2.INTER_AREA) for t in row], 1)
        for row in rows
    ]
    cv2.imwrite(str(args.out), np.concatenate(tiles), [cv2.IMWRITE_JPEG_QUALITY, 88])

    gaps = [
        np.diff(head.render(r, size_px=96, supersample=1).landmarks[list(_INNER_LIPS), 1])[0]
        for r in rig
    ]
    mesh = np.array(gaps, np.float32)
    tracker = LandmarkTracker(args.assets / "openseeface_models" / "lm_model0_opt.onnx")
    picture = measure(tracker.track(np.stack([on_grey(f.rgba) for f in frames]))).aperture
    lids = rig[:, [RIG_INDEX["eyeBlinkLeft"], RIG_INDEX["eyeBlinkRight"]]].min(1)
    print(
        f"{len(frames)} frames: lip gap of the mesh against the picture's r = "
        f"{pearson(mesh, picture):.2f}, lag {best_lag_ms(picture, mesh):+.0f} ms, "
        f"{count_events(lids, 0.5)} blinks; wrote {args.out}"
    )


if __name__ == "__main__":
    main()
