"""Portraits that a person keeps: their pictures, points, background and presets, and bundles of it.

    ~/.local/share/rest_bridge/portraits/NAME/
        portrait.png  mouth_open.png  eyes_closed.png  background.png   what was given, re-encoded
        about.json     title, style, face, crop, background
        found.json     the points that were found      landmarks.json   those that a person moved
        avatar.npz     made of all this                 thumbnail.webp

Place in the flow: control page, `--avatar NAME` -> here -> `portrait.importer`. A name is made by
us, so that nothing that somebody typed or sent becomes a path. Pictures are decoded and written
again: no byte of an uploaded file is ever served or kept.
"""

import json
import re
import shutil
import threading
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from PIL import Image

from rest_bridge.avatar import STYLES, Avatar
from rest_bridge.errors import AvatarError
from rest_bridge.gallery import built_in_faces, kept_folder, read_landmarks
from rest_bridge.inference.package import ModelPackage
from rest_bridge.modest import modestly
from rest_bridge.types import ByteArray, FloatArray
from rest_bridge.whole_file import replacing, write_whole

PARTS: Final = ("mouth_open", "eyes_closed", "background")
"""Pictures that a portrait may have beside itself."""
MOST_PORTRAITS: Final = 200
_MOST_TITLE: Final = 60
_THUMBNAIL_PX: Final = 192
_LEAST_CROP_PX: Final = 64
_RESERVED: Final = frozenset({"default", "con", "nul", "aux", "prn"})

Progress = Callable[[float, str], None]


@dataclass(frozen=True, slots=True)
class About:
    """What is known of a portrait.

    Attributes:
        title: for people.
        style: photo, painting, drawn or auto.
        face: which of several faces, 1 = the largest; 0 where there is one.
        crop: left, top and side of the square to use, pixels; None for all of the picture.
        background: see `portrait.background`.
    """

    title: str
    style: str = "auto"
    face: int = 0
    crop: tuple[float, float, float] | None = None
    background: str = "own"

    @classmethod
    def of(cls, content: Mapping[str, Any]) -> "About":
        """Check what was read or asked for.

        Raises:
            AvatarError: a value is not possible.
        """
        from rest_bridge.portrait.background import check_background

        title, crop = str(content.get("title", "")).strip()[:_MOST_TITLE], content.get("crop")
        style, face = content.get("style", "auto"), content.get("face", 0)
        if style != "auto" and style not in STYLES:
            raise AvatarError(f"The style must be auto, {', '.join(STYLES)}.")
        if not isinstance(face, int) or not 0 <= face < 100:
            raise AvatarError("The number of the face must be 0 to 99.")
        background = str(content.get("background", "own"))
        check_background(background)
        if crop is not None:
            crop = _checked_crop(crop)
        return cls(title or "Portrait", str(style), face, crop, background)


@dataclass(frozen=True, slots=True)
class Portrait:
    """One of the library's portraits.

    Attributes:
        name: what it is called on the command line.
        folder: its files.
        about: what is known of it.
    """

    name: str
    folder: Path
    about: About

    def file(self, part: str) -> Path:
        """Return where one of its pictures is, or would be: "portrait" or one of `PARTS`."""
        return self.folder / f"{part}.png"

    @property
    def avatar(self) -> Path:
        """What is drawn with."""
        return self.folder / "avatar.npz"

    @property
    def parts(self) -> list[str]:
        """Which further pictures it has."""
        return [part for part in PARTS if self.file(part).is_file()]


