"""One OBS for each file of tests, in a network of its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.namespace import can_separate, own_network

HERE = Path(__file__).parent


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Minutes of OBS are for whoever asks for them: `-m slow`, or a test by its name."""
    if "slow" in str(config.option.markexpr) or any("::" in word for word in config.args):
        return
    for item in items:
        if HERE in item.path.parents and item.get_closest_marker("slow"):
            item.add_marker(pytest.mark.skip(reason='slow: pytest -m "slow or not slow" tests/obs'))


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
