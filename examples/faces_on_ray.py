"""Faces on several machines: each a rest_bridge process of its own, started and watched by Ray.

    pip install "rest-bridge[cpu,ray]"
    python examples/faces_on_ray.py luna maya --audio speech.wav --seconds 20

An actor is a face with ports of its own; Ray places it where cores are free, here or on another
machine of the cluster, and starts it again when it dies. What games, OBS and pages see is the same
protocol at the address that is printed. Between machines it wants keys (`rest-bridge keys`): the
configuration's `endpoints.keys` must then name a folder that exists on every machine.
"""

import argparse
import socket
import threading
from typing import Any

import ray

CORES_A_FACE = 0.7
"""Of a live face at 512 pixels, with some to spare; `rest-bridge bench --faces` measures yours."""


def free_ports(count: int) -> list[int]:
    """Return ports that nobody has on this machine."""
    probes = [socket.socket() for _ in range(count)]
    for probe in probes:
        probe.bind(("127.0.0.1", 0))
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports


@ray.remote(num_cpus=CORES_A_FACE, max_restarts=3, max_concurrency=2)
class Face:
    """One daemon."""

    def __init__(self, picture: str, audio: str, size: int) -> None:
        from rest_bridge.config import Config

        frames, events, control, audio_in = free_ports(4)
        self.config = Config.model_validate(
            {
                "avatar": {"picture": picture},
                "audio": {"source": audio},
                "output": {"size": size},
                "preview": {"enabled": False},
                "endpoints": {
                    "frames": f"tcp://127.0.0.1:{frames}",
                    "events": f"tcp://127.0.0.1:{events}",
                    "control": f"tcp://127.0.0.1:{control}",
                    "audio_in": f"tcp://127.0.0.1:{audio_in}",
                },
            }
        )
        self.stop_event = threading.Event()

    def address(self) -> dict[str, str]:
        """Where this face is."""
        endpoints = self.config.endpoints
        return {
            "node": socket.gethostname(),
            "frames": endpoints.frames,
            "events": endpoints.events,
        }

    def run(self, seconds: float | None) -> dict[str, Any]:
        """Be live; return what came of it."""
        from rest_bridge.daemon import run_daemon

        status = run_daemon(self.config, seconds=seconds, stop_event=self.stop_event).status
        return {"presented": status.presented, "repeated": status.repeated, "tier": status.tier}

    def stop(self) -> None:
        """End soon."""
        self.stop_event.set()


def main() -> None:
    """Run faces until they end; one that fails does not end the others."""
    parser = argparse.ArgumentParser(description="Faces on a Ray cluster.")
    parser.add_argument("faces", nargs="+")
    parser.add_argument("--audio", default="push")
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--seconds", type=float, default=None)
    parser.add_argument("--cluster", default=None, help='Address of a cluster, or "auto".')
    args = parser.parse_args()
    ray.init(args.cluster, include_dashboard=False, log_to_driver=False, logging_level="error")
    faces = {f"{name}-{k}": Face.remote(name, args.audio, args.size)
             for k, name in enumerate(args.faces)}  # fmt: skip
    for name, face in faces.items():
        print(name, ray.get(face.address.remote()))
    runs = {name: face.run.remote(args.seconds) for name, face in faces.items()}
    for name, run in runs.items():
        try:
            print(name, ray.get(run))
        except ray.exceptions.RayError as error:
            print(name, "failed:", str(error).splitlines()[-1])
    ray.shutdown()


if __name__ == "__main__":
    main()
