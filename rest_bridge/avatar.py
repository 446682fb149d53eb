"""The avatar: everything made from one portrait at import, as one file.

Place in the flow: `portrait.importer` makes it, `generator.decoder` draws with it. All places and
lengths are in canvas units: the square canvas is 1 wide, x to the right, y DOWN; grids hold cell
centres ((column + 0.5) / width). Knows nothing of networks.
Shape letters: N canvas pixels, P head-grid cells, K rig shapes, H/W cells of a part's grid, S
samples along a curve.
"""

import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final, Literal, cast

import cv2
import numpy as np

from rest_bridge.errors import AvatarError
from rest_bridge.types import Array, ByteArray, FloatArray
from rest_bridge.whole_file import replacing

AVATAR_FORMAT: Final = "rest_bridge-avatar"
AVATAR_VERSION: Final = 3
_MAX_FILE_BYTES: Final = 256 * 1024 * 1024
_MAX_CANVAS_PX: Final = 4096

Style = Literal["photo", "painting", "drawn"]
STYLES: Final[tuple[Style, ...]] = ("photo", "painting", "drawn")


@dataclass(frozen=True, slots=True)
class Backdrop:
    """The person cut out of an opaque portrait, and the background painted behind.

    Empty (2 x 2, transparent) for a transparent portrait, and where the two cannot be told apart.
    Laid over each other at rest they give the portrait.

    Attributes:
        cutout: uint8 [N, N, 4]: alpha is the person's coverage; colour only where that is partial,
            elsewhere it is the portrait's.
        plate: uint8 [N, N, 4]: opaque where the person covers the background, transparent where
            the portrait itself shows it.
    """

    cutout: ByteArray
    plate: ByteArray

    @property
    def stands_still(self) -> bool:
        """Whether there is a background that stays where it is."""
        return bool(self.plate[..., 3].any())


@dataclass(frozen=True, slots=True)
class HeadField:
    """How the whole picture follows the head's pose.

    Attributes:
        depth: float32 [P, P], towards the viewer.
        weight: float32 [P, P], 0..1, how much each place follows.
        pivot: float32 [3], where the neck turns; x, y, depth.
    """

    depth: FloatArray
    weight: FloatArray
    pivot: FloatArray


@dataclass(frozen=True, slots=True)
class FaceField:
    """How the face's skin follows the expression, lids and mouth opening apart.

    Attributes:
        box: float32 [4]: left, top, right, bottom.
        shapes: int16 [K], ARKit index of each shape.
        basis: float16 [K, H, W, 2], displacement at full weight.
        seal: float32 [H, W, 2], displacement that closes the portrait's open mouth.
    """

    box: FloatArray
    shapes: Array
    basis: Array
    seal: FloatArray


@dataclass(frozen=True, slots=True)
class MouthLayer:
    """The lips as two sheets and what is seen between them.

    Attributes:
        box: float32 [4] of the field grids.
        upper: float16 [K, H, W, 2], displacement of the sheet above the lip line.
        lower: float16 [K, H, W, 2], same below it.
        seal_upper: float32 [H, W, 2].
        seal_lower: float32 [H, W, 2].
        axes: float32 [2, 2]: origin (middle of the corners) and the vector to the left-hand corner
            of the picture's right side; t is measured perpendicular to it, downwards.
        contour_upper: float32 [S, 2], lower edge of the upper lip in the portrait, left to right.
        contour_lower: float32 [S, 2], upper edge of the lower lip.
        gap: opening of the portrait's own mouth (0 = closed).
        gap_gain: float32 [K], opening per unit of each shape.
        rest: float32 [K], weights that reproduce the portrait's own opening.
        jaw_shift: float32 [K, 2], how tongue and lower teeth follow.
        teeth_shift: float32 [K, 2], how the upper teeth hide behind rounded lips.
        inside_box: float32 [4] of the two pictures below.
        teeth: uint8 [H, W, 4], upper teeth and palate; does not move with the jaw.
        tongue: uint8 [H, W, 4], cavity, tongue and lower teeth; moves with the jaw.
        own: uint8 [H, W, 4], what the portrait itself shows in its slightly open mouth, where that
            is no teeth; fades as the mouth opens further. Transparent otherwise.
        shaded: whether the lips throw a shadow into the mouth (not in flat drawings).
        line: float32 [4]: red, green, blue (0..255) and width of the contour line of a drawn
            mouth; width 0 for none.
    """

    box: FloatArray
    upper: Array
    lower: Array
    seal_upper: FloatArray
    seal_lower: FloatArray
    axes: FloatArray
    contour_upper: FloatArray
    contour_lower: FloatArray
    gap: float
    gap_gain: FloatArray
    rest: FloatArray
    jaw_shift: FloatArray
    teeth_shift: FloatArray
    inside_box: FloatArray
    teeth: ByteArray
    tongue: ByteArray
    own: ByteArray
    shaded: bool
    line: FloatArray


