// SPDX-License-Identifier: MIT
using System;

namespace RestBridge.Tests
{
    /// <summary>A voice whose sample n is n / 2^20, so that each says where it stands.</summary>
    internal sealed class FakeVoice : IVoiceSource
    {
        public long Next;
        public int Waiting;
        public int Skipped;

        public int VoiceAvailable
        {
            get { return Waiting; }
        }

        public static float At(long index)
        {
            return index / 1048576f;
        }

        public int ReadVoice(float[] samples, int offset, int count, out long ptsNs)
        {
            int taken = Math.Min(count, Waiting);
            ptsNs = taken > 0 ? Next / 48000 * 1000000000 + Next % 48000 * 1000000000 / 48000 : -1;
            for (int index = 0; index < count; ++index)
            {
                samples[offset + index] = index < taken ? At(Next + index) : 0f;
            }
            Next += taken;
            Waiting -= taken;
            return taken;
        }

        public void SkipVoice(int keep)
        {
            if (Waiting <= keep) return;
            Skipped += Waiting - keep;
            Next += Waiting - keep;
            Waiting = keep;
        }
    }
}
