"""What N faces in one process cost: `rest-bridge bench --faces N`.

Each face hears the built-in voice from another place in it, in a thread of its own; chunk by chunk,
as fast as the machine goes, and each chunk at the same time for all, as when a game's voices run on
one clock. Once every face moves alone, once those that are due move in one run of the network. The
same command measures 1 to 64 on a GPU: the provider is the configured one. `cores` is CPU time over
media time, so that another number of cores can be judged: N faces run live where cores(N) stays
below their number with some to spare.
"""

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rich.table import Table

from rest_bridge.audio.file import FileSource
from rest_bridge.config import Config
from rest_bridge.gallery import Progress
from rest_bridge.loader import Loader, chunk_of
from rest_bridge.machine import describe_machine, peak_rss_mb
from rest_bridge.many import SharedParts
from rest_bridge.metrics import Metrics
from rest_bridge.pipeline import Pipeline
from rest_bridge.rehearsal import rehearse
from rest_bridge.types import FRAME_RATE_HZ, LATENT_STRIDE, VOICE_RATE_HZ

FACES: Final = ("default", "maya", "idris", "luna", "vera")
USABLE: Final = 0.7
"""Share of the cores that live faces may take: the rest is for jitter and everybody else."""


@dataclass(frozen=True, slots=True)
class Faces:
    """What so many faces took.

    Attributes:
        num_faces: at once.
        together: whether faces that were due moved in one run.
        rtf: wall time over media time; below 1 all of them are live.
        cores: CPU time over media time: cores that are busy when all of them are live.
        cores_each: of that, for one face.
        mean_batch: streams in a run of the motion network, on average.
        least_share: time in turns of the face that had least, over the one that had most.
        peak_rss_mb: most memory so far.
    """

    num_faces: int
    together: bool
    rtf: float
    cores: float
    cores_each: float
    mean_batch: float
    least_share: float
    peak_rss_mb: float

    def needed_cores(self) -> float:
        """Return how many cores these faces need to be live, with some to spare."""
        return self.cores / USABLE


def counts(most: int) -> list[int]:
    """Return 1, 2, 4 ... up to `most`, which is the last one."""
    found = [1]
    while found[-1] * 2 <= most:
        found.append(found[-1] * 2)
    return found if found[-1] == most else [*found, most]


def measure(
    config: Config,
    voice: Path,
    *,
    most: int,
    seconds: float,
    progress: Progress | None = None,
) -> list[Faces]:
    """Measure 1, 2, 4 ... faces.

    Args:
        config: model, output, generator.
        voice: audio file.
        most: faces at once.
        seconds: of voice for each face.
        progress: called with the fraction done and what is being done.

    Returns:
        A line for each number of faces; from two on one without, one with common runs.

    Raises:
        RestBridgeError: a face, the model or the voice cannot be used.
    """
    report = progress or (lambda _done, _text: None)
    found: list[Faces] = []
    steps = counts(most)
    for number, num_faces in enumerate(steps):
        report(number / len(steps), f"{num_faces} faces")
        found += [
            _at_once(config, voice, num_faces, seconds, together=together)
            for together in (False, True)[: min(num_faces, 2)]
        ]
    report(1.0, "done")
    return found


def _at_once(
    config: Config, voice: Path, num_faces: int, seconds: float, *, together: bool
) -> Faces:
    shared = SharedParts(config, chunk_latents=chunk_of(config, "live"), together=together)
    pipelines = list(_pipelines(config, shared, num_faces))
    rehearse(pipelines[0])
    ready = threading.Barrier(num_faces + 1)
    due = threading.Barrier(num_faces)
    before = shared.batches
    num_samples = chunk_of(config, "live") * LATENT_STRIDE * VOICE_RATE_HZ // FRAME_RATE_HZ

    def run(number: int, pipeline: Pipeline) -> None:
        try:
            with FileSource(voice, paced=False, loop=True) as source:
                source.read(VOICE_RATE_HZ * (1 + number), 10.0)
                ready.wait()
                for _ in range(max(1, int(seconds * VOICE_RATE_HZ) // num_samples)):
                    due.wait()
                    pipeline.push(source.read(num_samples, 10.0))
        except BaseException:
            due.abort()  # the others must not wait for it
            raise

    threads = [
        threading.Thread(target=run, args=(number, pipeline), daemon=True)
        for number, pipeline in enumerate(pipelines)
    ]
    for thread in threads:
        thread.start()
    ready.wait()
    begin_s, used_s = time.perf_counter(), time.process_time()
    for thread in threads:
        thread.join()
    wall_s, cpu_s = time.perf_counter() - begin_s, time.process_time() - used_s
    shares = list(shared.turns.used_s().values())
    runs = {n: k - before.get(n, 0) for n, k in shared.batches.items()}
    return Faces(
        num_faces=num_faces,
        together=together,
        rtf=round(wall_s / seconds, 3),
        cores=round(cpu_s / seconds, 3),
        cores_each=round(cpu_s / seconds / num_faces, 3),
        mean_batch=round(sum(n * k for n, k in runs.items()) / max(1, sum(runs.values())), 2),
        least_share=round(min(shares) / max(shares), 2) if shares else 1.0,
        peak_rss_mb=round(peak_rss_mb(), 1),
    )


def _pipelines(config: Config, shared: SharedParts, num_faces: int) -> Iterator[Pipeline]:
    from rest_bridge.config_sources import changed

    for number in range(num_faces):
        values = {"avatar.picture": FACES[number % len(FACES)], "generator.seed": number}
        loader = Loader(changed(config, values, "the bench"))
        yield shared.pipeline(loader, f"face-{number}", Metrics())


def card(found: list[Faces]) -> Table:
    """Return the lines as a table for a terminal."""
    table = Table(title=describe_machine(), title_justify="left")
    columns = ("faces", "moved", "wall / media", "cores", "each", "batch", "least share", "MB")
    for column in columns:
        table.add_column(column, justify="right")
    for one in found:
        table.add_row(
            str(one.num_faces), "together" if one.together else "alone",
            f"{one.rtf:.2f}", f"{one.cores:.2f}", f"{one.cores_each:.2f}",
            f"{one.mean_batch:.1f}", f"{one.least_share:.2f}", f"{one.peak_rss_mb:.0f}",
        )  # fmt: skip
    last = found[-1]
    table.caption = (
        f"{last.num_faces} faces live want {last.needed_cores():.1f} cores "
        f"({100 * USABLE:.0f} % of them busy)"
    )
    return table
