// SPDX-License-Identifier: MIT
using System;
using System.Collections.Generic;
using System.Threading;
using System.Threading.Tasks;

namespace RestBridge
{
    /// <summary>
    /// The speech contract for a dialogue: lines that are spoken one after the other, awaited,
    /// cancelled, interrupted. The daemon runs with `--audio push`. What may wait happens in one
    /// thread; events are raised by whoever calls `Handle`, a game's main thread.
    /// </summary>
    public sealed class SpeechSession : IDisposable
    {
        private const uint PushTimeoutMs = 100;
        private const double RoomSeconds = 90;  // a minute of speech may wait in the daemon
        private readonly BridgeClient client;
        private readonly Dictionary<string, SpeechLine> lines = new Dictionary<string, SpeechLine>();
        private readonly Queue<SpeechWork> work = new Queue<SpeechWork>();
        private readonly Thread thread;
        private readonly string prefix = Guid.NewGuid().ToString("N").Substring(0, 6);
        private int counter;
        private bool closed;
        private long stream;
        private bool checkedDaemon;

        /// <summary>Something happened to a line of this session; raised by `Handle`.</summary>
        public event Action<SpeechEvent> Happened;

        /// <summary>Begins a session.</summary>
        /// <param name="client">stays the caller's; opened with events, control and speech</param>
        public SpeechSession(BridgeClient client)
        {
            this.client = client;
            thread = new Thread(Work) { IsBackground = true, Name = "rest_bridge speech" };
            thread.Start();
        }

        /// <summary>Lines that have not finished.</summary>
        public int NumLines
        {
            get { lock (work) return lines.Count; }
        }

        /// <summary>Opens a line to push into; those that are open are spoken in this order.</summary>
        /// <param name="rateHz">8000..192000</param>
        /// <param name="channels">1 or 2</param>
        /// <param name="name">what events call it; null for a new one</param>
        /// <param name="token">cancels the line: it is interrupted if it is being spoken</param>
        public SpeechLine Open(
            int rateHz, int channels = 1, string name = null,
            CancellationToken token = default(CancellationToken))
        {
            string called = name ?? prefix + "-" + Interlocked.Increment(ref counter);
            SpeechLine line = new SpeechLine(this, called, rateHz, channels, token);
            lock (work)
            {
                if (closed) throw Closed();
                if (lines.ContainsKey(called))
                {
                    throw new BridgeException(
                        BridgeFailure.Argument,
                        "A line named \"" + called + "\" has not finished yet; take another name.");
                }
                lines.Add(called, line);
                line.Stream = stream;
                work.Enqueue(new SpeechWork { Line = line, Open = true });
                Monitor.Pulse(work);
            }
            if (token.CanBeCanceled) line.Registration = token.Register(line.Cancel);
            return line;
        }

        /// <summary>Speaks a line and waits for its end.</summary>
        /// <param name="pcm">the speech</param>
        /// <param name="marks">places to hear of, in order; may be null</param>
        /// <param name="name">what events call it; null for a new one</param>
        /// <param name="token">cancels the line: it is interrupted if it is being spoken</param>
        /// <returns>what became of it; cancelled with the token, failed where the daemon refuses</returns>
        public Task<SpeechResult> SpeakAsync(
            Pcm pcm, IList<SpeechMark> marks = null, string name = null,
            CancellationToken token = default(CancellationToken))
        {
            SpeechLine line = Open(pcm.RateHz, pcm.Channels, name, token);
            int done = 0;
            for (int index = 0; marks != null && index < marks.Count; ++index)
            {
                int at = (int)(marks[index].AtSeconds * pcm.RateHz) * pcm.Channels;
                at = Math.Max(done, Math.Min(at, pcm.Samples.Length));
                if (at > done) line.Push(pcm.Samples, done, at - done);
                line.Mark(marks[index].Name);
                done = at;
            }
            if (done < pcm.Samples.Length) line.Push(pcm.Samples, done, pcm.Samples.Length - done);
            line.End();
            return line.Finished;
        }

