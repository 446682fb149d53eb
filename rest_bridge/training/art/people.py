"""The rendered people: who they are, how they are lit, and their photographs."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, fields, replace
from functools import lru_cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from rest_bridge.rig import RIG_INDEX
from rest_bridge.training.art import darkroom, lighting
from rest_bridge.training.art.face_states import FaceState
from rest_bridge.training.art.studio import Lamp, Looks, Sky, build_scene
from rest_bridge.training.render.makehuman import Camera, Description, Head
from rest_bridge.training.render.makehuman_points import LANDMARK_VERTICES

SIZE = 1024
CAMERA = Camera(view_height_dm=3.05, offset_dm=(0.0, -0.25), distance_dm=15.0)


@dataclass(frozen=True)
class Portrait:
    """A person and the studio around.

    Attributes:
        person: whom to build.
        expression: rig values at rest.
        lamps: direct light.
        sky: light from around.
        backdrop: colours for `darkroom.backdrop`.
        looks: make-up.
        exposure: brightness.
        saturation: strength of the colours.
        skin_gloss: factor on the shine of the skin.
        camera: framing.
        seed: of the background.
        lights: out of focus in the background; they bend when the head turns, so few or none.
    """

    person: Description
    expression: dict[str, float]
    lamps: list[Lamp]
    sky: Sky
    backdrop: tuple[str, str, str]
    looks: Looks = field(default_factory=Looks)
    exposure: float = 1.0
    saturation: float = 1.0
    skin_gloss: float = 1.0
    camera: Camera = CAMERA
    seed: int = 1
    lights: int = 0


def _person(**changes: object) -> Description:
    base = Description(
        sex="female", macro={}, shape={}, skin="skin/young_lightskinned_female_diffuse2",
        skin_tint=(1, 1, 1),
        hair="long01", hair_tint=(1, 1, 1), brow="eyebrow001", lashes="eyelashes02",
        iris="brownlight_eye",
        teeth="teeth_base", clothes="female_elegantsuit01", clothes_tint=(1, 1, 1),
        light_direction=np.eye(3), light_colour=np.ones((3, 3)), light_ambient=np.ones(3),
    )  # fmt: skip
    return replace(base, **changes)


PEOPLE = {
    "maya": Portrait(
        _person(
            macro={
                "caucasian-female-young": 0.55,
                "asian-female-young": 0.45,
                "universal-female-young-averagemuscle-averageweight": 1.0,
            },
            shape={
                "eyes/l-eye-height2-incr": 0.35,
                "eyes/r-eye-height2-incr": 0.35,
                "head/head-oval": 0.5,
                "chin/chin-width-decr": 0.5,
                "cheek/l-cheek-bones-incr": 0.3,
                "cheek/r-cheek-bones-incr": 0.3,
                "eyes/l-eye-scale-incr": 0.35,
                "eyes/r-eye-scale-incr": 0.35,
                "nose/nose-scale-horiz-decr": 0.25,
                "nose/nose-point-up": 0.15,
                "mouth/mouth-scale-horiz-incr": 0.2,
                "mouth/mouth-angles-up": 0.3,
                "head/head-fat-decr": 0.35,
                "eyebrows/eyebrows-trans-up": 0.2,
                "neck/neck-scale-horiz-decr": 0.3,
                "asym/asym-mouth-1-l": 0.1,
                "asym/asym-brown-1-l": 0.12,
            },
            hair="long01",
            hair_tint=(0.85, 0.8, 0.8),
            skin="skin/young_lightskinned_female_diffuse3",
            skin_tint=(1.0, 0.95, 0.9),
            clothes="female_casualsuit01",
            clothes_tint=(0.45, 0.62, 0.5),
        ),
        {
            "mouthSmileLeft": 0.3,
            "mouthSmileRight": 0.26,
            "browInnerUp": 0.12,
            "cheekSquintLeft": 0.1,
            "cheekSquintRight": 0.1,
        },
        [
            Lamp((-7.5, 6.0, 9.5), 2.4, (0.86, 0.8, 0.72)),
            Lamp((7.0, 3.5, -6.0), 1.8, (0.8, 0.92, 1.15)),
            Lamp((-7.5, 4.0, -6.0), 1.4, (0.5, 0.42, 0.34)),
        ],
        Sky((0.20, 0.22, 0.26), (0.14, 0.145, 0.16), (0.10, 0.085, 0.075)),
        ("#22303f", "#9a7a5c", "#141a22"),
        looks=Looks(
            lips=(1.0, 0.72, 0.76),
            iris=(0.95, 0.9, 0.85),
            dye=(1.5, 0.82, 0.5),
            dye_share=0.8,
            parting=0.6,
        ),
    ),
    "idris": Portrait(
        _person(
            sex="male",
            macro={
                "african-male-young": 0.45,
                "african-male-old": 0.55,
                "universal-male-young-averagemuscle-averageweight": 0.45,
                "universal-male-old-averagemuscle-averageweight": 0.55,
            },
            shape={
                "mouth/mouth-angles-up": 0.4,
                "eyes/l-eye-height2-incr": 0.3,
                "eyes/r-eye-height2-incr": 0.3,
                "head/head-scale-vert-decr": 0.25,
                "chin/chin-width-incr": 0.2,
                "nose/nose-scale-horiz-decr": 0.1,
                "asym/asym-nose-1-l": 0.12,
                "asym/asym-mouth-1-r": 0.1,
                "eyes/l-eye-bag-incr": 0.25,
                "eyes/r-eye-bag-incr": 0.25,
            },
            skin="skin/middleage_darkskinned_male_diffuse",
            skin_tint=(1.0, 1.12, 1.25),
            hair="short04",
            hair_tint=(1.3, 1.3, 1.32),
            brow="eyebrow012",
            lashes="eyelashes01",
            iris="brownlight_eye",
            clothes="male_elegantsuit01",
        ),
        {
            "mouthSmileLeft": 0.26,
            "mouthSmileRight": 0.3,
            "browInnerUp": 0.25,
            "browOuterUpLeft": 0.15,
            "browOuterUpRight": 0.1,
            "cheekSquintLeft": 0.1,
            "cheekSquintRight": 0.1,
        },
        [
            Lamp((6.5, 3.8, 10.5), 2.8, (1.3, 1.2, 1.08)),
            Lamp((-7.0, 3.5, -5.0), 2.0, (1.2, 1.35, 1.65)),
            Lamp((7.5, 3.0, -6.0), 1.6, (0.7, 0.55, 0.4)),
        ],
        Sky((0.3, 0.33, 0.4), (0.2, 0.21, 0.25), (0.13, 0.12, 0.11)),
        ("#26343b", "#7f8f86", "#10171b"),
        looks=Looks(iris=(0.5, 0.36, 0.28), dye=(1.0, 1.0, 1.02), dye_share=0.9),
        exposure=1.2,
        saturation=0.84,
        skin_gloss=0.38,
        camera=Camera(view_height_dm=3.25, offset_dm=(0.0, -0.25), distance_dm=15.0),
        seed=4,
    ),
}

PEOPLE["vera"] = Portrait(
    _person(
        macro={
            "caucasian-female-young": 0.5,
            "caucasian-female-old": 0.3,
            "african-female-young": 0.2,
            "universal-female-young-averagemuscle-averageweight": 0.65,
            "universal-female-old-averagemuscle-averageweight": 0.35,
        },
        shape={
            "head/head-oval": 0.4,
            "eyes/l-eye-scale-incr": 0.3,
            "eyes/r-eye-scale-incr": 0.3,
            "mouth/mouth-angles-up": 0.35,
            "nose/nose-hump-incr": 0.15,
            "nose/nose-scale-horiz-decr": 0.2,
            "chin/chin-width-decr": 0.3,
            "head/head-fat-decr": 0.2,
            "asym/asym-eye-1-l": 0.1,
        },
        hair="ponytail01",
        hair_tint=(0.7, 0.65, 0.65),
        brow="eyebrow011",
        lashes="eyelashes01",
        iris="green_eye",
        skin="skin/middleage_lightskinned_female_diffuse2",
        skin_tint=(1.0, 0.9, 0.8),
        clothes="female_elegantsuit01",
        clothes_tint=(0.1, 0.16, 0.15),
    ),
    {"mouthSmileLeft": 0.2, "mouthSmileRight": 0.24, "browInnerUp": 0.1},
    [
        Lamp((-8.5, 6.5, 7.5), 2.2, (1.15, 0.98, 0.76)),
        Lamp((8.0, 3.0, -6.0), 1.8, (0.5, 0.38, 0.25)),
    ],
    Sky((0.14, 0.14, 0.13), (0.10, 0.09, 0.075), (0.10, 0.07, 0.05)),
    ("#4a3a26", "#6b5638", "#1d140d"),
    looks=Looks(lips=(1.0, 0.7, 0.7), iris=(0.8, 0.8, 0.75), dye=(1.9, 0.75, 0.36), dye_share=0.85),
    exposure=1.05,
    skin_gloss=0.9,
    seed=9,
)


class Sitting:
    """One person before the camera."""

    def __init__(self, name: str) -> None:
        """Build the person called `name` in `PEOPLE`."""
        self.name = name
        self.portrait = PEOPLE[name]
        self.head = Head(self.portrait.person, texture_px=1024, soft_light=0)

    def _vertices(self, state: FaceState) -> NDArray[np.float32]:
        rig = np.zeros(len(RIG_INDEX), np.float32)
        values = dict(self.portrait.expression)
        if state.mouth_open:
            values |= {"jawOpen": 0.55, "mouthLowerDownLeft": 0.25, "mouthLowerDownRight": 0.25,
                       "mouthUpperUpLeft": 0.2, "mouthUpperUpRight": 0.2}  # fmt: skip
        if state.eyes_closed:
            values |= {"eyeBlinkLeft": 1.0, "eyeBlinkRight": 1.0}
        for key, value in values.items():
            rig[RIG_INDEX[key]] = value
        return self.head.vertices(rig)

    def draw(self, state: FaceState) -> NDArray[np.uint8]:
        """Return the finished photograph, uint8 [1024, 1024, 3]."""
        return self.photograph(state)

    def photograph(
        self, state: FaceState, *, size: int = SIZE, samples: int = 24, workers: int = 3
    ) -> NDArray[np.uint8]:
        """Take the photograph.

        Args:
            state: of the face.
            size: height and width, px.
            samples: rays per pixel; 24 takes some three minutes of one core at 1024 px.
            workers: processes that trace bands of rows; the picture does not depend on it.

        Returns:
            uint8 [size, size, 3].
        """
        bands = np.linspace(0, size, 4 * workers + 1).astype(int)
        jobs = [(self.name, state, size, samples, int(a), int(b)) for a, b in pairwise(bands)]
        if workers == 1:
            parts = [_trace_band(*job) for job in jobs]
        else:
            with ProcessPoolExecutor(workers) as pool:
                parts = list(pool.map(_trace_band, *zip(*jobs, strict=True)))
        layers = lighting.Exposure(*(np.concatenate(layer) for layer in zip(*parts, strict=True)))
        return self.develop(layers)

    def develop(self, layers: lighting.Exposure) -> NDArray[np.uint8]:
        """Return the photograph of traced layers, uint8 [size, size, 3]."""
        portrait, size = self.portrait, len(layers.cover)
        px_per_mm = size / portrait.camera.view_height_dm / 100
        picture = darkroom.spread_in_skin(layers, px_per_mm) + layers.rest
        behind = darkroom.backdrop(size, portrait.backdrop, portrait.seed, lights=portrait.lights)
        linear = picture + behind * (1 - layers.cover[..., None])
        return darkroom.develop(linear, exposure=portrait.exposure, saturation=portrait.saturation)

    def trace(
        self, state: FaceState, size: int, samples: int, top: int, bottom: int
    ) -> lighting.Exposure:
        """Trace the rows from `top` to `bottom` of the picture; the rest stays empty."""
        portrait, head, camera = self.portrait, self.head, self.portrait.camera
        scene = build_scene(head, self._vertices(state), looks=portrait.looks)
        place = [*(head.eyes[:2] + camera.offset_dm), head.eyes[2] - 0.6 + camera.distance_dm]
        return lighting.expose(
            scene, portrait.lamps, portrait.sky, camera=np.array(place),
            focal_px=size * camera.distance_dm / camera.view_height_dm, size_px=size,
            samples=samples,
            skin_gloss=portrait.skin_gloss, window=(top, bottom, 0, size),
        )  # fmt: skip

    def landmarks(self, state: FaceState, *, size: int = SIZE) -> NDArray[np.float64]:
        """Return the 66 landmarks, float64 [66, 2], px."""
        points = self.head.project(
            self._vertices(state), np.zeros(6, np.float32), self.portrait.camera, size
        )
        return points[LANDMARK_VERTICES, :2].astype(np.float64)


@lru_cache(maxsize=1)
def _sitting(name: str) -> Sitting:
    return Sitting(name)


def _trace_band(name: str, state: FaceState, size: int, samples: int, top: int, bottom: int):
    """Trace rows of a picture in a process of its own; return the layers' rows."""
    exposure = _sitting(name).trace(state, size, samples, top, bottom)
    return tuple(getattr(exposure, layer.name)[top:bottom] for layer in fields(exposure))
