// SPDX-License-Identifier: MIT
using System;
using System.Text;

namespace RestBridge
{
    /// <summary>Speech as samples: what `SpeechSession.SpeakAsync` takes.</summary>
    public sealed class Pcm
    {
        /// <summary>-1..1, channels interleaved.</summary>
        public readonly float[] Samples;
        /// <summary>8000..192000.</summary>
        public readonly int RateHz;
        /// <summary>1 or 2.</summary>
        public readonly int Channels;

        /// <summary>Samples as they are.</summary>
        /// <exception cref="BridgeException">rate or channels out of range</exception>
        public Pcm(float[] samples, int rateHz, int channels = 1)
        {
            if (samples == null || rateHz < 8000 || rateHz > 192000 || channels < 1 || channels > 2)
            {
                throw new BridgeException(
                    BridgeFailure.Argument, "Speech must have 1 or 2 channels and 8,000 to 192,000 Hz.");
            }
            Samples = samples;
            RateHz = rateHz;
            Channels = channels;
        }

        /// <summary>Seconds.</summary>
        public double Seconds
        {
            get { return Samples.Length / (double)Channels / RateHz; }
        }
    }

    /// <summary>Reads WAV files as text-to-speech programs write them (16-bit or float).</summary>
    public static class WavFile
    {
        private const int PcmKind = 1, FloatKind = 3, Extensible = 0xfffe;

        /// <summary>Reads a whole file.</summary>
        /// <exception cref="BridgeException">no WAV file, or of another kind of samples</exception>
        public static Pcm Read(byte[] file)
        {
            if (file.Length < 12 || Tag(file, 0) != "RIFF" || Tag(file, 8) != "WAVE") throw Wrong();
            int kind = 0, channels = 0, rateHz = 0, bits = 0;
            for (long at = 12; at + 8 <= file.Length;)
            {
                string tag = Tag(file, (int)at);
                long size = BitConverter.ToUInt32(file, (int)at + 4);
                int begin = (int)at + 8;
                if (tag == "fmt " && size >= 16 && begin + 16 <= file.Length)
                {
                    kind = BitConverter.ToUInt16(file, begin);
                    channels = BitConverter.ToUInt16(file, begin + 2);
                    rateHz = BitConverter.ToInt32(file, begin + 4);
                    bits = BitConverter.ToUInt16(file, begin + 14);
                    if (kind == Extensible && size >= 26 && begin + 26 <= file.Length)
                    {
                        kind = BitConverter.ToUInt16(file, begin + 24);
                    }
                }
                if (tag == "data")
                {
                    // Programs that write to a pipe do not know the length and announce too much.
                    int length = (int)Math.Min(size, file.Length - begin);
                    return new Pcm(Samples(file, begin, length, kind, bits), rateHz, channels);
                }
                at = begin + size + (size & 1);
            }
            throw Wrong();
        }

        private static float[] Samples(byte[] file, int begin, int length, int kind, int bits)
        {
            if (kind == PcmKind && bits == 16)
            {
                float[] samples = new float[length / 2];
                for (int index = 0; index < samples.Length; ++index)
                {
                    samples[index] = BitConverter.ToInt16(file, begin + index * 2) / 32767f;
                }
                return samples;
            }
            if (kind == FloatKind && bits == 32)
            {
                float[] samples = new float[length / 4];
                for (int index = 0; index < samples.Length; ++index)
                {
                    samples[index] = BitConverter.ToSingle(file, begin + index * 4);
                }
                return samples;
            }
            throw Wrong();
        }

        private static string Tag(byte[] file, int at)
        {
            return Encoding.ASCII.GetString(file, at, 4);
        }

        private static BridgeException Wrong()
        {
            return new BridgeException(
                BridgeFailure.Argument, "This is no WAV file of 16-bit or float samples.");
        }
    }
}
