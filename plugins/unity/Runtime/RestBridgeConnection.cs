// SPDX-License-Identifier: MIT
using System;
using System.Collections.Generic;
using UnityEngine;
using UnityEngine.Events;

namespace RestBridge
{
    /// <summary>
    /// A connection to a rest_bridge daemon, which the other components share. It succeeds whether the
    /// daemon runs or not, and comes back by itself. Prepare and release may happen any number of
    /// times: domain reloads, play mode without them, scene changes.
    /// </summary>
    [AddComponentMenu("RestBridge/Connection")]
    [DefaultExecutionOrder(-100)]
    [DisallowMultipleComponent]
    public sealed class RestBridgeConnection : MonoBehaviour
    {
        [Tooltip("Address of the pictures (endpoints.frames of the daemon); empty for none.")]
        [SerializeField] private string frames = "tcp://127.0.0.1:5570";
        [Tooltip("Address of voice, face values and events; empty for none.")]
        [SerializeField] private string events = "tcp://127.0.0.1:5571";
        [Tooltip("Address of requests; empty for none.")]
        [SerializeField] private string control = "tcp://127.0.0.1:5572";
        [Tooltip("Address of pushed speech; the daemon runs with --audio push.")]
        [SerializeField] private string speech = "tcp://127.0.0.1:5573";
        [Tooltip("Raw pictures on one computer; JPEG, without transparency, over a network.")]
        [SerializeField] private PictureFormat format = PictureFormat.Rgba;
        [Tooltip("Key file of `rest-bridge keys new NAME`, for a daemon on another computer. Relative "
            + "paths begin at StreamingAssets.")]
        [SerializeField] private string keyFile = "";
        [Tooltip("Keep this object, and the stream, when another scene is loaded.")]
        [SerializeField] private bool persistAcrossScenes = false;
        [SerializeField] private UnityEvent onConnected = new UnityEvent();
        [SerializeField] private UnityEvent onLost = new UnityEvent();

        private static readonly List<RestBridgeConnection> All = new List<RestBridgeConnection>();
        private readonly BridgeStatus status = new BridgeStatus();
        private BridgeClient client;
        private bool wasConnected;

        /// <summary>An event of the daemon, valid during the call.</summary>
        public delegate void EventHandler(ref BridgeEvent happened);

        /// <summary>Raised in the main thread with every event of the daemon.</summary>
        public event EventHandler Received;

        /// <summary>The first one that is enabled; what components without one of their own use.</summary>
        public static RestBridgeConnection Default
        {
            get { return All.Count > 0 ? All[0] : null; }
        }

        /// <summary>All that are enabled.</summary>
        public static IReadOnlyList<RestBridgeConnection> Enabled
        {
            get { return All; }
        }

        /// <summary>The connection; null while this is disabled or could not be opened.</summary>
        public BridgeClient Client
        {
            get { return client != null && client.IsOpen ? client : null; }
        }

        /// <summary>Brought up to date once a frame.</summary>
        public BridgeStatus Status
        {
            get { return status; }
        }

        /// <summary>Why it could not be opened; null if it could.</summary>
        public string Problem { get; private set; }

        /// <summary>The clock of the voice, if one of its components plays it; else null.</summary>
        public PlaybackClock Clock { get; internal set; }

        /// <summary>The daemon was heard of.</summary>
        public UnityEvent OnConnected
        {
            get { return onConnected; }
        }

        /// <summary>The daemon was not heard of for three seconds.</summary>
        public UnityEvent OnLost
        {
            get { return onLost; }
        }

        /// <summary>The addresses and options; set them, then call `Reconnect`.</summary>
        public BridgeOptions Options
        {
            get
            {
                return new BridgeOptions
                {
                    Frames = frames, Events = events, Control = control, Speech = speech, Format = format
                };
            }
            set
            {
                frames = value.Frames;
                events = value.Events;
                control = value.Control;
                speech = value.Speech;
                format = value.Format;
            }
        }

        /// <summary>Opens the connection anew, after a change of its options.</summary>
        public void Reconnect()
        {
            Release();
            Prepare();
        }

        [RuntimeInitializeOnLoadMethod(RuntimeInitializeLoadType.SubsystemRegistration)]
        private static void ForgetThePlayModeBefore()
        {
            // Without a domain reload statics outlive play mode.
            All.Clear();
            OpenClients.CloseAll();
            Application.quitting -= OpenClients.CloseAll;
            Application.quitting += OpenClients.CloseAll;
        }

        private void Awake()
        {
            if (!persistAcrossScenes) return;
            foreach (RestBridgeConnection other in All)
            {
                // The scene that this one lies in was loaded again; the first one goes on.
                if (other == this || !other.persistAcrossScenes || other.frames != frames) continue;
                enabled = false;
                Destroy(gameObject);
                return;
            }
            transform.SetParent(null);
            DontDestroyOnLoad(gameObject);
        }

        private void OnEnable()
        {
            All.Add(this);
            Prepare();
        }

        private void OnDisable()
        {
            All.Remove(this);
            Release();
        }

        private void Prepare()
        {
            if (Client != null) return;
            Problem = null;
            try
            {
                BridgeOptions options = Options;
                if (!string.IsNullOrEmpty(keyFile)) options.Keys = ClientKeys.Load(KeyPath());
                client = BridgeClient.Open(options);
            }
            catch (BridgeException error)
            {
                Problem = error.Message;
                Debug.LogError("[RestBridge] " + error.Message, this);
            }
        }

        private string KeyPath()
        {
            return System.IO.Path.Combine(Application.streamingAssetsPath, keyFile);
        }

        private void Release()
        {
            if (client != null) client.Dispose();
            client = null;
            wasConnected = false;
        }

        private void Update()
        {
            BridgeClient open = Client;
            if (open == null) return;
            open.Update(status);
            BridgeEvent happened;
            while (open.TryGetEvent(out happened))
            {
                try
                {
                    if (Received != null) Received(ref happened);
                }
                catch (Exception error)
                {
                    Debug.LogException(error, this);
                }
                finally
                {
                    happened.Dispose();
                }
            }
            if (status.Connected == wasConnected) return;
            wasConnected = status.Connected;
            if (wasConnected) onConnected.Invoke();
            else onLost.Invoke();
        }
    }
}
