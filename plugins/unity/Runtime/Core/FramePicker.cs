// SPDX-License-Identifier: MIT
namespace RestBridge
{
    /// <summary>
    /// Chooses the picture to show: the one of the voice sample that is heard where the voice is
    /// played here, else the newest. Says when nothing has to be drawn anew.
    /// </summary>
    public sealed class FramePicker
    {
        private long shownPublishedNs = long.MinValue;
        private long shownSequence = long.MinValue;

        /// <summary>Forgets what was shown, so that the next picture counts as new.</summary>
        public void Reset()
        {
            shownPublishedNs = shownSequence = long.MinValue;
        }

        /// <summary>The picture to draw now.</summary>
        /// <param name="client">where from</param>
        /// <param name="clock">of the voice, or null where it is not played here</param>
        /// <param name="now">`PlaybackClock.Now`</param>
        /// <param name="frame">to be given back where true is returned</param>
        /// <returns>false where the picture on show stays</returns>
        public bool TryPick(BridgeClient client, PlaybackClock clock, double now, out FrameLease frame)
        {
            long mediaNs;
            bool found = clock != null && clock.TryHeard(now, out mediaNs)
                ? client.TryGetAt(mediaNs, out frame)
                : client.TryGetLatest(out frame);
            if (!found) return false;
            bool same = frame.PublishedNs == shownPublishedNs && frame.Sequence == shownSequence;
            bool repeats = frame.Repeated && frame.Sequence == shownSequence + 1;
            shownPublishedNs = frame.PublishedNs;
            shownSequence = frame.Sequence;
            if (!same && !repeats) return true;
            frame.Dispose();
            return false;
        }
    }
}
