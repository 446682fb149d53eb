"""Puts the control page's desk together from the parts of a running daemon."""

from collections.abc import Callable, Mapping
from typing import Any

from rest_bridge.graph import Faces
from rest_bridge.library import Library
from rest_bridge.loader import Loader
from rest_bridge.page.desk import Answer, Desk, PageOperation
from rest_bridge.page.hotkeys import Hotkeys
from rest_bridge.page.machine import MachineDesk, Sharing
from rest_bridge.page.portraits import PortraitDesk
from rest_bridge.page.uploads import Uploads
from rest_bridge.presets import Presets
from rest_bridge.remembered import Remembered
from rest_bridge.sinks.control import Operation
from rest_bridge.studio import Studio


class PageDesk(Desk):
    """A desk that ends with its daemon."""

    def __init__(self, hotkeys: Hotkeys, *args: Any, **options: Any) -> None:
        """Lay out.

        Args:
            hotkeys: stopped at the end.
            args: see `Desk`.
            options: see `Desk`.
        """
        super().__init__(*args, **options)
        self._hotkeys = hotkeys

    def close(self) -> None:
        """Stop listening to the keyboard; idempotent."""
        self._hotkeys.close()


def make_desk(
    studio: Studio,
    operations: Mapping[str, Operation],
    *,
    status: Callable[[], Mapping[str, Any]],
    settings: Mapping[str, Any],
    faces: Faces | None,
) -> PageDesk:
    """Return what the pages of a daemon talk to, with its hotkeys listened for.

    Args:
        studio: makes the changes.
        operations: as control clients have them.
        status: what the daemon does.
        settings: its configuration.
        faces: loads faces; the library's portraits need a model package.
    """
    page: dict[str, PageOperation] = {}
    files: Callable[[str, Mapping[str, str]], Answer | None] | None = None
    if isinstance(faces, Loader):
        library, presets = Library(faces.package), Presets()
        portraits = PortraitDesk(studio, library, presets, operations["expression"].run)
        page |= portraits.operations()
        files = portraits.file

    def run(name: str, body: Mapping[str, Any]) -> Any:
        """Do what a hotkey asks for; one that cannot be done is no reason to stop."""
        with Uploads() as uploads:
            return desk.run(name, body, uploads)

    hotkeys = Hotkeys(run, status)
    sharing = Sharing(
        start=lambda: studio.page().share(),
        stop=lambda: studio.page().unshare(),
        facts=lambda: studio.page().sharing(),
    )
    provider = _provider_of(faces, settings)
    page |= MachineDesk(studio, settings, hotkeys, sharing, provider).operations()
    desk = PageDesk(hotkeys, operations, page=page, files=files, done=Remembered().note)
    hotkeys.start()
    return desk


def _provider_of(faces: Faces | None, settings: Mapping[str, Any]) -> Callable[[], str]:
    """Return what says which provider computes the motion; empty where there is no model."""

    def provider() -> str:
        if not isinstance(faces, Loader):
            return ""
        from rest_bridge.inference.providers import choose

        model = settings.get("model", {})
        wanted, threads = str(model.get("provider", "auto")), int(model.get("threads", 1))
        return choose(faces.package, "dit", wanted, threads=threads).provider

    return provider
