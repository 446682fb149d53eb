"""Exports the phone network into a model package.

Run as `python -m rest_bridge.training.export_phones --checkpoint F --data DIR --package DIR`.
Nothing is written unless ONNX Runtime agrees with torch. A package whose audio.npz has other
constants of the features is refused: the network would hear something else than it learned from.
"""

import argparse
import logging
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from rest_bridge.errors import ConfigError, RestBridgeError
from rest_bridge.features.articulation import GRAPH, mel_mark
from rest_bridge.features.mel import MelConfig
from rest_bridge.inference.package import ModelPackage
from rest_bridge.inference.state import ArraySpec, StateSpec
from rest_bridge.model.audio_encoder import SpeechEncoder
from rest_bridge.rig import ARTICULATIONS
from rest_bridge.training.export_motion import export_graph, round_weights, verify_graph
from rest_bridge.training.package_writer import write_package_part
from rest_bridge.training.phones import load_net
from rest_bridge.training.speech_prepare import load_mel_config
from rest_bridge.training.speech_sessions import MEL_PER_LATENT

log = logging.getLogger(__name__)


class _PhoneGraph(nn.Module):
    def __init__(self, net: SpeechEncoder) -> None:
        super().__init__()
        self.net = net

    def forward(self, mel: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        told, next_state = self.net(mel, list(state))
        return torch.sigmoid(told), *next_state


def export_phones(net: SpeechEncoder, mel: MelConfig, package: Path, *, step: int) -> None:
    """Write phones.onnx and its section.

    Args:
        net: with averaged weights; rounded to float16 in place.
        mel: constants of the features that it was trained on.
        package: folder of the model package, with its sound features.
        step: of the training, to be recorded.

    Raises:
        ConfigError: the package's features have other constants.
        ExportMismatch: the graph disagrees with torch; nothing was written.
        PackageError: there is no such package.
    """
    known = ModelPackage.load(package)
    own = MelConfig.from_arrays(known.arrays("audio"), known.section("audio"))
    if mel_mark(own) != mel_mark(mel):
        raise ConfigError(
            "The package's sound features (audio.npz) have other constants than the data that "
            "the phone network was trained on (mel.npz); export the motion from the same data: "
            f"{package}"
        )
    round_weights(net)
    spec = StateSpec(
        tuple(ArraySpec(f"phones.conv{i}", (1, *s)) for i, s in enumerate(net.state_shapes()))
    )
    with tempfile.TemporaryDirectory() as folder:
        path = _write_graph(net, spec, Path(folder))
        section = {
            "names": list(ARTICULATIONS),
            "mel_mark": mel_mark(mel),
            "state": spec.to_manifest(),
            "trained": {"step": step},
        }
        write_package_part(package, files={f"{GRAPH}.onnx": path}, sections={GRAPH: section})


def _write_graph(net: SpeechEncoder, spec: StateSpec, folder: Path) -> Path:
    graph = _PhoneGraph(net).eval()
    names = [a.name for a in spec.arrays]
    args = (
        torch.randn(1, MEL_PER_LATENT, net.config.num_bins),
        *(torch.randn(a.shape) for a in spec.arrays),
    )
    path = folder / f"{GRAPH}.onnx"
    inputs, outputs = ["mel", *names], ["articulation", *(f"next_{n}" for n in names)]
    export_graph(graph, args, path, inputs, outputs, {})
    verify_graph(graph, args, path, inputs, outputs)
    return path


def main(arguments: Sequence[str] | None = None) -> int:
    """Export; returns the exit code."""
    parser = argparse.ArgumentParser(prog="rest-bridge export phones", description=__doc__)
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True, help="folder of `speech-data`")
    parser.add_argument("--package", type=Path, required=True, help="folder to write into")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", force=True)
    try:
        net, step = load_net(options.checkpoint)
        export_phones(net, load_mel_config(options.data), options.package, step=step)
    except (RestBridgeError, FileNotFoundError) as error:
        print(error, file=sys.stderr)
        return 2
    log.info("wrote the phone network of step %d to %s", step, options.package)
    return 0


if __name__ == "__main__":
    sys.exit(main())
