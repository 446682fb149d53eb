"""`rest-bridge train`, `evaluate` and `export`: handed to the training side, which needs torch.

Runs `python -m rest_bridge.training` as a process of its own, so that the runtime never imports it.
"""

import importlib.util
import subprocess
import sys
from typing import Final

import typer

from rest_bridge.commands.console import ExitCode
from rest_bridge.errors import RestBridgeError

PASS_ON: Final = {"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []}
_NEEDED: Final = ("torch", "onnx", "scipy", "numba")


def train(context: typer.Context) -> int:
    """Train one stage or all: rest-bridge train STAGE|all ... (extra `train`)."""
    return _hand_on("train", context.args)


def evaluate(context: typer.Context) -> int:
    """Measure a model package on held-out talkers and faces (extra `train`)."""
    return _hand_on("evaluate", context.args)


def export(context: typer.Context) -> int:
    """Turn checkpoints into a model package (extra `train`)."""
    return _hand_on("export", context.args)


def _hand_on(command: str, arguments: list[str]) -> int:
    missing = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise RestBridgeError(
            f"`rest-bridge {command}` needs {', '.join(missing)}, which a streamer's installation "
            'does not have; install the extra: pip install "rest-bridge[cpu,train]".'
        )
    done = subprocess.run(
        [sys.executable, "-m", "rest_bridge.training", command, *arguments], check=False
    )
    return ExitCode.INTERRUPTED if done.returncode in (-2, 130) else done.returncode
