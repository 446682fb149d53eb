"""Clicks in, flashes out: a generator whose every picture shows whether its voice holds a click.

It takes the place of the face in the real pipeline, so that what is measured behind it (pacer,
outlets, devices) is what a face goes through. A click begins exactly where a frame begins; the
frame flashes, and so does the next one. Shape letters: S samples, T latent frames, H/W pixels.
"""

import wave
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, Self

import numpy as np

from rest_bridge.rig import RIG_NAMES
from rest_bridge.stages import Stages
from rest_bridge.types import (
    LATENT_SHAPE,
    LATENT_STRIDE,
    MODEL_RATE_HZ,
    SAMPLES_PER_FRAME,
    VOICE_RATE_HZ,
    ByteArray,
    FloatArray,
    State,
)

CLICK_HZ: Final = 3000.0
CLICK_S: Final = 0.05
"""Longer than a frame, so that two frames flash: outlets may drop a picture, and say so."""
CLICK_LEVEL: Final = 0.7
PERIOD_S: Final = 1.04
"""26 frames: a camera of 30 fps shows them after five different waits in turn, 5 to 32 ms. A whole
second is 30 of its turns, so that one run saw one of them only."""
_FIRST_S: Final = 0.6
_LATENT_SAMPLES: Final = MODEL_RATE_HZ * LATENT_STRIDE // 25
_LOUD: Final = 0.2
_SIGN: Final = RIG_NAMES.index("jawOpen")


def click_track(seconds: float) -> FloatArray:
    """Return float32 [S] at VOICE_RATE_HZ with a click every second, each at a frame's start."""
    voice = np.zeros(round(seconds * VOICE_RATE_HZ), np.float32)
    times = np.arange(round(CLICK_S * VOICE_RATE_HZ)) / VOICE_RATE_HZ
    click = CLICK_LEVEL * np.cos(2 * np.pi * CLICK_HZ * times)
    first = round(_FIRST_S * VOICE_RATE_HZ)
    assert first % SAMPLES_PER_FRAME == 0, "clicks begin with a frame"
    for start in range(first, len(voice) - len(click), round(PERIOD_S * VOICE_RATE_HZ)):
        voice[start : start + len(click)] = click
    return voice


