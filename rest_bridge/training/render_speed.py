"""Says how many pictures a second each renderer makes on this core.

`rest-bridge train render-speed`: every kind of subject draws states of several people; the time
includes making them, their flows and visibility, pooling and cutting. Place: beside `faces_data`.
"""

import argparse
import json
import time
from typing import Final

from rest_bridge.training.face_subjects import KINDS, Kind
from rest_bridge.training.faces_data import make_vae_shard

FRAMES: Final = 6


def measure(kind: Kind, num_samples: int) -> dict[str, float]:
    """Render some samples of one kind.

    Args:
        kind: of the people.
        num_samples: a multiple of 4: two people with two references each.

    Returns:
        Pictures a second of wall time and of processor time, and pictures with true flow a second
        of processor time (each picture serves with both references).
    """
    pairs = (((kind, kind), 1.0),)
    make_vae_shard(1, 4, num_frames=2, pairs=pairs)  # compiles and loads what is cached
    started, used = time.monotonic(), time.process_time()
    make_vae_shard(2, num_samples, num_frames=FRAMES, pairs=pairs)
    wall, cpu = time.monotonic() - started, time.process_time() - used
    pictures = num_samples / 2 * (FRAMES + 2)
    return {
        "pictures_per_s": round(pictures / wall, 1),
        "pictures_per_cpu_s": round(pictures / cpu, 1),
        "flows_per_cpu_s": round(num_samples * (FRAMES + 1) / cpu, 1),
    }


def main() -> None:
    """Print one JSON line a kind."""
    parser = argparse.ArgumentParser(description="Measure the renderers of training faces.")
    parser.add_argument("--samples", type=int, default=16, help="samples a kind, a multiple of 4")
    args = parser.parse_args()
    for kind in KINDS:
        print(json.dumps({"kind": kind, **measure(kind, args.samples)}), flush=True)


if __name__ == "__main__":
    main()
