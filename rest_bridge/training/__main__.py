"""Command line of training: `python -m rest_bridge.training STAGE ...`.

Data: prepare (videos of your own), speech-data (phones, landmarks, sessions). Stages: vae, speech,
teacher, student, asd, distill, and `all` of them in this order; every one goes on where its
checkpoint stands. Then export-motion (SpeechAE and DiT into a model package), evaluate-motion
(tables on held-out speech), compare (what the paper leaves open, at equal budget), ablate (what
each part brings).
Several processes: torchrun --nproc-per-node N -m rest_bridge.training STAGE ...
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
_STAGES = ("vae", "speech", "teacher", "student", "asd", "distill")
_INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one stage; returns the exit code. A wrong setting or a missing file is one sentence."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words[:1] == ["prepare"]:
        from rest_bridge.training.prepare.__main__ import main as prepare_videos

        return prepare_videos(words[1:])
    options = _parser().parse_args(words)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", force=True)
    try:
        return _run(options)
    except (RestBridgeError, FileNotFoundError) as error:
        print(error, file=sys.stderr)
        return 2
    except OSError as error:
        print(f"A file could not be written or read ({error.strerror or error}); free some space "
              "or check the path and run the same command again, it goes on: "
              f"{error.filename or options.stage}", file=sys.stderr)  # fmt: skip
        return 2


def _run(options: argparse.Namespace) -> int:
    """Modules are imported late, so that `--help` needs no torch."""
    if options.stage == "speech-data":
        from rest_bridge.training.speech_prepare import prepare

        prepare(options.assets, options.out, options.texts)
    elif options.stage == "all" or options.stage in _STAGES:
        return _train(options)
    elif options.stage == "blend":
        from rest_bridge.training.blend import blend

        given = (options.first, options.second, options.share, options.out)
        blend(*given, settle=options.settle_emotions)
    elif options.stage in ("compare", "ablate"):
        _try_variants(options)
    elif options.stage == "export-motion":
        from rest_bridge.training.export_motion import export_checkpoint
        from rest_bridge.training.speech_prepare import load_mel_config

        export_checkpoint(
            options.checkpoint, load_mel_config(options.data), options.package,
            steps=options.steps, temperature=options.temperature,
        )  # fmt: skip
    else:
        _evaluate(options)
    return 0


def _train(options: argparse.Namespace) -> int:
    from rest_bridge.training import stages
    from rest_bridge.training.settings import read_settings

    settings = read_settings(options.config, options.set)
    limits = {"seconds": options.seconds, "steps": options.steps}
    if options.stage == "all":
        finished = stages.train_all(settings, **limits)
    else:
        finished = stages.train_stage(options.stage, settings, **limits)
    return 0 if finished else _INTERRUPTED


def _try_variants(options: argparse.Namespace) -> None:
    from rest_bridge.training import ablation, comparison, speech_sessions, stages, trials
    from rest_bridge.training.settings import read_settings

    settings = read_settings(options.config, options.set)
    validation = Path(settings.data) / "validation.npz"
    held_out = speech_sessions.load_sessions(validation)[:: options.every]
    out = Path(settings.out) / options.stage
    data = {"held_out": held_out, "sessions": []}
    if options.steps:
        data["sessions"] = stages.load_sessions(Path(settings.data))
    if options.stage == "compare":
        given = (settings, options.checkpoint, out)
        print(
            comparison.compare(
                *given, steps=options.steps, warm=options.warm, seeds=options.seeds, **data
            )
        )
        return
    rows = ablation.sampled(options.checkpoint, held_out)
    table = trials.markdown_table("when sampling", rows)
    if options.steps:
        rows = ablation.tuned(settings, out, steps=options.steps, **data)
        table += "\n\n" + trials.markdown_table(f"{options.steps} steps of tuning", rows)
    out.mkdir(parents=True, exist_ok=True)
    (out / "ablate.md").write_text(table + "\n")
    print(table)


def _evaluate(options: argparse.Namespace) -> None:
    from rest_bridge.training import speech_sessions
    from rest_bridge.training.checkpoint import load_checkpoint
    from rest_bridge.training.stages import score_models

    _, table = score_models(
        load_checkpoint(options.checkpoint),
        speech_sessions.load_sessions(options.data / "validation.npz"),
        num_steps=options.steps,
        chunk_latents=options.chunk,
        temperature=options.temperature,
    )
    for source, metrics in table.items():
        rounded = {name: round(value, 3) for name, value in metrics.items()}
        print(json.dumps({"source": source, **rounded}))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m rest_bridge.training", description=__doc__)
    stages = parser.add_subparsers(dest="stage", required=True)
    stages.add_parser("prepare", help="a user's own videos into clips and sessions")
    data = stages.add_parser("speech-data", help="phones, landmarks and sessions from the assets")
    data.add_argument("--assets", type=Path, required=True, help="folder of recorded sources")
    data.add_argument("--out", type=Path, required=True, help="folder to write to")
    data.add_argument("--texts", type=Path, default=_CONFIGS / "texts.toml")
    for name in (*_STAGES, "all"):
        stage = stages.add_parser(name, help=f"train {name}; goes on where it was stopped")
        stage.add_argument("--config", type=Path, default=_CONFIGS / "nano.toml")
        stage.add_argument("--seconds", type=float, help="wall-clock time (of each stage)")
        stage.add_argument("--steps", type=int, help="steps (of each stage), earlier ones counted")
        stage.add_argument("--set", action="append", metavar="SECTION.KEY=VALUE",
                           help="another value than the file's; may be repeated")  # fmt: skip
    stage = stages.add_parser("blend", help="the mean of two related checkpoints")
    stage.add_argument("--first", type=Path, required=True, help="checkpoint that is kept")
    stage.add_argument("--second", type=Path, required=True, help="fine-tuned from it")
    stage.add_argument("--share", type=float, default=0.4, help="of the second, 0..1")
    stage.add_argument("--out", type=Path, required=True)
    stage.add_argument("--settle-emotions", action="store_true",
                       help="show the shapes of expressions.py, not what was learnt")  # fmt: skip
    for name, what, given, steps in (
        ("compare", "the open choices, at equal budget", "whose SpeechAE is used, frozen", 300),
        ("ablate", "what each part brings", "the student to take apart", 0),
    ):
        stage = stages.add_parser(name, help=what)
        stage.add_argument("--config", type=Path, default=_CONFIGS / "nano.toml")
        stage.add_argument("--set", action="append", metavar="SECTION.KEY=VALUE")
        stage.add_argument("--checkpoint", type=Path, required=True, help=given)
        stage.add_argument("--steps", type=int, default=steps,
                           help="of training each variant (ablate: 0 for none)")  # fmt: skip
        if name == "compare":
            stage.add_argument("--warm", action="store_true", help="start from its DiT too")
            stage.add_argument("--seeds", type=int, default=1, help="runs of each variant")
        stage.add_argument("--every", type=int, default=1, help="take each N-th held-out clip")
    for name, what in (("export-motion", "write a package part"), ("evaluate-motion", "tables")):
        stage = stages.add_parser(name, help=what)
        stage.add_argument("--checkpoint", type=Path, required=True)
        stage.add_argument("--data", type=Path, required=True, help="folder of `speech-data`")
        stage.add_argument("--steps", type=int, default=1, help="denoising steps")
        stage.add_argument("--temperature", type=float, default=0.2, help="of the noise, 0..1")
        if name == "export-motion":
            stage.add_argument("--package", type=Path, default=DEFAULT_PACKAGE)
        else:
            stage.add_argument("--chunk", type=int, default=1, help="latent frames a chunk, 1..4")
    return parser


if __name__ == "__main__":
    sys.exit(main())
