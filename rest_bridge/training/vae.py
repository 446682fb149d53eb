"""Trains the video VAE on rendered samples with true flow.

Three parts in order, each by the loop that all stages share, so that a killed run goes on exactly:
`decoder` (reference encoder and flow decoder, on latents made of the true rig), `encoder` (rig
values compared by what they move), `joint` (half of the decoder's latents come from the encoder,
with noise on the free part and KL). From scratch through a noisy latent nothing starts
(STUDY-DECODER, section 2).

Place in the flow: shards of `base_flows` -> here -> OUT/vae.pt -> `export_vae`. Shape letters as in
`model.vae`.
"""

import argparse
import dataclasses
import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import torch
from torch import Tensor, nn

from rest_bridge.model.vae import VaeParams, VideoVae
from rest_bridge.training.checkpoint import load_checkpoint, load_weights, save_checkpoint
from rest_bridge.training.curve import LossCurve
from rest_bridge.training.latent_space import build_maps
from rest_bridge.training.loop import Loop
from rest_bridge.training.settings import StageSettings
from rest_bridge.training.vae_data import Batch, Shards, shard_paths
from rest_bridge.training.vae_eval import evaluate
from rest_bridge.training.vae_losses import decode, encode, flow_losses, rig_losses

log = logging.getLogger(__name__)

Part = Literal["decoder", "encoder", "joint"]
PARTS: Final[tuple[Part, ...]] = ("decoder", "encoder", "joint")
KL: Final = 5e-4


@dataclass(frozen=True, slots=True)
class VaeRun:
    """One run of the video VAE.

    Attributes:
        data: folder of shards, train_*.npz and val_*.npz.
        start: checkpoint to begin from; empty for new weights.
        out: checkpoint; each part keeps its own state beside it (`vae.decoder.pt`).
        seconds: wall-clock time for all parts together.
        shares: how the time is divided between decoder, encoder and joint training.
        steps: steps of each part; 0 for no limit.
        batch_size: samples a step.
        frames: frames of each sample in a step, even.
        learning_rate: AdamW.
        width, reference_width, encoder_width: see `VaeParams`.
        seed: of weights, batches and noise.
        precision: "bf16" or "float32".
        validate_every_s: between validations; 0 for none at all.
        save_every_s: between checkpoints.
        accumulate: micro-batches of a step.
        ema: decay of the averaged weights.
    """

    data: str
    out: str
    start: str = ""
    seconds: float = 1800.0
    shares: tuple[float, float, float] = (0.6, 0.3, 0.1)
    steps: tuple[int, int, int] = (0, 0, 0)
    batch_size: int = 10
    frames: int = 4
    learning_rate: float = 1.5e-3
    width: int = 12
    reference_width: int = 20
    encoder_width: int = 24
    seed: int = 1
    precision: str = "bf16"
    validate_every_s: float = 300.0
    save_every_s: float = 120.0
    accumulate: int = 1
    ema: float = 0.997

    def params(self) -> VaeParams:
        """Return the networks' sizes."""
        return VaeParams(self.width, self.reference_width, self.encoder_width)


class VaeLearner:
    """One part of the training; see `loop.Learner`."""

    def __init__(self, run: VaeRun, part: Part) -> None:
        """Make the networks.

        Args:
            run: sizes.
            part: what is trained now.
        """
        self.part: Part = part
        self.module: nn.Module = new_vae(run.params())
        self.about: dict[str, Any] = {"params": dataclasses.asdict(run.params()), "part": part}

    @property
    def vae(self) -> VideoVae:
        """The networks."""
        assert isinstance(self.module, VideoVae)
        return self.module

    def groups(self) -> list[dict[str, Any]]:
        """Return what this part trains."""
        decoder = [*self.vae.reference_encoder.parameters(), *self.vae.decoder.parameters()]
        encoder = list(self.vae.encoder.parameters())
        chosen = {"decoder": decoder, "encoder": encoder, "joint": decoder + encoder}[self.part]
        return [{"params": chosen, "share": 1.0 if self.part != "joint" else 0.3}]

    def losses(self, batch: Batch, chance: torch.Generator) -> dict[str, Tensor]:
        """Return the weighted losses of a batch."""
        rig = batch["rig"]
        pairs = rig.view(-1, 2, rig.shape[1])
        if self.part == "decoder":
            return flow_losses(decode(self.vae, self.vae.latent_of(pairs), batch), batch)
        predicted, free = encode(self.vae, batch)
        losses = rig_losses(predicted, rig)
        if self.part == "encoder":
            return losses
        code = free.reshape(len(pairs), -1)
        own = torch.rand(len(pairs), 1, 1, generator=chance) < 0.5
        mixed = torch.where(own, predicted.float().view_as(pairs), pairs)
        latent = self.vae.latent_of(mixed, self.vae.sample_free(code.float(), chance))
        losses["kl"] = KL * 0.5 * code.float().square().mean()
        return losses | flow_losses(decode(self.vae, latent, batch), batch)


