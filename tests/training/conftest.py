"""Data that several files train on at toy size."""

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from rest_bridge.training.speech_sessions import Session


@pytest.fixture(scope="session")
def toy_sessions() -> "list[Session]":
    """Three sessions of a buzzing voice."""
    for name in ("torch", "scipy"):
        pytest.importorskip(name)
    from tests.support import toy_training

    return toy_training.toy_sessions()


@pytest.fixture(scope="session")
def toy_folder(toy_sessions: "list[Session]", tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sessions as a folder that training reads."""
    from rest_bridge.training import speech_sessions

    path = tmp_path_factory.mktemp("speech")
    speech_sessions.save_sessions(toy_sessions, path / "train-toy.npz")
    speech_sessions.save_sessions(toy_sessions[:1], path / "validation.npz")
    return path
