"""Command line of training: `python -m rest_bridge.training STAGE ...`.

Stages of the voice: speech-data (phones, landmarks, sessions), speech (SpeechAE), dit (A2V-DiT),
export-motion (both into a model package), evaluate-motion (tables on held-out speech). The
picture's stages have their own modules beside this one. Each stage is resumed by running it again.
"""

import argparse
import json
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from rest_bridge.errors import RestBridgeError
from rest_bridge.inference.package import DEFAULT_PACKAGE

_CONFIGS = Path(__file__).resolve().parents[2] / "configs" / "train"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one stage; returns the exit code. A wrong setting or a missing file is one sentence."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    try:
        _run(options)
    except (RestBridgeError, FileNotFoundError) as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def _run(options: argparse.Namespace) -> None:
    """Modules are imported late, so that `--help` needs no torch."""
    if options.stage == "speech-data":
        from rest_bridge.training.speech_prepare import prepare

        prepare(options.assets, options.out, options.texts)
    elif options.stage == "speech":
        from rest_bridge.training import train_speech

        changes = {"seconds": options.seconds}
        train_speech.train(
            train_speech.read_config(options.config, train_speech.SpeechRun, changes)
        )
    elif options.stage == "dit":
        from rest_bridge.training import train_dit
        from rest_bridge.training.train_speech import read_config

        changes = {"seconds": options.seconds}
        train_dit.train(read_config(options.config, train_dit.DitRun, changes))
    elif options.stage == "export-motion":
        from rest_bridge.training.export_motion import export_checkpoint
        from rest_bridge.training.speech_prepare import load_mel_config

        export_checkpoint(options.checkpoint, load_mel_config(options.data), options.package)
    else:
        _evaluate(options)


def _evaluate(options: argparse.Namespace) -> None:
    from rest_bridge.model.dit import DitConfig
    from rest_bridge.training import speech_metrics, speech_sessions
    from rest_bridge.training.checkpoint import load_checkpoint
    from rest_bridge.training.train_dit import averaged_models

    saved = load_checkpoint(options.checkpoint)
    raw = {**saved["dit_config"], "latent_shape": tuple(saved["dit_config"]["latent_shape"])}
    clips = speech_metrics.generate(
        *averaged_models(saved["ema"], DitConfig(**raw)),
        speech_sessions.load_sessions(options.data / "validation.npz"),
        num_steps=options.steps,
        chunk_latents=options.chunk,
        temperature=options.temperature,
    )
    for source, metrics in speech_metrics.summarise(clips).items():
        rounded = {name: round(value, 3) for name, value in metrics.items()}
        print(json.dumps({"source": source, **rounded}))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m rest_bridge.training", description=__doc__)
    stages = parser.add_subparsers(dest="stage", required=True)
    data = stages.add_parser("speech-data", help="phones, landmarks and sessions from the assets")
    data.add_argument("--assets", type=Path, required=True, help="folder of recorded sources")
    data.add_argument("--out", type=Path, required=True, help="folder to write to")
    data.add_argument("--texts", type=Path, default=_CONFIGS / "texts.toml")
    for name, what in (("speech", "pretrain SpeechAE"), ("dit", "train the A2V-DiT")):
        stage = stages.add_parser(name, help=what)
        stage.add_argument("--config", type=Path, default=_CONFIGS / f"{name}.toml")
        stage.add_argument("--seconds", type=float, default=None, help="wall-clock time to train")
    for name, what in (("export-motion", "write a package part"), ("evaluate-motion", "tables")):
        stage = stages.add_parser(name, help=what)
        stage.add_argument("--checkpoint", type=Path, required=True)
        stage.add_argument("--data", type=Path, required=True, help="folder of `speech-data`")
        if name == "export-motion":
            stage.add_argument("--package", type=Path, default=DEFAULT_PACKAGE)
        else:
            stage.add_argument("--steps", type=int, default=2, help="denoising steps")
            stage.add_argument("--chunk", type=int, default=1, help="latent frames a chunk, 1..4")
            stage.add_argument("--temperature", type=float, default=0.8, help="of the noise, 0..1")
    return parser


if __name__ == "__main__":
    sys.exit(main())
