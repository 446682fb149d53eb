"""What the page does with portraits: gallery, import, points, parts, background, presets, files.

Place in the flow: `page.desk` -> here -> `library`, `presets`, `studio`. Everything slow runs in
the thread of its request, beside the stream.
"""

import io
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from PIL import Image

from rest_bridge.bundles import ENDING, pack, unpack
from rest_bridge.errors import AvatarError
from rest_bridge.gallery import built_in_faces
from rest_bridge.library import PARTS, Library, Portrait, thumbnail_of
from rest_bridge.operations import Arguments
from rest_bridge.page.desk import Answer, PageOperation
from rest_bridge.page.uploads import Uploads
from rest_bridge.presets import Presets
from rest_bridge.sinks.control import BadRequest, Progress
from rest_bridge.studio import Studio

_EDITOR_PX: Final = 1024
_CHANGES: Final = ("title", "style", "face", "background", "crop")


class PortraitDesk:
    """The operations `portraits.*` and `presets.*`, and the files that go with them."""

    def __init__(
        self, studio: Studio, library: Library, presets: Presets, expression: Callable[..., Any]
    ) -> None:
        """Connect.

        Args:
            studio: shows faces.
            library: keeps portraits.
            presets: keeps presets.
            expression: the control operation of this name.
        """
        self._studio = studio
        self._library = library
        self._presets = presets
        self._expression = expression

    def operations(self) -> dict[str, PageOperation]:
        """Return the operations by name."""
        mine = {
            "portraits.list": self._list,
            "portraits.add": self._add,
            "portraits.wear": self._wear,
            "portraits.change": self._change,
            "portraits.points": self._points,
            "portraits.drag": self._drag,
            "portraits.supply": self._supply,
            "portraits.delete": self._delete,
            "portraits.unpack": self._unpack,
            "presets.list": self._list_presets,
            "presets.save": self._save_preset,
            "presets.delete": self._delete_preset,
            "presets.use": self._use_preset,
        }

        def bound(name: str, run: Callable[..., dict[str, Any]]) -> PageOperation:
            return lambda body, progress, uploads: run(Arguments(name, body), progress, uploads)

        return {name: bound(name, run) for name, run in mine.items()}

    # --------------------------------------------------------------- the gallery

    def _list(self, _a: Arguments, _progress: Progress, _uploads: Uploads) -> dict[str, Any]:
        active = self._studio.avatar
        built_in = [
            {
                "name": face.name,
                "title": face.title,
                "own": False,
                "style": face.style,
                "description": face.description,
                "active": face.name == active,
                "ready": True,
            }
            for face in built_in_faces().values()
        ]
        return {"portraits": [*map(self._facts, self._library.portraits()), *built_in]}

    def _facts(self, portrait: Portrait) -> dict[str, Any]:
        about = portrait.about
        changed = portrait.avatar.stat().st_mtime_ns if portrait.avatar.is_file() else 0
        return {
            "name": portrait.name,
            "title": about.title,
            "own": True,
            "style": about.style,
            "description": "",
            "active": portrait.name == self._studio.avatar,
            "ready": changed > 0,
            "background": about.background,
            "crop": about.crop,
            "parts": portrait.parts,
            "version": changed // 1_000_000,
        }

    def _add(self, a: Arguments, progress: Progress, uploads: Uploads) -> dict[str, Any]:
        """Keep an uploaded picture, import it and show it."""
        number = round(a.number("upload", 0))
        portrait = self._library.add(uploads.whole(number), a.text("title", "Portrait"))
        try:
            face = round(a.number("face", 0))
            self._library.change(portrait.name, face=face)
            for part in PARTS[:2]:
                if a.has(part):
                    file = uploads.whole(round(a.number(part, 0)))
                    self._library.supply(portrait.name, part, file)
            self._library.build(portrait.name, progress)
        except Exception:
            self._library.delete(portrait.name)  # the picture cannot be used: nothing is kept
            raise
        uploads.drop(number)
        return self._shown(portrait.name, progress)

    def _wear(self, a: Arguments, progress: Progress, _uploads: Uploads) -> dict[str, Any]:
        name = a.text("name")
        if name not in built_in_faces() and not self._library.is_current(name):
            self._library.build(name, progress)
        return self._shown(name, progress)

    def _change(self, a: Arguments, progress: Progress, uploads: Uploads) -> dict[str, Any]:
        """Change what is known of a portrait, make it again, and show it if it is being shown."""
        name = self._own(a)
        before = self._library.get(name).about
        changes = {key: a.value(key) for key in _CHANGES if a.has(key)}
        if a.has("upload"):
            file = uploads.whole(round(a.number("upload", 0)))
            self._library.supply(name, "background", file)
        self._library.change(name, **changes)
        if set(changes) == {"title"}:
            return self._facts(self._library.get(name))
        try:
            return self._built(name, progress)
        except AvatarError:
            self._library.change(name, **{key: getattr(before, key) for key in changes})
            raise

    def _built(self, name: str, progress: Progress) -> dict[str, Any]:
        self._library.build(name, progress)
        if self._studio.avatar != name:
            return self._facts(self._library.get(name))
        return self._shown(name, progress)

    def _shown(self, name: str, progress: Progress) -> dict[str, Any]:
        self._studio.set_avatar(name, {}, progress)
        if name in built_in_faces():
            return {"name": name, "active": True}
        return self._facts(self._library.get(name))

    # --------------------------------------------------------------- points and pictures

    def _points(self, a: Arguments, _progress: Progress, _uploads: Uploads) -> dict[str, Any]:
        from rest_bridge.portrait.handles import handles_of

        name = self._own(a)
        points = self._library.points(name)
        with Image.open(self._library.get(name).file("portrait")) as picture:
            width, height = picture.size
        return {
            "width": width,
            "height": height,
            "points": np.round(points, 1).tolist(),
            "handles": handles_of(points),
            "crop": self._library.get(name).about.crop,
        }

    def _drag(self, a: Arguments, progress: Progress, uploads: Uploads) -> dict[str, Any]:
        """Move points, and see at once how the face speaks with them; {} forgets all moves."""
        name, wanted = self._own(a), a.value("handles")
        if not isinstance(wanted, Mapping):
            raise BadRequest('portraits.drag: "handles" must be a map of names to [x, y].')
        handles: dict[str, tuple[float, float]] = {}
        for key in wanted:
            place = Arguments("portraits.drag", wanted).pair(str(key))
            if place is not None:
                handles[str(key)] = place
        self._library.drag(name, handles)
        self._library.build(name, progress)
        self._shown(name, progress)
        return self._points(a, progress, uploads)

    def _supply(self, a: Arguments, progress: Progress, uploads: Uploads) -> dict[str, Any]:
        """Take a picture with open mouth or closed eyes, or leave it out again."""
        name, part = self._own(a), a.text("part")
        file = uploads.whole(round(a.number("upload", 0))) if a.has("upload") else None
        self._library.supply(name, part, file)
        return self._built(name, progress)

    def _delete(self, a: Arguments, progress: Progress, _uploads: Uploads) -> dict[str, Any]:
        name = self._own(a)
        if name == self._studio.avatar:  # somebody must be there
            self._studio.set_avatar(next(iter(built_in_faces())), {}, progress)
        self._library.delete(name)
        self._presets.replace(name, [])
        return {"deleted": name}

    def _unpack(self, a: Arguments, progress: Progress, uploads: Uploads) -> dict[str, Any]:
        """Take in an exported portrait."""
        number = round(a.number("upload", 0))
        portrait = unpack(uploads.whole(number), self._library, self._presets)
        uploads.drop(number)
        try:
            self._library.build(portrait.name, progress)
        except Exception:
            self._library.delete(portrait.name)
            raise
        return self._shown(portrait.name, progress)

    def _own(self, a: Arguments) -> str:
        name = a.text("name")
        if name in built_in_faces():
            raise AvatarError("Built-in faces cannot be changed; drop a picture to make your own.")
        return self._library.get(name).name

    # --------------------------------------------------------------- presets

    def _face(self, a: Arguments) -> str:
        """Return the face whose presets are meant; the one that is shown if none is named."""
        name = a.text("face", "") or self._studio.avatar
        if name not in built_in_faces():
            self._library.get(name)
        return name

    def _list_presets(self, a: Arguments, _p: Progress, _uploads: Uploads) -> dict[str, Any]:
        try:
            return {"presets": self._presets.of(self._face(a))}
        except AvatarError:  # a face from the command line: it is not kept here
            return {"presets": []}

    def _save_preset(self, a: Arguments, _p: Progress, _uploads: Uploads) -> dict[str, Any]:
        wish = self._studio.wish()
        asked = {
            "expression": dict(wish.expression),
            "gaze": None if wish.gaze is None else list(wish.gaze),
            "head_motion": wish.head_motion,
            "blink_rate": wish.blink_rate,
        }
        return {"presets": self._presets.save(self._face(a), a.text("name"), asked)}

    def _delete_preset(self, a: Arguments, _p: Progress, _uploads: Uploads) -> dict[str, Any]:
        return {"presets": self._presets.delete(self._face(a), a.text("name"))}

    def _use_preset(self, a: Arguments, progress: Progress, _uploads: Uploads) -> dict[str, Any]:
        return dict(self._expression(self._presets.wish(self._face(a), a.text("name")), progress))

    # --------------------------------------------------------------- files

    def file(self, path: str, _query: Mapping[str, str]) -> Answer | None:
        """Answer requests for pictures and exports: our own encodings, never what was uploaded.

        Args:
            path: /thumbnail/NAME, /picture/NAME, /part/NAME/PART or /export/NAME.

        Returns:
            The answer; None for another path.

        Raises:
            AvatarError: there is no such portrait or picture.
        """
        match path.strip("/").split("/"):
            case ["thumbnail", name]:
                return self._thumbnail(name)
            case ["picture", name]:
                return _shown_picture(self._library.get(name).file("portrait"))
            case ["part", name, part] if part in PARTS:
                return _shown_picture(self._library.get(name).file(part))
            case ["export", name]:
                return self._export(name)
            case _:
                return None

    def _thumbnail(self, name: str) -> Answer:
        faces = built_in_faces()
        if name in faces:
            with Image.open(faces[name].picture) as picture:
                picture.draft("RGB", (512, 512))
                small = thumbnail_of(np.asarray(picture.convert("RGBA"), np.uint8))
            return Answer(200, _webp(small), "image/webp")
        file = self._library.thumbnail(name)
        if not file.is_file():
            raise AvatarError("This portrait has no picture yet.")
        return Answer(200, file.read_bytes(), "image/webp")

    def _export(self, name: str) -> Answer:
        portrait = self._library.get(name)
        with tempfile.TemporaryDirectory(prefix="rest-bridge-") as folder:
            target = Path(folder) / "bundle"
            pack(portrait, self._presets, target)
            data = target.read_bytes()
        return Answer(200, data, "application/octet-stream", f"{portrait.name}{ENDING}")


def _shown_picture(file: Path) -> Answer:
    if not file.is_file():
        raise AvatarError("There is no such picture.")
    with Image.open(file) as picture:
        picture.thumbnail((_EDITOR_PX, _EDITOR_PX), Image.Resampling.BILINEAR)
        return Answer(200, _webp(picture), "image/webp")


def _webp(picture: Image.Image) -> bytes:
    out = io.BytesIO()
    picture.save(out, "WEBP", quality=88, method=2)
    return out.getvalue()
