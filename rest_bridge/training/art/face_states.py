"""What every built-in face is made of: its states and its 66 landmarks.

The landmark order is that of OpenSeeFace (multi-PIE without the two outer mouth corners):
17 jaw contour (image left to right over the chin), 10 brows, 9 nose (4 bridge, 5 base),
12 eyes (6 each, from the left corner over the upper lid), 18 mouth (5 upper outer edge left to
right, 5 lower outer edge right to left, left corner, 3 upper inner, right corner, 3 lower inner
right to left).
"""

from __future__ import annotations

from dataclasses import dataclass

NUM_LANDMARKS = 66


@dataclass(frozen=True)
class FaceState:
    """How a drawing departs from its rest pose.

    Attributes:
        mouth_open: draw the mouth wide open, with teeth and tongue.
        eyes_closed: draw both eyes closed.
    """

    mouth_open: bool = False
    eyes_closed: bool = False


REST = FaceState()
MOUTH_OPEN = FaceState(mouth_open=True)
EYES_CLOSED = FaceState(eyes_closed=True)
