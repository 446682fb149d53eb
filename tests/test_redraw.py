"""A new face in frames that wait: from one of them on all, whatever time there is for it."""

from dataclasses import replace

import numpy as np
import pytest

from rest_bridge.handoff import FrameQueue
from rest_bridge.redraw import redraw
from rest_bridge.rig import RIG_NAMES
from rest_bridge.stages import Stages
from rest_bridge.types import ByteArray, Frame
from tests.support.frames import make_frame
from tests.support.standins import StandInDecoder, standin_stages

NEW = "new face"


class Slow(StandInDecoder):
    """A decoder that takes ten ticks for a picture, in which one frame may have its turn."""

    def __init__(self, queue: FrameQueue, *, take: bool) -> None:
        super().__init__(mark=9)
        self.now = 0
        self._queue, self._take = queue, take

    def decode(self, latents, wanted=None):
        self.now += 10
        if self._take:
            self._queue.get(0.0)
        return super().decode(latents, wanted)


def queue_of(repeated: str) -> FrameQueue:
    """Return a queue of frames with other rigs; an "r" repeats the picture before."""
    queue = FrameQueue(len(repeated))
    for index, letter in enumerate(repeated):
        frame = make_frame(index, repeated=letter == "r")
        values = np.full(len(RIG_NAMES), index / 10, np.float32)
        frame = replace(frame, avatar_id="old face")
        queue.put(replace(frame, rig=replace(frame.rig, values=values)))
    return queue


def wear(queue: FrameQueue, until: int, *, take: bool = False) -> tuple[Slow, ByteArray | None]:
    decoder = Slow(queue, take=take)
    stages: Stages = replace(standin_stages(), decoder=decoder, avatar_id=NEW)
    return decoder, redraw(queue, stages, now_ns=lambda: decoder.now, until_ns=until)


def shown_rig(frame: Frame) -> float:
    return float(frame.rgba.reshape(-1)[: 4 * len(RIG_NAMES)].view(np.float32)[0])


@pytest.mark.parametrize(("until", "new"), [(1000, 6), (35, 3), (11, 1), (0, 0)])
def test_the_newest_frames_get_the_new_face_with_their_own_motion(until, new):
    queue = queue_of("......")
    _, newest = wear(queue, until)
    frames = queue.waiting()
    assert [f.index for f in frames] == list(range(6))
    assert [f.avatar_id for f in frames] == ["old face"] * (6 - new) + [NEW] * new
    for frame in frames[6 - new :]:
        assert shown_rig(frame) == pytest.approx(frame.index / 10)
    assert (newest is None) == (new == 0)
    if newest is not None:
        assert newest is frames[-1].rgba


def test_a_tier_that_repeats_pictures_gets_as_few_new_ones():
    queue = queue_of("rr.r.r")
    decoder, _ = wear(queue, 1000)
    frames = queue.waiting()
    assert {f.avatar_id for f in frames} == {NEW}
    assert [round(10 * shown_rig(f)) for f in frames] == [0, 0, 2, 2, 4, 4]
    assert [f.repeated for f in frames] == [True, True, False, True, False, True]
    assert decoder.num_pictures == 3


def test_frames_that_have_their_turn_meanwhile_are_left():
    queue = queue_of("......")
    decoder, newest = wear(queue, 1000, take=True)
    assert [f.avatar_id for f in queue.waiting()] == [NEW] * len(queue)
    assert decoder.num_pictures == 4  # the fourth one's frame, the third, was taken by then
    assert newest is not None


def test_nothing_waits():
    assert wear(FrameQueue(2), 1000)[1] is None
