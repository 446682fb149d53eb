"""A frame must not become slower than it was: measured against a fixed piece of work, in one run.

    python -m pytest -m slow tests/test_speed_regression.py
    REST_BRIDGE_BASELINE=write python -m pytest -m slow tests/test_speed_regression.py

The second line stores what was measured as the new baseline (tests/speed_baseline.json). Frame and
calibration take turns and the quickest of each counts, so that other programs cancel out.
"""

import json
import os
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from rest_bridge.generator.generator import MotionGenerator
from rest_bridge.inference.package import ModelPackage
from rest_bridge.machine import calibration_work
from rest_bridge.picture_stages import Drawing
from rest_bridge.rig import RIG_INDEX

BASELINE = Path(__file__).with_name("speed_baseline.json")
ALLOWED = 1.35
"""Times the baseline; other processors weigh arithmetic and memory differently."""
ROUNDS = 40
WRITE = os.environ.get("REST_BRIDGE_BASELINE") == "write"
"""Asked here: tests run without the user's own variables."""


def _quickest(works: dict) -> dict[str, float]:
    best = dict.fromkeys(works, float("inf"))
    for work in works.values():
        work()
    for _ in range(ROUNDS):
        for name, work in works.items():
            begin_s = time.thread_time()
            work()
            best[name] = min(best[name], time.thread_time() - begin_s)
    return best


@pytest.mark.slow
def test_a_frame_and_a_motion_step_cost_what_they_did(package_path: Path) -> None:
    from tests.support.portraits import built_in_avatar

    package = ModelPackage.load(package_path, verify=False)
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        decoder = Drawing().decoder(package, built_in_avatar("maya", package), 512)
        motion = MotionGenerator(package, chunk_latents=1)
        rig = np.zeros(58, np.float32)
        for name in ("jawOpen", "eyeBlinkLeft", "eyeLookInLeft", "eyeLookOutRight"):
            rig[RIG_INDEX[name]] = 0.3
        rig[:3] = 4.0
        state = motion.initial_state(np.zeros((16, 4, 4), np.float32))
        width = int(package.section("audio")["token_shape"][1])
        audio, noise = np.zeros((1, 2, width), np.float32), np.zeros((1, 16, 4, 4), np.float32)
        conditions = np.zeros((1, 25), np.float32)
        took = _quickest(
            {
                "calibration": calibration_work(),
                "frame": lambda: decoder.render(rig),
                "motion": lambda: motion.step(audio, conditions, state, noise),
            }
        )
    finally:
        cv2.setNumThreads(before)
    ratios = {name: took[name] / took["calibration"] for name in ("frame", "motion")}
    if WRITE or not BASELINE.is_file():
        BASELINE.write_text(json.dumps(ratios, indent=1) + "\n")
        pytest.skip(f"stored {ratios}")
    stored = json.loads(BASELINE.read_text())
    slower = {name: round(ratios[name] / stored[name], 2) for name in stored}
    assert all(one < ALLOWED for one in slower.values()), f"now / baseline: {slower}"
