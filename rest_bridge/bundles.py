"""A portrait as one file, to be carried to another computer: a zip of its sources.

The avatar itself is not in it: it is made again from the sources, by whatever model is there, so
that nothing of a stranger's is loaded but pictures, which are decoded, and small checked texts.
"""

import json
import tempfile
import zipfile
from pathlib import Path
from typing import Any, Final

import numpy as np

from rest_bridge.errors import AvatarError
from rest_bridge.library import PARTS, Library, Portrait
from rest_bridge.presets import Presets
from rest_bridge.whole_file import write_whole

ENDING: Final = ".restface"
_PICTURES: Final = frozenset(f"{part}.png" for part in ("portrait", *PARTS))
_TEXTS: Final = frozenset({"about.json", "landmarks.json", "presets.json"})
_MOST_PICTURE: Final = 80 * 2**20
_MOST_TEXT: Final = 2**20
_MOST_MEMBERS: Final = 16


def pack(portrait: Portrait, presets: Presets, target: Path) -> None:
    """Write a portrait's sources into one file.

    Args:
        portrait: which.
        presets: those of this portrait go with it.
        target: the file.
    """
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as bundle:
        for name in sorted(_PICTURES | (_TEXTS - {"presets.json"})):
            if (portrait.folder / name).is_file():
                bundle.write(portrait.folder / name, name)
        bundle.writestr("presets.json", json.dumps(presets.of(portrait.name)))


def unpack(file: Path, library: Library, presets: Presets) -> Portrait:
    """Take a portrait out of such a file into the library; `build` makes its avatar.

    Args:
        file: from anybody.
        library: takes it.
        presets: takes its presets.

    Raises:
        AvatarError: it is no such file, holds what does not belong there, or is far too large.
    """
    with tempfile.TemporaryDirectory(prefix="rest-bridge-") as folder:
        members = _extract(file, Path(folder))
        if "portrait.png" not in members or "about.json" not in members:
            raise AvatarError("This is not a portrait exported by rest_bridge: it has no portrait.")
        about = _json(members["about.json"])
        if not isinstance(about, dict):
            raise AvatarError("This portrait is damaged: its description cannot be read.")
        portrait = library.add(members["portrait.png"], str(about.get("title", "")))
        try:
            known = ("title", "style", "face", "crop", "background")
            library.change(portrait.name, **{key: about[key] for key in known if key in about})
            for part in PARTS:
                if f"{part}.png" in members:
                    library.supply(portrait.name, part, members[f"{part}.png"])
            if "landmarks.json" in members:
                _take_points(members["landmarks.json"], portrait)
            presets.replace(portrait.name, _json(members.get("presets.json")) or [])
        except Exception:
            library.delete(portrait.name)
            raise
        return library.get(portrait.name)


def _extract(file: Path, folder: Path) -> dict[str, Path]:
    """Write the members that we know, each within its bounds; the names are ours, not the file's.

    Raises:
        AvatarError: see `unpack`.
    """
    found: dict[str, Path] = {}
    try:
        with zipfile.ZipFile(file) as bundle:
            entries = bundle.infolist()
            if len(entries) > _MOST_MEMBERS:
                raise AvatarError("This is not a portrait exported by rest_bridge: too many files.")
            for entry in entries:
                if entry.filename not in _PICTURES | _TEXTS or entry.filename in found:
                    raise AvatarError(
                        "This is not a portrait exported by rest_bridge: it holds a file "
                        f"{entry.filename[:60]!r}."
                    )
                most = _MOST_PICTURE if entry.filename in _PICTURES else _MOST_TEXT
                found[entry.filename] = target = folder / entry.filename
                _copy(bundle, entry, target, most)
    except (zipfile.BadZipFile, zipfile.LargeZipFile, OSError, RuntimeError, NotImplementedError):
        raise AvatarError("This file is damaged, or not a portrait of rest_bridge.") from None
    return found


def _copy(bundle: zipfile.ZipFile, entry: zipfile.ZipInfo, target: Path, most: int) -> None:
    """Decompress at most so many bytes, whatever the file says of its size."""
    left = most
    with bundle.open(entry) as source, target.open("wb") as out:
        while data := source.read(min(1 << 16, left + 1)):
            left -= len(data)
            if left < 0:
                raise AvatarError(
                    f"{entry.filename} is larger than {most >> 20} MB once unpacked: not a "
                    "portrait exported by rest_bridge."
                )
            out.write(data)


def _take_points(file: Path, portrait: Portrait) -> None:
    points = np.asarray(_json(file), np.float64) if _is_points(_json(file)) else None
    if points is None or not np.isfinite(points).all() or np.abs(points).max() > 1e5:
        raise AvatarError("This portrait is damaged: its points cannot be read.")
    write_whole(portrait.folder / "landmarks.json", json.dumps(points.tolist()))


def _is_points(content: Any) -> bool:
    return (
        isinstance(content, list)
        and len(content) == 66
        and all(isinstance(p, list) and len(p) == 2 for p in content)
        and all(isinstance(v, (int, float)) for p in content for v in p)
    )


def _json(file: Path | None) -> Any:
    if file is None:
        return None
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        raise AvatarError(f"This portrait is damaged: {file.name} cannot be read.") from None
