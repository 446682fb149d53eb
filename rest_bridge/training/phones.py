"""The phone network: which lips a voice asks for, learned from the times of phones.

Run as `python -m rest_bridge.training.phones --data DIR --out FILE`: trains, or goes on where the
checkpoint stands, then tells how well held-out talkers are read (`phone_metrics`). The network is
SpeechAE's encoder with articulations in place of tokens: the same look-ahead, hence no latency of
its own, and where `phones.start` names a checkpoint of the chain, it begins with what that hears.
Shape letters: B batch, M mel frames, T latent frames, F = 2T video frames, C articulations.
"""

import argparse
import dataclasses
import logging
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn

from rest_bridge.errors import ConfigError, RestBridgeError
from rest_bridge.model.audio_encoder import SpeechConfig, SpeechEncoder
from rest_bridge.rig import ARTICULATIONS
from rest_bridge.training.checkpoint import load_checkpoint, load_weights
from rest_bridge.training.loop import Loop
from rest_bridge.training.mel_tract import change_talker
from rest_bridge.training.phone_labels import labels, read_phones
from rest_bridge.training.phone_metrics import judged, markdown
from rest_bridge.training.ranks import device
from rest_bridge.training.settings import PhoneSettings, TrainSettings, read_settings
from rest_bridge.training.speech_sessions import (
    HISTORY_LATENTS,
    LOOKAHEAD_FRAMES,
    MEL_PER_LATENT,
    Session,
    load_sessions,
)
from rest_bridge.training.train_speech import encode, load_training_sessions
from rest_bridge.types import LATENT_STRIDE, FloatArray

log = logging.getLogger(__name__)

_CONFIG: Final = Path(__file__).resolve().parents[2] / "configs" / "train" / "nano.toml"
_SHARES: Final = {"grid": 1.0, "read": 3.2, "synthetic": 1.2, "foreign": 2.2, "negative": 0.6}
"""Of each source in a batch; people who read count most, they are what is held against us."""
_WEIGHTS: Final = {"shut": 2.0, "teeth": 3.0, "round": 1.0, "spread": 0.5, "open": 0.5,
                   "silent": 0.5}  # fmt: skip
_INTERRUPTED: Final = 130


@dataclass(frozen=True, slots=True)
class PhoneBatch:
    """Arrays of one step: mel float32 [B, (history + T) * 8, 80], labels float32 [B, 2T, C]."""

    mel: FloatArray
    labels: FloatArray


@dataclass(frozen=True, slots=True)
class Labelled:
    """A session and what its lips are asked for, float32 [F, C]."""

    session: Session
    labels: FloatArray


def labelled(sessions: Sequence[Session], data: Path) -> list[Labelled]:
    """Return the sessions whose lips are known."""
    phones = read_phones(data)
    pairs = [(session, labels(session, phones)) for session in sessions]
    return [Labelled(s, found) for s, found in pairs if found is not None]


def batch_source(
    known: Sequence[Labelled], settings: PhoneSettings, seed: int
) -> Callable[[int], PhoneBatch]:
    """Return batches by number, the same whenever asked.

    Raises:
        ConfigError: every session is shorter than a crop.
    """
    by_style: dict[str, list[Labelled]] = {}
    for one in known:
        if one.session.num_latents >= settings.num_latents:
            by_style.setdefault(one.session.style, []).append(one)
    if not by_style:
        raise ConfigError(
            f"No session of known phones is as long as a crop (phones.num_latents = "
            f"{settings.num_latents} latent frames of 80 ms); write data with `rest-bridge train "
            "speech-data`, or take shorter crops."
        )
    styles = sorted(by_style)
    shares = np.array([_SHARES[style] for style in styles])
    shares /= shares.sum()

    def batch_at(number: int) -> PhoneBatch:
        rng = np.random.default_rng([seed, 11, number])
        drawn = rng.choice(len(styles), settings.batch_size, p=shares)
        chosen = [by_style[styles[k]] for k in drawn]
        crops = [
            crop(of_style[int(rng.integers(len(of_style)))], settings, rng) for of_style in chosen
        ]
        return PhoneBatch(*(np.stack(arrays) for arrays in zip(*crops, strict=True)))

    return batch_at


def crop(
    one: Labelled, settings: PhoneSettings, rng: np.random.Generator
) -> tuple[FloatArray, FloatArray]:
    """Cut one crop: mel float32 [M, 80], often as of another talker, and labels [F, C]."""
    session, count = one.session, settings.num_latents
    first = int(rng.integers(session.num_latents - count + 1))
    start = first * MEL_PER_LATENT + LOOKAHEAD_FRAMES
    stop = start + (HISTORY_LATENTS + count) * MEL_PER_LATENT
    mel = session.mel[int(rng.integers(len(session.mel))), start:stop].astype(np.float32)
    if rng.random() < settings.tract:
        mel = change_talker(mel, rng)
    return mel, one.labels[first * LATENT_STRIDE : (first + count) * LATENT_STRIDE]


def phone_config(width: int) -> SpeechConfig:
    """Return the network's size: `width` channels at 100 Hz, a third more at each halving."""
    widths = [round(width * share / 3) for share in (3, 4, 5, 6)]
    return SpeechConfig(
        widths=(widths[0], widths[1], widths[2], widths[3]), token_width=len(ARTICULATIONS)
    )


