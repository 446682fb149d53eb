// SPDX-License-Identifier: MIT
using System;

namespace RestBridge
{
    /// <summary>What became of a line.</summary>
    public enum SpeechOutcome
    {
        /// <summary>It was spoken to its end.</summary>
        Spoken,
        /// <summary>It was flushed, or ran dry for good.</summary>
        Interrupted,
        /// <summary>The daemon went away or was restarted before it ended.</summary>
        Lost
    }

    /// <summary>The end of a line.</summary>
    public struct SpeechResult
    {
        /// <summary>The line's name.</summary>
        public readonly string Line;
        /// <summary>What became of it.</summary>
        public readonly SpeechOutcome Outcome;
        /// <summary>How much of it was heard, in seconds.</summary>
        public readonly double PositionSeconds;

        internal SpeechResult(string line, SpeechOutcome outcome, double positionSeconds)
        {
            Line = line;
            Outcome = outcome;
            PositionSeconds = positionSeconds;
        }
    }

    /// <summary>What can happen to a line.</summary>
    public enum SpeechEventKind
    {
        /// <summary>Its first sample is spoken.</summary>
        Started,
        /// <summary>A mark was come to.</summary>
        Mark,
        /// <summary>It ran dry; silence follows.</summary>
        Underrun,
        /// <summary>It goes on.</summary>
        Resumed,
        /// <summary>Its end; see `Outcome`.</summary>
        Finished,
        /// <summary>A message was no speech; see `Reason`.</summary>
        Refused
    }

    /// <summary>Something happened to a line.</summary>
    public struct SpeechEvent
    {
        /// <summary>What.</summary>
        public SpeechEventKind Kind;
        /// <summary>The line's name.</summary>
        public string Line;
        /// <summary>Of `Mark`: its name.</summary>
        public string Mark;
        /// <summary>Of `Refused`: one sentence.</summary>
        public string Reason;
        /// <summary>Of `Finished`.</summary>
        public SpeechOutcome Outcome;
        /// <summary>Media time at which it shows, ns.</summary>
        public long PtsNs;
        /// <summary>How much of the line was spoken, in seconds.</summary>
        public double PositionSeconds;
        /// <summary>Daemon's monotonic clock when its picture was published.</summary>
        public long PublishedNs;

        internal static bool TryRead(ref BridgeEvent happened, out SpeechEvent read)
        {
            read = default(SpeechEvent);
            if (!happened.Is("speech")) return false;
            SpeechEventKind kind;
            switch (happened.Text("event"))
            {
                case "started": kind = SpeechEventKind.Started; break;
                case "mark": kind = SpeechEventKind.Mark; break;
                case "underrun": kind = SpeechEventKind.Underrun; break;
                case "resumed": kind = SpeechEventKind.Resumed; break;
                case "finished": kind = SpeechEventKind.Finished; break;
                case "refused": kind = SpeechEventKind.Refused; break;
                default: return false;  // of a later version
            }
            read.Kind = kind;
            read.Line = happened.Text("utt");
            read.Mark = happened.Text("mark");
            read.Reason = happened.Text("reason");
            read.PtsNs = happened.Integer("pts");
            read.PositionSeconds = happened.Integer("position") / 1e9;
            read.PublishedNs = happened.PublishedNs;
            read.Outcome = happened.Flag("interrupted") ? SpeechOutcome.Interrupted : SpeechOutcome.Spoken;
            return true;
        }
    }

    /// <summary>A place in a line of which you want to hear when the speech comes to it.</summary>
    [Serializable]
    public struct SpeechMark
    {
        /// <summary>Comes back in the event; at most 128 bytes.</summary>
        public string Name;
        /// <summary>Seconds from the line's beginning.</summary>
        public double AtSeconds;

        /// <summary>A mark.</summary>
        public SpeechMark(string name, double atSeconds)
        {
            Name = name;
            AtSeconds = atSeconds;
        }
    }
}
