"""The model package: a folder with `manifest.json`, ONNX graphs and .npz arrays.

The only contract between training and runtime. `training.package_writer` writes it; this module
verifies and reads it. The manifest lists each file with its size and SHA-256, and one section for
each part of the model (`latent`, `audio`, `dit`, `decoder`, ...).
"""

import hashlib
import json
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, cast

import numpy as np

from rest_bridge.errors import PackageError
from rest_bridge.inference.session import Session
from rest_bridge.types import Array

FORMAT: Final = "rest_bridge-model"
FORMAT_VERSION: Final = 1
DEFAULT_PACKAGE: Final = Path(__file__).resolve().parent.parent / "models" / "nano"
_REMEDY: Final = "reinstall rest_bridge or point `model.package` to a complete package"


class ModelPackage:
    """A verified model package; sessions and arrays are loaded on demand."""

    def __init__(self, path: Path, manifest: Mapping[str, Any]) -> None:
        """Wrap a verified folder; use `load` instead."""
        self.path = path
        self.manifest = manifest
        self._arrays: dict[str, dict[str, Array]] = {}
        self._shared: dict[tuple[str, int, str], Session] = {}
        self._lock = threading.Lock()

    @classmethod
    def load(cls, path: Path | None = None, *, verify: bool = True) -> "ModelPackage":
        """Open a model package.

        Args:
            path: the folder; the package shipped with rest_bridge if None.
            verify: compare the size and SHA-256 of every file with the manifest.

        Returns:
            The package.

        Raises:
            PackageError: the folder or a file is missing, truncated, changed, or of another
                format version.
        """
        folder = DEFAULT_PACKAGE if path is None else path
        manifest = _read_manifest(folder)
        for name, entry in cast(dict[str, dict[str, Any]], manifest["files"]).items():
            _check_file(folder / name, int(entry["bytes"]), str(entry["sha256"]), verify=verify)
        return cls(folder, manifest)

    @property
    def name(self) -> str:
        """Name and version of the model, for logs, avatar files and every frame's provenance."""
        return f"{self.manifest['name']}-{self.manifest['version']}"

    def section(self, name: str) -> Mapping[str, Any]:
        """Return one part of the manifest.

        Raises:
            PackageError: the package has no such part.
        """
        section = self.manifest.get(name)
        if not isinstance(section, dict):
            raise PackageError(
                f"The model package {self.path} has no section {name!r} in its manifest; {_REMEDY}."
            )
        return cast(dict[str, Any], section)

    def has(self, file_name: str) -> bool:
        """Say whether the package lists a file of this name."""
        return file_name in self.manifest["files"]

    def session(
        self,
        name: str,
        *,
        threads: int = 1,
        provider: str = "cpu",
        sizes: Mapping[str, int] | None = None,
    ) -> Session:
        """Load NAME.onnx; arguments as for `Session`.

        Raises:
            PackageError: the graph is not part of the package or cannot be loaded.
        """
        path = self._file(f"{name}.onnx")
        return Session(path, threads=threads, provider=provider, sizes=sizes)

    def shared_session(self, name: str, *, threads: int = 1, provider: str = "cpu") -> Session:
        """Load NAME.onnx, or return what was loaded like this before: any thread may run it.

        For graphs that are run for one face after another, or for several sizes of one.

        Raises:
            PackageError: as `session`.
        """
        with self._lock:
            key = (name, threads, provider)
            if key not in self._shared:
                self._shared[key] = self.session(name, threads=threads, provider=provider)
            return self._shared[key]

    def digest(self, name: str) -> str:
        """Return the SHA-256 of NAME.onnx, as the manifest has it."""
        self._file(f"{name}.onnx")
        return str(self.manifest["files"][f"{name}.onnx"]["sha256"])

    def arrays(self, name: str) -> Mapping[str, Array]:
        """Return the arrays of NAME.npz, read once.

        Raises:
            PackageError: the file is not part of the package.
        """
        if name not in self._arrays:
            with np.load(self._file(f"{name}.npz"), allow_pickle=False) as archive:
                self._arrays[name] = {key: archive[key] for key in archive.files}
        return self._arrays[name]

    def _file(self, file_name: str) -> Path:
        if not self.has(file_name):
            raise PackageError(
                f"The model package {self.path} has no file {file_name!r}; {_REMEDY}."
            )
        return self.path / file_name


def _read_manifest(folder: Path) -> dict[str, Any]:
    if not folder.is_dir():
        raise PackageError(f"The model package folder does not exist: {folder}; {_REMEDY}.")
    try:
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise PackageError(f"No manifest.json in the model package {folder}; {_REMEDY}.") from error
    except (OSError, ValueError) as error:
        raise PackageError(
            f"The manifest of the model package {folder} cannot be read ({error}); {_REMEDY}."
        ) from error
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise PackageError(f"{folder} is not a rest_bridge model package; {_REMEDY}.")
    manifest = cast(dict[str, Any], manifest)
    version = manifest.get("format_version")
    if version != FORMAT_VERSION:
        raise PackageError(
            f"The model package {folder} has format version {version}, this rest_bridge reads "
            f"version {FORMAT_VERSION}; update rest_bridge or use a package made for it."
        )
    if not isinstance(manifest.get("files"), dict):
        raise PackageError(f"The manifest of {folder} lists no files; {_REMEDY}.")
    return manifest


def _check_file(path: Path, num_bytes: int, sha256: str, *, verify: bool) -> None:
    if not path.is_file():
        raise PackageError(f"The model package lacks its file {path.name}; {_REMEDY}. {path}")
    size = path.stat().st_size
    if size != num_bytes:
        raise PackageError(
            f"The model package's file {path.name} has {size} bytes instead of {num_bytes}, so it "
            f"is truncated or changed; {_REMEDY}. {path}"
        )
    if verify and hashlib.sha256(path.read_bytes()).hexdigest() != sha256:
        raise PackageError(
            f"The model package's file {path.name} differs from its checksum, so it is damaged; "
            f"{_REMEDY}. {path}"
        )
