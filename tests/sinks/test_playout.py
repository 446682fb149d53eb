"""The voice between frames with times and a sound card with a clock of its own."""

import numpy as np
import pytest

from rest_bridge.sinks.playout import Playout, TimedVoice
from rest_bridge.types import SAMPLES_PER_FRAME, VOICE_RATE_HZ, FloatArray
from tests.support.frames import tone

BLOCK = 480
START_NS = 10**12
LEAD_NS = 80_000_000
LATENCY_NS = 30_000_000
DELAY_S = 0.015
CLICK_EVERY = VOICE_RATE_HZ


class Card:
    """A sound card that pulls blocks by its own clock, and what it played, by true time."""

    def __init__(
        self,
        playout: Playout,
        *,
        ppm: float = 0.0,
        jitter_ms: float = 0.0,
        latency_ns: int = LATENCY_NS,
        rate_hz: int = VOICE_RATE_HZ,
    ) -> None:
        self.playout = playout
        self.rate_hz = rate_hz * (1 + ppm * 1e-6)
        self.block = rate_hz // 100
        self.latency_ns = latency_ns
        self.jitter_ms = jitter_ms
        self.rng = np.random.default_rng(0)
        self.heard: list[FloatArray] = []
        if rate_hz != VOICE_RATE_HZ:
            playout.restart(rate_hz)

    def due_ns(self) -> int:
        return START_NS + round(len(self.heard) * self.block / self.rate_hz * 1e9)

    def pull(self) -> None:
        late_ns = int(self.rng.exponential(self.jitter_ms) * 1e6) if self.jitter_ms else 0
        heard_ns = self.due_ns() + self.latency_ns + late_ns
        self.heard.append(self.playout.pull(self.block, heard_ns))

    @property
    def sound(self) -> FloatArray:
        return np.concatenate(self.heard)

    def time_ns(self, sample: float) -> float:
        """Return when a sample was really heard."""
        return START_NS + self.latency_ns + sample / self.rate_hz * 1e9


def clicks(index: int) -> FloatArray:
    """Return a frame's voice: a short hump every second."""
    places = SAMPLES_PER_FRAME * index + np.arange(SAMPLES_PER_FRAME)
    return np.exp(-(((places % CLICK_EVERY - 960) / 8.0) ** 2)).astype(np.float32)


def run(
    card: Card, num_frames: int, *, voice=clicks, missing=(), shift_ns=lambda frame: 0, first=0
) -> None:
    """Push frames ahead of their turns while the card pulls."""
    for frame in range(first, first + num_frames):
        push_ns = START_NS + frame * 40_000_000 - LEAD_NS + shift_ns(frame)
        while card.due_ns() < push_ns:
            card.pull()
        if frame not in missing:
            card.playout.push(voice(frame), frame * SAMPLES_PER_FRAME, push_ns + LEAD_NS)


def offsets_ms(card: Card) -> FloatArray:
    """Return how much later than due each click was heard, less the wanted delay."""
    sound = card.sound
    peaks = np.flatnonzero(
        (sound[1:-1] > 0.5) & (sound[1:-1] >= sound[:-2]) & (sound[1:-1] > sound[2:])
    )
    found = []
    for peak in peaks + 1:
        around = np.arange(peak - 20, peak + 21)
        weight = np.clip(sound[around], 0, None)
        heard_ns = card.time_ns(float((around * weight).sum() / weight.sum()))
        number = round((heard_ns - START_NS) / 1e9 - 0.02)
        found.append((heard_ns - START_NS - number * 1e9 - 20e6) / 1e6 - DELAY_S * 1000)
    return np.array(found)


def test_each_sample_is_heard_when_it_is_due_plus_the_delay() -> None:
    card = Card(Playout(DELAY_S))
    run(card, 250)
    offsets = offsets_ms(card)
    assert len(offsets) >= 9
    assert np.abs(offsets).max() < 0.05
    assert card.playout.num_underruns == 0


