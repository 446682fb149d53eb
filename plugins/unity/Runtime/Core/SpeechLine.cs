// SPDX-License-Identifier: MIT
using System.Threading;
using System.Threading.Tasks;

namespace RestBridge
{
    /// <summary>
    /// One line on its way to the daemon. Pieces may be pushed as the text-to-speech delivers them,
    /// from any one thread; they leave in a thread of the session's own.
    /// </summary>
    public sealed class SpeechLine
    {
        private readonly SpeechSession session;
        private readonly TaskCompletionSource<SpeechResult> done =
            new TaskCompletionSource<SpeechResult>(TaskCreationOptions.RunContinuationsAsynchronously);

        internal readonly int RateHz, Channels;
        internal readonly CancellationToken Token;
        internal SpeechHandle Handle;
        internal CancellationTokenRegistration Registration;
        internal bool Ending;
        internal volatile bool Flushed;
        internal long Stream;
        internal double PositionSeconds;

        /// <summary>What events call it.</summary>
        public string Name { get; private set; }

        /// <summary>Ends with the line: what became of it; cancelled or failed where that happened.</summary>
        public Task<SpeechResult> Finished
        {
            get { return done.Task; }
        }

        internal SpeechLine(SpeechSession session, string name, int rateHz, int channels, CancellationToken token)
        {
            this.session = session;
            Name = name;
            RateHz = rateHz;
            Channels = channels;
            Token = token;
        }

        /// <summary>Pushes speech: -1..1, channels interleaved. Copies it and returns at once.</summary>
        public void Push(float[] samples, int offset, int count)
        {
            float[] copy = new float[count];
            System.Array.Copy(samples, offset, copy, 0, count);
            session.Add(new SpeechWork { Line = this, Samples = copy });
        }

        /// <summary>Pushes speech of 16-bit samples.</summary>
        public void Push(short[] samples, int offset, int count)
        {
            float[] copy = new float[count];
            for (int index = 0; index < count; ++index) copy[index] = samples[offset + index] / 32767f;
            session.Add(new SpeechWork { Line = this, Samples = copy });
        }

        /// <summary>Asks for an event when the speech has come to here.</summary>
        public void Mark(string name)
        {
            session.Add(new SpeechWork { Line = this, Mark = name });
        }

        /// <summary>Says that nothing more comes.</summary>
        public void End()
        {
            if (Ending) return;
            Ending = true;
            session.Add(new SpeechWork { Line = this, End = true });
        }

        /// <summary>Interrupts this line; its task is then cancelled.</summary>
        public void Cancel()
        {
            session.Add(new SpeechWork { Line = this, Cancel = true });
        }

        internal bool TryFinish(SpeechOutcome outcome)
        {
            Registration.Dispose();
            return done.TrySetResult(new SpeechResult(Name, outcome, PositionSeconds));
        }

        internal bool TryFail(BridgeException error)
        {
            Registration.Dispose();
            return done.TrySetException(error);
        }

        internal bool TryCancel()
        {
            return done.TrySetCanceled();
        }
    }

    /// <summary>One thing to do for a line, in order.</summary>
    internal struct SpeechWork
    {
        public SpeechLine Line;
        public float[] Samples;
        public string Mark;
        public bool Open, End, Cancel;
        public string[] Flush;
        public TaskCompletionSource<bool> Flushed;
    }
}
