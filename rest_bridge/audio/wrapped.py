"""A source heard through another one: what changes the voice on its way needs only `read`."""

from rest_bridge.types import AdvancingSource, AudioChunk, AudioSource


class WrappedSource:
    """Another source, passed on as it is.

    Args:
        source: to listen through; closed with this one.
    """

    def __init__(self, source: AudioSource) -> None:
        self.source = source
        self.name = source.name
        self.sample_rate_hz = source.sample_rate_hz
        self.live = source.live

    @property
    def advance_samples(self) -> int:
        """See `AdvancingSource`; 0 where the source is none."""
        return self.source.advance_samples if isinstance(self.source, AdvancingSource) else 0

    @advance_samples.setter
    def advance_samples(self, value: int) -> None:
        if isinstance(self.source, AdvancingSource):
            self.source.advance_samples = value

    def read(self, num_samples: int, timeout_s: float) -> AudioChunk:
        """Return the next samples (see `AudioSource.read`)."""
        return self.source.read(num_samples, timeout_s)

    def close(self) -> None:
        """Close the source; idempotent."""
        self.source.close()
