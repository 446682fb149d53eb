"""The people that can be built from MakeHuman's parts: what is chosen, and choosing at random."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final, Literal

import numpy as np

from rest_bridge.training.render.assets import Targets, assets_path
from rest_bridge.training.render.raster import Array

Split = Literal["train", "test"]
HAIRS: Final = {
    "afro01": 1.0, "bob01": 0.8, "bob02": 0.15, "braid01": 1.0, "long01": 1.2,
    "ponytail01": 1.2, "short01": 1.0, "short02": 1.2, "short03": 0.15, "short04": 1.2,
}  # fmt: skip
"""Hair models and how often they are drawn; bob02 and short03 cover half of the face."""
HELD_OUT: Final = frozenset(
    {"short04", "long01", "old_darkskinned_male_diffuse", "young_lightskinned_female_diffuse3",
     "middleage_lightskinned_male_diffuse2", "old_lightskinned_female_diffuse2",
     "male_worksuit01", "female_elegantsuit01", "ice_eye", "eyebrow012"}
)  # fmt: skip
"""Parts that only the "test" split wears."""
_EYE_CAGES: Final = slice(14598, 14742)


@dataclass(frozen=True, slots=True)
class Description:
    """Everything that is chosen about a head; change parts with `dataclasses.replace`.

    `macro` and `shape` map target names to weights. `hair` is None for a bald head. Tints are
    linear RGB factors. `light_*` as in `raster.Lights`.
    """

    sex: str
    macro: Mapping[str, float]
    shape: Mapping[str, float]
    skin: str
    skin_tint: tuple[float, float, float]
    hair: str | None
    hair_tint: tuple[float, float, float]
    brow: str
    lashes: str
    iris: str
    teeth: str
    clothes: str
    clothes_tint: tuple[float, float, float]
    light_direction: Array
    light_colour: Array
    light_ambient: Array
    two_tone: bool = False


@dataclass(slots=True)
class Library:
    """Base mesh (bust only), morph targets, and proxies as they are asked for."""

    vertices: Array
    uv: Array
    quads: Array
    quads_uv: Array
    macro: Targets
    shape: Targets
    expression: Targets
    proxies: dict[str, dict[str, Array]] = field(default_factory=dict)

    def proxy(self, name: str) -> dict[str, Array]:
        """Return the arrays of a proxy (hair, clothes, teeth, ...)."""
        if name not in self.proxies:
            with np.load(assets_path("makehuman", "proxies", f"{name}.npz")) as data:
                self.proxies[name] = {key: data[key] for key in data.files}
        return self.proxies[name]


@lru_cache(maxsize=1)
def library() -> Library:
    """Load the base mesh and all targets once."""
    with np.load(assets_path("makehuman", "base_mesh.npz")) as data:
        vertices = data["vertices"].astype(np.float32)
        body = data["face_group"] == list(data["group_names"]).index("body")
        quads, quads_uv = data["faces"][body].astype(np.int64), data["faces_uv"][body]
        uv = data["uv"].astype(np.float32)
    lowest = vertices[_EYE_CAGES, 1].mean() - 4.2
    bust = vertices[quads, 1].min(1) > lowest
    targets = {
        name: Targets.load(assets_path("makehuman", f"targets_{name}.npz"))
        for name in ("macro", "identity", "arkit_visemes")
    }
    return Library(
        vertices, uv, quads[bust], quads_uv[bust].astype(np.int64),
        targets["macro"], targets["identity"], targets["arkit_visemes"],
    )  # fmt: skip


def sample_description(rng: np.random.Generator, *, split: Split = "train") -> Description:
    """Draw a person, clothes and light at random.

    Args:
        rng: source of chance; the same state gives the same person.
        split: "test" wears held-out skins, hair and clothes only.
    """
    sex = ("female", "male")[rng.integers(2)]
    age = max(0.0, rng.uniform(-0.8, 0.9))
    weight = ("averageweight", "minweight", "maxweight")[rng.choice(3, p=[0.6, 0.25, 0.15])]
    macro = {f"universal-{sex}-young-averagemuscle-{weight}": 1 - age}
    macro[f"universal-{sex}-old-averagemuscle-{weight}"] = age
    for people, share in zip(
        ("african", "asian", "caucasian"), rng.dirichlet([0.6, 0.6, 0.6]), strict=True
    ):
        macro[f"{people}-{sex}-young"] = share * (1 - age)
        macro[f"{people}-{sex}-old"] = share * age
    names = list(library().shape.items)
    shape = {str(name): float(rng.uniform(0, 0.5)) for name in rng.choice(names, 14, replace=False)}
    folder = "skin_512_lowres" if rng.random() < 0.25 else "skin"
    skins = [f"{folder}/{name}" for name in _names("skin", folder, split) if f"_{sex}" in name]
    if not skins:
        skins = [f"{other}/{name}" for other in ("skin", "skin_512_lowres")
                 for name in _names("skin", other, split) if f"_{sex}" in name]  # fmt: skip
    two_tone = bool(rng.random() < 0.15)
    skin_tint = np.exp(rng.normal(0, 0.12, 3) + rng.normal(-0.1, 0.25))
    if two_tone:
        skin_tint = skin_tint * np.exp(rng.normal(0, 0.5, 3))
    natural = np.exp(rng.normal(0, 0.3, 3) + rng.normal(-0.2, 0.7))
    hair_tint = rng.uniform(0.1, 2.5, 3) if rng.random() < 0.15 else natural
    hairs = [name for name in HAIRS if (name in HELD_OUT) == (split == "test")]
    chances = np.array([HAIRS[name] for name in hairs])
    hair = str(rng.choice(hairs, p=chances / chances.sum())) if rng.random() < 0.92 else None
    clothes = [name.removesuffix("_diffuse") for name in _names("clothes", "clothes", split)]
    return Description(
        sex=sex,
        macro=macro,
        shape=shape,
        skin=_pick(rng, skins),
        skin_tint=triple(skin_tint),
        hair=hair,
        hair_tint=triple(hair_tint),
        brow=_pick(rng, [n for n in _names("brow", "brows_lashes", split) if "brow" in n]),
        lashes=f"eyelashes0{rng.integers(1, 5)}",
        iris=_pick(rng, _names("iris", "eyes", split)),
        teeth=_pick(rng, ["teeth_base", *(f"teeth_shape0{i}" for i in range(1, 6))]),
        clothes=_pick(rng, clothes),
        clothes_tint=triple(np.exp(rng.normal(0, 0.5, 3))),
        **_sample_light(rng),
        two_tone=two_tone,
    )


def _sample_light(rng: np.random.Generator) -> dict[str, Array]:
    key = [rng.normal(0, 0.6), rng.normal(0.4, 0.3), 0.8]
    direction = np.array([key, [rng.choice([-1, 1]) * 0.8, 0.1, 0.5], [0.3, 0.6, -0.8]])
    colour = np.stack(
        [
            np.array([1, 0.96, 0.9]) * rng.uniform(0.6, 1.15),
            np.array([0.75, 0.85, 1.0]) * rng.uniform(0.1, 0.6),
            np.ones(3) * rng.uniform(0, 0.6),
        ]
    )
    ambient = np.ones(3) * rng.uniform(0.25, 0.5) * np.exp(rng.normal(0, 0.06, 3))
    return {
        "light_direction": direction / np.linalg.norm(direction, axis=1, keepdims=True),
        "light_colour": colour * np.exp(rng.normal(0, 0.08, (3, 3))),
        "light_ambient": ambient,
    }


def _names(kind: str, folder: str, split: Split) -> list[str]:
    files = sorted(path.stem for path in assets_path("makehuman", "textures", folder).iterdir())
    chosen = [name for name in files if (name.removesuffix("_diffuse") in HELD_OUT
              or name in HELD_OUT) == (split == "test")]  # fmt: skip
    # Kinds without a held-out part of this sex fall back on all of them.
    return chosen or files


def _pick(rng: np.random.Generator, names: list[str]) -> str:
    return names[rng.integers(len(names))]


def triple(values: Array) -> tuple[float, float, float]:
    """Return three plain floats."""
    return float(values[0]), float(values[1]), float(values[2])
