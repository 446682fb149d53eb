"""Leaves minutes of real programs to whoever asks for them."""

from pathlib import Path

import pytest


def skip_unasked(config: pytest.Config, items: list[pytest.Item], folder: Path) -> None:
    """Skip a folder's slow tests but for `-m slow` or a test that was named."""
    if "slow" in str(config.option.markexpr) or any("::" in word for word in config.args):
        return
    skip = pytest.mark.skip(reason=f'slow: pytest -m "slow or not slow" tests/{folder.name}')
    for item in items:
        if folder in item.path.parents and item.get_closest_marker("slow"):
            item.add_marker(skip)
