"""What may be changed while the face is live: whose face, its mood, its voice, its outputs.

Place in the flow: control clients -> `operations` -> here -> worker, listener, presenter, outputs.
Every change is prepared beside the stream and takes effect at a chunk's border; one that cannot be
made leaves everything as it was. Methods may be called from any thread; those that load or open
something take their time, in the caller's thread.
"""

import threading
from collections.abc import Callable, Mapping
from typing import Any, Final

from rest_bridge.errors import AvatarError, ConfigError, SinkError
from rest_bridge.generator.steering import Steering
from rest_bridge.graph import LIVE_MARGIN_NS, Graph, Outlet
from rest_bridge.hush import Hush
from rest_bridge.listener import Listener
from rest_bridge.outputs import Outputs
from rest_bridge.pipeline import Pipeline
from rest_bridge.presenter import Presenter
from rest_bridge.sinks.sink import SinkStatus
from rest_bridge.worker import Worker

_READY_S: Final = 60.0
_TAKES_EFFECT_S: Final = 5.0

Progress = Callable[[float, str], None]


class Studio:
    """The changes of one running daemon."""

    def __init__(self, graph: Graph, worker: Worker, listener: Listener, outputs: Outputs) -> None:
        """Connect.

        Args:
            graph: makes parts.
            worker: generates.
            listener: hears.
            outputs: what shows.
        """
        self._graph = graph
        self._worker = worker
        self._listener = listener
        self._outputs = outputs
        self._presenter: Presenter | None = None
        self._lock = threading.Lock()
        self._avatar_order = 0
        self._wish = graph.wish
        self.source_spec = str(graph.settings.get("audio", {}).get("source", ""))
        """What the voice in use was asked for by."""
        self.hush = Hush()
        self.avatar = graph.avatar
        """What the face in use was asked for by."""

    # --------------------------------------------------------------- mute, push-to-talk, pause

    def join(self, presenter: Presenter) -> None:
        """Say who shows the frames; called once."""
        self._presenter = presenter
        self.apply_hush()

    def apply_hush(self) -> None:
        """Let what `hush` says take effect; called often, as a held key runs out by itself."""
        now_ns = self._graph.clock.now_ns()
        activity = self.hush.activity(now_ns)
        self._listener.muted = activity is not None
        if self._presenter is not None:
            self._presenter.activity_override = activity
        resting = self.hush.resting()

        def rest(pipeline: Pipeline) -> None:
            pipeline.resting = resting

        if resting != self._worker.resting:
            self._worker.resting = resting
            self._worker.post(rest)

    # --------------------------------------------------------------- the face

    def set_avatar(self, choice: str, options: Mapping[str, Any], progress: Progress) -> str:
        """Show another face; the one so far stays until the new one is ready, or if it is refused.

        Args:
            choice: built-in face, picture or avatar file.
            options: keys of the configuration's section `avatar`.
            progress: told how far the import of a new picture is.

        Returns:
            The hash that names it in frames.

        Raises:
            AvatarError: it cannot be used, or another one was asked for meanwhile.
            ConfigError: an option is not allowed.
        """
        faces = self._graph.faces
        if faces is None:
            raise AvatarError("This daemon has one face only.")
        with self._lock:
            self._avatar_order += 1
            order = self._avatar_order
        if not self._worker.ready.wait(_READY_S):
            raise AvatarError("The model is still being loaded; try again.")
        stages = faces.stages(choice, options, progress)
        with self._lock:
            if order != self._avatar_order:
                raise AvatarError(f'Another face was asked for before "{choice}" was ready.')
            done = self._worker.wear(stages)
            self.avatar = choice
        done.wait(_TAKES_EFFECT_S)
        return stages.avatar_id

    def import_avatar(self, choice: str, options: Mapping[str, Any], progress: Progress) -> str:
        """Import a picture into the cache, so that it can be shown at once later.

        Args:
            choice: the picture.
            options: keys of the configuration's section `avatar`.
            progress: told how far it is.

        Returns:
            The hash that names it in frames.

        Raises:
            AvatarError: it cannot be used.
            ConfigError: an option is not allowed.
        """
        if self._graph.faces is None:
            raise AvatarError("This daemon has one face only.")
        return self._graph.faces.prepare(choice, options, progress)

    def avatars(self) -> list[dict[str, Any]]:
        """Return the faces at hand: `id`, `name`, `active`."""
        faces = [dict(face) for face in self._graph.avatars()]
        names = {face["id"] for face in faces}
        for face in faces:
            face["active"] = face["id"] == self.avatar
        if self.avatar and self.avatar not in names:
            faces.append({"id": self.avatar, "name": self.avatar, "active": True})
        return faces

    def wish(self) -> Steering:
        """Return what is asked of the face now."""
        return self._wish

    def steer(self, wish: Steering) -> None:
        """Ask something of the face.

        Args:
            wish: expression, gaze, head motion, blinks.
        """
        self._wish = wish
        self._worker.post(lambda pipeline: pipeline.steer(wish))

    # --------------------------------------------------------------- voice and outputs

    def set_source(self, spec: str, options: Mapping[str, Any]) -> str:
        """Listen to another voice; the one so far stays if it cannot be opened.

        Args:
            spec: as `audio.source`.
            options: other keys of the configuration's section `audio`.

        Returns:
            Its name.

        Raises:
            SourceError: it cannot be opened.
            ConfigError: an option is not allowed.
        """
        if self._graph.voices is None:
            raise ConfigError("This daemon has one voice only.")
        name = self._listener.switch(self._graph.voices(spec, options))
        self._graph.margin_ns = LIVE_MARGIN_NS  # whatever was heard first
        self._worker.post(lambda pipeline: pipeline.forget_talker())
        self.source_spec = spec
        return name

    def start_output(self, key: str, options: Mapping[str, Any]) -> dict[str, Any]:
        """Start an output, or start it again with other options.

        Args:
            key: name of an output, see `outlets.OUTLETS`.
            options: keys of its section of the configuration.

        Returns:
            `output`, `running`, `text` (a sentence), `already` (it ran with these options).

        Raises:
            SinkError: it cannot be opened; what ran before goes on, but for a recording.
            ConfigError: there is no such output, or an option is not allowed.
        """
        if self._graph.outlet is None:
            raise ConfigError("This daemon has fixed outputs.")
        outlet = self._graph.outlet(key, options)
        running = self._outputs.outlet(key) if self._outputs.has(key) else None
        if running is not None and running.settings == outlet.settings:
            return {"output": key, "running": True, "already": True, "text": ""}
        try:
            text = self._outputs.start(outlet)
        except SinkError as error:
            if running is None or key == "recording" or not self._put_back(key, running):
                raise
            raise SinkError(f"{error} It goes on as it was before.") from error
        return {"output": key, "running": True, "already": False, "text": text}

    def _put_back(self, key: str, before: Outlet) -> bool:
        """Start an output as it was; say whether that worked."""
        assert self._graph.outlet is not None, "an output was just made by it"
        try:
            self._outputs.start(self._graph.outlet(key, before.settings))
        except SinkError:
            return False
        return True

    def runs(self, key: str) -> bool:
        """Say whether an output runs."""
        return self._outputs.has(key)

    def settings_of(self, key: str) -> dict[str, Any] | None:
        """Return what a running output was made from; None where it does not run."""
        outlet = self._outputs.outlet(key) if self._outputs.has(key) else None
        return None if outlet is None else dict(outlet.settings)

    def page(self) -> Any:
        """Return the server of the pages.

        Raises:
            SinkError: it does not run.
        """
        outlet = self._outputs.outlet("preview") if self._outputs.has("preview") else None
        if outlet is None:
            raise SinkError("The page is not being served.")
        return outlet.sink

    def stop_output(self, key: str) -> dict[str, Any]:
        """Stop an output; it finishes its file first.

        Args:
            key: its name.

        Returns:
            `output`, `running` false, and what it did: `sent`, `dropped`, `error`.
        """
        status: SinkStatus | None = self._outputs.stop(key)
        if status is None:
            return {"output": key, "running": False, "already": True}
        return {
            "output": key,
            "running": False,
            "already": False,
            "sent": status.sent,
            "dropped": status.dropped,
            "error": status.error,
        }

    def start_recording(self, path: str, options: Mapping[str, Any]) -> dict[str, Any]:
        """Begin a recording.

        Args:
            path: file to write; one that exists is not touched.
            options: other keys of the section `recording`.

        Returns:
            As `start_output`.

        Raises:
            SinkError: another recording runs, or the file cannot be written.
            ConfigError: an option is not allowed.
        """
        if self._graph.outlet is None:
            raise ConfigError("This daemon has fixed outputs.")
        settings = {"path": path, **options}
        outlet = self._graph.outlet("recording", settings)
        running = self._outputs.outlet("recording") if self._outputs.has("recording") else None
        if running is not None and running.settings != outlet.settings:
            raise SinkError(
                f"A recording into {running.settings.get('path', 'another file')} runs; stop it "
                "first: rest-bridge ctl record stop (operation recording.stop)."
            )
        return self.start_output("recording", settings)
