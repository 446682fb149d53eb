"""A change of face reaches the pictures that wait for their turn already.

Place in the flow: FrameQueue -> here -> FrameQueue, in the worker's thread, once for each change.
Without it the old face would be shown until all that was made of it has had its turn: up to 0.3 s
where a voice comes from a file. The newest frame is drawn first and the oldest last: wherever that
ends, for want of time, the new face begins at one frame and stays.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from rest_bridge.handoff import FrameQueue
from rest_bridge.stages import Stages
from rest_bridge.types import LATENT_STRIDE, ByteArray, FloatArray, Frame


def redraw(
    queue: FrameQueue, stages: Stages, *, now_ns: Callable[[], int], until_ns: int
) -> ByteArray | None:
    """Draw another face into the frames that wait, as far as there is time.

    Frames that repeat a picture go on repeating one: a lower tier makes no more than it did.

    Args:
        queue: holds them.
        stages: of the new face.
        now_ns: tells the time.
        until_ns: when the next chunk must be begun.

    Returns:
        The picture of the newest frame, uint8 [H, W, 4]; None where there was no time for it.
    """
    groups: list[list[Frame]] = []
    for frame in queue.waiting():
        if frame.repeated and groups:
            groups[-1].append(frame)
        else:
            groups.append([frame])
    newest: ByteArray | None = None
    longest_ns = 0
    for group in reversed(groups):
        begun_ns = now_ns()
        if begun_ns + longest_ns >= until_ns:
            break
        picture = _drawn(stages, group[0].rig.values)
        if picture is None:
            break
        newest = picture if newest is None else newest
        longest_ns = max(longest_ns, now_ns() - begun_ns)
        changed = [replace(f, rgba=picture, avatar_id=stages.avatar_id) for f in group]
        if not queue.exchange(changed):
            break
    return newest


def _drawn(stages: Stages, rig: FloatArray) -> ByteArray | None:
    latents = stages.latent_space.from_rig(np.repeat(rig[None], LATENT_STRIDE, 0))
    wanted = [True] + [False] * (LATENT_STRIDE - 1)
    picture, *_ = stages.decoder.decode(latents, wanted)
    return picture
