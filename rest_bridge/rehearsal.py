"""A pipeline's rehearsal: warms it up and measures what it needs on this computer.

Place in the flow: the worker rehearses before the stream begins; the result sets the delay between
a sample and the turn of its frame.
"""

import time
from dataclasses import dataclass

import numpy as np

from rest_bridge.clock import NS_PER_S
from rest_bridge.features.decimate import BLOCK_SAMPLES
from rest_bridge.metrics import Metrics
from rest_bridge.pipeline import Pipeline
from rest_bridge.types import VOICE_RATE_HZ, AudioChunk


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """What a pipeline needs on this computer.

    Attributes:
        num_samples: voice from the start of a chunk's span until its frames can be made.
        compute_ns: from there until every frame of the chunk would be in time for its turn, if the
            first one's turn came so much later. The second longest of several, without the first
            one, which warms up: one hiccup of the computer must not delay the whole stream.
    """

    num_samples: int
    compute_ns: int


def rehearse(pipeline: Pipeline, num_chunks: int = 6) -> Rehearsal:
    """Generate a few chunks of silence in a stream of their own.

    Args:
        pipeline: is left untouched.
        num_chunks: how many, at least three.

    Returns:
        Delay and compute time of a chunk.
    """
    other = Pipeline(
        pipeline.stages,
        fps=pipeline.fps,
        seed=pipeline.seed,
        chunk_latents=pipeline.chunk_latents,
        metrics=Metrics(),
    )
    silence = np.zeros(BLOCK_SAMPLES, np.float32)
    needed = 0
    durations_ns: list[int] = []
    while len(durations_ns) < num_chunks:
        begin_ns, late_ns = time.perf_counter_ns(), 0
        part = AudioChunk(silence, VOICE_RATE_HZ, other.num_samples, 0)
        for place, _ in enumerate(other.stream(part)):
            needed = needed or other.num_samples
            elapsed_ns = time.perf_counter_ns() - begin_ns
            late_ns = max(late_ns, elapsed_ns - place * NS_PER_S // pipeline.fps)
        if late_ns:
            durations_ns.append(late_ns)
    return Rehearsal(needed, sorted(durations_ns[1:])[-2])
