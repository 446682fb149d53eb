// SPDX-License-Identifier: MIT
namespace RestBridge
{
    /// <summary>How many a second, from a growing count that is looked at now and then.</summary>
    public sealed class RateMeter
    {
        private const double WindowSeconds = 1;
        private long countBefore = -1;
        private double timeBefore;

        /// <summary>The rate over the last whole second; 0 before there was one.</summary>
        public double PerSecond { get; private set; }

        /// <summary>Looks at the count.</summary>
        /// <param name="count">so far; a smaller one begins anew</param>
        /// <param name="now">`PlaybackClock.Now`</param>
        public void Note(long count, double now)
        {
            if (countBefore < 0 || count < countBefore)
            {
                countBefore = count;
                timeBefore = now;
                PerSecond = 0;
                return;
            }
            if (now - timeBefore < WindowSeconds) return;
            PerSecond = (count - countBefore) / (now - timeBefore);
            countBefore = count;
            timeBefore = now;
        }
    }
}
