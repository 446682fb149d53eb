// SPDX-License-Identifier: MIT
using System;
using System.Diagnostics;

namespace RestBridge
{
    /// <summary>
    /// Says which media time is at the ear. The audio thread tells it with each piece of sound which
    /// media time that piece begins with; the main thread asks. The pieces come in uneven steps (21 ms
    /// and more), so that the times between are counted by this computer's clock, and errors of a
    /// few milliseconds are corrected slowly: frames then change evenly.
    /// </summary>
    public sealed class PlaybackClock
    {
        private const double Gain = 0.08;
        private const double SnapSeconds = 0.08;
        private readonly object gate = new object();
        private bool running;
        private double mediaAtZero;  // media seconds at which `now` would be 0
        private double latency;

        /// <summary>This computer's clock in seconds, for `now` everywhere here.</summary>
        public static double Now
        {
            get { return Stopwatch.GetTimestamp() / (double)Stopwatch.Frequency; }
        }

        /// <summary>Seconds from handing samples over to hearing them, 0..1.</summary>
        public double LatencySeconds
        {
            get { lock (gate) return latency; }
            set { lock (gate) latency = Math.Max(0, Math.Min(1, value)); }
        }

        /// <summary>Whether sound is being played.</summary>
        public bool Running
        {
            get { lock (gate) return running; }
        }

        /// <summary>A piece of sound was handed over.</summary>
        /// <param name="now">when</param>
        /// <param name="mediaSeconds">media time of its first sample</param>
        public void Handed(double now, double mediaSeconds)
        {
            lock (gate)
            {
                double measured = mediaSeconds - now;
                double error = measured - mediaAtZero;
                if (!running || Math.Abs(error) > SnapSeconds) mediaAtZero = measured;
                else mediaAtZero += Gain * error;
                running = true;
            }
        }

        /// <summary>Nothing is played any more.</summary>
        public void Stop()
        {
            lock (gate) running = false;
        }

        /// <summary>The media time at the ear, in ns; false where nothing is played.</summary>
        public bool TryHeard(double now, out long mediaNs)
        {
            lock (gate)
            {
                mediaNs = (long)((now + mediaAtZero - latency) * 1e9);
                return running;
            }
        }
    }
}
