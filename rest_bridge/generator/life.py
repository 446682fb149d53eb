"""The life of a face that nobody hears: when it blinks, where it looks, how the head sways.

Place in the flow: here -> condition rows -> `generator.MotionGenerator`. It knows nothing of the
voice; nods, brow accents and lips are the network's. Every value is a pure function of the seed
and of time, without memory, so that a stream can start at any frame and any chunking agrees.

Blinks: 12-20 a minute, closing in 80 ms, opening in 160 ms, at times double. Gaze: saccades of
about 50 ms, mostly back to the viewer. Head: smooth wandering with the spread of an
Ornstein-Uhlenbeck process. Shape letters: T latent frames; F = 2T video frames.
"""

from functools import lru_cache
from typing import Final

import numpy as np
import numpy.typing as npt

from rest_bridge.generator.conditions import STYLE, condition_rows
from rest_bridge.generator.steering import Steering, SteeringRamp
from rest_bridge.types import FRAME_RATE_HZ, LATENT_STRIDE, FloatArray

_BLINK_CELL_S: Final = 3.7
_CLOSING_S, _SHUT_S, _OPENING_S = 0.08, 0.04, 0.16
_MOST_BLINK_RATE: Final = 3
_GAZE_CELL_S: Final = 1.7
_SACCADE_S: Final = 0.05
_SWAY_CELLS_S: Final = (3.1, 1.3)
_SWAY_SHARES: Final = (1.0, 0.35)
_SWAY_DEG: Final = (3.6, 2.0, 1.8)
"""Standard deviations of the knots of yaw, pitch and roll, in degrees."""
_BLINK_STREAM, _GAZE_STREAM, _SWAY_STREAM = 1, 2, 16
_REMEMBERED: Final = 4096
"""Draws that are kept, of all streams: the same ones are asked for at every chunk."""


class LifePlanner:
    """Plans eyes and slow head motion of one stream."""

    def __init__(self, seed: int) -> None:
        """Choose a life.

        Args:
            seed: equal seeds live equal lives.
        """
        self._seed = seed & 0xFFFF_FFFF_FFFF_FFFF

    def plan(
        self,
        first_latent: int,
        num_latents: int,
        steering: Steering | SteeringRamp | None = None,
    ) -> FloatArray:
        """Return the condition rows of a latent chunk.

        Args:
            first_latent: index of its first latent frame since the start of the stream.
            num_latents: how many.
            steering: wishes of the user: constant, or changing with stream time.

        Returns:
            float32 [T, len(CONDITION_NAMES)].
        """
        ramp = steering if isinstance(steering, SteeringRamp) else SteeringRamp.steady(steering)
        first_frame = first_latent * LATENT_STRIDE
        frames = np.arange(first_frame, first_frame + num_latents * LATENT_STRIDE)
        times_s = (frames + 0.5) / FRAME_RATE_HZ
        wishes, slow = ramp.at(times_s), ramp.at(times_s.reshape(-1, LATENT_STRIDE).mean(1))
        gaze = self.gaze(times_s)
        gaze += (wishes.gaze - gaze) * wishes.gaze_share[:, None]
        sway = self.sway_deg(times_s).reshape(num_latents, LATENT_STRIDE, 3).mean(1)
        rows = condition_rows(
            blink=self.blink(times_s, ramp),
            gaze=gaze,
            slow_pose_deg=sway * slow.head_motion[:, None],
            smile=slow.smile,
            brow=slow.brow,
            amount=slow.head_motion,
            emotions=slow.emotions,
        )
        rows[:, STYLE] = slow.style
        return rows

    def blink(
        self, times_s: npt.NDArray[np.float64], steering: SteeringRamp | None = None
    ) -> FloatArray:
        """Return the lid closure (0 open .. 1 shut) at each time; float32 [F].

        Args:
            times_s: float64 [F], increasing.
            steering: its blink rate, when a blink begins, decides whether it takes place.
        """
        closure = np.zeros(len(times_s))
        for cell in _cells(times_s, _BLINK_CELL_S, before=1):
            for start_s, least_rate in _blinks_of(self._seed, cell):
                end_s = start_s + _CLOSING_S + _SHUT_S + _OPENING_S
                if start_s >= times_s[-1] or end_s <= times_s[0]:
                    continue
                if _rate_at(steering, start_s) <= least_rate:
                    continue
                closing = (times_s - start_s) / _CLOSING_S
                opening = (end_s - times_s) / _OPENING_S
                closure = np.maximum(closure, _smoothstep(np.minimum(closing, opening)))
        return closure.astype(np.float32)

    def gaze(self, times_s: npt.NDArray[np.float64]) -> FloatArray:
        """Return where the eyes look, x to the image's right and y up; float32 [F, 2]."""
        out = np.zeros((len(times_s), 2))
        cell_of = np.floor(times_s / _GAZE_CELL_S).astype(np.int64)
        for cell in np.unique(cell_of):
            here = cell_of == cell
            (start_s, target), (_, previous) = (
                _saccade_of(self._seed, int(one)) for one in (cell, cell - 1)
            )
            done = _smoothstep((times_s[here] - start_s) / _SACCADE_S)[:, None]
            out[here] = previous + (target - previous) * done
        return out.astype(np.float32)

    def sway_deg(self, times_s: npt.NDArray[np.float64]) -> FloatArray:
        """Return the slow head pose, yaw, pitch and roll in degrees; float32 [F, 3]."""
        out = np.zeros((len(times_s), 3))
        for layer, (cell_s, share) in enumerate(zip(_SWAY_CELLS_S, _SWAY_SHARES, strict=True)):
            place = times_s / cell_s
            cell_of = np.floor(place).astype(np.int64)
            for cell in np.unique(cell_of):
                here = cell_of == cell
                knots = np.stack([_knot(self._seed, layer, int(cell) + k) for k in (-1, 0, 1, 2)])
                out[here] += share * _catmull_rom(knots, place[here] - cell)
        return (out * np.array(_SWAY_DEG)).astype(np.float32)


