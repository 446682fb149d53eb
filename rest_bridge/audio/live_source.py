"""What sound devices have in common as sources: an endless feed, a name, a state of health."""

from collections.abc import Callable
from dataclasses import replace

from rest_bridge.audio.closing import ClosingSource
from rest_bridge.audio.live import LiveFeed
from rest_bridge.sound.health import DeviceHealth
from rest_bridge.sound.muted import ZeroWatch
from rest_bridge.types import VOICE_RATE_HZ, AudioChunk, FloatArray


class LiveSource(ClosingSource):
    """A device that writes into a feed; whoever opens it says how it is closed and watched.

    Args:
        name: of the device.
        title: for messages: "Microphone 'Yeti'".
        never_silent: it always has some noise: a microphone, not what the computer plays.
    """

    sample_rate_hz = VOICE_RATE_HZ
    live = True

    def __init__(self, name: str, title: str = "", *, never_silent: bool = False) -> None:
        self.name = name
        self._title = title or name
        self.feed = LiveFeed(self._title)
        self._zeros = ZeroWatch() if never_silent else None
        self.tap: Callable[[FloatArray, int, int], None] | None = None
        """Hears samples as the device delivers them, with the time of the last one and the rate:
        for measurements, which want to know what was there, not what was made of it."""

    def write(
        self, samples: FloatArray, captured_ns: int, *, rate_hz: int, lost: bool = False
    ) -> None:
        """Take what the device delivered, in its thread; see `LiveFeed.write`.

        Args:
            samples: float32 [S] mono.
            captured_ns: monotonic time of the last one.
            rate_hz: of the samples.
            lost: the device reported an overflow before these.
        """
        if self.tap is not None:
            self.tap(samples, captured_ns, rate_hz)
        if self._zeros is not None:
            self._zeros.note(samples, rate_hz)
        self.feed.write(samples, captured_ns, lost=lost)

    @property
    def num_dropped(self) -> int:
        """Samples lost to overflows since the source was opened."""
        return self.feed.num_dropped

    @property
    def num_losses(self) -> int:
        """How often the device has disappeared."""
        return 0

    @property
    def lost(self) -> bool:
        """Whether it is gone at the moment."""
        return False

    def health(self) -> DeviceHealth:
        """Return how the device and its clock do."""
        health = self.feed.health(self.name, lost=self.lost, losses=self.num_losses)
        if self._zeros is None or self.lost:
            return health
        return replace(health, note=self._zeros.note_for(self.name, self._title))

    def read(self, num_samples: int, timeout_s: float) -> AudioChunk:
        """Return the next samples (see `AudioSource.read`)."""
        return self.feed.read(num_samples, timeout_s)

    def close(self) -> None:
        """Close the device; idempotent."""
        self.feed.close()
