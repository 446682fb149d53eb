"""What a person types about the face's mood and gaze, as a `Steering`.

Used by the configuration, the command line and control clients alike.
"""

from typing import Any

from rest_bridge.config import SteeringSection
from rest_bridge.errors import ConfigError
from rest_bridge.generator.steering import EXPRESSIONS, Steering


def parse_expression(text: str) -> dict[str, float]:
    """Read an expression like "happy", "happy=0.6" or "happy=0.5,brow=-0.3".

    Args:
        text: what was typed; empty or "neutral" for none.

    Returns:
        Strength by name; names and ranges are checked by `Steering`.

    Raises:
        ConfigError: a strength is not a number.
    """
    found: dict[str, float] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, equals, number = part.partition("=")
        try:
            found[name.strip().lower()] = float(number) if equals else 1.0
        except ValueError:
            raise ConfigError(
                f'The expression "{part}" needs a number behind its "=", like happy=0.6.'
            ) from None
    found.pop("neutral", None)
    return found


def parse_gaze(text: str) -> tuple[float, float] | None:
    """Read a gaze like "0.3,-0.1"; empty or "free" lets the eyes wander.

    Args:
        text: what was typed.

    Returns:
        (x, y), or None.

    Raises:
        ConfigError: not two numbers.
    """
    if text.strip().lower() in ("", "free"):
        return None
    try:
        x, y = (float(number) for number in text.split(","))
    except ValueError:
        raise ConfigError(
            f'The gaze "{text}" must be two numbers from -1 to 1, like 0.3,-0.1, or free.'
        ) from None
    return x, y


def steering_of(section: SteeringSection) -> Steering:
    """Return what a configuration asks of the face.

    Raises:
        ConfigError: a name is unknown or a number out of range.
    """
    return Steering(
        expression=parse_expression(section.expression),
        gaze=parse_gaze(section.gaze),
        head_motion=section.head_motion,
        blink_rate=section.blink_rate,
    )


def steering_facts(wish: Steering) -> dict[str, Any]:
    """Return a wish as msgpack types."""
    return {
        "expression": dict(wish.expression),
        "gaze": None if wish.gaze is None else list(wish.gaze),
        "head_motion": wish.head_motion,
        "blink_rate": wish.blink_rate,
        "names": ["neutral", *EXPRESSIONS],
    }
