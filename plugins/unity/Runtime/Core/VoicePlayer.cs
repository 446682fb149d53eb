// SPDX-License-Identifier: MIT
using System;

namespace RestBridge
{
    /// <summary>
    /// Turns the voice into sound for an audio callback: at the device's rate, with a small reserve,
    /// faded where it begins and breaks off, its speed bent by at most 0.5 % so that the reserve keeps
    /// its size although the daemon's clock and the sound card's differ. Used by one audio thread;
    /// makes no garbage.
    /// </summary>
    public sealed class VoicePlayer
    {
        private const double MaxBend = 0.005;
        private const double DeadZoneSeconds = 0.02;
        private const double CatchUpSeconds = 0.3;
        private const int FadeSamples = 96;
        private const int MaxBlock = 16384;
        private const int History = 4;

        private readonly float[] input = new float[History + (int)(MaxBlock * 6.2) + 8];
        private readonly float[] tail = new float[History];
        private double position;  // of the next output sample behind the tail's second one, 0..1
        private double level = -1;  // smoothed reserve in samples
        private int fade;  // output samples of the fade-in that were made
        private float last;
        private volatile bool playing;
        private long underruns;

        /// <summary>Seconds of voice that wait when playing begins, and that are kept.</summary>
        public double ReserveSeconds = 0.08;

        /// <summary>Which media time is at the ear.</summary>
        public readonly PlaybackClock Clock = new PlaybackClock();

        /// <summary>Whether voice is being played.</summary>
        public bool Playing
        {
            get { return playing; }
        }

        /// <summary>How often the voice ran dry.</summary>
        public long Underruns
        {
            get { return underruns; }
        }

        /// <summary>The reserve in seconds, smoothed; 0 where nothing is played.</summary>
        public double LevelSeconds
        {
            get { return playing && level >= 0 ? level / BridgeClient.VoiceRateHz : 0; }
        }

        /// <summary>Makes the next sound: the same for each channel, in -1..1.</summary>
        /// <param name="source">of the voice</param>
        /// <param name="data">interleaved samples to overwrite</param>
        /// <param name="channels">of `data`</param>
        /// <param name="rateHz">of `data`, 8000 or more</param>
        /// <param name="now">`PlaybackClock.Now` at the callback</param>
        public void Fill(IVoiceSource source, float[] data, int channels, int rateHz, double now)
        {
            int wanted = data.Length / channels;
            int done = 0;
            while (done < wanted)
            {
                int count = Math.Min(wanted - done, MaxBlock);
                FillBlock(source, data, done, count, channels, rateHz, now + done / (double)rateHz);
                done += count;
            }
        }

        private void FillBlock(
            IVoiceSource source, float[] data, int first, int count, int channels, int rateHz, double now)
        {
            double ratio = BridgeClient.VoiceRateHz / (double)rateHz;
            int available = source.VoiceAvailable;
            if (!playing && available < ReserveSeconds * BridgeClient.VoiceRateHz + count * ratio)
            {
                Silence(data, first, count, channels);
                return;
            }
            if (!playing) Begin();
            CatchUp(source, available, count * ratio);
            ratio *= 1 + Bend();
            int needed = (int)Math.Floor(position + count * ratio);
            long ptsNs;
            int voiced = source.ReadVoice(input, History, needed, out ptsNs);
            Note(ptsNs, available - voiced, now);
            Array.Copy(tail, 0, input, 0, History);
            int voicedOutput = voiced >= needed
                ? count
                : (int)Math.Max(0, Math.Min(count, (voiced - position) / ratio));
            for (int index = 0; index < count; ++index)
            {
                float sample = index < voicedOutput ? Sample(position + index * ratio) : Fading();
                if (fade < FadeSamples) sample *= fade++ / (float)FadeSamples;
                last = sample;
                for (int channel = 0; channel < channels; ++channel)
                {
                    data[(first + index) * channels + channel] = sample;
                }
            }
            Array.Copy(input, needed, tail, 0, History);
            position += count * ratio - needed;
            if (voiced < needed) End();
        }

        private void Begin()
        {
            Array.Clear(tail, 0, History);
            // The output is three input samples late: those that the curve through four points needs.
            position = 0;
            level = -1;
            fade = 0;
            playing = true;
        }

        private void End()
        {
            playing = false;
            ++underruns;
            Clock.Stop();
        }

        // After this program slept, what waits is old: most of it is left out.
        private void CatchUp(IVoiceSource source, int available, double needed)
        {
            double most = (ReserveSeconds + CatchUpSeconds) * BridgeClient.VoiceRateHz + needed;
            if (available <= most) return;
            source.SkipVoice((int)(ReserveSeconds * BridgeClient.VoiceRateHz + needed));
            Array.Clear(tail, 0, History);
            fade = 0;
            level = -1;
        }

        // Positive: the reserve is too large, so that input is used up faster.
        private double Bend()
        {
            if (level < 0) return 0;
            double error = level / BridgeClient.VoiceRateHz - ReserveSeconds;
            if (Math.Abs(error) < DeadZoneSeconds) return 0;
            error -= Math.Sign(error) * DeadZoneSeconds;
            return Math.Max(-MaxBend, Math.Min(MaxBend, error * 0.1));
        }

        private void Note(long ptsNs, int left, double now)
        {
            level = level < 0 ? left : level + 0.05 * (left - level);
            if (ptsNs < 0) return;
            long index = ptsNs / 1000000 * 48 + ptsNs % 1000000 * 48 / 1000000;
            // The curve's second point lies three samples before the first one that was read.
            double heard = index + position - (History - 1);
            Clock.Handed(now, heard / BridgeClient.VoiceRateHz);
        }

        private void Silence(float[] data, int first, int count, int channels)
        {
            for (int index = 0; index < count; ++index)
            {
                float sample = Fading();
                for (int channel = 0; channel < channels; ++channel)
                {
                    data[(first + index) * channels + channel] = sample;
                }
            }
        }

        private float Fading()
        {
            last *= 0.94f;
            if (Math.Abs(last) < 1e-5f) last = 0;
            return last;
        }

        // Catmull-Rom through four points; exact where `at` is whole.
        private float Sample(double at)
        {
            int whole = (int)at;
            float t = (float)(at - whole);
            float a = input[whole], b = input[whole + 1], c = input[whole + 2], d = input[whole + 3];
            if (t == 0) return b;
            return b + 0.5f * t * (c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a)));
        }
    }
}
