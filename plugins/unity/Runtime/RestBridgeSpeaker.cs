// SPDX-License-Identifier: MIT
using System;
using System.Collections.Generic;
using System.Threading;
using System.Threading.Tasks;
using UnityEngine;
using UnityEngine.Events;

namespace RestBridge
{
    /// <summary>
    /// Makes the face speak: lines of a dialogue, awaited, cancelled, interrupted. The daemon runs with
    /// `--audio push`. All events are raised in the main thread.
    /// </summary>
    [AddComponentMenu("RestBridge/Speaker")]
    public sealed class RestBridgeSpeaker : RestBridgeBehaviour
    {
        /// <summary>With the line's name.</summary>
        [Serializable] public sealed class LineEvent : UnityEvent<string> { }
        /// <summary>With the line's name and the mark's.</summary>
        [Serializable] public sealed class MarkEvent : UnityEvent<string, string> { }
        /// <summary>With the line's name and whether it was interrupted.</summary>
        [Serializable] public sealed class FinishedEvent : UnityEvent<string, bool> { }

        [SerializeField] private LineEvent onStarted = new LineEvent();
        [SerializeField] private MarkEvent onMark = new MarkEvent();
        [SerializeField] private FinishedEvent onFinished = new FinishedEvent();

        private SpeechSession session;
        private BridgeClient client;
        private RestBridgeConnection listened;

        /// <summary>A line's first sample is spoken.</summary>
        public event Action<SpeechEvent> Started;
        /// <summary>A mark was come to.</summary>
        public event Action<SpeechEvent> Mark;
        /// <summary>A line's end.</summary>
        public event Action<SpeechEvent> Finished;
        /// <summary>Anything, also what the others are not raised for.</summary>
        public event Action<SpeechEvent> Happened;

        /// <summary>As `Started`, for the inspector.</summary>
        public LineEvent OnStarted { get { return onStarted; } }
        /// <summary>As `Mark`, for the inspector.</summary>
        public MarkEvent OnMark { get { return onMark; } }
        /// <summary>As `Finished`, for the inspector.</summary>
        public FinishedEvent OnFinished { get { return onFinished; } }

        /// <summary>Lines that have not finished.</summary>
        public int NumLines
        {
            get { return session != null ? session.NumLines : 0; }
        }

        /// <summary>Speaks an audio clip and waits for its end.</summary>
        /// <param name="clip">"Decompress On Load", so that its samples can be read</param>
        /// <param name="marks">places to hear of; may be null</param>
        /// <param name="token">interrupts the line</param>
        /// <exception cref="BridgeException">the daemon is not there, or refuses</exception>
        public Task<SpeechResult> SpeakAsync(
            AudioClip clip, IList<SpeechMark> marks = null,
            CancellationToken token = default(CancellationToken))
        {
            float[] samples = new float[clip.samples * clip.channels];
            if (!clip.GetData(samples, 0))
            {
                throw new InvalidOperationException(
                    "The samples of \"" + clip.name + "\" cannot be read; set its Load Type to "
                        + "Decompress On Load.");
            }
            return SpeakAsync(new Pcm(samples, clip.frequency, clip.channels), marks, null, token);
        }

        /// <summary>Speaks samples and waits for their end.</summary>
        /// <exception cref="BridgeException">the daemon is not there, or refuses</exception>
        public Task<SpeechResult> SpeakAsync(
            Pcm pcm, IList<SpeechMark> marks = null, string lineName = null,
            CancellationToken token = default(CancellationToken))
        {
            return Session().SpeakAsync(pcm, marks, lineName, token);
        }

        /// <summary>Opens a line to push into while the text-to-speech still makes it.</summary>
        public SpeechLine Open(
            int rateHz, int channels = 1, string lineName = null,
            CancellationToken token = default(CancellationToken))
        {
            return Session().Open(rateHz, channels, lineName, token);
        }

        /// <summary>Interrupts the named lines, or all with none.</summary>
        public Task FlushAsync(params string[] names)
        {
            return session == null ? Task.FromResult(true) : session.FlushAsync(names);
        }

        /// <summary>Interrupts all lines; for buttons and UnityEvents.</summary>
        public async void Flush()
        {
            try
            {
                await FlushAsync();
            }
            catch (BridgeException error)
            {
                Debug.LogWarning("[RestBridge] " + error.Message, this);
            }
        }

        private SpeechSession Session()
        {
            BridgeClient open = Client;
            if (open == null)
            {
                RestBridgeConnection used = Connection;
                string why = used == null ? "There is no RestBridgeConnection." : used.Problem;
                throw new InvalidOperationException(why ?? "The RestBridgeConnection is disabled.");
            }
            if (session != null && client == open) return session;
            Release();
            client = open;
            session = new SpeechSession(open);
            session.Happened += Tell;
            listened = Connection;
            listened.Received += Receive;
            return session;
        }

        private void OnDisable()
        {
            Release();
        }

        private void Release()
        {
            if (listened != null) listened.Received -= Receive;
            if (session != null) session.Dispose();
            listened = null;
            session = null;
            client = null;
        }

        private void Update()
        {
            if (session == null) return;
            if (Client != client) Release();
            else session.Update(listened.Status);
        }

        private void Receive(ref BridgeEvent happened)
        {
            if (session != null) session.Handle(ref happened);
        }

        private void Tell(SpeechEvent happened)
        {
            if (Happened != null) Happened(happened);
            switch (happened.Kind)
            {
                case SpeechEventKind.Started:
                    if (Started != null) Started(happened);
                    onStarted.Invoke(happened.Line);
                    break;
                case SpeechEventKind.Mark:
                    if (Mark != null) Mark(happened);
                    onMark.Invoke(happened.Line, happened.Mark);
                    break;
                case SpeechEventKind.Finished:
                    if (Finished != null) Finished(happened);
                    onFinished.Invoke(happened.Line, happened.Outcome != SpeechOutcome.Spoken);
                    break;
                case SpeechEventKind.Refused:
                    Debug.LogWarning("[RestBridge] The daemon refused speech: " + happened.Reason, this);
                    break;
            }
        }
    }
}
