// SPDX-License-Identifier: MIT
namespace RestBridge
{
    /// <summary>What there is to know of a connection; filled by `BridgeClient.Update`.</summary>
    public sealed class BridgeStatus
    {
        /// <summary>The daemon was heard of within the last three seconds.</summary>
        public bool Connected { get; private set; }
        /// <summary>Random name of the stream; another one after a restart of the daemon.</summary>
        public string Stream { get; private set; }
        /// <summary>"idle", "speaking", "muted", "paused", or a later word.</summary>
        public string State { get; private set; }
        /// <summary>The effort: "full", "lean", "sparse", "still".</summary>
        public string Tier { get; private set; }
        /// <summary>Program and version of the daemon.</summary>
        public string Server { get; private set; }
        /// <summary>Grows when the stream is flushed.</summary>
        public long Epoch { get; private set; }
        /// <summary>Of the pictures, in pixels; 0 before anything was heard.</summary>
        public int WidthPx { get; private set; }
        /// <summary>Of the pictures, in pixels.</summary>
        public int HeightPx { get; private set; }
        /// <summary>Pictures a second of the stream.</summary>
        public double Fps { get; private set; }
        /// <summary>Pictures received.</summary>
        public long Frames { get; private set; }
        /// <summary>Made by the daemon and never seen here.</summary>
        public long FramesLost { get; private set; }
        /// <summary>Voice samples dropped here because nobody read them in time.</summary>
        public long VoiceLostSamples { get; private set; }
        /// <summary>Events dropped here because nobody fetched them.</summary>
        public long EventsLost { get; private set; }
        /// <summary>Messages that were not of this protocol or of another version of it.</summary>
        public long Refused { get; private set; }
        /// <summary>How often a new stream began: 2 after the daemon's first restart.</summary>
        public long Streams { get; private set; }
        /// <summary>Why the newest refused message was refused; empty if none was.</summary>
        public string Refusal { get; private set; }

        private CachedText stream, state, tier, server;

        /// <summary>An empty one: nothing was heard yet.</summary>
        public BridgeStatus()
        {
            Stream = State = Tier = Server = Refusal = "";
        }

        /// <summary>One sentence for people, with what to do where nothing is shown.</summary>
        public string Describe()
        {
            if (Connected && Frames > 0)
            {
                return "Connected to " + (Server.Length > 0 ? Server : "the daemon") + ": " + WidthPx
                    + " x " + HeightPx + ", " + State + ".";
            }
            if (!Connected && Refused > 0)
            {
                return "Something answers, but not in this protocol: " + Refusal
                    + " Update the older of daemon and package.";
            }
            if (Connected) return "Connected; no picture has come yet.";
            if (Streams > 0)
            {
                return "The daemon is gone. Start it again (`rest-bridge run`); the connection comes "
                    + "back by itself.";
            }
            return "No daemon was heard of yet. Start one (`rest-bridge run`), or check the addresses "
                + "and keys.";
        }

        internal unsafe void Fill(ref Native.Status now, BridgeClient client)
        {
            Connected = now.Connected != 0;
            fixed (byte* text = now.Stream) Stream = stream.Take(text);
            fixed (byte* text = now.State) State = state.Take(text);
            fixed (byte* text = now.Tier) Tier = tier.Take(text);
            fixed (byte* text = now.Server) Server = server.Take(text);
            Epoch = now.Epoch;
            WidthPx = (int)now.WidthPx;
            HeightPx = (int)now.HeightPx;
            Fps = now.Fps;
            Frames = (long)now.Frames;
            FramesLost = (long)now.FramesLost;
            VoiceLostSamples = (long)now.VoiceLostSamples;
            EventsLost = (long)now.EventsLost;
            Streams = (long)now.Streams;
            if (Refused != (long)now.Refused) Refusal = client.Refusal();
            Refused = (long)now.Refused;
        }
    }
}
