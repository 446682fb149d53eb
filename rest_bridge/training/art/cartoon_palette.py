"""Skin tones of the soft vector portrait, light to dark ('#rrggbb')."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SkinTones:
    """One skin in six tones; `glow` is where the key light falls, `dark` under the chin."""

    glow: str
    light: str
    base: str
    shade: str
    deep: str
    dark: str


SKIN = SkinTones("#e0a273", "#bd7c50", "#9a5d3a", "#71402a", "#4f2a20", "#361a18")
