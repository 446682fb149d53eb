"""The page's slow flows are for whoever asks for them."""

from pathlib import Path

import pytest

from tests.support.slow import skip_unasked


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip minutes of Chromium and OBS unless they were asked for."""
    skip_unasked(config, items, Path(__file__).parent)
