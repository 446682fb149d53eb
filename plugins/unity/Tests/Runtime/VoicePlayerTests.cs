// SPDX-License-Identifier: MIT
using System;
using NUnit.Framework;

namespace RestBridge.Tests
{
    [TestFixture]
    public sealed class VoicePlayerTests
    {
        private const int Fade = 96;

        [Test]
        public void Silence_until_the_reserve_is_there()
        {
            FakeVoice voice = new FakeVoice { Waiting = 3000 };
            VoicePlayer player = new VoicePlayer();
            float[] data = new float[1024];
            data[7] = 1f;
            player.Fill(voice, data, 1, 48000, 0);
            Assert.IsFalse(player.Playing);
            Assert.AreEqual(3000, voice.Waiting);
            Assert.AreEqual(0f, data[7]);
            long ignored;
            Assert.IsFalse(player.Clock.TryHeard(0, out ignored));
        }

        [Test]
        public void At_the_same_rate_every_sample_passes_unchanged_to_every_channel()
        {
            FakeVoice voice = new FakeVoice { Next = 480000, Waiting = 20000 };
            VoicePlayer player = new VoicePlayer();
            float[] data = new float[2048];
            for (int block = 0; block < 10; ++block)
            {
                voice.Waiting = 5000;
                player.Fill(voice, data, 2, 48000, block * 1024 / 48000.0);
                for (int index = 0; index < 1024; ++index)
                {
                    int output = block * 1024 + index;
                    if (output < Fade) continue;
                    float expected = FakeVoice.At(480000 + output - 3);
                    Assert.AreEqual(expected, data[2 * index], "sample " + output);
                    Assert.AreEqual(expected, data[2 * index + 1]);
                }
            }
        }

        [TestCase(44100)]
        [TestCase(96000)]
        [TestCase(22050)]
        [TestCase(48000)]
        public void The_clock_says_which_sample_is_handed_over(int rateHz)
        {
            FakeVoice voice = new FakeVoice { Next = 4800000 };
            VoicePlayer player = new VoicePlayer();
            float[] data = new float[512];
            for (int block = 0; block < 60; ++block)
            {
                voice.Waiting = 5200;
                double now = 5 + block * 512.0 / rateHz;
                player.Fill(voice, data, 1, rateHz, now);
                long mediaNs;
                Assert.IsTrue(player.Clock.TryHeard(now, out mediaNs));
                if (block < 2) continue;
                // The ramp says which media sample each output sample is.
                double played = data[0] * 1048576.0;
                Assert.AreEqual(played / 48000, mediaNs / 1e9, 0.0005, "block " + block);
            }
        }

        [Test]
        public void Positions_stay_true_after_a_year()
        {
            long year = 48000L * 3600 * 24 * 365;
            FakeVoice voice = new FakeVoice { Next = year, Waiting = 6000 };
            VoicePlayer player = new VoicePlayer();
            player.Fill(voice, new float[512], 1, 48000, 1);
            long mediaNs;
            Assert.IsTrue(player.Clock.TryHeard(1, out mediaNs));
            Assert.AreEqual(3600L * 24 * 365, mediaNs / 1e9, 0.0002);
        }

        [Test]
        public void It_breaks_off_softly_counts_it_and_begins_anew()
        {
            FakeVoice voice = new FakeVoice { Next = 500000, Waiting = 4864 };
            VoicePlayer player = new VoicePlayer();
            float[] data = new float[1024];
            float before = 0f, biggest = 0f;
            for (int block = 0; block < 8; ++block)
            {
                player.Fill(voice, data, 1, 48000, block);
                foreach (float sample in data)
                {
                    biggest = Math.Max(biggest, Math.Abs(sample - before));
                    before = sample;
                }
            }
            Assert.AreEqual(1, player.Underruns);
            Assert.IsFalse(player.Playing);
            Assert.Less(biggest, 0.06f);  // the voice stands at 0.48: no click
            Assert.AreEqual(0f, before);
            voice.Waiting = 6000;
            player.Fill(voice, data, 1, 48000, 9);
            Assert.IsTrue(player.Playing);
        }

        [TestCase(1.002)]
        [TestCase(0.998)]
        public void A_drifting_sound_card_neither_runs_dry_nor_falls_behind(double drift)
        {
            FakeVoice voice = new FakeVoice { Waiting = 5800 };
            VoicePlayer player = new VoicePlayer();
            float[] data = new float[1024];
            double due = 0;
            for (int block = 0; block < 48000 / 1024 * 100; ++block)  // 200 ms of drift
            {
                due += 1024 * drift;
                while (due >= 1920)  // the daemon sends 40 ms at a time
                {
                    due -= 1920;
                    voice.Waiting += 1920;
                }
                player.Fill(voice, data, 1, 48000, block * 1024 / 48000.0);
            }
            Assert.AreEqual(0, player.Underruns);
            Assert.AreEqual(0, voice.Skipped);
            Assert.Less(player.LevelSeconds, 0.2);
            Assert.Greater(player.LevelSeconds, 0.02);
        }

        [Test]
        public void After_a_sleep_it_does_not_play_what_is_old()
        {
            FakeVoice voice = new FakeVoice { Waiting = 6000 };
            VoicePlayer player = new VoicePlayer();
            player.Fill(voice, new float[1024], 1, 48000, 0);
            voice.Waiting += 96000;
            player.Fill(voice, new float[1024], 1, 48000, 2);
            Assert.Greater(voice.Skipped, 80000);
            Assert.Less(voice.Waiting, 6000);
        }

        [Test]
        public void It_makes_no_garbage()
        {
            FakeVoice voice = new FakeVoice();
            VoicePlayer player = new VoicePlayer();
            float[] data = new float[2048];
            Garbage.None(4000, () =>
            {
                voice.Waiting = 6000;
                player.Fill(voice, data, 2, 44100, 1.0);
            });
        }
    }
}