@dataclass(frozen=True, slots=True)
class EyeLayer:
    """One eye: lid curves and the picture of the closed eye.

    Curves are heights over the line through the eye's corners, in units of the eye's width, DOWN
    positive, sampled at `places` along it (0 outer-left corner in the picture, 1 the other).

    Attributes:
        axes: float32 [2, 2]: the left corner and the vector to the right corner.
        places: float32 [S].
        upper: float32 [S], lash line of the open upper lid.
        lower: float32 [S], edge of the lower lid.
        closed: float32 [S], where the lids meet.
        top: float32 [S], above which nothing moves (below the brow).
        bottom: float32 [S], below which nothing moves.
        lash: height of the strip at the upper lid's edge that moves without stretching.
        switch: float32 [2], closedness (0..1) at which the picture `shut` begins to replace the
            open lid, and at which it has.
        slides: the lid of `shut` slides out from under what lies above the eye (a drawing's hair)
            instead of stretching.
        box: float32 [4] of `shut`.
        shut: uint8 [H, W, 4], the portrait around this eye with the lids closed.
    """

    axes: FloatArray
    places: FloatArray
    upper: FloatArray
    lower: FloatArray
    closed: FloatArray
    top: FloatArray
    bottom: FloatArray
    lash: float
    switch: FloatArray
    slides: bool
    box: FloatArray
    shut: ByteArray


@dataclass(frozen=True, slots=True)
class Avatar:
    """Everything that is needed to draw one portrait in any rig state.

    Attributes:
        source: file name of the portrait.
        package: name and version of the model package that made it.
        style: how missing parts were painted.
        picture: uint8 [N, N, 4], straight alpha.
        landmarks: float32 [66, 2].
        eye_distance: distance between the eye centres.
        rest_rig: float32 [58], the rig at which the frame equals the portrait.
        own_pose: float32 [6], the portrait's own head pose relative to the camera.
        backdrop: the person cut out, and what is behind.
        head: pose field.
        face: expression field.
        mouth: lips and inner mouth.
        left_eye: the eye on the picture's left.
        right_eye: the eye on the picture's right.
    """

    source: str
    package: str
    style: Style
    picture: ByteArray
    landmarks: FloatArray
    eye_distance: float
    rest_rig: FloatArray
    own_pose: FloatArray
    backdrop: Backdrop
    head: HeadField
    face: FaceField
    mouth: MouthLayer
    left_eye: EyeLayer
    right_eye: EyeLayer

    def save(self, path: Path) -> None:
        """Write the avatar file; an older one is replaced in one step.

        Args:
            path: where to; the folder must exist.

        Raises:
            AvatarError: the file cannot be written.
        """
        arrays: dict[str, Array] = {
            "format": np.array(AVATAR_FORMAT),
            "format_version": np.array(AVATAR_VERSION),
        }
        _flatten(self, "", arrays)
        try:
            with replacing(path) as file:
                # Not compressed: somebody waits when a face changes, and pictures are PNG anyway.
                np.savez(file, **cast(Any, arrays))
        except OSError as error:
            raise AvatarError(
                f"The avatar file cannot be written ({error.strerror}); choose another folder or "
                f"free some space: {path}"
            ) from error

    @classmethod
    def load(cls, path: Path) -> "Avatar":
        """Read an avatar file and check every part of it.

        Args:
            path: a file written by `save`.

        Returns:
            The avatar.

        Raises:
            AvatarError: the file is missing, damaged, no avatar or of another version.
        """
        arrays = _read(path)
        version = int(arrays["format_version"])
        if version != AVATAR_VERSION:
            raise AvatarError(
                f"The avatar file has format version {version}, this rest_bridge reads version "
                f"{AVATAR_VERSION}; import the portrait again: {path}"
            )
        try:
            avatar = _restore(cls, "", arrays | _pictures(arrays))
            check(avatar)
        except (KeyError, ValueError, TypeError, cv2.error) as error:
            raise AvatarError(
                f"The avatar file is damaged ({error}); import the portrait again: {path}"
            ) from error
        return avatar


