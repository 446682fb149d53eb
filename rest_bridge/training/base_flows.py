"""Adds to rendered shards the base flow that the runtime would have: the decoder corrects that one.

Each sample's reference becomes an avatar by the same importer that a user's portrait goes through,
from its true landmarks with a little noise (the landmark network errs too); the frames' rig values
then move it. Place in the flow: shards of `faces_data` -> here -> shards for `training.vae`.
Shape letters: N samples, F frames of a sample.
"""

import argparse
import time
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from rest_bridge.generator.base_flow import FULL_BOX, BaseFlow
from rest_bridge.generator.fields import grid_points
from rest_bridge.inference.package import ModelPackage
from rest_bridge.portrait.importer import assemble
from rest_bridge.training.faces_data import FLOW_SIZE
from rest_bridge.types import Array, ByteArray, FloatArray

LANDMARK_NOISE: Final = 0.004
"""Standard deviation of the noise on landmarks, in widths of the picture (0.5 px at 128)."""


def whole_flow(base: BaseFlow, pose: FloatArray, arkit: FloatArray) -> FloatArray:
    """Return the base flow of the whole picture, as the compositor puts it together.

    Args:
        base: of the avatar.
        pose: float32 [6], relative to the portrait's own.
        arkit: float32 [52].

    Returns:
        float32 [64, 64, 2], backward, in units of half the width.
    """
    cells = grid_points(FULL_BOX, FLOW_SIZE, FLOW_SIZE)
    back, _forward = base.pose(pose)
    return 2.0 * base.seen(base.whole(back, base.expression(arkit), cells), cells)


def sample_flows(
    package: ModelPackage,
    reference: ByteArray,
    alpha: ByteArray,
    landmarks: FloatArray,
    rig_ref: FloatArray,
    rig: FloatArray,
) -> FloatArray:
    """Return the base flows of one sample.

    Args:
        package: for the head model.
        reference: uint8 [128, 128, 3].
        alpha: uint8 [64, 64], coverage of the reference by the person.
        landmarks: float32 [66, 2] of the reference, 0..1.
        rig_ref: float32 [58].
        rig: float32 [F, 58].

    Returns:
        float16 [F, 64, 64, 2].
    """
    del alpha  # pictures of the training set have a background, like most portraits
    canvas = np.concatenate([reference, np.full((*reference.shape[:2], 1), 255, np.uint8)], -1)
    canvas = cv2.resize(canvas, (256, 256), interpolation=cv2.INTER_CUBIC)
    base = BaseFlow(assemble(canvas, landmarks, None, package, "photo", "sample", lambda *_: None))
    flows = [whole_flow(base, frame[:6] - rig_ref[:6], frame[6:]) for frame in rig]
    return np.stack(flows).astype(np.float16)


def add_base_flows(package: ModelPackage, source: Path, target: Path) -> tuple[int, int]:
    """Copy a shard with its `base` replaced; samples that the importer refuses are left out.

    Args:
        package: for the head model.
        source: shard of `faces_data`.
        target: where to write.

    Returns:
        How many samples were kept and how many left out.
    """
    with np.load(source) as archive:
        shard: dict[str, Array] = {name: archive[name] for name in archive.files}
    rng = np.random.default_rng(int(source.stem.rsplit("_", 1)[1]))
    kept: list[int] = []
    flows: list[Array] = []
    for row in range(len(shard["ref"])):
        points = shard["landmarks_ref"][row]
        points = (points + rng.normal(0, LANDMARK_NOISE, points.shape)).astype(np.float32)
        try:
            flow = sample_flows(
                package, shard["ref"][row], shard["alpha_ref"][row], points,
                shard["rig_ref"][row], shard["rig"][row],
            )  # fmt: skip
        except (ValueError, FloatingPointError, cv2.error, np.linalg.LinAlgError) as error:
            print(f"{source.name} sample {row} left out: {error}", flush=True)
            continue
        kept.append(row)
        flows.append(flow)
    out = {name: array[kept] for name, array in shard.items()} | {"base": np.stack(flows)}
    np.savez(target, **out)  # pyright: ignore[reportArgumentType]
    return len(kept), len(shard["ref"]) - len(kept)


def main() -> None:
    """Process every shard of a folder that is not done yet."""
    parser = argparse.ArgumentParser(description="Add the runtime's base flow to rendered shards.")
    parser.add_argument("--data", type=Path, required=True, help="shards of faces_data")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--package", type=Path, default=None)
    args = parser.parse_args()
    package = ModelPackage.load(args.package, verify=False)
    args.out.mkdir(parents=True, exist_ok=True)
    for source in sorted(args.data.glob("*_*.npz")):
        target = args.out / source.name
        if target.exists():
            continue
        started = time.monotonic()
        kept, left_out = add_base_flows(package, source, target)
        seconds = time.monotonic() - started
        print(f"{source.name}: {kept} kept, {left_out} left out, {seconds:.0f} s", flush=True)


if __name__ == "__main__":
    main()
