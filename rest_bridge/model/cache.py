"""ID-Sink and Context-Cache: all that the streaming DiT remembers, as plain tensors.

Shape letters: B batch, L blocks, H heads, P tokens a latent frame, W window, D head width.
"""

from typing import NamedTuple

from torch import Tensor

UNWRITTEN = -(10**12)
"""Position of a row of the Context-Cache that holds nothing."""


class Cache(NamedTuple):
    """ID-Sink and Context-Cache: all that the DiT remembers.

    Attributes:
        sink_keys, sink_values: [B, L, H, P, D], of the reference, computed once.
        keys, values: [B, L, H, W P, D], un-rotated, oldest first.
        position: int64 [W], latent index of each remembered frame; `UNWRITTEN` where there is none.
        sink_known: bool [B], False where the reference was dropped (training).
    """

    sink_keys: Tensor
    sink_values: Tensor
    keys: Tensor
    values: Tensor
    position: Tensor
    sink_known: Tensor
