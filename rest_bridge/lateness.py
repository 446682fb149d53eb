"""The one policy for being late: what a chunk is worth that would miss its turn."""

from enum import Enum

from rest_bridge.clock import NS_PER_S


class LateAction(Enum):
    """What to leave out of a chunk that would come too late."""

    NOTHING = "nothing"
    PICTURES = "pictures"
    MOTION = "motion"


def late_action(behind_ns: int) -> LateAction:
    """Decide what a chunk is worth: the one policy for being late.

    A picture whose turn is over is never shown, so drawing it only makes the next one late too.
    Motion goes on without pictures, so that the face is where it should be once there is time
    again; only when half a second behind is the motion left out as well.

    Args:
        behind_ns: by how much the chunk's last frame would miss its turn; negative if in time.

    Returns:
        What to skip. Voice and frame numbers never have gaps: a skipped frame repeats the picture.
    """
    if behind_ns <= 0:
        return LateAction.NOTHING
    return LateAction.PICTURES if behind_ns < NS_PER_S // 2 else LateAction.MOTION