class Library:
    """The folder of portraits; any thread, imports one after the other."""

    def __init__(self, package: ModelPackage, root: Path | None = None) -> None:
        """Begin; no file is touched yet.

        Args:
            package: makes avatars.
            root: folder; the person's own if None.
        """
        self._package = package
        self._root = root or kept_folder()
        self._lock = threading.RLock()

    def portraits(self) -> list[Portrait]:
        """Return all portraits, by title."""
        found: list[Portrait] = []
        for file in self._root.glob("*/about.json"):
            try:
                found.append(self.get(file.parent.name))
            except AvatarError:  # a damaged one does not hide the others
                continue
        return sorted(found, key=lambda portrait: portrait.about.title.casefold())

    def get(self, name: str) -> Portrait:
        """Return a portrait.

        Raises:
            AvatarError: there is none of this name, or it is damaged.
        """
        folder = self._root / name
        if name != slug(name) or not (folder / "about.json").is_file():
            raise AvatarError(f'There is no portrait "{name[:40]}" here.')
        try:
            content = json.loads((folder / "about.json").read_text(encoding="utf-8"))
            about = About.of(content)
        except (OSError, ValueError, AttributeError) as error:
            raise AvatarError(f"The portrait is damaged ({error}); delete it: {folder}") from None
        return Portrait(name, folder, about)

    def add(self, picture: Path, title: str) -> Portrait:
        """Keep a picture as a new portrait; `build` makes its avatar.

        Args:
            picture: any file; it is decoded and written again.
            title: for people.

        Raises:
            AvatarError: it is no picture that can be used, or there are too many already.
        """
        from rest_bridge.portrait.pictures import read_picture

        rgba = _named_again(lambda: read_picture(picture), picture, title)
        with self._lock:
            if len(list(self._root.glob("*/about.json"))) >= MOST_PORTRAITS:
                raise AvatarError(f"There are {MOST_PORTRAITS} portraits already; delete some.")
            name = self._free_name(title)
            portrait = Portrait(name, self._root / name, About.of({"title": title}))
            portrait.folder.mkdir(parents=True)
            _write_picture(portrait.file("portrait"), rgba)
            self._write(portrait)
        return portrait

    def change(self, name: str, **changes: Any) -> Portrait:
        """Change title, style, face, crop or background; `build` makes it visible.

        Raises:
            AvatarError: there is no such portrait, or a value is not possible.
        """
        with self._lock:
            portrait = self.get(name)
            about = About.of({**asdict(portrait.about), **changes})
            moved = about.crop != portrait.about.crop or about.face != portrait.about.face
            portrait = replace(portrait, about=about)
            if moved:
                (portrait.folder / "landmarks.json").unlink(missing_ok=True)
            self._write(portrait)
        return portrait

    def supply(self, name: str, part: str, picture: Path | None) -> Portrait:
        """Take a further picture of a portrait, or leave it out.

        Args:
            name: of the portrait.
            part: one of `PARTS`; mouth and eyes need the portrait's own size.
            picture: None leaves it out.

        Raises:
            AvatarError: it cannot be used.
        """
        from rest_bridge.portrait.pictures import read_picture

        portrait = self.get(name)
        if part not in PARTS:
            raise AvatarError(f"There is no part {part[:40]!r}; there is {', '.join(PARTS)}.")
        if picture is None:
            portrait.file(part).unlink(missing_ok=True)
            return portrait
        rgba = _named_again(lambda: read_picture(picture), picture, part.replace("_", " "))
        if part != "background":
            with Image.open(portrait.file("portrait")) as own:
                wanted = own.size
            if (rgba.shape[1], rgba.shape[0]) != wanted:
                raise AvatarError(
                    f"This picture has {rgba.shape[1]} x {rgba.shape[0]} pixels, the portrait has "
                    f"{wanted[0]} x {wanted[1]}; both must show the same pose at the same size."
                )
        _write_picture(portrait.file(part), rgba)
        return portrait

    def build(self, name: str, progress: Progress | None = None) -> Avatar:
        """Make the avatar of a portrait, with all that was chosen for it.

        Args:
            name: of the portrait.
            progress: told how far it is.

        Raises:
            AvatarError: it cannot be made; the one before stays.
        """
        from rest_bridge.portrait.background import with_background
        from rest_bridge.portrait.importer import import_portrait, points_of

        report = progress or (lambda _done, _what: None)
        with self._lock:
            portrait = self.get(name)
            about, own = portrait.about, portrait.folder / "landmarks.json"
            corner = np.array(about.crop[:2] if about.crop else (0, 0), np.float32)
            files = {part: self._cropped(portrait, part) for part in ("portrait", *PARTS[:2])}
            picture = files["portrait"]
            assert picture is not None, "get has seen it"
            try:
                make = partial(
                    import_portrait,
                    picture,
                    self._package,
                    landmarks=read_landmarks(own) - corner if own.is_file() else None,
                    style=next((style for style in STYLES if style == about.style), None),
                    face=about.face or None,
                    mouth_open=files["mouth_open"],
                    eyes_closed=files["eyes_closed"],
                    progress=lambda what, done: report(0.9 * done, what),
                )
                avatar = modestly(make)  # a face may be live meanwhile
                if not own.is_file():
                    points = points_of(picture, self._package, avatar, about.face or None)
                    _write_points(portrait.folder / "found.json", points + corner)
            finally:
                for file in files.values():
                    if file is not None and file.name.startswith("cropped-"):
                        file.unlink(missing_ok=True)
            avatar = replace(avatar, source=portrait.name)
            avatar = with_background(avatar, about.background, portrait.file("background"))
            avatar.save(portrait.avatar)
            _write_thumbnail(portrait.folder / "thumbnail.webp", avatar.picture)
            report(1.0, "done")
            return avatar

    def is_current(self, name: str) -> bool:
        """Say whether the avatar is there and made by this model package."""
        try:
            return Avatar.load(self.get(name).avatar).package == self._package.name
        except AvatarError:
            return False

    def points(self, name: str) -> FloatArray:
        """Return the 66 points in use, float32 [66, 2], pixels of the portrait.

        Raises:
            AvatarError: the portrait was not built yet.
        """
        folder = self.get(name).folder
        own = folder / "landmarks.json"
        return read_landmarks(own if own.is_file() else folder / "found.json")

    def drag(self, name: str, handles: Mapping[str, tuple[float, float]]) -> FloatArray:
        """Let the points follow dragged handles; `build` makes it visible.

        Args:
            name: of the portrait.
            handles: see `portrait.handles`; none of them forgets all that was dragged before.

        Returns:
            float32 [66, 2].

        Raises:
            AvatarError: a handle is unknown, crosses another or lies outside of the picture.
        """
        from rest_bridge.portrait.handles import move

        portrait = self.get(name)
        own = portrait.folder / "landmarks.json"
        with self._lock:
            if not handles:
                own.unlink(missing_ok=True)
                return self.points(name)
            with Image.open(portrait.file("portrait")) as picture:
                width, height = picture.size
            if any(not (0 <= x <= width and 0 <= y <= height) for x, y in handles.values()):
                raise AvatarError("A point lies outside of the picture; drag it back inside.")
            points = move(self.points(name), handles)
            _write_points(own, points)
        return points

    def delete(self, name: str) -> None:
        """Delete a portrait with all its files.

        Raises:
            AvatarError: there is no such portrait.
        """
        portrait = self.get(name)
        with self._lock:
            shutil.rmtree(portrait.folder)

    def thumbnail(self, name: str) -> Path:
        """Return a small picture of it, which may not be there yet."""
        return self.get(name).folder / "thumbnail.webp"

    def _free_name(self, title: str) -> str:
        taken = {*built_in_faces(), *_RESERVED, *(path.name for path in self._root.glob("*"))}
        base = slug(title) or "portrait"
        names = (f"{base[:36]}-{number}" if number else base for number in range(10_000))
        return next(name for name in names if name not in taken)

    def _cropped(self, portrait: Portrait, part: str) -> Path | None:
        file, crop = portrait.file(part), portrait.about.crop
        if not file.is_file():
            return None
        if crop is None:
            return file
        left, top, side = (round(value) for value in crop)
        target = portrait.folder / f"cropped-{part}.png"
        with Image.open(file) as picture:
            box = (left, top, min(left + side, picture.width), min(top + side, picture.height))
            if min(box[2] - left, box[3] - top) < _LEAST_CROP_PX:
                raise AvatarError("The crop lies outside of the picture; drag it back inside.")
            picture.crop(box).save(target, compress_level=1)
        return target

    @staticmethod
    def _write(portrait: Portrait) -> None:
        write_whole(portrait.folder / "about.json", json.dumps(asdict(portrait.about), indent=1))


