"""A source that closes itself at the end of a `with` block; what all sources share."""

from types import TracebackType
from typing import Self


class ClosingSource:
    """Base of sources: whoever derives from it says what `close` does."""

    def close(self) -> None:
        """Close the source; wakes a reader that waits. Idempotent."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        """Return the source."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the source."""
        self.close()
