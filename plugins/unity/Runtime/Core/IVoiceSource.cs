// SPDX-License-Identifier: MIT
namespace RestBridge
{
    /// <summary>Voice samples in order, mono at 48 kHz, each with its media time.</summary>
    public interface IVoiceSource
    {
        /// <summary>Samples that wait.</summary>
        int VoiceAvailable { get; }

        /// <summary>
        /// Copies the next samples, silence where there are none. Never waits for the network: made
        /// for audio callbacks.
        /// </summary>
        /// <param name="samples">where to</param>
        /// <param name="offset">of the first</param>
        /// <param name="count">how many</param>
        /// <param name="ptsNs">media time of the first, or -1 if all is silence</param>
        /// <returns>how many of them are voice</returns>
        int ReadVoice(float[] samples, int offset, int count, out long ptsNs);

        /// <summary>Forgets all but the newest samples.</summary>
        void SkipVoice(int keep);
    }
}
