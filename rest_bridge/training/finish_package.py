"""Turns a freshly exported package into the form that is shipped, by one command.

    python -m rest_bridge.training.finish_package --package FOLDER

The decoder is cut into parts (`split_decoder`), many streams get their network (`batch_dit`), and
weights that several graphs hold are stored once (`share_weights`). Each step proves itself
before it writes; what is already in order stays as it is, so the command may be repeated.
"""

import argparse
import sys
from pathlib import Path

from rest_bridge.errors import RestBridgeError
from rest_bridge.generator.many_motion import GRAPH, MADE_FROM
from rest_bridge.inference.package import DEFAULT_PACKAGE, ModelPackage
from rest_bridge.training.batch_dit import BatchError, add_many, check
from rest_bridge.training.package_writer import write_package_part
from rest_bridge.training.share_weights import share
from rest_bridge.training.split_decoder import SplitError, add_parts


def finish(package_dir: Path) -> list[str]:
    """Bring a package into the form that is shipped.

    Args:
        package_dir: with dit.onnx, dit_prefill.onnx and decoder.onnx, or some of them.

    Returns:
        What was done, a sentence each.

    Raises:
        RestBridgeError: the package is damaged, or a step found a difference and wrote nothing.
    """
    said: list[str] = []
    package = ModelPackage.load(package_dir)
    if package.has("decoder.onnx") and not package.section("decoder").get("parts"):
        add_parts(package_dir)
        said.append("The decoder was cut into parts.")
    if package.has("dit.onnx") and package.has("dit_prefill.onnx"):
        if not _batch_fits(package):
            add_many(package_dir)
            said.append(f"{GRAPH}.onnx was made from dit.onnx.")
        elif GRAPH not in package.manifest:  # exported before the manifest said so
            section = {MADE_FROM: package.digest("dit")}
            write_package_part(package_dir, files={}, sections={GRAPH: section})
    for family, (before, after) in share(package_dir).items():
        said.append(f"{family}: {before / 1e6:.2f} MB, now {after / 1e6:.2f} MB.")
    ModelPackage.load(package_dir)
    return said


def _batch_fits(package: ModelPackage) -> bool:
    """Say whether the package has the network of many streams, and from this very dit.onnx."""
    if not package.has(f"{GRAPH}.onnx"):
        return False
    try:
        check(package, package.path / f"{GRAPH}.onnx")
    except BatchError:
        return False
    return True


def main() -> int:
    """Finish a package; returns the exit code."""
    parser = argparse.ArgumentParser(description="Bring a package into the form that is shipped.")
    parser.add_argument("--package", type=Path, default=DEFAULT_PACKAGE)
    try:
        print("\n".join(finish(parser.parse_args().package)))
    except (RestBridgeError, BatchError, SplitError) as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
