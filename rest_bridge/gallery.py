"""From what a person calls a face to its avatar: built-in faces, pictures, avatar files, the cache.

    "luna"      a built-in face, faces/luna/, imported when it is first used
    "grandpa"   a portrait that the person keeps (`library`), imported on the control page
    x.npz       an avatar file
    x.png, ...  a picture: imported once, then taken from the per-user cache

The cache is keyed by the content of the picture and of its landmarks and by the model package, so
that a changed picture or a new model is imported again. Also finds the built-in voice.
"""

import hashlib
import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
import platformdirs

from rest_bridge.avatar import AVATAR_VERSION, STYLES, Avatar, Style
from rest_bridge.config import AvatarSection
from rest_bridge.errors import AvatarError
from rest_bridge.inference.package import ModelPackage
from rest_bridge.modest import modestly
from rest_bridge.types import FloatArray

FACES_PATH: Final = Path(__file__).resolve().parent / "faces"
DEFAULT_FACE: Final = "default"
_PREFERRED: Final = "luna"
_VOICE_SUFFIXES: Final = (".flac", ".wav", ".ogg", ".mp3")
_NUM_LANDMARKS: Final = 66

_log = logging.getLogger(__name__)

Progress = Callable[[float, str], None]


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """How a picture becomes an avatar; what is None is found, guessed or painted.

    Attributes:
        landmarks: json file with 66 points of the picture.
        style: how to paint what the portrait does not show.
        face: which face to take where there are several, 1 = the largest.
        mouth_open: the same portrait with an open mouth.
        eyes_closed: the same portrait with closed eyes.
        mouth_open_landmarks: json file with 66 points of `mouth_open`.
    """

    landmarks: Path | None = None
    style: Style | None = None
    face: int | None = None
    mouth_open: Path | None = None
    eyes_closed: Path | None = None
    mouth_open_landmarks: Path | None = None

    @classmethod
    def of(cls, section: AvatarSection) -> "ImportOptions":
        """Return what a configuration asks for."""

        def path(text: str) -> Path | None:
            return Path(text).expanduser() if text else None

        return cls(
            landmarks=path(section.landmarks),
            style=None if section.style == "auto" else section.style,
            face=section.face or None,
            mouth_open=path(section.mouth_open),
            eyes_closed=path(section.eyes_closed),
        )


@dataclass(frozen=True, slots=True)
class BuiltInFace:
    """A face that came with rest_bridge.

    Attributes:
        name: what it is called on the command line.
        folder: its files: portrait.png, face.json and, once made, avatar.npz.
        title: its name for people.
        style: photo, painting or drawn.
        description: one sentence.
        licence: of its files.
    """

    name: str
    folder: Path
    title: str
    style: str
    description: str
    licence: str

    @property
    def picture(self) -> Path:
        """The portrait."""
        return self.folder / "portrait.png"

    @property
    def options(self) -> ImportOptions:
        """Its own landmarks, style and second references."""

        def own(name: str) -> Path | None:
            return self.folder / name if (self.folder / name).is_file() else None

        return ImportOptions(
            landmarks=own("landmarks.json"),
            style=next((style for style in STYLES if style == self.style), None),
            mouth_open=own("mouth_open.png"),
            eyes_closed=own("eyes_closed.png"),
            mouth_open_landmarks=own("landmarks_mouth_open.json"),
        )


def built_in_faces() -> dict[str, BuiltInFace]:
    """Return the faces that came with rest_bridge, by name."""
    faces: dict[str, BuiltInFace] = {}
    for file in sorted(FACES_PATH.glob("*/face.json")):
        about = json.loads(file.read_text(encoding="utf-8"))
        texts = {key: str(about.get(key, "")) for key in ("title", "style", "description")}
        name = file.parent.name
        faces[name] = BuiltInFace(name, file.parent, licence=str(about.get("licence", "")), **texts)
    return faces


def kept_folder() -> Path:
    """Return where the portraits are that a person keeps (`library`), whether or not it exists."""
    return platformdirs.user_data_path("rest_bridge", appauthor=False) / "portraits"


def kept_portraits() -> dict[str, str]:
    """Return the titles of the portraits that a person keeps and that are ready, by name."""
    found: dict[str, str] = {}
    for file in sorted(kept_folder().glob("*/avatar.npz")):
        try:
            about = json.loads((file.parent / "about.json").read_text(encoding="utf-8"))
            found[file.parent.name] = str(about["title"])
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return found


def face_name(choice: str) -> str:
    """Return the built-in face that a choice means where it means the default one, else itself."""
    faces = built_in_faces()
    return _default_name(faces) if faces and choice in ("", DEFAULT_FACE) else choice


def built_in_voice() -> Path:
    """Return the spoken text that came with rest_bridge.

    Raises:
        AvatarError: this installation lacks it.
    """
    files = (f for f in sorted(FACES_PATH.glob("*")) if f.suffix in _VOICE_SUFFIXES)
    voice = next(files, None)
    if voice is None:
        raise AvatarError(
            f"This installation lacks its built-in voice; reinstall rest_bridge. {FACES_PATH}"
        )
    return voice


