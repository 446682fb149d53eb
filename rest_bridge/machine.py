"""This computer: what it is, what it can do at most, and how fast it is right now.

The peaks (arithmetic of a large matrix product, bytes of a large copy) are the floor that stages
are held against; `calibration_ms` is a fixed piece of work of our own kind, by which figures of two
moments, or of two computers, can be compared.
"""

import os
import platform
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

_GEMM_SIZE: Final = 1024
_COPY_BYTES: Final = 64 << 20
_FEATURES: Final = (
    "sse4_2", "avx", "avx2", "fma", "avx512f", "avx512_vnni", "avx512_bf16", "amx_tile", "asimd",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Peaks:
    """What one core does at most, measured.

    Attributes:
        gflops: billions of float32 operations a second in a product of 1024 x 1024 matrices.
        copy_gb_per_s: billions of bytes a second read and written by a copy of 64 MiB.
    """

    gflops: float
    copy_gb_per_s: float

    def floor_ms(self, operations: float, num_bytes: float) -> float:
        """Return the least time of some work: the longer of its arithmetic and its bytes."""
        return 1e3 * max(operations / (self.gflops * 1e9), num_bytes / (self.copy_gb_per_s * 1e9))


def measure_peaks() -> Peaks:
    """Measure the peaks of this thread; takes a quarter of a second."""
    matrix = np.random.default_rng(0).standard_normal((_GEMM_SIZE, _GEMM_SIZE)).astype(np.float32)
    source = np.ones(_COPY_BYTES, np.uint8)
    target = np.empty_like(source)
    product = np.empty_like(matrix)
    gemm_s = _least_s(lambda: np.matmul(matrix, matrix, out=product), 8)
    copy_s = _least_s(lambda: np.copyto(target, source), 5)
    return Peaks(2 * _GEMM_SIZE**3 / gemm_s / 1e9, 2 * _COPY_BYTES / copy_s / 1e9)


def calibration_ms() -> float:
    """Return the milliseconds of a fixed piece of work: small products, sums, a warp, a copy."""
    return 1e3 * _least_s(calibration_work(), 12)


def calibration_work() -> Callable[[], object]:
    """Return the fixed piece of work, a mixture like a frame's; takes some milliseconds."""
    import cv2

    rng = np.random.default_rng(0)
    texture = rng.integers(0, 255, (512, 512, 4), dtype=np.uint8)
    y, x = np.mgrid[0:512, 0:512].astype(np.float32)
    places = np.stack([x + 0.3, y + 0.7], -1)
    field = rng.standard_normal((64, 64, 2)).astype(np.float32)
    weights = rng.standard_normal((512, 512)).astype(np.float32)
    row = rng.standard_normal((8, 512)).astype(np.float32)

    def work() -> None:
        cv2.remap(texture, places, None, cv2.INTER_LINEAR)  # type: ignore[call-overload]
        for _ in range(20):
            np.tanh(row @ weights)
            np.exp(field * field)
            cv2.resize(field, (128, 128))
        texture.copy()

    return work


def _least_s(work: Callable[[], object], rounds: int) -> float:
    """Return the shortest of several runs: others on the machine only ever make them longer."""
    work()
    times: list[float] = []
    for _ in range(rounds):
        begin_s = time.perf_counter()
        work()
        times.append(time.perf_counter() - begin_s)
    return min(times)


def describe_machine() -> str:
    """Return processor, usable cores, system and Python in one line."""
    return (
        f"{_processor()}, {num_cores()} cores, {platform.system()} {platform.release()}, "
        f"Python {platform.python_version()}"
    )


def num_cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def cpu_features() -> list[str]:
    """Return the vector instructions that the processor has; empty where the system hides them."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    for line in lines:
        name, _, value = line.partition(":")
        if name.strip() in ("flags", "Features"):
            known = set(value.split())
            return [feature for feature in _FEATURES if feature in known]
    return []


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def peak_rss_mb() -> float:
    """Return the most memory this process has held, in MB; 0 where the system does not say."""
    if sys.platform == "win32":
        return 0.0
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak / 1e3
