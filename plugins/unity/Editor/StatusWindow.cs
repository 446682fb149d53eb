// SPDX-License-Identifier: MIT
using System.Collections.Generic;
using UnityEditor;
using UnityEngine;

namespace RestBridge.Editor
{
    /// <summary>
    /// Window > RestBridge: whether a daemon is there, its version and the library's, rate and delay of
    /// pictures; of the scene's connections in play mode, else of one that the window opens itself.
    /// </summary>
    public sealed class StatusWindow : EditorWindow
    {
        private const double RefreshSeconds = 0.25;

        [SerializeField] private string host = "127.0.0.1";
        [SerializeField] private int port = 5570;

        private readonly BridgeStatus probeStatus = new BridgeStatus();
        private readonly Dictionary<BridgeClient, RateMeter> meters = new Dictionary<BridgeClient, RateMeter>();
        private BridgeClient probe;
        private string problem;
        private double nextRefresh;

        [MenuItem("Window/RestBridge")]
        private static void Open()
        {
            GetWindow<StatusWindow>("RestBridge");
        }

        private void OnDisable()
        {
            StopProbe();
        }

        private void Update()
        {
            if (EditorApplication.timeSinceStartup < nextRefresh) return;
            nextRefresh = EditorApplication.timeSinceStartup + RefreshSeconds;
            if (EditorApplication.isPlaying) StopProbe();
            Repaint();
        }

        private void OnGUI()
        {
            EditorGUILayout.LabelField("Native library", LibraryVersion());
            if (EditorApplication.isPlaying) ShowConnections();
            else ShowProbe();
        }

        private static string LibraryVersion()
        {
            try
            {
                return BridgeClient.LibraryVersion;
            }
            catch (BridgeException error)
            {
                EditorGUILayout.HelpBox(error.Message, MessageType.Error);
                return "missing";
            }
        }

        private void ShowConnections()
        {
            if (RestBridgeConnection.Enabled.Count == 0)
            {
                EditorGUILayout.HelpBox("No RestBridgeConnection is enabled in this scene.", MessageType.Info);
            }
            foreach (RestBridgeConnection connection in RestBridgeConnection.Enabled)
            {
                EditorGUILayout.LabelField(connection.name, EditorStyles.boldLabel);
                if (connection.Problem != null) EditorGUILayout.HelpBox(connection.Problem, MessageType.Error);
                else if (connection.Client != null) Show(connection.Client, connection.Status);
            }
        }

        private void ShowProbe()
        {
            host = EditorGUILayout.TextField("Host", host);
            port = EditorGUILayout.IntField("First port", port);
            if (probe == null && GUILayout.Button("Look for a daemon")) StartProbe();
            else if (probe != null && GUILayout.Button("Stop looking")) StopProbe();
            if (problem != null) EditorGUILayout.HelpBox(problem, MessageType.Error);
            if (probe == null) return;
            probe.Update(probeStatus);
            FrameLease frame;
            if (probe.TryGetLatest(out frame)) frame.Dispose();
            Show(probe, probeStatus);
        }

        private void Show(BridgeClient client, BridgeStatus status)
        {
            RateMeter meter;
            if (!meters.TryGetValue(client, out meter)) meters[client] = meter = new RateMeter();
            meter.Note(status.Frames, PlaybackClock.Now);
            EditorGUILayout.HelpBox(
                status.Describe(), status.Connected ? MessageType.Info : MessageType.Warning);
            EditorGUILayout.LabelField("Daemon", status.Server);
            EditorGUILayout.LabelField("Picture", status.WidthPx + " x " + status.HeightPx);
            EditorGUILayout.LabelField(
                "Pictures a second", meter.PerSecond.ToString("0.0") + " of " + status.Fps.ToString("0.0"));
            EditorGUILayout.LabelField("Delay since the voice", Delay(client));
            EditorGUILayout.LabelField("State, effort", status.State + ", " + status.Tier);
            EditorGUILayout.LabelField("Lost pictures", status.FramesLost.ToString());
            EditorGUILayout.LabelField("Restarts seen", System.Math.Max(0, status.Streams - 1).ToString());
            if (status.Refused > 0)
            {
                EditorGUILayout.HelpBox(status.Refused + " messages refused: " + status.Refusal, MessageType.Warning);
            }
        }

        private static string Delay(BridgeClient client)
        {
            FrameLease frame;
            if (!client.TryGetAt(long.MaxValue, out frame)) return "-";
            double milliseconds = (frame.PublishedNs - frame.CapturedNs) / 1e6;
            frame.Dispose();
            return milliseconds.ToString("0") + " ms at the daemon";
        }

        private void StartProbe()
        {
            problem = null;
            try
            {
                BridgeOptions options = BridgeOptions.At(host, port);
                options.Voice = options.Rig = false;
                probe = BridgeClient.Open(options);
            }
            catch (BridgeException error)
            {
                problem = error.Message;
            }
        }

        private void StopProbe()
        {
            if (probe != null) probe.Dispose();
            probe = null;
            meters.Clear();
        }
    }
}
