"""Makes an avatar of a portrait.

Place in the flow: picture file -> landmarks -> square canvas -> fitted head -> fields and painted
layers -> `Avatar`. A few seconds on one core; nothing here runs while the face is live.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from rest_bridge.avatar import STYLES, Avatar, EyeLayer, MouthLayer, Style
from rest_bridge.errors import AvatarError, SeveralFaces
from rest_bridge.inference.package import ModelPackage
from rest_bridge.portrait.backdrop import cut_out, no_backdrop
from rest_bridge.portrait.canvas import cut_canvas, cut_square, read_same_size
from rest_bridge.portrait.contours import LidCurves, LipCurves, lid_curves, lip_curves
from rest_bridge.portrait.detect import DetectedFace, detect_faces, find_landmarks
from rest_bridge.portrait.drawn_features import snap_to_lines
from rest_bridge.portrait.fit import FittedHead, fit_head
from rest_bridge.portrait.geometry import (
    MouthSheets,
    calibrate,
    face_field,
    joined,
    mouth_sheets,
)
from rest_bridge.portrait.head_geometry import head_field
from rest_bridge.portrait.light import Light, detect_style, read_light
from rest_bridge.portrait.lip_fields import SHAPES
from rest_bridge.portrait.paint import paint_mouth
from rest_bridge.portrait.paint_eyes import lid_is_bare, paint_shut_eye
from rest_bridge.portrait.pictures import read_picture
from rest_bridge.portrait.refine import settle_landmarks
from rest_bridge.portrait.supplied import use_eyes_closed, use_mouth_open
from rest_bridge.rig import ARKIT_NAMES, RIG_INDEX
from rest_bridge.types import Array, ByteArray

Progress = Callable[[str, float], None]
"""Called with what is being done and how far the import is, 0..1."""


def import_portrait(
    picture: Path,
    package: ModelPackage,
    *,
    landmarks: Array | None = None,
    style: Style | None = None,
    face: int | None = None,
    mouth_open: Path | None = None,
    mouth_open_landmarks: Array | None = None,
    eyes_closed: Path | None = None,
    progress: Progress | None = None,
) -> Avatar:
    """Make an avatar of a portrait.

    Args:
        picture: photo, painting or drawing, with or without alpha.
        package: the model package (head.npz; face_detector.onnx and landmarks.onnx unless
            `landmarks` is given).
        landmarks: float32 [66, 2] in pixels of the picture, to be used instead of the networks.
        style: how to paint what the portrait does not show; guessed if None.
        face: which face to take where there are several, 1 = the largest.
        mouth_open: the same portrait with an open mouth, same size and pose.
        mouth_open_landmarks: float32 [66, 2] in pixels of `mouth_open`; without them the opening
            is found by its colours.
        eyes_closed: the same portrait with closed eyes, same size and pose.
        progress: called as the work goes on.

    Returns:
        The avatar.

    Raises:
        AvatarError: the picture cannot be used; the message says why and what to do.
    """
    report = progress or (lambda _what, _share: None)
    report("reading the picture", 0.0)
    if style is not None and style not in STYLES:
        raise AvatarError(f"Unknown style {style!r}; choose one of {', '.join(STYLES)}.")
    pixels = read_picture(picture)
    report("finding the face", 0.1)
    points, confidence = _landmarks(pixels, package, landmarks, face, picture)
    canvas, points, corner, scale = cut_canvas(pixels, points)
    report("fitting the head", 0.3)
    avatar = assemble(canvas, points, confidence, package, style, picture.name, report)
    if mouth_open is not None:
        other = cut_square(read_same_size(mouth_open, pixels), corner, scale, len(canvas))
        known = mouth_open_landmarks
        known = None if known is None else ((known - corner) * scale / len(canvas))
        avatar = use_mouth_open(avatar, other, known)
    if eyes_closed is not None:
        other = cut_square(read_same_size(eyes_closed, pixels), corner, scale, len(canvas))
        avatar = use_eyes_closed(avatar, other)
    report("done", 1.0)
    return avatar


def points_of(picture: Path, package: ModelPackage, avatar: Avatar, face: int | None) -> Array:
    """Return where an imported avatar's points lie in the picture that it was made from.

    Args:
        picture: the portrait.
        package: as at its import.
        avatar: imported without landmarks of a person's.
        face: as at its import.

    Returns:
        float32 [66, 2], pixels.

    Raises:
        AvatarError: the picture cannot be used.
    """
    pixels = read_picture(picture)
    found, _ = _found_landmarks(pixels, package, face, picture)
    _, _, corner, scale = cut_canvas(pixels, found)
    return (avatar.landmarks * len(avatar.picture) / scale + corner).astype(np.float32)


def _landmarks(
    pixels: ByteArray,
    package: ModelPackage,
    given: Array | None,
    face: int | None,
    path: Path,
) -> tuple[Array, Array | None]:
    if given is None:
        return _found_landmarks(pixels, package, face, path)
    points = np.asarray(given, np.float32)
    if points.shape != (66, 2) or not np.isfinite(points).all():
        raise AvatarError(
            f"Landmarks must be 66 points (x, y) in pixels, these have the shape {points.shape}; "
            f"mark the face again: {path}"
        )
    return points, None


def _found_landmarks(
    pixels: ByteArray, package: ModelPackage, face: int | None, path: Path
) -> tuple[Array, Array]:
    alpha = pixels[..., 3:].astype(np.float32) / 255
    opaque = pixels[..., :3] * alpha + 160 * (1 - alpha)  # the nets know no transparency
    rgb = np.ascontiguousarray(np.rint(opaque).astype(np.uint8))
    faces = _worth_choosing(detect_faces(rgb, package))
    if not faces:
        raise AvatarError(
            f"No face was found in the picture; use one that shows a face from the front, crop it "
            f"closer, or give 66 landmarks yourself: {path}"
        )
    if face is None and len(faces) > 1:
        raise SeveralFaces(len(faces), path)
    number = 1 if face is None else face
    if not 1 <= number <= len(faces):
        raise AvatarError(
            f"Face {number} was asked for, but the picture has {len(faces)}; choose with "
            f"--face 1 to --face {len(faces)}: {path}"
        )
    points, confidence = find_landmarks(rgb, faces[number - 1].box, package, careful=True)
    if package.has("refine.npz"):
        points = settle_landmarks(pixels, points, package.arrays("refine"))
    return points, confidence


def _worth_choosing(faces: list[DetectedFace]) -> list[DetectedFace]:
    """Leave out doubtful finds and passers-by, largest first: they are no question to the user."""
    if not faces:
        return faces
    surest, largest = max(f.score for f in faces), max(f.box.side for f in faces)
    kept = [f for f in faces if f.score > 0.66 * surest and f.box.side > 0.4 * largest]
    return sorted(kept or faces[:1], key=lambda found: -found.box.side)


def assemble(
    canvas: ByteArray,
    points: Array,
    confidence: Array | None,
    package: ModelPackage,
    style: Style | None,
    source: str,
    report: Progress,
) -> Avatar:
    """Make the avatar of a canvas whose landmarks are known.

    Args:
        canvas: uint8 [N, N, 4].
        points: float32 [66, 2], canvas units.
        confidence: float32 [66] of points that a network found; None if a person marked them.
        package: with head.npz.
        style: guessed if None.
        source: file name of the portrait.
        report: called as the work goes on.

    Returns:
        The avatar.
    """
    canvas_px = len(canvas)
    eye_distance = float(np.linalg.norm(points[42:48].mean(0) - points[36:42].mean(0)))
    chosen = style or detect_style(canvas, points, eye_distance)
    light = read_light(canvas, points, eye_distance)
    if chosen == "drawn" and confidence is not None:
        points = snap_to_lines(canvas, points, eye_distance, light.skin)
    fitted = fit_head(points * canvas_px, package.arrays("head"), confidence)
    lips = lip_curves(points, canvas, eye_distance, split_line=chosen == "drawn")
    report("building the movement", 0.5)
    solid = bool((canvas[..., 3] == 255).all())
    chin = 0.45 if chosen == "drawn" else 1.0
    face = face_field(fitted, points, lips, eye_distance, canvas_px, chin=chin)
    sheets = mouth_sheets(fitted, points, lips, eye_distance, canvas_px, chin=chin)
    sheets = joined(sheets, face, eye_distance)
    face, sheets = calibrate(face, sheets, fitted, eye_distance)
    mouth = _mouth(canvas, fitted, sheets, lips, light, chosen, eye_distance)
    rest_rig = np.zeros(len(RIG_INDEX), np.float32)
    rest_rig[6 + SHAPES] = mouth.rest
    report("cutting the person out", 0.7)
    backdrop = cut_out(canvas, fitted, points, eye_distance) if solid else no_backdrop()
    report("painting eyes and mouth", 0.8)
    shut_at = 0.82 if chosen == "drawn" else 0.78
    eyes = [
        _eye(canvas, lid_curves(points, side, shut_at), light, chosen, points)
        for side in ("left", "right")
    ]
    return Avatar(
        source=source,
        package=package.name,
        style=chosen,
        picture=canvas,
        landmarks=points,
        eye_distance=eye_distance,
        rest_rig=rest_rig,
        own_pose=np.array([*fitted.pose_degrees(), 0, 0, 0], np.float32),
        backdrop=backdrop,
        head=head_field(
            fitted,
            points,
            eye_distance,
            canvas_px,
            person=backdrop.cutout[..., 3] if backdrop.stands_still else None,
            solid=solid,
            relief=0.62 if chosen == "drawn" else 1.0,
        ),
        face=face,
        mouth=mouth,
        left_eye=eyes[0],
        right_eye=eyes[1],
    )


def _mouth(
    canvas: ByteArray,
    fitted: FittedHead,
    sheets: MouthSheets,
    lips: LipCurves,
    light: Light,
    style: Style,
    eye_distance: float,
) -> MouthLayer:
    inside = paint_mouth(canvas, lips, light, style, eye_distance)
    width = 0.028 if style == "drawn" else 0.0
    return MouthLayer(
        box=sheets.box,
        upper=sheets.upper,
        lower=sheets.lower,
        seal_upper=sheets.seal_upper,
        seal_lower=sheets.seal_lower,
        axes=np.stack([lips.axes.origin, lips.axes.along]).astype(np.float32),
        contour_upper=lips.points(lips.upper),
        contour_lower=lips.points(lips.lower),
        gap=lips.gap,
        gap_gain=sheets.gap_gain,
        rest=_own_opening(lips, sheets.gap_gain, fitted),
        jaw_shift=sheets.jaw_shift,
        teeth_shift=sheets.teeth_shift,
        inside_box=inside.box,
        teeth=inside.teeth,
        tongue=inside.tongue,
        own=inside.own,
        shaded=style != "drawn",
        line=np.array([*light.line, width * eye_distance], np.float32),
    )


def _own_opening(lips: LipCurves, gap_gain: Array, fitted: FittedHead) -> Array:
    """Return the weights that open a closed mouth as far as the portrait's own is open.

    A smile parts the lips over closed teeth; otherwise the jaw is open.
    """
    rest = np.zeros(len(SHAPES), np.float32)
    if lips.gap <= 0:
        return rest
    smiling = fitted.expression["mouthSmileLeft"] > 0.2
    names = (
        ("mouthUpperUpLeft", "mouthUpperUpRight", "mouthLowerDownLeft", "mouthLowerDownRight")
        if smiling
        else ("jawOpen",)
    )
    chosen = np.isin([ARKIT_NAMES[i] for i in SHAPES], names)
    opening = float(gap_gain[chosen].sum())
    rest[chosen] = np.clip(lips.gap / max(opening, 1e-4), 0.02, 1.0)
    return rest


def _eye(canvas: ByteArray, lids: LidCurves, light: Light, style: Style, points: Array) -> EyeLayer:
    box, shut = paint_shut_eye(canvas, lids, light, style, points[:27])
    covered = style == "drawn" and not lid_is_bare(canvas, lids, light)
    switch = {"drawn": [0.1, 0.11] if covered else [0.5, 0.51]}.get(style, [0.1, 0.4])
    return EyeLayer(
        axes=np.stack([lids.axes.origin, lids.axes.along]).astype(np.float32),
        places=lids.places,
        upper=lids.upper,
        lower=lids.lower,
        closed=lids.closed,
        top=lids.top,
        bottom=lids.bottom,
        lash=0.18 if style == "drawn" else 0.05,
        switch=np.array(switch, np.float32),
        slides=covered,
        box=box,
        shut=shut,
    )
