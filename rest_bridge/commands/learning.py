"""`rest-bridge train`, `evaluate` and `export`: handed to the training side, which needs torch.

Each stage is a module of `rest_bridge.training` with options of its own. It runs as a process of
its own, so that the runtime never imports it; the words after the stage are passed on.
"""

import importlib.util
import subprocess
import sys
from typing import Final

import typer

from rest_bridge.commands.console import ExitCode, out
from rest_bridge.errors import ConfigError, RestBridgeError

PASS_ON: Final = {"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []}
_NEEDED: Final = ("torch", "onnx", "scipy", "numba")
_TRAINING: Final = "rest_bridge.training"

STAGES: Final[dict[str, dict[str, tuple[str, ...]]]] = {
    "train": {
        "latent-space": (f"{_TRAINING}.latent_space",),
        "head": (f"{_TRAINING}.head_model",),
        "faces-data": (f"{_TRAINING}.faces_data",),
        "face-pools": (f"{_TRAINING}.face_pools",),
        "detector": (f"{_TRAINING}.landmarks", "detector"),
        "landmarks": (f"{_TRAINING}.landmarks", "landmarks"),
        "refine": (f"{_TRAINING}.landmark_refiner",),
        "base-flows": (f"{_TRAINING}.base_flows",),
        "render-speed": (f"{_TRAINING}.render_speed",),
        "prepare": (f"{_TRAINING}.prepare",),
        "speech-data": (_TRAINING, "speech-data"),
        "vae": (f"{_TRAINING}.vae",),
        "speech": (_TRAINING, "speech"),
        "teacher": (_TRAINING, "teacher"),
        "student": (_TRAINING, "student"),
        "asd": (_TRAINING, "asd"),
        "distill": (_TRAINING, "distill"),
        "all": (_TRAINING, "all"),
        "compare": (_TRAINING, "compare"),
        "ablate": (_TRAINING, "ablate"),
        "blend": (_TRAINING, "blend"),
        "phones": (f"{_TRAINING}.phones",),
        "sync-expert": (f"{_TRAINING}.evaluation.sync_training",),
    },
    "export": {
        "landmarks": (f"{_TRAINING}.landmarks", "export"),
        "vae": (f"{_TRAINING}.export_vae",),
        "motion": (_TRAINING, "export-motion"),
        "phones": (f"{_TRAINING}.export_phones",),
    },
    "evaluate": {
        "landmarks": (f"{_TRAINING}.landmarks_eval",),
        "motion": (_TRAINING, "evaluate-motion"),
        "product": (f"{_TRAINING}.evaluate",),
    },
}
"""Command -> stage, in the order in which they build on one another -> module and its words."""


def train(context: typer.Context) -> int:
    """Train one stage: rest-bridge train STAGE ...; without one, lists them (extra `train`)."""
    return _hand_on("train", context.args)


def evaluate(context: typer.Context) -> int:
    """Measure on held-out talkers and faces: rest-bridge evaluate [WHAT] ... (extra `train`).

    Without a name it is the whole product: rest-bridge evaluate --assets DATA --out DIR --quick
    """
    words = context.args
    if words and words[0].startswith("--") and words[0] != "--help":
        words = ["product", *words]
    return _hand_on("evaluate", words)


def export(context: typer.Context) -> int:
    """Turn a checkpoint into part of a model package: rest-bridge export WHAT ... (`train`)."""
    return _hand_on("export", context.args)


def _hand_on(command: str, words: list[str]) -> int:
    stages = STAGES[command]
    if not words or words[0] in ("-h", "--help"):
        out.print(f"Usage: rest-bridge {command} {'|'.join(stages)} [OPTIONS]")
        out.print(f"In this order; `rest-bridge {command} STAGE --help` shows a stage's options.")
        return ExitCode.OK
    if words[0] not in stages:
        raise ConfigError(
            f'There is no "{words[0]}" to {command}; there is {", ".join(stages)}, in this order.'
        )
    missing = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise RestBridgeError(
            f"`rest-bridge {command}` needs {', '.join(missing)}, which a streamer's installation "
            'does not have; install the extra: pip install "rest-bridge[cpu,train]".'
        )
    module, *leading = stages[words[0]]
    done = subprocess.run([sys.executable, "-m", module, *leading, *words[1:]], check=False)
    return ExitCode.INTERRUPTED if done.returncode in (-2, 130) else done.returncode