        /// <summary>Barge-in: forgets the named lines, or all of this session's with none.</summary>
        /// <returns>ends when the daemon has stopped; the face shows it within two pictures</returns>
        public Task FlushAsync(params string[] names)
        {
            TaskCompletionSource<bool> flushed =
                new TaskCompletionSource<bool>(TaskCreationOptions.RunContinuationsAsynchronously);
            lock (work)
            {
                if (closed) throw Closed();
                string[] all = names;
                if (names == null || names.Length == 0)
                {
                    all = new string[lines.Count];
                    lines.Keys.CopyTo(all, 0);
                }
                if (all.Length == 0)
                {
                    flushed.SetResult(true);
                    return flushed.Task;
                }
                foreach (string one in all)
                {
                    SpeechLine line;
                    if (lines.TryGetValue(one, out line)) line.Flushed = true;
                }
                List<SpeechWork> kept = new List<SpeechWork>();
                // What of these lines has not left yet must not leave any more.
                foreach (SpeechWork item in work)
                {
                    bool isSpeech = item.Samples != null || item.Mark != null;
                    if (!isSpeech || Array.IndexOf(all, item.Line.Name) < 0) kept.Add(item);
                }
                work.Clear();
                work.Enqueue(new SpeechWork { Flush = all, Flushed = flushed });
                foreach (SpeechWork item in kept) work.Enqueue(item);
                Monitor.Pulse(work);
            }
            return flushed.Task;
        }

        /// <summary>Takes an event of the client; true if it was about a line of this session.</summary>
        public bool Handle(ref BridgeEvent happened)
        {
            SpeechEvent speech;
            if (!SpeechEvent.TryRead(ref happened, out speech)) return false;
            SpeechLine line;
            lock (work)
            {
                bool ours = lines.TryGetValue(speech.Line, out line);
                if (!ours && speech.Kind != SpeechEventKind.Refused) return false;
                if (ours && speech.Kind == SpeechEventKind.Finished) lines.Remove(speech.Line);
            }
            if (line != null) line.PositionSeconds = speech.PositionSeconds;
            Action<SpeechEvent> listeners = Happened;
            if (listeners != null) listeners(speech);
            if (line != null && speech.Kind == SpeechEventKind.Finished)
            {
                if (line.Token.IsCancellationRequested) line.TryCancel();
                else if (line.Flushed && speech.PositionSeconds == 0) line.TryFinish(SpeechOutcome.Interrupted);
                else line.TryFinish(speech.Outcome);
            }
            return line != null;
        }

        /// <summary>
        /// To be told of the connection once a frame: where the daemon was restarted, its lines are
        /// lost, and nobody waits for them for ever.
        /// </summary>
        public void Update(BridgeStatus status)
        {
            List<SpeechLine> lost = null;
            lock (work)
            {
                if (status.Streams == stream && (status.Connected || stream == 0 || lines.Count == 0))
                {
                    return;
                }
                bool first = stream == 0;
                bool gone = !status.Connected;
                stream = status.Streams;
                checkedDaemon = false;
                foreach (SpeechLine line in lines.Values)
                {
                    if (first || (line.Stream == stream && !gone)) line.Stream = stream;
                    else
                    {
                        if (lost == null) lost = new List<SpeechLine>();
                        lost.Add(line);
                    }
                }
                for (int index = 0; lost != null && index < lost.Count; ++index)
                {
                    lines.Remove(lost[index].Name);
                }
            }
            for (int index = 0; lost != null && index < lost.Count; ++index) Lose(lost[index]);
        }

        /// <summary>Ends the thread; lines that have not finished are lost. Idempotent.</summary>
        public void Dispose()
        {
            SpeechLine[] left;
            lock (work)
            {
                if (closed) return;
                closed = true;
                left = new SpeechLine[lines.Count];
                lines.Values.CopyTo(left, 0);
                lines.Clear();
                foreach (SpeechWork item in work)
                {
                    if (item.Flushed != null) item.Flushed.TrySetException(Closed());
                }
                work.Clear();
                Monitor.Pulse(work);
            }
            thread.Join(3000);
            foreach (SpeechLine line in left)
            {
                line.TryFinish(SpeechOutcome.Lost);
                if (line.Handle != null) line.Handle.Dispose();
            }
        }

        internal void Add(SpeechWork item)
        {
            lock (work)
            {
                if (closed || !lines.ContainsKey(item.Line.Name)) return;
                work.Enqueue(item);
                Monitor.Pulse(work);
            }
        }

        private void Lose(SpeechLine line)
        {
            Action<SpeechEvent> listeners = Happened;
            if (listeners != null)
            {
                listeners(new SpeechEvent
                {
                    Kind = SpeechEventKind.Finished, Line = line.Name, Mark = "", Reason = "",
                    Outcome = SpeechOutcome.Lost, PositionSeconds = line.PositionSeconds
                });
            }
            line.TryFinish(SpeechOutcome.Lost);
        }

