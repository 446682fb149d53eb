"""The parts of every tier for the face in use: what needs loading is loaded beside the stream.

A lower tier begins at once with fewer steps and pictures; its smaller pictures follow as soon as
their decoder is there, a tenth of a second later. Used by the worker's thread only.
"""

import logging
import threading

from rest_bridge.modest import be_modest
from rest_bridge.stages import Stages
from rest_bridge.tiers import Tier

_log = logging.getLogger(__name__)


class Ladder:
    """Stages by tier, each loaded once."""

    def __init__(self, stages: Stages) -> None:
        """Begin with the parts of the full tier.

        Args:
            stages: of the face.
        """
        self._full = stages
        self._ready: dict[str, Stages] = {stages.tier.name: stages}
        self._loading: set[str] = set()

    def at(self, tier: Tier) -> Stages:
        """Return the best parts of a tier that are there; starts to load what is missing."""
        ready = self._ready.get(tier.name)
        if ready is not None:
            return ready
        if tier.name not in self._loading:
            self._loading.add(tier.name)
            threading.Thread(
                target=self._load, args=(tier,), name=f"tier-{tier.name}", daemon=True
            ).start()
        return self._full.without_steps(tier)

    def _load(self, tier: Tier) -> None:
        be_modest()
        try:
            self._ready[tier.name] = self._full.in_tier(tier)
        except Exception as error:  # noqa: BLE001 - the top of a thread; the tier works without
            _log.warning("The tier %s goes on with pictures of full size: %s", tier.name, error)
