"""Faces on several machines: each a rest_bridge process of its own, started and watched by Ray.

    pip install "rest-bridge[cpu,ray]"
    python examples/faces_on_ray.py luna maya --audio speech.wav --seconds 20

An actor is a face with ports of its own; Ray places it where cores are free, here or on another
machine of the cluster, and starts it again when it dies. A face for which no cores are free waits
until another one ends, and it is said. What games, OBS and pages see is the same
protocol at the address that is printed. Between machines it wants keys (`rest-bridge keys`): the
configuration's `endpoints.keys` must then name a folder that exists on every machine.
"""

import argparse
import contextlib
import socket
import threading
from typing import Any

import ray

CORES_A_FACE = 0.7
"""Of a live face at 512 pixels, with some to spare; `rest-bridge bench --faces` measures yours."""
PATIENCE_S = 1.0
"""Seconds after which it is said that there are no cores for a face yet."""


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


def attend(faces: dict[str, Any], seconds: float | None, cores: float) -> None:
    """Run faces until all have ended; say where each is, or that it waits for cores, and its end.

    Args:
        faces: actors by name; those that ended are taken out.
        seconds: for each; None for ever.
        cores: that each asks for.
    """
    runs = {face.run.remote(seconds): name for name, face in faces.items()}
    unplaced = {face.address.remote(): name for name, face in faces.items()}
    told = False
    while runs:
        patience_s = PATIENCE_S if unplaced and not told else None
        ready, _ = ray.wait([*unplaced, *runs], timeout=patience_s)
        for one in ready:
            if one in runs:
                leave(faces, runs.pop(one), one)
            else:
                place(unplaced.pop(one), one)
        free = ray.available_resources().get("CPU", 0.0)
        if not ready and free < cores:
            told = True
            names = ", ".join(unplaced.values())
            print(f"waiting for a place: {names}; {free:.1f} cores are free", flush=True)


def place(name: str, address: Any) -> None:
    """Say where a face is; one that could not be made says so at its end."""
    with contextlib.suppress(ray.exceptions.RayError):
        print(name, ray.get(address), flush=True)


def leave(faces: dict[str, Any], name: str, run: Any) -> None:
    """Say what came of a face that ended, and free its cores."""
    try:
        print(name, ray.get(run), flush=True)
    except ray.exceptions.RayError as error:
        print(name, "failed:", str(error).strip().splitlines()[-1], flush=True)
    ray.kill(faces.pop(name))


def main() -> None:
    """Run faces until they end; one that fails does not end the others."""
    parser = argparse.ArgumentParser(description="Faces on a Ray cluster.")
    parser.add_argument("faces", nargs="+")
    parser.add_argument("--audio", default="push")
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--seconds", type=float, default=None)
    parser.add_argument("--cores", type=float, default=CORES_A_FACE, help="That a face asks for.")
    parser.add_argument("--cluster", default=None, help='Address of a cluster, or "auto".')
    args = parser.parse_args()
    options: dict[str, Any] = {"include_dashboard": False, "log_to_driver": False}
    if args.cluster is None:  # nothing large goes through Ray: frames have sockets of their own
        options["object_store_memory"] = 80_000_000
    ray.init(args.cluster, logging_level="error", **options)
    kind = Face.options(num_cpus=args.cores)
    faces = {f"{name}-{k}": kind.remote(name, args.audio, args.size)
             for k, name in enumerate(args.faces)}  # fmt: skip
    try:
        attend(faces, args.seconds, args.cores)
    except KeyboardInterrupt:
        for face in faces.values():
            face.stop.remote()
    finally:
        ray.shutdown()


if __name__ == "__main__":
    main()