@pytest.mark.parametrize("ppm", [-200.0, 200.0])
def test_a_card_that_runs_fast_or_slow_stays_in_time(ppm: float) -> None:
    card = Card(Playout(DELAY_S), ppm=ppm, jitter_ms=2.0)
    run(card, 150 * 25)
    offsets = offsets_ms(card)
    assert len(offsets) >= 149
    # Callbacks are late by 2 ms on average, which nobody can know; the rest is ours.
    assert np.abs(offsets).max() < 8.0
    assert np.abs(offsets[60:] + 2.0).max() < 1.0
    assert card.playout.ppm == pytest.approx(ppm, abs=5.0)
    assert card.playout.num_jumps == 0
    assert card.playout.num_underruns == 0


def test_drift_is_worn_off_without_an_audible_step() -> None:
    card = Card(Playout(DELAY_S), ppm=200.0, jitter_ms=2.0)
    run(card, 60 * 25, voice=lambda frame: tone(frame * SAMPLES_PER_FRAME))
    sound = card.sound[VOICE_RATE_HZ:]
    steps = np.abs(np.diff(sound, 2))
    assert steps.max() < 0.5 * (2 * np.pi * 440 / VOICE_RATE_HZ) ** 2 * 1.1


def test_missing_voice_is_silence_and_what_follows_keeps_its_time() -> None:
    card = Card(Playout(DELAY_S))
    run(card, 250, missing=range(100, 125))
    offsets = offsets_ms(card)
    assert len(offsets) == 9  # the click of the fifth second is lost, no other
    assert np.abs(offsets).max() < 0.1
    assert card.playout.num_underruns == 1
    assert card.playout.num_missing == pytest.approx(VOICE_RATE_HZ, rel=0.2)


def test_a_jump_of_the_stream_is_followed_at_once() -> None:
    card = Card(Playout(DELAY_S))
    run(card, 500, shift_ns=lambda frame: 700_000_000 * (frame >= 250))
    before, after = np.split(offsets_ms(card), [10])
    assert np.abs(before).max() < 0.1
    assert len(after) >= 8
    # Seconds are counted from the start, so a shift of 700 ms shows as -300.
    assert np.abs(after[1:] + 300.0).max() < 2.0
    assert card.playout.num_jumps == 1


@pytest.mark.parametrize("off_ms", [-9, 9])
def test_what_was_placed_wrongly_at_first_is_put_right_in_the_first_pause(off_ms: int) -> None:
    card = Card(Playout(DELAY_S), latency_ns=LATENCY_NS)
    card.latency_ns += off_ms * 1_000_000
    run(card, 25)
    card.latency_ns = LATENCY_NS
    run(card, 150, first=25)
    assert np.abs(offsets_ms(card)[4:]).max() < 4.0
    assert card.playout.num_jumps == 1


