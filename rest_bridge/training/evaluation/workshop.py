"""The tools that every subset of the evaluation shares."""

from dataclasses import dataclass
from pathlib import Path

from rest_bridge.training.evaluation.driving import Driver
from rest_bridge.training.evaluation.held_out import Library
from rest_bridge.training.evaluation.portraits import PortraitShelf


@dataclass(frozen=True, slots=True)
class Weights:
    """Published networks that a person may supply; None uses our own under another name.

    Attributes:
        inception: TorchScript of the FID Inception network.
        i3d: TorchScript of the FVD I3D network.
        syncnet: state dict of the published SyncNet.
    """

    inception: Path | None = None
    i3d: Path | None = None
    syncnet: Path | None = None


@dataclass(frozen=True, slots=True)
class Workshop:
    """What an evaluation works with.

    Attributes:
        driver: the product under test.
        shelf: its avatars.
        library: held-out clips and the ruler.
        seed: of all chance.
        quick: fewer clips, for a first look.
        weights: published networks, where supplied.
        features: folder for features of frames, which belongs to this fingerprint.
        shards: a held-out rendered shard; None renders a small one.
    """

    driver: Driver
    shelf: PortraitShelf
    library: Library
    seed: int
    quick: bool
    weights: Weights
    features: Path
    shards: Path | None = None
