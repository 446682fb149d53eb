"""What a person may ask of the face, and how a wish becomes motion: smoothly, by stream time.

Place in the flow: `Pipeline.steer` (hotkeys, control, configuration) -> here -> `life.LifePlanner`
-> condition rows. A wish takes 0.3 s to come true, counted in stream time, so that the same wishes
at the same stream times give the same frames whatever the computer's speed. Shape letters: F times.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from rest_bridge.errors import ConfigError
from rest_bridge.generator.conditions import EMOTIONS, STYLES
from rest_bridge.types import FloatArray

RAMP_S: Final = 0.3
"""How long a change of a wish takes."""
EXPRESSIONS: Final = (*EMOTIONS, "smile", "brow")
"""What `Steering.expression` may name, beside "neutral"."""
_RANGES: Final = {"head_motion": (0.0, 2.0), "blink_rate": (0.0, 3.0)}
_GAZE, _GAZE_SHARE = slice(6, 8), 8
_HEAD_MOTION, _BLINK_RATE = 9, 10
_STYLE: Final = slice(11, 11 + len(STYLES))


@dataclass(frozen=True, slots=True)
class Steering:
    """A wish; the defaults are a neutral face that lives by itself.

    Attributes:
        expression: strength of "happy", "sad", "angry", "surprised" (0..1, they mix), of a "smile"
            (0..1) and of the "brow" (-1 frown..1 raised); "neutral" says that nothing is wished.
        gaze: (x, y), -1..1, x to the image's right, y up; None lets the eyes wander.
        head_motion: amount of head motion and accents; 0 still, 1 normal, 2 vivid.
        blink_rate: blinks as a multiple of the usual rate; 0 never, 3 at most.
        style: a name of `conditions.STYLES`; None is the mixture of all.

    Raises:
        ConfigError: a name is unknown or a value out of range.
    """

    expression: Mapping[str, float] = field(default_factory=dict[str, float])
    gaze: tuple[float, float] | None = None
    head_motion: float = 1.0
    blink_rate: float = 1.0
    style: str | None = None

    def __post_init__(self) -> None:
        for name, value in self.expression.items():
            if name not in EXPRESSIONS and name != "neutral":
                known = ", ".join(("neutral", *EXPRESSIONS))
                raise ConfigError(f'There is no expression "{name}"; choose from {known}.')
            _check(f"The expression {name}", value, -1.0 if name == "brow" else 0.0, 1.0)
        for axis, value in zip("xy", self.gaze or (), strict=False):
            _check(f"gaze {axis}", value, -1.0, 1.0)
        for name, (low, high) in _RANGES.items():
            _check(name, getattr(self, name), low, high)
        if self.style is not None and self.style not in STYLES:
            raise ConfigError(f'There is no style "{self.style}"; choose from {", ".join(STYLES)}.')

    def to_vector(self) -> FloatArray:
        """Return the wish as float32 [W]: numbers that may be blended."""
        numbers = np.zeros(_STYLE.stop, np.float32)
        numbers[: len(EXPRESSIONS)] = [self.expression.get(name, 0.0) for name in EXPRESSIONS]
        if self.gaze is not None:
            numbers[_GAZE], numbers[_GAZE_SHARE] = self.gaze, 1.0
        numbers[_HEAD_MOTION], numbers[_BLINK_RATE] = self.head_motion, self.blink_rate
        if self.style is not None:
            numbers[_STYLE.start + STYLES.index(self.style)] = 1.0
        return numbers


def _check(what: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:  # not a number fails too
        raise ConfigError(f"{what} = {value} is not possible; choose {low:g} to {high:g}.")


class Wishes(NamedTuple):
    """Smoothed wishes at F times.

    Attributes:
        emotions: float32 [F, 4] in the order of `conditions.EMOTIONS`.
        smile, brow: float32 [F].
        gaze: float32 [F, 2]. gaze_share: float32 [F], 0 the eyes wander .. 1 they look there.
        head_motion, blink_rate: float32 [F].
        style: float32 [F, len(STYLES)].
    """

    emotions: FloatArray
    smile: FloatArray
    brow: FloatArray
    gaze: FloatArray
    gaze_share: FloatArray
    head_motion: FloatArray
    blink_rate: FloatArray
    style: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class SteeringRamp:
    """A wish coming true: a value for every stream time, in constant memory.

    Attributes:
        begin: float32 [W], how it was until `start_s`.
        end: float32 [W], how it is from `start_s` + `RAMP_S` on.
        start_s: stream time at which the wish was made.
        wish: what is wished now.
    """

    begin: FloatArray
    end: FloatArray
    start_s: float
    wish: Steering

    @classmethod
    def steady(cls, wish: Steering | None = None) -> "SteeringRamp":
        """Return a wish that has always been true; a neutral one if None."""
        wish = wish or Steering()
        numbers = wish.to_vector()
        return cls(numbers, numbers, 0.0, wish)

    def turned(self, wish: Steering, time_s: float) -> "SteeringRamp":
        """Return what becomes of it with a new wish at `time_s` (stream time).

        The new ramp starts from where this one is, so that no wish ever makes a jump.
        """
        begin, end = self._vectors(np.array([time_s]))[0], wish.to_vector()
        if begin[_GAZE_SHARE] <= 0:  # eyes that wander go straight to where they shall look
            begin[_GAZE] = end[_GAZE]
        if wish.gaze is None:
            end[_GAZE] = begin[_GAZE]
        return SteeringRamp(begin, end, time_s, wish)

    def at(self, times_s: npt.NDArray[np.float64]) -> Wishes:
        """Return the wishes at each stream time [F]."""
        numbers = self._vectors(times_s)
        return Wishes(
            numbers[:, : len(EMOTIONS)], numbers[:, 4], numbers[:, 5], numbers[:, _GAZE],
            numbers[:, _GAZE_SHARE], numbers[:, _HEAD_MOTION], numbers[:, _BLINK_RATE],
            numbers[:, _STYLE],
        )  # fmt: skip

    def _vectors(self, times_s: npt.NDArray[np.float64]) -> FloatArray:
        share = np.clip((times_s - self.start_s) / RAMP_S, 0.0, 1.0)
        share = (share * share * (3.0 - 2.0 * share)).astype(np.float32)[:, None]
        return (self.begin + (self.end - self.begin) * share).astype(np.float32)