def test_nobody_hears_it_being_put_right_while_the_voice_sounds() -> None:
    card = Card(Playout(DELAY_S))
    card.latency_ns += 9_000_000
    run(card, 25, voice=lambda frame: tone(frame * SAMPLES_PER_FRAME))
    card.latency_ns = LATENCY_NS
    run(card, 150, first=25, voice=lambda frame: tone(frame * SAMPLES_PER_FRAME))
    assert card.playout.num_jumps == 0
    steps = np.abs(np.diff(card.sound[VOICE_RATE_HZ // 2 :], 2))
    assert steps.max() < 0.5 * (2 * np.pi * 440 / VOICE_RATE_HZ) ** 2 * 1.1


@pytest.mark.parametrize("resumes", [False, True])
def test_a_count_that_broke_off_begins_anew_where_the_card_says_so(resumes: bool) -> None:
    card = Card(Playout(DELAY_S), jitter_ms=1.0)
    run(card, 100)
    card.latency_ns += 70_000_000  # it ran dry and filled its queue again
    if resumes:
        card.playout.resume()
    before = len(card.heard)
    while card.playout.num_jumps == 0:
        card.pull()
    assert len(card.heard) - before <= (1 if resumes else 110)
    assert (len(card.heard) - before > 50) is not resumes


@pytest.mark.parametrize(("sure", "at_most_s"), [(True, 0.5), (False, 1.2)])
def test_a_step_of_the_times_is_followed_sooner_where_they_are_the_cards_own_word(
    sure: bool, at_most_s: float
) -> None:
    playout = Playout(DELAY_S)
    playout.restart(sure=sure)
    card = Card(playout)
    run(card, 125)
    card.latency_ns += 54_000_000
    off_ms: list[float] = []
    for frame in range(125, 175):
        run(card, 1, first=frame)
        off_ms.append(1000 * playout._tracker.time_ns(playout._num_pulled) / 1e9)
        off_ms[-1] -= (card.due_ns() + card.latency_ns) / 1e6
    assert playout.num_jumps == 1
    assert sum(abs(ms) > 2 for ms in off_ms) * 0.04 < at_most_s


def test_it_knows_the_next_samples_once_they_were_pushed() -> None:
    playout = Playout(DELAY_S)
    assert not playout.knows(BLOCK)
    playout.push(clicks(0), 0, START_NS)
    assert not playout.knows(BLOCK)  # nobody has asked when yet
    playout.pull(BLOCK, START_NS + 20_000_000)
    assert playout.knows(BLOCK)
    assert not playout.knows(3 * BLOCK)
    playout.push(clicks(1), SAMPLES_PER_FRAME, START_NS + 40_000_000)
    assert playout.knows(3 * BLOCK)


def test_a_card_with_a_long_queue_gets_the_voice_whole_but_later_and_says_so() -> None:
    card = Card(Playout(DELAY_S), latency_ns=300_000_000)
    run(card, 750, voice=lambda frame: tone(frame * SAMPLES_PER_FRAME))
    assert 0.2 < card.playout.late_s < 0.4
    underruns = card.playout.num_underruns
    run(card, 250, first=750, voice=lambda frame: tone(frame * SAMPLES_PER_FRAME))
    assert card.playout.num_underruns == underruns
    assert np.abs(np.concatenate(card.heard[-200:])).reshape(-1, 480).max(1).min() > 0.4


def test_voice_that_is_taken_back_is_not_heard() -> None:
    card = Card(Playout(DELAY_S))
    run(card, 100, voice=lambda frame: tone(frame * SAMPLES_PER_FRAME))
    now = 98 * SAMPLES_PER_FRAME
    due_ns = START_NS + 98 * 40_000_000
    card.playout.push(np.zeros(10 * SAMPLES_PER_FRAME, np.float32), now, due_ns)
    for _ in range(40):
        card.pull()
    assert not np.concatenate(card.heard[-20:]).any()


def test_a_card_of_another_rate_hears_the_same_pitch() -> None:
    card = Card(Playout(DELAY_S), rate_hz=44100)
    run(card, 100, voice=lambda frame: tone(frame * SAMPLES_PER_FRAME, hz=1000.0))
    sound = card.sound[44100 : 44100 * 3]
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(len(sound))))
    assert spectrum.argmax() * 44100 / len(sound) == pytest.approx(1000.0, abs=0.5)


def test_nothing_pushed_is_silence() -> None:
    playout = Playout(DELAY_S)
    assert not playout.pull(BLOCK, START_NS).any()
    assert playout.num_underruns == 0


def test_the_timed_voice_keeps_what_was_written_at_its_place() -> None:
    voice = TimedVoice()
    voice.write(np.ones(10, np.float32), 5)
    voice.write(np.full(10, 2.0, np.float32), 20)
    expected = np.r_[np.zeros(5), np.ones(10), np.zeros(5), np.full(10, 2.0), np.zeros(5)]
    assert np.array_equal(voice.read(0, 35), expected.astype(np.float32))
    voice.write(np.full(2, 3.0, np.float32), 22)
    assert np.array_equal(voice.read(20, 6), np.array([2, 2, 3, 3, 0, 0], np.float32))
    for start in range(24, 400_000, 4000):
        voice.write(np.full(4000, 0.5, np.float32), start)
    assert voice.read(voice.end - 10, 20)[:10].all()
    assert not voice.read(0, 100).any()
