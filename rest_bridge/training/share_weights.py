"""Stores weights that several graphs of a package hold once, in a file beside them.

dit.onnx, dit_many.onnx and dit_prefill.onnx are one network; so are decoder.onnx and its parts.
ONNX lets a tensor lie in another file ("external data"); ONNX Runtime maps that file into memory.
Nothing is written unless every graph is the same to the bit with the shared file. Packages whose
graphs hold their weights themselves load as before.

    python -m rest_bridge.training.share_weights --package FOLDER
"""

import argparse
import hashlib
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import onnx
from onnx import TensorProto, external_data_helper, numpy_helper

from rest_bridge.errors import RestBridgeError
from rest_bridge.generator.many_motion import GRAPH, MADE_FROM
from rest_bridge.inference.package import DEFAULT_PACKAGE, ModelPackage
from rest_bridge.inference.session import Session
from rest_bridge.training.package_writer import write_package_part

FAMILIES: Final = {"dit": r"dit(_many|_prefill)?\.onnx", "decoder": r"decoder(_\d+)?\.onnx"}
"""Name of the shared file, less `_weights.bin` -> which graphs read it."""
_LEAST_BYTES: Final = 512
"""Smaller tensors stay where they are: shapes and constants that loading computes with."""
_ALIGNMENT: Final = 64


class SharingError(RestBridgeError):
    """The graphs of a package cannot share their weights."""


def weights_file(family: str) -> str:
    """Return the name of a family's shared file."""
    return f"{family}_weights.bin"


def shared(graphs: Mapping[str, bytes], file_name: str, folder: Path) -> dict[str, bytes]:
    """Move the weights of graphs into one file; equal ones are stored once.

    Args:
        graphs: file name -> graph.
        file_name: of the shared file.
        folder: where weights lie that a graph already keeps outside of itself.

    Returns:
        File name -> content: the graphs without weights, and the shared file.
    """
    places: dict[str, int] = {}
    content = bytearray()
    found: dict[str, bytes] = {}
    for name, graph in graphs.items():
        model = onnx.load_from_string(graph)
        external_data_helper.load_external_data_for_model(model, str(folder))
        for tensor in model.graph.initializer:
            data = _bytes_of(tensor)
            if len(data) < _LEAST_BYTES:
                continue
            key = hashlib.sha256(data).hexdigest()
            if key not in places:
                content += bytes(-len(content) % _ALIGNMENT)
                places[key] = len(content)
                content += data
            _point(tensor, file_name, places[key], len(data))
        found[name] = model.SerializeToString(deterministic=True)
    return {**found, file_name: bytes(content)}


def share(package_dir: Path) -> dict[str, tuple[int, int]]:
    """Let the graphs of each family of a package share their weights.

    Args:
        package_dir: the package.

    Returns:
        Family -> bytes of its files before and after.

    Raises:
        SharingError: a graph would be another one; nothing is written then.
        PackageError: the package is damaged.
    """
    package = ModelPackage.load(package_dir)
    sizes: dict[str, tuple[int, int]] = {}
    for family, pattern in FAMILIES.items():
        names = sorted(n for n in package.manifest["files"] if re.fullmatch(pattern, n))
        if not names:
            continue
        graphs = {name: (package_dir / name).read_bytes() for name in names}
        files = shared(graphs, weights_file(family), package_dir)
        with tempfile.TemporaryDirectory() as folder:
            for name, content in files.items():
                (Path(folder) / name).write_bytes(content)
            for name in names:
                compare(package_dir / name, Path(folder) / name)
        before = {n for n in (*names, weights_file(family)) if package.has(n)}
        write_package_part(package_dir, files=files, sections=_sections(package, files))
        listed = package.manifest["files"]
        sizes[family] = (
            sum(int(listed[name]["bytes"]) for name in before),
            sum(len(content) for content in files.values()),
        )
    return sizes


def _sections(package: ModelPackage, files: Mapping[str, bytes]) -> dict[str, dict[str, str]]:
    """Return what the manifest says of the batch, if it still is of this dit.onnx."""
    if GRAPH not in package.manifest or "dit.onnx" not in files:
        return {}
    if package.section(GRAPH).get(MADE_FROM) != package.digest("dit"):
        return {}
    return {GRAPH: {MADE_FROM: hashlib.sha256(files["dit.onnx"]).hexdigest()}}


def compare(before: Path, after: Path) -> None:
    """Read two graphs as ONNX and as ONNX Runtime do, and compare all that they hold.

    Raises:
        SharingError: a weight differs in a bit, or anything else.
        PackageError: ONNX Runtime cannot load the graph with shared weights.
    """
    one, other = onnx.load(str(before)), onnx.load(str(after))
    weights, same = ({t.name: _bytes_of(t) for t in m.graph.initializer} for m in (one, other))
    for model in (one, other):
        del model.graph.initializer[:]
    whole, rest = (m.SerializeToString(deterministic=True) for m in (one, other))
    if weights != same or whole != rest:
        raise SharingError(
            f"{before.name} would be another graph with shared weights; nothing is written."
        )
    Session(after)


def _bytes_of(tensor: TensorProto) -> bytes:
    if tensor.HasField("raw_data"):
        return tensor.raw_data
    return numpy_helper.to_array(tensor).tobytes()


def _point(tensor: TensorProto, file_name: str, offset: int, length: int) -> None:
    kept = {"name": tensor.name, "data_type": tensor.data_type, "dims": list(tensor.dims)}
    tensor.Clear()
    tensor.name, tensor.data_type = kept["name"], kept["data_type"]
    tensor.dims.extend(kept["dims"])
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", file_name), ("offset", offset), ("length", length)):
        entry = tensor.external_data.add()
        entry.key, entry.value = key, str(value)


def main() -> None:
    """Let a package's graphs share their weights."""
    parser = argparse.ArgumentParser(description="Store weights that several graphs hold once.")
    parser.add_argument("--package", type=Path, default=DEFAULT_PACKAGE)
    for family, (before, after) in share(parser.parse_args().package).items():
        print(f"{family}: {before / 1e6:.2f} MB -> {after / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
