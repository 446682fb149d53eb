"""rest_bridge: one picture and a voice in, a talking face out, live."""

__version__ = "0.1.0"
