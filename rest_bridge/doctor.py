"""Check this computer, part by part, and say for each failure what to do.

Each check is a function that returns one `Check` and never raises. "fail" means that the main job
(`demo`, `render`) cannot work; "warn" that one outlet or input is missing. Checks load what they
check (a session, a codec, a camera) instead of asking whether it ought to work.
"""

import importlib.metadata
import importlib.util
import os
import platform
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import urlsplit

import platformdirs

from rest_bridge.config import Config
from rest_bridge.errors import RestBridgeError
from rest_bridge.inference.package import ModelPackage
from rest_bridge.inference.providers import choose
from rest_bridge.sinks.camera_remedies import camera_remedy, taken

Status = Literal["ok", "warn", "fail"]

_OLDEST_PYTHON: Final = (3, 11)
_CODECS: Final = {
    "libx264": "mp4",
    "aac": "mp4",
    "libvpx-vp9": "webm",
    "libopus": "webm",
    "prores_ks": "mov",
}
_FEW_BYTES: Final = 200 * 1024**2
_SOME_BYTES: Final = 2 * 1024**3
_CAMERA_TIMEOUT_S: Final = 20

_CAMERA_PROBE: Final = """
import sys, pyvirtualcam
options = {k: v for k, v in zip(("device", "backend"), sys.argv[1:3]) if v}
with pyvirtualcam.Camera(width=1280, height=720, fps=20, **options) as camera:
    print(camera.device)
"""


@dataclass(frozen=True, slots=True)
class Check:
    """What one check found.

    Attributes:
        name: what was checked.
        status: ok, warn (something optional is missing) or fail (the main job cannot work).
        detail: what was found.
        remedy: what to type or do; empty if nothing.
    """

    name: str
    status: Status
    detail: str
    remedy: str = ""

    def as_dict(self) -> dict[str, str]:
        """Return the fields for JSON."""
        return asdict(self)


def examine(config: Config, sound: Iterable[Callable[[], Check]] = ()) -> list[Check]:
    """Run all checks, the important ones first.

    Args:
        config: whose ports, package and camera are checked.
        sound: further checks (of sound devices).

    Returns:
        One result for each check.
    """
    checks: list[Callable[[], Check]] = [
        check_python,
        lambda: check_package(config),
        lambda: check_runtime(config),
        lambda: check_ports(config),
        check_codecs,
        lambda: check_disk([platformdirs.user_cache_path("rest_bridge"), Path.cwd()]),
        *sound,
        lambda: check_camera(config),
        check_obs,
    ]
    return [check() for check in checks]


def check_python() -> Check:
    """Check the version of Python."""
    detail = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    if sys.version_info < _OLDEST_PYTHON:
        return Check("python", "fail", detail, "install Python 3.11 or newer")
    return Check("python", "ok", f"{detail}, {os.cpu_count()} CPU cores")


def check_package(config: Config) -> Check:
    """Check that the model package is complete, by the checksum of every file."""
    try:
        package = ModelPackage.load(Path(config.model.package) if config.model.package else None)
    except RestBridgeError as error:
        return Check(
            "model package",
            "fail",
            str(error),
            "reinstall rest_bridge, or set model.package to a complete folder",
        )
    size = sum(int(entry["bytes"]) for entry in package.manifest["files"].values())
    return Check("model package", "ok", f"{package.name}, {size / 1e6:.0f} MB, checksums right")


def check_runtime(config: Config) -> Check:
    """Check ONNX Runtime by loading a graph, and say which provider it really runs on."""
    both = all(_installed(name) for name in ("onnxruntime", "onnxruntime-gpu"))
    try:
        package = ModelPackage.load(
            Path(config.model.package) if config.model.package else None, verify=False
        )
    except RestBridgeError:
        return Check(
            "onnx runtime", "fail", "not tried, as there is no model", "first see the model package"
        )
    try:
        graph = next(n for n in package.manifest["files"] if n.endswith(".onnx"))
        found = choose(package, graph.removesuffix(".onnx"), config.model.provider)
    except StopIteration:
        return Check(
            "onnx runtime", "fail", "the model package holds no graph", "reinstall rest_bridge"
        )
    except RestBridgeError as error:
        return Check("onnx runtime", "fail", str(error), 'pip install "rest-bridge[cpu]"')
    if both:
        return Check(
            "onnx runtime",
            "warn",
            "onnxruntime and onnxruntime-gpu are both installed",
            "pip uninstall onnxruntime onnxruntime-gpu, then install one again",
        )
    detail = found.sentence
    if _installed("onnxruntime-gpu") and found.provider == "cpu" and found.refused:
        return Check(
            "onnx runtime",
            "warn",
            f"onnxruntime-gpu is installed, but {detail}",
            "install the CUDA and cuDNN that your onnxruntime-gpu wants, or use "
            "rest-bridge[cpu]: the nano model is made for it",
        )
    return Check("onnx runtime", "ok", detail)


