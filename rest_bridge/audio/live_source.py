"""What sound devices have in common as sources: an endless feed, a name, a state of health."""

from types import TracebackType
from typing import Self

from rest_bridge.audio.live import LiveFeed
from rest_bridge.sound.health import DeviceHealth
from rest_bridge.types import VOICE_RATE_HZ, AudioChunk


class LiveSource:
    """A device that writes into a feed; whoever opens it says how it is closed and watched.

    Args:
        name: of the device.
        title: for messages: "Microphone 'Yeti'".
    """

    sample_rate_hz = VOICE_RATE_HZ
    live = True

    def __init__(self, name: str, title: str = "") -> None:
        self.name = name
        self.feed = LiveFeed(title or name)

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
        return self.feed.health(self.name, lost=self.lost, losses=self.num_losses)

    def read(self, num_samples: int, timeout_s: float) -> AudioChunk:
        """Return the next samples (see `AudioSource.read`)."""
        return self.feed.read(num_samples, timeout_s)

    def close(self) -> None:
        """Close the device; idempotent."""
        self.feed.close()

    def __enter__(self) -> Self:
        """Return the source."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the device."""
        self.close()
