"""Fixtures for all tests: free ports, model package, small sound files, a private home."""

import os
import socket
import wave
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

from rest_bridge.inference.package import DEFAULT_PACKAGE
from tests.support.pulse import in_real_time as in_real_time
from tests.support.pulse import pulse as pulse

WavWriter = Callable[..., Path]


def pytest_configure(config: pytest.Config) -> None:
    """Keep numeric libraries to one thread: two cores are shared by everything a test starts."""
    del config
    settings.register_profile("rest_bridge", deadline=None)  # machines are busy
    settings.load_profile("rest_bridge")
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")


@pytest.fixture(autouse=True)
def _private_home(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tests never read or write the user's own configuration and avatar cache."""
    folder = tmp_path_factory.getbasetemp() / "home"
    for variable in ("XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME"):
        monkeypatch.setenv(variable, str(folder / variable.lower()))
    for variable in list(os.environ):
        if variable.startswith("REST_BRIDGE_") and variable != "REST_BRIDGE_ASSETS":
            monkeypatch.delenv(variable)


@pytest.fixture
def free_port() -> Callable[[], int]:
    """Return a function that returns a TCP port of 127.0.0.1 that nobody uses."""

    def find() -> int:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            return int(probe.getsockname()[1])

    return find


@pytest.fixture(scope="session")
def package_path() -> Path:
    """Return the model package shipped with rest_bridge; skip where it is not built yet."""
    if not (DEFAULT_PACKAGE / "manifest.json").is_file():
        pytest.skip(f"no model package at {DEFAULT_PACKAGE}")
    return DEFAULT_PACKAGE


@pytest.fixture(scope="session")
def assets_path() -> Path:
    """Return the data folder of tests marked `assets`; skip where it is not."""
    path = Path(os.environ.get("REST_BRIDGE_ASSETS", "/work/shared/assets"))
    if not path.is_dir():
        pytest.skip(f"no data folder {path}; set REST_BRIDGE_ASSETS")
    return path


@pytest.fixture
def write_wav(tmp_path: Path) -> WavWriter:
    """Return a function that writes a 16-bit wav file: a tone that comes and goes."""

    def write(
        name: str = "voice.wav",
        *,
        seconds: float = 1.0,
        rate_hz: int = 48_000,
        channels: int = 1,
        level: float = 0.5,
    ) -> Path:
        time = np.arange(round(seconds * rate_hz)) / rate_hz
        tone = level * np.sin(2 * np.pi * 220 * time) * np.sin(2 * np.pi * 2 * time) ** 2
        pcm = np.repeat((tone * 32767).astype("<i2")[:, None], channels, axis=1)
        path = tmp_path / name
        with wave.open(str(path), "wb") as file:
            file.setnchannels(channels)
            file.setsampwidth(2)
            file.setframerate(rate_hz)
            file.writeframes(pcm.tobytes())
        return path

    return write