def write_click_track(path: Path, seconds: float) -> None:
    """Write `click_track` as a 16 bit WAV file."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(VOICE_RATE_HZ)
        file.writeframes((click_track(seconds) * 32767).astype("<i2").tobytes())


class ClickEar:
    """A `SpeechStage` that knows of each frame only how loud it is."""

    def initial_state(self) -> State:
        """Return the state before the first sample."""
        return {"ear.samples": np.zeros(0, np.float32)}

    def step(self, samples: FloatArray, state: State) -> tuple[FloatArray, State]:
        """Return float32 [T, 2, 1]: the loudest sample of each frame."""
        held = np.concatenate([state["ear.samples"], samples])
        count = len(held) // _LATENT_SAMPLES
        frames = np.abs(held[: count * _LATENT_SAMPLES]).reshape(
            count, LATENT_STRIDE, _LATENT_SAMPLES // LATENT_STRIDE
        )
        return frames.max(2, keepdims=True), {"ear.samples": held[count * _LATENT_SAMPLES :]}


class ClickMotion:
    """A `MotionStage` that writes the loudness into the latents."""

    max_chunk_latents = 12

    def initial_state(self, avatar_latent: FloatArray) -> State:
        """Return the state before the first latent frame."""
        del avatar_latent
        return {}

    def step(
        self, audio_tokens: FloatArray, conditions: FloatArray, state: State, noise: FloatArray
    ) -> tuple[FloatArray, State]:
        """Return float32 [T, 16, 4, 4] and the state."""
        del conditions, noise
        latents = np.zeros((len(audio_tokens), int(np.prod(LATENT_SHAPE))), np.float32)
        latents[:, :LATENT_STRIDE] = audio_tokens[:, :, 0]
        return latents.reshape(-1, *LATENT_SHAPE), state

    def adopt(self, avatar_latent: FloatArray, state: State) -> State:
        """Return the state; there is no identity."""
        del avatar_latent
        return state

    def with_steps(self, num_steps: int) -> Self:
        """Return the same stage; there are no steps."""
        del num_steps
        return self


class NoLife:
    """A `LifeStage` that neither blinks nor moves."""

    def plan(self, first_latent: int, num_latents: int, steering: object = None) -> FloatArray:
        """Return float32 [T, 1] of zeros."""
        del first_latent, steering
        return np.zeros((num_latents, 1), np.float32)


class ClickLatents:
    """A `LatentStage`: a frame's loudness is its open jaw."""

    def to_rig(self, latents: FloatArray) -> FloatArray:
        """Return float32 [2T, 58]."""
        rig = np.zeros((LATENT_STRIDE * len(latents), len(RIG_NAMES)), np.float32)
        rig[:, _SIGN] = latents.reshape(len(latents), -1)[:, :LATENT_STRIDE].reshape(-1)
        return rig

    def from_rig(self, rig: FloatArray) -> FloatArray:
        """Return float32 [T, 16, 4, 4]."""
        latents = np.zeros((len(rig) // LATENT_STRIDE, int(np.prod(LATENT_SHAPE))), np.float32)
        latents[:, :LATENT_STRIDE] = rig[:, _SIGN].reshape(-1, LATENT_STRIDE)
        return latents.reshape(-1, *LATENT_SHAPE)


class FlashDecoder:
    """A `picture_stages.PictureStage`: white where there is a click, else black.

    Args:
        size_px: width and height.
    """

    def __init__(self, size_px: int) -> None:
        self._dark = np.zeros((size_px, size_px, 4), np.uint8)
        self._dark[..., 3] = 255
        self._bright = np.full((size_px, size_px, 4), 255, np.uint8)

    @property
    def dark(self) -> ByteArray:
        """The picture without a click, uint8 [H, W, 4]."""
        return self._dark

    def decode(
        self, latents: FloatArray, wanted: Sequence[bool] | None = None
    ) -> Iterator[ByteArray]:
        """Yield 2T pictures."""
        del wanted
        for level in latents.reshape(len(latents), -1)[:, :LATENT_STRIDE].reshape(-1):
            yield self._bright if level > _LOUD else self._dark


def flash_stages(size_px: int) -> Stages:
    """Return stages that flash, for a pipeline."""
    return Stages(
        speech=ClickEar(),
        motion=ClickMotion(),
        life=NoLife(),
        latent_space=ClickLatents(),
        decoder=FlashDecoder(size_px),
        avatar_latent=np.zeros((1, *LATENT_SHAPE), np.float32),
    )


def is_flash(picture: ByteArray) -> bool:
    """Whether the middle of a picture, uint8 [H, W, ...], is bright."""
    height, width = picture.shape[:2]
    middle = picture[height * 3 // 8 : height * 5 // 8, width * 3 // 8 : width * 5 // 8]
    return float(middle[..., :3].mean() if middle.ndim == 3 else middle.mean()) > 128


def rising(flags: Sequence[bool]) -> list[int]:
    """Return where a series turns from False to True."""
    return [i for i in range(1, len(flags)) if flags[i] and not flags[i - 1]]


def find_clicks(samples: FloatArray) -> list[int]:
    """Return where clicks begin in float32 [S] at VOICE_RATE_HZ; anything softer is none.

    A codec or a resampler rounds the beginning off, so it is where half the height is reached.
    """
    if not len(samples):
        return []
    size = VOICE_RATE_HZ // 1000
    loud = np.abs(samples)
    # Of most seconds, not of all: a crackle of a starved sound server is louder than any click.
    seconds = [float(loud[i : i + VOICE_RATE_HZ].max()) for i in range(0, len(loud), VOICE_RATE_HZ)]
    highest = float(np.median([level for level in seconds if level > CLICK_LEVEL / 10] or [0.0]))
    if highest < CLICK_LEVEL / 10:
        return []
    places = np.flatnonzero(loud > highest / 2)
    begins = places[np.diff(places, prepend=-VOICE_RATE_HZ) > VOICE_RATE_HZ // 4]
    return [int(begin) for begin in begins if begin > size]
