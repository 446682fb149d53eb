"""The error tree. A message says what failed, what was given, what is allowed, what to do."""


class RestBridgeError(Exception):
    """Base of every error that a user can act on; the command line prints it as one sentence."""


class ConfigError(RestBridgeError):
    """A configuration file, environment variable or option is wrong."""


class PackageError(RestBridgeError):
    """The model package is missing, damaged or of another version, or its runtime is missing."""


class AvatarError(RestBridgeError):
    """A portrait or avatar file cannot be used."""


class SeveralFaces(AvatarError):
    """There are several faces in a portrait, and nobody said which one is meant.

    Args:
        num_faces: how many.
        picture: the file, or another name for it.
    """

    def __init__(self, num_faces: int, picture: object) -> None:
        self.num_faces = num_faces
        super().__init__(
            f"There are {num_faces} faces in the picture; crop it to one, or choose with "
            f"--face 1 (the largest) to --face {num_faces}: {picture}"
        )


class StateMismatch(RestBridgeError):
    """A state belongs to another model package; the message names both sides."""


class SourceError(RestBridgeError):
    """An audio source cannot be opened or read."""


class SourceClosed(SourceError):
    """The source has ended (end of file, closed by its owner)."""


class SourceTimeout(SourceError):
    """The source delivered nothing within the time allowed."""


class SinkError(RestBridgeError):
    """An output failed while running."""


class SinkUnavailable(SinkError):
    """An output cannot be opened; the message names the remedy."""


class WireError(RestBridgeError):
    """A message on the wire is malformed, too large or of another protocol version."""
