"""Adds to rendered shards what the importer makes of each reference: the decoder starts from that.

Each sample's reference becomes an avatar as a user's portrait does, from its true landmarks with a
little noise (the landmark network errs too). Kept are the maps that move its head, and the motion
of its skin for the rig of every frame. Place in the flow: shards of `faces_data` -> here -> shards
for `training.vae`. Shape letters: N samples, F frames of a sample, G = 64 cells.
"""

import argparse
import time
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from rest_bridge.avatar import Avatar
from rest_bridge.errors import AvatarError
from rest_bridge.generator.base_flow import FULL_BOX, BaseFlow
from rest_bridge.generator.fields import grid_points, read_field
from rest_bridge.inference.package import ModelPackage
from rest_bridge.portrait.importer import assemble
from rest_bridge.training.face_subjects import KINDS
from rest_bridge.training.faces_data import FLOW_SIZE
from rest_bridge.training.render.pose import DRAWN_LEVER, LEVER, relative_pose
from rest_bridge.types import Array, ByteArray, FloatArray

LANDMARK_NOISE: Final = 0.004
"""Standard deviation of the noise on landmarks, in widths of the picture (0.5 px at 128)."""
TRANSPARENT: Final = 0.7
"""Share of references without background, where the person's coverage is known."""
CANVAS_PX: Final = 256


def relative_rig(rig: FloatArray, rig_ref: FloatArray, *, drawn: bool = False) -> FloatArray:
    """Return the rig that the runtime is given: its pose adds to the portrait's own.

    Args:
        rig: float32 [F, 58], poses absolute.
        rig_ref: float32 [58].
        drawn: by `drawn`, whose characters are flatter.

    Returns:
        float32 [F, 58].
    """
    out = rig.copy()
    lever = DRAWN_LEVER if drawn else LEVER
    out[:, :6] = [relative_pose(pose, rig_ref[:6], lever) for pose in rig[:, :6]]
    return out


def reference_avatar(
    package: ModelPackage, reference: ByteArray, alpha: ByteArray | None, landmarks: FloatArray
) -> Avatar:
    """Import a rendered reference.

    Args:
        package: for the head model.
        reference: uint8 [S, S, 3].
        alpha: uint8 [S, S], the person's coverage; None keeps the background.
        landmarks: float32 [66, 2], 0..1.

    Returns:
        The avatar.
    """
    coverage = np.full(reference.shape[:2], 255, np.uint8) if alpha is None else alpha
    canvas = np.concatenate([reference, coverage[..., None]], -1)
    canvas = cv2.resize(canvas, (CANVAS_PX, CANVAS_PX), interpolation=cv2.INTER_LINEAR)
    return assemble(canvas, landmarks, None, package, None, "sample", lambda *_: None)


def reference_maps(avatar: Avatar) -> dict[str, Array]:
    """Return what moves an avatar's head.

    Returns:
        depth float16 [64, 64], towards the viewer, from the pivot; weight float16 [64, 64];
        person uint8 [64, 64], what is not background; pivot float32 [2]; eye_distance float32.
        Canvas units.
    """
    head, size = avatar.head, (FLOW_SIZE, FLOW_SIZE)
    cover = avatar.backdrop.cutout if avatar.backdrop.stands_still else avatar.picture
    return {
        "depth": cv2.resize(head.depth - head.pivot[2], size).astype(np.float16),
        "weight": cv2.resize(head.weight, size).astype(np.float16),
        "person": cv2.resize(cover[..., 3], size, interpolation=cv2.INTER_AREA),
        "pivot": head.pivot[:2].astype(np.float32),
        "eye_distance": np.float32(avatar.eye_distance),
    }


def skin_flows(base: BaseFlow, rig: FloatArray) -> FloatArray:
    """Return what expressions do to the skin, before any pose: float16 [F, 64, 64, 2].

    Args:
        base: of the avatar.
        rig: float32 [F, 58].
    """
    cells = grid_points(FULL_BOX, FLOW_SIZE, FLOW_SIZE)
    faces = [base.expression(frame[6:]).face for frame in rig]
    flows = [read_field(face, base.face_box, cells) for face in faces]
    return np.stack(flows).astype(np.float16)


def add_maps(package: ModelPackage, source: Path, target: Path) -> tuple[int, int]:
    """Copy a shard with the importer's maps; samples that the importer refuses are left out.

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
    added: list[dict[str, Array]] = []
    for row in range(len(shard["ref"])):
        points = shard["landmarks_ref"][row]
        points = (points + rng.normal(0, LANDMARK_NOISE, points.shape)).astype(np.float32)
        kind = KINDS[shard["kind"][row]]
        bare = bool(rng.random() < TRANSPARENT) and kind != "photo"
        alpha = shard["alpha_ref"][row] if bare else None
        try:
            avatar = reference_avatar(package, shard["ref"][row], alpha, points)
            rig = relative_rig(shard["rig"][row], shard["rig_ref"][row], drawn=kind == "drawn")
            skin = skin_flows(BaseFlow(avatar), rig)
        except (AvatarError, ValueError, FloatingPointError, cv2.error, np.linalg.LinAlgError) as e:
            print(f"{source.name} sample {row} left out: {e}", flush=True)
            continue
        kept.append(row)
        maps = reference_maps(avatar)
        added.append({"skin": skin, "rig_rel": rig, "bare": np.array(bare), **maps})
    if not kept:
        raise ValueError(f"No sample is left; see the reasons above: {source}")
    out = {name: array[kept] for name, array in shard.items()}
    out |= {name: np.stack([one[name] for one in added]) for name in added[0]}
    part = target.with_suffix(".part")
    with part.open("wb") as file:
        np.savez(file, **out)  # pyright: ignore[reportArgumentType]
    part.replace(target)
    return len(kept), len(shard["ref"]) - len(kept)


def main() -> None:
    """Process every shard of a folder that is not done yet."""
    parser = argparse.ArgumentParser(description="Add the importer's maps to rendered shards.")
    parser.add_argument("--data", type=Path, required=True, help="shards of faces_data")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--package", type=Path, default=None)
    args = parser.parse_args()
    package = ModelPackage.load(args.package, verify=False)
    args.out.mkdir(parents=True, exist_ok=True)
    for source in sorted(args.data.glob("*_*.npz"), key=lambda path: path.stem.split("_")[::-1]):
        target = args.out / source.name
        if target.exists():
            continue
        started = time.monotonic()
        try:
            kept, left_out = add_maps(package, source, target)
        except (ValueError, KeyError, OSError) as error:
            print(f"{source.name} skipped: {error}", flush=True)
            continue
        seconds = time.monotonic() - started
        print(f"{source.name}: {kept} kept, {left_out} left out, {seconds:.0f} s", flush=True)


if __name__ == "__main__":
    main()