def new_vae(params: VaeParams) -> VideoVae:
    """Return untrained networks around the fixed latent space."""
    maps = build_maps()
    return VideoVae(
        params, torch.from_numpy(maps["readout"]), torch.from_numpy(maps["rig_to_latent"])
    )


def train(run: VaeRun) -> bool:
    """Train all parts, or go on where their checkpoints stand; writes `run.out` at the end of each.

    Args:
        run: the run.

    Returns:
        False if somebody stopped it.

    Raises:
        ConfigError: there are no shards.
        CheckpointError: a checkpoint is damaged, of another size, or cannot be written.
    """
    torch.set_flush_denormal(True)
    shards = Shards(shard_paths(Path(run.data), "train"))
    held_out = None
    if run.validate_every_s > 0 and shard_paths(Path(run.data), "val"):
        held_out = Shards(shard_paths(Path(run.data), "val"))
    out, before = Path(run.out), Path(run.start) if run.start else None
    for index, part in enumerate(PARTS):
        if run.shares[index] <= 0:
            continue
        own = out.with_suffix(f".{part}.pt")
        torch.manual_seed(run.seed)
        learner = VaeLearner(run, part)
        if before is not None and not own.exists():
            load_weights(learner.module, load_checkpoint(before)["ema"], before)
        left = run.seconds * run.shares[index]
        if own.exists():
            left -= float(load_checkpoint(own)["trained_s"])
        settings = StageSettings(
            steps=run.steps[index], seconds=max(left, 0.0),
            batch_size=run.batch_size, accumulate=run.accumulate, ema=run.ema,
            learning_rate=run.learning_rate, precision=run.precision, decay_from=0.5,
            validate_every_s=run.validate_every_s if held_out else 0.0,
            save_every_s=run.save_every_s, warm_up=50,
        )  # fmt: skip
        loop = Loop(learner, _batches(shards, run), settings, own, seed=run.seed)
        log.info("vae %s: %d samples, from step %d", part, len(shards), loop.step)
        before = own
        if left <= 0:  # this part had its time
            continue
        finished = loop.run(None if held_out is None else _validator(held_out, learner))
        _write(out, loop, learner, held_out if finished else None)
        if not finished:
            return False
    return True


def _batches(shards: Shards, run: VaeRun) -> Callable[[int], Any]:
    def batch_at(number: int) -> Batch:
        return shards.batch_at(number, run.batch_size, run.frames, run.seed)

    return batch_at


def _validator(held_out: Shards, learner: VaeLearner) -> Callable[[Loop, LossCurve], None]:
    def validate(loop: Loop, curve: LossCurve) -> None:
        scores = evaluate(_averaged(loop, learner), held_out, parts=(learner.part,))
        curve.add_metrics(loop.step, {"held_out": scores})
        rounded = {name: round(value, 3) for name, value in scores.items()}
        log.info("vae %s step %d: %s", learner.part, loop.step, json.dumps(rounded))

    return validate


def _averaged(loop: Loop, learner: VaeLearner) -> VideoVae:
    vae = new_vae(learner.vae.params)
    loop.ema.copy_to(vae)
    return vae.eval()


def _write(out: Path, loop: Loop, learner: VaeLearner, held_out: Shards | None) -> None:
    """Keep the averaged weights and their scores for the export."""
    vae = _averaged(loop, learner)
    parts: tuple[Part, ...] = ("decoder", "encoder") if learner.part != "decoder" else ("decoder",)
    scores = {} if held_out is None else evaluate(vae, held_out, parts=parts)
    save_checkpoint(
        out, {"params": learner.about["params"], "ema": loop.ema.shadow, "step": loop.step,
              "part": learner.part, "scores": scores},
    )  # fmt: skip


def main() -> None:
    """Parse the command line and train."""
    parser = argparse.ArgumentParser(description="Train the video VAE.")
    for field in dataclasses.fields(VaeRun):
        name = f"--{field.name.replace('_', '-')}"
        if field.name in ("shares", "steps"):
            kind = float if field.name == "shares" else int
            parser.add_argument(name, type=kind, nargs=3, default=field.default)
        elif field.default is dataclasses.MISSING:
            parser.add_argument(name, required=True)
        else:
            parser.add_argument(name, type=type(field.default), default=field.default)
    parser.add_argument("--threads", type=int, default=1)
    args = vars(parser.parse_args())
    torch.set_num_threads(args.pop("threads"))
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    train(VaeRun(**args | {"shares": tuple(args["shares"]), "steps": tuple(args["steps"])}))


if __name__ == "__main__":
    main()