def load_avatar(
    choice: str,
    package: ModelPackage,
    *,
    options: ImportOptions | None = None,
    progress: Progress | None = None,
    beside: bool = False,
) -> Avatar:
    """Return the avatar of a built-in face, an avatar file or a picture.

    Args:
        choice: a name, or the path of a picture or of an avatar file.
        package: the model that will draw it.
        options: how a picture is imported.
        progress: called with the fraction done and what is being done.
        beside: a face is live meanwhile: an import comes after what makes its frames.

    Raises:
        AvatarError: there is no such face or file, or it cannot be used; names the remedy.
    """
    faces = built_in_faces()
    name = _default_name(faces) if choice in ("", DEFAULT_FACE) else choice
    if name in faces:
        shipped = faces[name].folder / "avatar.npz"
        if shipped.is_file():
            try:
                return Avatar.load(shipped)
            except AvatarError as error:
                _log.warning("The built-in face is imported again: %s", error)
        own = faces[name]
        return _imported(own.picture, package, own.options, progress, beside=beside)
    path = Path(choice).expanduser()
    kept = kept_portraits()
    if choice in kept:
        return Avatar.load(kept_folder() / choice / "avatar.npz")
    if path.suffix.lower() == ".npz":
        return Avatar.load(path)
    if not path.exists():
        raise AvatarError(
            f'There is no picture and no built-in face "{choice}"; give the path of a picture, or '
            f"one of {', '.join([*faces, *kept]) or '(none installed)'}."
        )
    return _imported(path, package, options or ImportOptions(), progress, beside=beside)


def read_landmarks(path: Path) -> FloatArray:
    """Read 66 points [[x, y], ...] in pixels from a json file.

    Returns:
        float32 [66, 2].

    Raises:
        AvatarError: the file is missing, not json, or holds something else.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        points = np.asarray(
            content.get("points", content) if isinstance(content, dict) else content, np.float32
        )
    except (OSError, ValueError, TypeError) as error:
        raise AvatarError(f"The landmarks cannot be read ({error}): {path}") from None
    if points.shape != (_NUM_LANDMARKS, 2) or not np.isfinite(points).all():
        raise AvatarError(
            f"The landmarks must be {_NUM_LANDMARKS} pairs [[x, y], ...] in pixels; this file "
            f"holds an array of shape {list(points.shape)}: {path}"
        )
    return points


def cache_path(picture: Path, package: ModelPackage, options: ImportOptions) -> Path:
    """Return where the avatar of a picture is cached, whether or not it is there yet.

    Raises:
        AvatarError: a file cannot be read.
    """
    model = json.dumps(package.manifest["files"], sort_keys=True)  # with their checksums
    digest = hashlib.sha256(f"{AVATAR_VERSION} {options.style} {options.face} {model}".encode())
    points = (options.landmarks, options.mouth_open_landmarks)
    others = (*points, options.mouth_open, options.eyes_closed)
    for file in (picture, *others):
        try:
            digest.update(hashlib.sha256(file.read_bytes() if file else b"").digest())
        except OSError as error:
            raise AvatarError(f"The file cannot be read ({error.strerror}): {file}") from None
    folder = platformdirs.user_cache_path("rest_bridge", appauthor=False) / "avatars"
    return folder / f"{picture.stem}-{digest.hexdigest()[:20]}.npz"


def _imported(
    picture: Path,
    package: ModelPackage,
    options: ImportOptions,
    progress: Progress | None,
    *,
    beside: bool,
) -> Avatar:
    from rest_bridge.portrait.importer import import_portrait

    cached = cache_path(picture, package, options)
    if cached.is_file():
        try:
            return Avatar.load(cached)
        except AvatarError as error:
            _log.warning("The cached avatar is imported again: %s", error)
    report = progress or (lambda _done, _what: None)
    work = partial(
        import_portrait,
        picture,
        package,
        landmarks=read_landmarks(options.landmarks) if options.landmarks else None,
        style=options.style,
        face=options.face,
        mouth_open=options.mouth_open,
        mouth_open_landmarks=(
            read_landmarks(options.mouth_open_landmarks) if options.mouth_open_landmarks else None
        ),
        eyes_closed=options.eyes_closed,
        progress=lambda what, done: report(done, what),
    )
    avatar = modestly(work) if beside else work()
    try:
        cached.parent.mkdir(parents=True, exist_ok=True)
        avatar.save(cached)
    except (OSError, AvatarError) as error:
        _log.warning("The avatar is not cached, so that it is imported each time: %s", error)
    return avatar


def _default_name(faces: dict[str, BuiltInFace]) -> str:
    if not faces:
        raise AvatarError(
            f"This installation lacks its built-in faces; reinstall rest_bridge. {FACES_PATH}"
        )
    return _PREFERRED if _PREFERRED in faces else next(iter(faces))