def check_ports(config: Config) -> Check:
    """Check that the ports of the endpoints and of the preview page are free."""
    wanted: list[tuple[str, str, int]] = []
    if config.endpoints.enabled:
        for name in ("frames", "events", "control", "audio_in"):
            parts = urlsplit(str(getattr(config.endpoints, name)))
            wanted.append((f"endpoints.{name}", parts.hostname or "", parts.port or 0))
    if config.preview.enabled:
        wanted.append(("preview.port", "127.0.0.1", config.preview.port))
    taken = [f"{name} ({port})" for name, host, port in wanted if not _bindable(host, port)]
    if taken:
        return Check(
            "ports",
            "fail",
            f"in use: {', '.join(taken)}",
            "stop the other program (perhaps another rest-bridge), or choose another "
            f"port with --set {taken[0].split()[0]}=...",
        )
    return Check("ports", "ok", "free: " + ", ".join(str(port) for _, _, port in wanted))


def check_codecs() -> Check:
    """Check that PyAV can write the formats of recordings."""
    try:
        import av
        import av.codec
    except ImportError as error:
        return Check("codecs", "fail", f"PyAV cannot be imported ({error})", "pip install av")
    missing = [name for name in _CODECS if not _has_encoder(av.codec.Codec, name)]
    if missing:
        return Check(
            "codecs",
            "warn",
            f"PyAV has no {', '.join(missing)}: no "
            f"{', '.join(sorted({_CODECS[m] for m in missing}))} files",
            "pip install --force-reinstall --only-binary :all: av",
        )
    return Check("codecs", "ok", f"PyAV {av.__version__}: mp4, webm, mov")


def check_disk(folders: Sequence[Path]) -> Check:
    """Check the free space where avatars are cached and recordings are written."""
    free = min((shutil.disk_usage(_existing(folder)).free, _existing(folder)) for folder in folders)
    detail = f"{free[0] / 1e9:.1f} GB free at {free[1]}"
    if free[0] < _SOME_BYTES:
        status: Status = "fail" if free[0] < _FEW_BYTES else "warn"
        return Check("disk", status, detail, "free some space, or record to another disk")
    return Check("disk", "ok", detail)


def check_camera(config: Config) -> Check:
    """Check the virtual camera by opening it for a moment, in a process of its own (GPL)."""
    if importlib.util.find_spec("pyvirtualcam") is None:
        return Check(
            "virtual camera",
            "warn",
            "pyvirtualcam is not installed",
            'pip install "rest-bridge[cam]"',
        )
    command = [sys.executable, "-c", _CAMERA_PROBE, config.camera.device, config.camera.backend]
    try:
        probe = subprocess.run(
            command, capture_output=True, text=True, timeout=_CAMERA_TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired:
        return Check("virtual camera", "warn", "opening it takes for ever", "restart the computer")
    if probe.returncode:
        message = probe.stderr.partition("Error:")[2].strip() or probe.stderr.strip()
        if said := taken(message):
            return Check("virtual camera", "warn", "another program sends to it", said)
        return Check("virtual camera", "warn", " ".join(message.split()), camera_remedy(message))
    return Check("virtual camera", "ok", probe.stdout.strip())


def check_obs() -> Check:
    """Say whether OBS is found; it is optional."""
    places = (
        "/Applications/OBS.app",
        r"C:\Program Files\obs-studio\bin\64bit\obs64.exe",
        "/var/lib/flatpak/app/com.obsproject.Studio",
    )
    found = shutil.which("obs") or next((place for place in places if Path(place).exists()), None)
    if found is None:
        return Check("obs", "ok", "OBS Studio is not installed (only needed if you stream with it)")
    return Check("obs", "ok", found)


def _installed(distribution: str) -> bool:
    try:
        importlib.metadata.distribution(distribution)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def _bindable(host: str, port: int) -> bool:
    with socket.socket() as probe:
        if os.name != "nt":  # on Windows this option means the opposite
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def _has_encoder(codec: Any, name: str) -> bool:
    try:
        codec(name, "w")
    except Exception:  # noqa: BLE001 - PyAV's error tree depends on its version
        return False
    return True


def _existing(folder: Path) -> Path:
    return next(path for path in (folder, *folder.parents) if path.exists())
