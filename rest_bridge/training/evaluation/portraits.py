"""The faces that are measured: portraits no network was trained on, and built-in ones.

Place in the flow: picture -> the product's own importer -> here -> `driving`. Avatars are imported
anew for every fingerprint (the importer is under test as well) and kept beside the rows.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rest_bridge.avatar import Avatar
from rest_bridge.errors import AvatarError, ConfigError
from rest_bridge.gallery import ImportOptions, built_in_faces, read_landmarks
from rest_bridge.inference.package import ModelPackage
from rest_bridge.portrait.importer import import_portrait
from rest_bridge.types import FloatArray

_T2I: Final = "t2i_synthetic_faces"


@dataclass(frozen=True, slots=True)
class Portrait:
    """Someone to be shown.

    Attributes:
        name: as in the tables.
        kind: photo, painting, 3-D, cartoon or anime.
        source: path below the assets, "t2i:NUMBER" in that manifest's order, or "face:NAME".
        held_out: no network and no setting was tuned on it.
    """

    name: str
    kind: str
    source: str
    held_out: bool


PORTRAITS: Final = (
    Portrait("t2i_302", "photo", "t2i:302", held_out=True),
    Portrait("t2i_311", "photo", "t2i:311", held_out=True),
    Portrait("raphael", "painting", "portraits_misc/raphael_donna_velata.jpg", held_out=True),
    Portrait("pencil", "painting", "portraits_misc/pencil_purple_hair.jpg", held_out=True),
    Portrait("vera", "painting", "face:vera", held_out=False),
    Portrait("maya", "3-D", "face:maya", held_out=False),
    Portrait("theo", "cartoon", "face:theo", held_out=False),
    Portrait("luna", "anime", "face:luna", held_out=False),
    Portrait("sylvie", "anime", "renpy_anime/sylvie_green_normal.png", held_out=True),
)


def portrait(name: str) -> Portrait:
    """Return one of `PORTRAITS`.

    Raises:
        ConfigError: there is none of this name.
    """
    for one in PORTRAITS:
        if one.name == name:
            return one
    names = ", ".join(p.name for p in PORTRAITS)
    raise ConfigError(f'There is no portrait "{name}" in the evaluation; there is {names}.')


class PortraitShelf:
    """Imports portraits, each once for a fingerprint."""

    def __init__(self, package: ModelPackage, assets: Path, folder: Path) -> None:
        """Prepare.

        Args:
            package: under test.
            assets: the data folder.
            folder: where avatars are kept; made if missing.
        """
        self._package, self._assets, self._folder = package, assets, folder
        self._loaded: dict[str, Avatar] = {}

    def avatar(self, name: str) -> Avatar:
        """Return the avatar of one of `PORTRAITS`.

        Raises:
            ConfigError: there is none of this name, or its picture is missing.
            AvatarError: the importer refuses it.
        """
        if name not in self._loaded:
            one = portrait(name)
            self._loaded[name] = self.of_file(name, *self._picture(one))
        return self._loaded[name]

    def of_file(self, name: str, picture: Path, options: ImportOptions | None = None) -> Avatar:
        """Return the avatar of any picture, imported once.

        Args:
            name: under which it is kept.
            picture: the file.
            options: landmarks, style and second references.

        Raises:
            ConfigError: the picture is missing.
            AvatarError: the importer refuses it.
        """
        kept = self._folder / f"{name}.npz"
        if kept.is_file():
            try:
                return Avatar.load(kept)
            except AvatarError:
                kept.unlink()
        if not picture.is_file():
            raise ConfigError(
                f"The portrait {name} is missing; point --assets to the data folder: {picture}"
            )
        avatar = self._imported(picture, options or ImportOptions())
        self._folder.mkdir(parents=True, exist_ok=True)
        avatar.save(kept)
        return avatar

    def _imported(self, picture: Path, options: ImportOptions) -> Avatar:
        def points(file: Path | None) -> FloatArray | None:
            return read_landmarks(file) if file else None

        return import_portrait(
            picture,
            self._package,
            landmarks=points(options.landmarks),
            style=options.style,
            mouth_open=options.mouth_open,
            mouth_open_landmarks=points(options.mouth_open_landmarks),
            eyes_closed=options.eyes_closed,
        )

    def _picture(self, one: Portrait) -> tuple[Path, ImportOptions | None]:
        scheme, _, rest = one.source.partition(":")
        if scheme == "face":
            face = built_in_faces()[rest]
            return face.picture, face.options
        if scheme == "t2i":
            manifest = self._assets / _T2I / "manifest.json"
            if not manifest.is_file():
                raise ConfigError(
                    f"The AI portraits are missing; point --assets to the data folder: {manifest}"
                )
            entry = json.loads(manifest.read_text(encoding="utf-8"))[int(rest)]
            return self._assets / _T2I / "images" / entry["file"], None
        return self._assets / one.source, None