        private void Work()
        {
            while (true)
            {
                SpeechWork item;
                lock (work)
                {
                    while (work.Count == 0 && !closed) Monitor.Wait(work);
                    if (closed) return;
                    item = work.Dequeue();
                }
                try
                {
                    Do(ref item);
                }
                catch (ObjectDisposedException)
                {
                    if (item.Line != null) Fail(item.Line, Closed());
                    if (item.Flushed != null) item.Flushed.TrySetException(Closed());
                }
                catch (BridgeException error)
                {
                    if (item.Line != null) Fail(item.Line, error);
                    if (item.Flushed != null) item.Flushed.TrySetException(error);
                }
            }
        }

        private void Do(ref SpeechWork item)
        {
            if (item.Flush != null)
            {
                client.Flush(item.Flush);
                item.Flushed.TrySetResult(true);
            }
            else if (item.Open) OpenLine(item.Line);
            else if (item.Cancel) CancelLine(item.Line);
            else if (item.Line.Handle == null) return;
            else if (item.Mark != null) MarkLine(item.Line, item.Mark);
            else if (item.Samples != null) Push(item.Line, item.Samples);
            else if (item.End)
            {
                if (!item.Line.Handle.End(2000)) throw NoRoom();
                item.Line.Handle = null;
            }
        }

        private void OpenLine(SpeechLine line)
        {
            if (line.Flushed)  // before a word of it had left: the daemon need not know
            {
                lock (work) lines.Remove(line.Name);
                line.TryFinish(SpeechOutcome.Interrupted);
                return;
            }
            if (!checkedDaemon)
            {
                // Says at once where there is no daemon, or one that takes no speech.
                client.Request("speech", null, 5000);
                checkedDaemon = true;
            }
            IntPtr opened;
            Native.Result result = Native.rb_speech_open(
                client.Handle, Utf8.Bytes(line.Name), (uint)line.RateHz, (uint)line.Channels, out opened);
            if (result != Native.Result.Ok) throw BridgeException.Of(result);
            line.Handle = new SpeechHandle(client.Handle, opened);
        }

        private static void MarkLine(SpeechLine line, string name)
        {
            Native.Result result = Native.rb_speech_mark(line.Handle, Utf8.Bytes(name));
            if (result != Native.Result.Ok) throw BridgeException.Of(result);
        }

        private unsafe void Push(SpeechLine line, float[] samples)
        {
            int done = 0;
            double deadline = PlaybackClock.Now + RoomSeconds;
            fixed (float* first = samples)
            {
                while (done < samples.Length)
                {
                    if (line.Token.IsCancellationRequested || closed) return;
                    UIntPtr sent;
                    Native.Result result = Native.rb_speech_push_f32(
                        line.Handle, first + done, new UIntPtr((uint)((samples.Length - done) / line.Channels)),
                        PushTimeoutMs, out sent);
                    int count = (int)sent.ToUInt32() * line.Channels;
                    done += count;
                    if (count > 0) deadline = PlaybackClock.Now + RoomSeconds;
                    if (result == Native.Result.Ok) return;
                    if (result != Native.Result.Timeout) throw BridgeException.Of(result);
                    if (PlaybackClock.Now > deadline) throw NoRoom();
                    if (IsFlushWaiting(line)) return;
                }
            }
        }

        // A line that waits for room must not keep its own interruption from being sent.
        private bool IsFlushWaiting(SpeechLine line)
        {
            lock (work)
            {
                if (work.Count == 0 || !lines.ContainsKey(line.Name)) return !lines.ContainsKey(line.Name);
                string[] flush = work.Peek().Flush;
                return flush != null && Array.IndexOf(flush, line.Name) >= 0;
            }
        }

        private void CancelLine(SpeechLine line)
        {
            if (line.Handle != null)
            {
                line.Handle.End(500);
                line.Handle = null;
            }
            client.Flush(new[] { line.Name });
            lock (work) lines.Remove(line.Name);
            line.TryCancel();
        }

        private void Fail(SpeechLine line, BridgeException error)
        {
            lock (work) lines.Remove(line.Name);
            checkedDaemon = false;
            if (line.Handle != null) line.Handle.End(0);
            line.Handle = null;
            line.TryFail(error);
        }

        private static BridgeException NoRoom()
        {
            return new BridgeException(
                BridgeFailure.Timeout,
                "The daemon took no speech in time: either it does not run with --audio push, or a "
                    + "minute of speech waits there.");
        }

        private static BridgeException Closed()
        {
            return new BridgeException(BridgeFailure.Closed, "The connection was closed.");
        }
    }
}
