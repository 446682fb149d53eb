"""What `rest-bridge obs setup` has changed in OBS, in a file, so that `undo` can take it back."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

import platformdirs

from rest_bridge.errors import SinkError
from rest_bridge.whole_file import write_whole

_VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that is otherwise than before.

    Attributes:
        kind: "source" (in a scene), "offset" (of a microphone) or "camera" (was started).
        input: name of the source or microphone.
        scene: of a source.
        created: the source itself is ours, not only its place in the scene.
        before_ms: of an offset.
        after_ms: of an offset; another value now is the person's own wish.
    """

    kind: Literal["source", "offset", "camera"]
    input: str = ""
    scene: str = ""
    created: bool = False
    before_ms: int = 0
    after_ms: int = 0


@dataclass(slots=True)
class ChangeFile:
    """The changes, oldest first; every addition is written at once.

    Attributes:
        path: the file; there is none while there are no changes.
        changes: what it holds.
    """

    path: Path = field(default_factory=lambda: default_path())
    changes: list[Change] = field(default_factory=list[Change])

    def __post_init__(self) -> None:
        """Read the file.

        Raises:
            SinkError: it is damaged.
        """
        if not self.path.is_file():
            return
        try:
            data: dict[str, Any] = json.loads(self.path.read_text(encoding="utf-8"))
            if data["version"] != _VERSION:
                raise ValueError(f"version {data['version']}")
            self.changes = [Change(**item) for item in data["changes"]]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise SinkError(
                f"What was changed in OBS cannot be read ({error}); take it back by hand and "
                f"remove {self.path}"
            ) from error

    def add(self, change: Change) -> None:
        """Note a change; of an offset the first value before it counts.

        Args:
            change: what was done.
        """
        for index, known in enumerate(self.changes):
            if known.kind == change.kind == "offset" and known.input == change.input:
                before_ms = known.before_ms
                self.changes[index] = Change(
                    "offset", change.input, before_ms=before_ms, after_ms=change.after_ms
                )
                break
            if known == change:
                return
        else:
            self.changes.append(change)
        self._write()

    def take_back(self) -> Iterator[Change]:
        """Yield the changes, newest first; each is forgotten when the next is asked for."""
        while self.changes:
            yield self.changes[-1]
            self.changes.pop()
            self._write()

    def _write(self) -> None:
        if not self.changes:
            self.path.unlink(missing_ok=True)
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        data = {"version": _VERSION, "changes": [asdict(change) for change in self.changes]}
        write_whole(self.path, json.dumps(data, indent=1))


def default_path() -> Path:
    """Return where the changes of this person's OBS stand."""
    return platformdirs.user_data_path("rest_bridge", appauthor=False) / "obs-changes.json"