def slug(title: str) -> str:
    """Return a name of at most 40 letters a-z, digits and dashes; empty where none is left."""
    plain = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain)[:40].strip("-")


def thumbnail_of(rgba: ByteArray) -> Image.Image:
    """Return a small picture, straight alpha."""
    picture = Image.fromarray(rgba, "RGBA")
    picture.thumbnail((_THUMBNAIL_PX, _THUMBNAIL_PX), Image.Resampling.BOX)
    return picture


def _write_thumbnail(path: Path, rgba: ByteArray) -> None:
    with replacing(path) as file:
        thumbnail_of(rgba).save(file, "WEBP", quality=82, method=2)


def _named_again(read: Callable[[], ByteArray], path: Path, title: str) -> ByteArray:
    """Call a picture by the name that the person knows, not by that of our temporary file."""
    try:
        return read()
    except AvatarError as error:
        raise AvatarError(str(error).replace(str(path), title)) from error


def _write_picture(path: Path, rgba: ByteArray) -> None:
    data = cv2.imencode(".png", cv2.cvtColor(rgba, cv2.COLOR_RGBA2BGRA))[1]
    try:
        write_whole(path, data.tobytes())
    except OSError as error:
        raise AvatarError(f"The picture cannot be kept ({error.strerror}): {path}") from error


def _write_points(path: Path, points: FloatArray) -> None:
    write_whole(path, json.dumps([[round(float(v), 2) for v in p] for p in points]))


def _checked_crop(crop: Any) -> tuple[float, float, float]:
    if not isinstance(crop, (list, tuple)) or len(crop) != 3:  # pyright: ignore[reportUnknownArgumentType]
        raise AvatarError("The crop must be three numbers: left, top and side.")
    numbers = [float(value) for value in crop if isinstance(value, (int, float))]  # pyright: ignore[reportUnknownVariableType]
    if len(numbers) != 3 or not np.isfinite(numbers).all() or min(numbers) < 0:
        raise AvatarError("The crop must be three numbers: left, top and side.")
    if numbers[2] < _LEAST_CROP_PX:
        raise AvatarError(f"The crop must be at least {_LEAST_CROP_PX} pixels wide.")
    return numbers[0], numbers[1], numbers[2]
