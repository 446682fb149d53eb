"""One OBS for each file of tests, in a network of its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.namespace import can_separate, own_network
from tests.support.slow import skip_unasked

HERE = Path(__file__).parent


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Minutes of OBS are for whoever asks for them: `-m slow`, or a test by its name."""
    skip_unasked(config, items, HERE)


@pytest.fixture(scope="session")
def plugin() -> Path:
    """Return the folder that the plugin was built in."""
    from tests.support.obs import build_plugin, missing_tools

    if missing := missing_tools():
        pytest.skip(f"not installed: {', '.join(missing)}")
    return build_plugin()


@pytest.fixture(scope="module")
def network() -> Iterator[None]:
    """Everything in this module happens in a network of its own."""
    if not can_separate():
        pytest.skip("OBS listens on all interfaces: only root may give it a network of its own")
    with own_network():
        yield
