// SPDX-License-Identifier: MIT
using System;
using System.Collections.Generic;
using System.Threading;
using UnityEngine;
using UnityEngine.UI;

namespace RestBridge.Samples
{
    /// <summary>
    /// A character that speaks. Put it on an empty object, give it lines, press Play, and call `Talk` or
    /// `Interrupt` from buttons or your dialogue system. The daemon: `rest-bridge run --audio push`.
    /// </summary>
    public sealed class DialogueNpc : MonoBehaviour
    {
        /// <summary>What it says, and where in it something is to happen.</summary>
        [Serializable]
        public struct Line
        {
            [TextArea(1, 3)] public string text;
            [Tooltip("Recorded or synthesised; Load Type \"Decompress On Load\".")]
            public AudioClip voice;
            [Tooltip("As \"bow\" after 0.8 seconds: told by Gesture.")]
            public List<SpeechMark> gestures;
        }

        [SerializeField] private List<Line> lines = new List<Line>();
        [Tooltip("A RawImage of your Canvas, where the face is shown.")]
        [SerializeField] private RawImage picture = null;
        [Tooltip("Where the words are shown; may be empty.")]
        [SerializeField] private Text subtitle = null;
        [SerializeField] private bool talkAtStart = true;

        private RestBridgeSpeaker speaker;
        private CancellationTokenSource conversation;

        /// <summary>A line has come to a gesture: its name, as you wrote it.</summary>
        public event Action<string> Gesture;

        private void Awake()
        {
            if (RestBridgeConnection.Default == null) gameObject.AddComponent<RestBridgeConnection>();
            gameObject.AddComponent<AudioSource>();
            gameObject.AddComponent<RestBridgeVoice>();
            speaker = gameObject.AddComponent<RestBridgeSpeaker>();
            speaker.Mark += happened =>
            {
                if (Gesture != null) Gesture(happened.Mark);
                Debug.Log("[NPC] gesture: " + happened.Mark, this);
            };
            if (picture != null) gameObject.AddComponent<RestBridgeFace>().ShowOn(picture);
            else Debug.LogWarning("[NPC] Set Picture to a RawImage of your Canvas, to see the face.", this);
        }

        private void Start()
        {
            if (talkAtStart) Talk();
        }

        private void OnDisable()
        {
            Interrupt();
        }

        /// <summary>Speaks all lines, one after the other; what was spoken before is interrupted.</summary>
        public async void Talk()
        {
            Interrupt();
            CancellationTokenSource mine = conversation = new CancellationTokenSource();
            try
            {
                foreach (Line line in lines)
                {
                    if (line.voice == null) continue;
                    if (subtitle != null) subtitle.text = line.text;
                    SpeechResult result = await speaker.SpeakAsync(line.voice, line.gestures, mine.Token);
                    if (result.Outcome != SpeechOutcome.Spoken) break;  // interrupted, or the daemon went away
                }
            }
            catch (OperationCanceledException)
            {
                // Interrupt was called: the face is silent within two pictures.
            }
            catch (BridgeException error)
            {
                Debug.LogWarning("[NPC] " + error.Message, this);
            }
            finally
            {
                if (subtitle != null && conversation == mine) subtitle.text = "";
                mine.Dispose();
            }
        }

        /// <summary>Barge-in: the player speaks, or walks away.</summary>
        public void Interrupt()
        {
            CancellationTokenSource running = conversation;
            conversation = null;
            if (running == null) return;
            try
            {
                running.Cancel();
            }
            catch (ObjectDisposedException)
            {
                // It had ended by itself.
            }
        }
    }
}
