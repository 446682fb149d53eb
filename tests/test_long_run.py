"""Minutes of stream in seconds: sound stays with the picture whatever clocks and devices do."""

import numpy as np
import pytest

from tests.support.virtual_stream import VirtualStream

LIMIT_MS = 20.0


@pytest.mark.parametrize(("mic_ppm", "card_ppm"), [(200.0, -200.0), (-200.0, 200.0)])
def test_clocks_that_run_apart_never_separate_sound_and_picture(
    mic_ppm: float, card_ppm: float
) -> None:
    stream = VirtualStream(mic_ppm, card_ppm)
    stream.run_to(120.0)  # unheeded, 400 ppm were 48 ms by now
    offsets = np.array(stream.offsets_ms())
    assert len(offsets) >= 117
    assert np.abs(offsets[:, 1]).max() < LIMIT_MS / 2
    assert np.abs(offsets[-60:, 1]).max() < 3.0
    assert stream.metrics.counter("repeated") <= 4  # the pretended system stalls for 0.12 s
    assert stream.playout.num_underruns <= 2
    health = stream.feed.health("mic", lost=False, losses=0)
    assert health.ppm == pytest.approx(mic_ppm, abs=5.0)
    assert stream.playout.ppm == pytest.approx(card_ppm, abs=5.0)
    # The frames follow the computer's clock, not the microphone's.
    assert np.mean(stream.steps_ns) == pytest.approx(40_000_000, rel=20e-6)


def test_lost_devices_and_sleep_leave_sound_and_picture_together() -> None:
    stream = VirtualStream(100.0, -100.0)
    stream.at(30.3, lambda: stream.unplug_microphone(4.0))
    stream.at(35.0, lambda: stream.microphone_returns_at(44_100))
    stream.at(50.3, lambda: stream.stall_card(0.9))
    stream.at(70.3, lambda: stream.sleep(3600.0))
    stream.run_to(3600.0 + 100.0)
    offsets = np.array(stream.offsets_ms())
    calm = [
        offset
        for seconds, offset in offsets
        if not any(begin <= seconds < begin + 4 for begin in (50, 3670))
    ]
    assert len(calm) > 75
    assert np.abs(calm).max() < LIMIT_MS
    assert np.abs(offsets[-10:, 1]).max() < LIMIT_MS / 2
    assert stream.num_frames == pytest.approx(100 * 25, abs=40)  # the hour of sleep is cut out
    health = stream.feed.health("mic", lost=False, losses=0)
    assert 3000 < health.filled_ms < 8000
    assert health.jumps == 1