@lru_cache(_REMEMBERED)
def _blinks_of(seed: int, cell: int) -> tuple[tuple[float, float], ...]:
    """Return (start_s, rate above which it takes place) of each blink that a cell may hold."""
    rng = _rng(seed, _BLINK_STREAM, cell)
    start_s = (cell + float(rng.uniform(0.08, 0.9))) * _BLINK_CELL_S
    kind, least_rate = float(rng.random()), float(rng.random())
    places = (cell + rng.uniform(0.08, 0.9, _MOST_BLINK_RATE - 1)) * _BLINK_CELL_S
    rates = np.arange(1, _MOST_BLINK_RATE) + rng.random(_MOST_BLINK_RATE - 1)
    more = [(float(place), float(rate)) for place, rate in zip(places, rates, strict=True)]
    if kind < 0.06:
        return tuple(more)
    if kind > 0.88:
        more.append((start_s + 0.36, least_rate))
    return ((start_s, least_rate), *more)


@lru_cache(_REMEMBERED)
def _saccade_of(seed: int, cell: int) -> tuple[float, npt.NDArray[np.float64]]:
    rng = _rng(seed, _GAZE_STREAM, cell)
    start_s = (cell + float(rng.uniform(0.1, 0.85))) * _GAZE_CELL_S
    target = rng.normal(0.0, 0.02, 2)
    if float(rng.random()) < 0.42:
        target += rng.normal(0.0, (0.22, 0.12))
    return start_s, _kept(np.clip(target, -0.6, 0.6))


@lru_cache(_REMEMBERED)
def _knot(seed: int, layer: int, cell: int) -> npt.NDArray[np.float64]:
    return _kept(np.clip(_rng(seed, _SWAY_STREAM + layer, cell).normal(size=3), -2.0, 2.0))


def _kept(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    values.setflags(write=False)  # the next caller is given the same array
    return values


def _rng(seed: int, stream: int, cell: int) -> np.random.Generator:
    # A counter-based generator: cell n costs the same on the first day as on the last.
    # The highest word, since drawing counts the lowest one up: neighbours would overlap.
    place = int(cell) & 0xFFFF_FFFF_FFFF
    bits = np.random.Philox(key=[seed, stream], counter=[0, 0, 0, place])
    return np.random.Generator(bits)


def _rate_at(steering: SteeringRamp | None, time_s: float) -> float:
    if steering is None:
        return 1.0
    return float(steering.at(np.array([time_s])).blink_rate[0])


def _cells(times_s: npt.NDArray[np.float64], cell_s: float, *, before: int) -> range:
    first, last = (int(np.floor(t / cell_s)) for t in (times_s[0], times_s[-1]))
    return range(first - before, last + 1)


def _smoothstep(x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    x = np.clip(x, 0.0, 1.0)
    return x * x * (3.0 - 2.0 * x)


def _catmull_rom(
    knots: npt.NDArray[np.float64], u: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Interpolate between knots[1] and knots[2] ([4, C]) at u in [0, 1] ([F]) -> [F, C]."""
    a, b, c, d = knots
    u = u[:, None]
    return b + 0.5 * u * (c - a + u * (2 * a - 5 * b + 4 * c - d + u * (3 * (b - c) + d - a)))