class PhoneLearner:
    """What the stage learns; see `loop.Learner`."""

    def __init__(self, settings: PhoneSettings) -> None:
        self.net = SpeechEncoder(phone_config(settings.width))
        self.module: nn.Module = self.net.to(device())
        self.about: dict[str, Any] = {"phone_width": settings.width}
        self._weights = torch.tensor([_WEIGHTS[n] for n in ARTICULATIONS], device=device())

    def groups(self) -> list[dict[str, Any]]:
        """Return the optimiser's only group."""
        return [{"params": list(self.net.parameters()), "share": 1.0}]

    def losses(self, batch: PhoneBatch, chance: torch.Generator) -> dict[str, Tensor]:
        """Return the cross entropy of each articulation, weighted."""
        del chance
        mel, wanted = (torch.from_numpy(x).to(device()) for x in (batch.mel, batch.labels))
        told = encode(self.net, mel).float().flatten(1, 2)
        error = nn.functional.binary_cross_entropy_with_logits(told, wanted, reduction="none")
        each = error.mean((0, 1)) * self._weights
        return dict(zip(ARTICULATIONS, each, strict=True))


def listen_like(net: SpeechEncoder, checkpoint: Path) -> None:
    """Give a network the layers of a trained SpeechAE of its size; the last one stays its own.

    Raises:
        CheckpointError: the checkpoint is missing, has no SpeechAE, or one of another size.
    """
    weights = load_checkpoint(checkpoint)["ema"]
    heard = {n.removeprefix("encoder."): w for n, w in weights.items() if n.startswith("encoder.")}
    own = {f"leave.{name}": value for name, value in net.leave.named_parameters()}
    load_weights(net, {**heard, **own}, checkpoint)


def load_net(checkpoint: Path) -> tuple[SpeechEncoder, int]:
    """Return the averaged network of a checkpoint and its step.

    Raises:
        CheckpointError: it is missing, damaged, or of another kind.
    """
    saved = load_checkpoint(checkpoint)
    net = SpeechEncoder(phone_config(int(saved.get("phone_width", 0))))
    load_weights(net, saved["ema"], checkpoint)
    return net.eval(), int(saved["step"])


@torch.no_grad()
def read_aloud(net: SpeechEncoder, session: Session, version: int = 0) -> FloatArray:
    """Return what the network tells of a whole session, float32 [F, C]."""
    stop = LOOKAHEAD_FRAMES + (HISTORY_LATENTS + session.num_latents) * MEL_PER_LATENT
    mel = session.mel[version, LOOKAHEAD_FRAMES:stop].astype(np.float32)
    told = torch.sigmoid(encode(net, torch.from_numpy(mel)[None]))
    return told[0].flatten(0, 1).numpy()


def train(settings: TrainSettings, out: Path) -> bool:
    """Train, or go on; returns False if somebody stopped it.

    Raises:
        ConfigError: there is no data of known phones.
        CheckpointError: the checkpoint is damaged or of another size.
    """
    own, data = settings.phones, Path(settings.data)
    if settings.threads:
        torch.set_num_threads(settings.threads)
    torch.manual_seed(settings.seed)
    known = labelled(load_training_sessions(data), data)
    source = batch_source(known, own, settings.seed)
    learner = PhoneLearner(own)
    if own.start and not out.exists():
        listen_like(learner.net, Path(own.start))
    loop = Loop(learner, source, own, out, seed=settings.seed)
    log.info("phones: %d sessions, from step %d", len(known), loop.step)
    return loop.run()


def evaluate(checkpoint: Path, data: Path) -> str:
    """Return the table of held-out talkers: precision, recall and F1 by group."""
    net, _ = load_net(checkpoint)
    held = [s for path in sorted(data.glob("held-*.npz")) for s in load_sessions(path)]
    known = labelled(held, data)
    return markdown(judged([(k.session, k.labels, read_aloud(net, k.session)) for k in known]))


def main(arguments: Sequence[str] | None = None) -> int:
    """Train and tell; returns the exit code. A wrong setting or missing data is one sentence."""
    parser = argparse.ArgumentParser(prog="rest-bridge train phones", description=__doc__)
    parser.add_argument("--config", type=Path, default=_CONFIG)
    parser.add_argument("--out", type=Path, help="checkpoint; OUT/phones.pt of the settings")
    parser.add_argument("--seconds", type=float, help="wall-clock time")
    parser.add_argument("--steps", type=int, help="steps, earlier ones counted")
    parser.add_argument("--set", action="append", metavar="SECTION.KEY=VALUE",
                        help="another value than the file's; may be repeated")  # fmt: skip
    parser.add_argument("--judge", action="store_true", help="only tell of a checkpoint")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", force=True)
    try:
        settings = read_settings(options.config, options.set)
        limits = {"seconds": options.seconds, "steps": options.steps}
        changed = {k: v for k, v in limits.items() if v is not None}
        own = dataclasses.replace(settings.phones, **changed)
        settings = dataclasses.replace(settings, phones=own)
        out = options.out or Path(settings.out) / "phones.pt"
        if not options.judge and not train(settings, out):
            return _INTERRUPTED
        print(evaluate(out, Path(settings.data)))
    except (RestBridgeError, FileNotFoundError) as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