def check(avatar: Avatar) -> None:
    """Check shapes and values.

    Args:
        avatar: the avatar to check.

    Raises:
        ValueError: naming the part that is wrong.
    """
    shapes = len(avatar.face.shapes)
    size = avatar.picture.shape[0]
    grid = avatar.mouth.upper.shape[1:]
    wrong = {
        "picture": avatar.picture.shape != (size, size, 4) or not 64 <= size <= _MAX_CANVAS_PX,
        "landmarks": avatar.landmarks.shape != (66, 2),
        "rest_rig": avatar.rest_rig.shape != (58,),
        "own_pose": avatar.own_pose.shape != (6,),
        "style": avatar.style not in STYLES,
        "backdrop": avatar.backdrop.stands_still
        and not (avatar.backdrop.cutout.shape == avatar.backdrop.plate.shape == (size, size, 4)),
        "head": avatar.head.depth.ndim != 2 or avatar.head.depth.shape != avatar.head.weight.shape,
        "face": avatar.face.basis.shape[0] != shapes or avatar.face.basis.ndim != 4,
        "mouth": avatar.mouth.upper.shape[0] != shapes or avatar.mouth.lower.shape[1:] != grid,
        "mouth.gap_gain": avatar.mouth.gap_gain.shape != (shapes,),
    }
    for name, is_wrong in wrong.items():
        if is_wrong:
            raise ValueError(f"part {name!r} has the wrong shape or value")
    for name, value in _numbers(avatar, ""):
        if value.dtype.kind == "f" and not np.isfinite(value).all():
            raise ValueError(f"part {name!r} holds values that are not finite")


def _numbers(part: Any, prefix: str) -> list[tuple[str, Array]]:
    found: list[tuple[str, Array]] = []
    for field in fields(part):
        value = getattr(part, field.name)
        if hasattr(value, "__dataclass_fields__"):
            found += _numbers(value, f"{prefix}{field.name}.")
        elif isinstance(value, np.ndarray):
            found.append((prefix + field.name, cast(Array, value)))
    return found


def _flatten(part: Any, prefix: str, out: dict[str, Array]) -> None:
    for field in fields(part):
        name, value = prefix + field.name, getattr(part, field.name)
        if hasattr(value, "__dataclass_fields__"):
            _flatten(value, f"{name}.", out)
        elif isinstance(value, np.ndarray) and _is_picture(cast(Array, value)):
            order = cv2.cvtColor(cast(ByteArray, value), cv2.COLOR_RGBA2BGRA)
            out[name] = cv2.imencode(".png", order)[1].ravel()
        else:
            out[name] = np.asarray(value)


def _is_picture(value: Array) -> bool:
    return value.dtype == np.uint8 and value.ndim == 3 and value.shape[2] == 4


def _read(path: Path) -> dict[str, Array]:
    if not path.is_file():
        raise AvatarError(f"The avatar file does not exist: {path}")
    if path.stat().st_size > _MAX_FILE_BYTES:
        raise AvatarError(f"The avatar file is larger than 256 MiB, so it is not ours: {path}")
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, KeyError) as error:
        raise AvatarError(
            f"The avatar file is damaged or no avatar ({error}); import the portrait again: {path}"
        ) from error
    if str(arrays.get("format", "")) != AVATAR_FORMAT or "format_version" not in arrays:
        raise AvatarError(f"This is not an avatar file of rest_bridge: {path}")
    return arrays


_PARTS: Final[dict[str, type[Any]]] = {
    "backdrop": Backdrop,
    "head": HeadField,
    "face": FaceField,
    "mouth": MouthLayer,
    "left_eye": EyeLayer,
    "right_eye": EyeLayer,
}
_PICTURES: Final = ("picture", "teeth", "tongue", "own", "shut", "cutout", "plate")


def _pictures(arrays: dict[str, Array]) -> dict[str, Array]:
    """Decode the pictures, two at a time: the stream needs the rest of the computer."""
    names = [name for name in arrays if name.rpartition(".")[2] in _PICTURES]
    pictures: dict[str, Array] = {}
    with ThreadPoolExecutor(2) as pool:
        decoded = pool.map(lambda name: cv2.imdecode(arrays[name], cv2.IMREAD_UNCHANGED), names)
        for name, picture in zip(names, decoded, strict=True):
            if picture is None or picture.ndim != 3 or picture.shape[2] != 4:
                raise ValueError(f"the picture {name!r} cannot be decoded")
            pictures[name] = cv2.cvtColor(picture, cv2.COLOR_BGRA2RGBA)
    return pictures


def _restore(kind: type[Any], prefix: str, arrays: dict[str, Array]) -> Any:
    values: dict[str, Any] = {}
    for field in fields(kind):
        name = prefix + field.name
        if field.name in _PARTS and not prefix:
            values[field.name] = _restore(_PARTS[field.name], f"{name}.", arrays)
        elif arrays[name].ndim == 0:
            values[field.name] = arrays[name].item()
        else:
            values[field.name] = arrays[name]
    return kind(**values)
