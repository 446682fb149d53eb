"""What an open device says of itself: whether it is there, and how its clock behaves."""

from dataclasses import dataclass
from typing import Literal

Role = Literal["voice in", "voice out", "camera"]


@dataclass(frozen=True, slots=True)
class DeviceHealth:
    """One device at one moment, for status and events.

    Attributes:
        role: what it is used for.
        name: of the device.
        lost: it is gone at the moment; it will be opened again by name.
        losses: how often it has gone so far.
        ppm: how much faster than nominal its clock runs, parts per million.
        locked: whether `ppm` is known to about 15.
        correction_ppm: how much faster than recorded its samples are read just now.
        error_ms: how much later than it should be a sample is heard, or was counted.
        fill_ms: voice that waits in front of it, or behind it.
        filled_ms: silence put in where it delivered nothing, or was given nothing.
        skipped_ms: voice left out because it came too late.
        underruns: how often it wanted voice that was not there.
        jumps: how often its times moved at once (sleep, another clock).
        note: what a person should know, one sentence; mostly empty.
    """

    role: Role
    name: str
    lost: bool = False
    losses: int = 0
    ppm: float = 0.0
    locked: bool = False
    correction_ppm: float = 0.0
    error_ms: float = 0.0
    fill_ms: float = 0.0
    filled_ms: float = 0.0
    skipped_ms: float = 0.0
    underruns: int = 0
    jumps: int = 0
    note: str = ""
