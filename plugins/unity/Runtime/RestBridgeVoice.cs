// SPDX-License-Identifier: MIT
using UnityEngine;

namespace RestBridge
{
    /// <summary>
    /// Plays the voice through the AudioSource beside it, spatialised as that is set up, and makes
    /// faces and blend shapes of the same connection follow what is heard. The source plays a clip of
    /// ones; this filter, which comes behind volume, distance and panning, multiplies the voice in.
    /// </summary>
    [AddComponentMenu("RestBridge/Voice")]
    [RequireComponent(typeof(AudioSource))]
    public sealed class RestBridgeVoice : RestBridgeBehaviour
    {
        private const int ClipSamples = 4096;

        [Tooltip("Voice that waits before it is played, in seconds: more for unsteady networks.")]
        [SerializeField, Range(0.04f, 0.5f)] private float reserve = 0.08f;
        [Tooltip("Added to the delay of the sound device that Unity tells, in seconds: if the lips come "
            + "too early, raise it.")]
        [SerializeField, Range(-0.2f, 0.5f)] private float extraLatency = 0f;

        private readonly VoicePlayer player = new VoicePlayer();
        private volatile BridgeClient source;  // what the audio thread reads
        private RestBridgeConnection clocked;
        private AudioClip ones;
        private float[] voice = new float[0];
        private int rateHz = 48000;

        /// <summary>Whether the voice is being played.</summary>
        public bool Playing
        {
            get { return player.Playing; }
        }

        /// <summary>How often it ran dry.</summary>
        public long Underruns
        {
            get { return player.Underruns; }
        }

        /// <summary>The reserve at this moment, in seconds.</summary>
        public double LevelSeconds
        {
            get { return player.LevelSeconds; }
        }

        private void OnEnable()
        {
            AudioSettings.OnAudioConfigurationChanged += OnDeviceChanged;
            OnDeviceChanged(true);
        }

        private void OnDisable()
        {
            AudioSettings.OnAudioConfigurationChanged -= OnDeviceChanged;
            source = null;
            player.Clock.Stop();
            if (clocked != null && clocked.Clock == player.Clock) clocked.Clock = null;
            clocked = null;
            GetComponent<AudioSource>().Stop();
            if (ones != null) Destroy(ones);
            ones = null;
        }

        private void OnDeviceChanged(bool deviceWasChanged)
        {
            rateHz = AudioSettings.outputSampleRate;
            if (ones != null) Destroy(ones);
            ones = AudioClip.Create("RestBridge ones", ClipSamples, 1, rateHz, false);
            float[] data = new float[ClipSamples];
            for (int index = 0; index < data.Length; ++index) data[index] = 1f;
            ones.SetData(data, 0);
            AudioSource output = GetComponent<AudioSource>();
            output.clip = ones;
            output.loop = true;
            output.Play();
        }

        private void Update()
        {
            RestBridgeConnection used = Connection;
            source = Client;
            if (clocked != used)
            {
                if (clocked != null && clocked.Clock == player.Clock) clocked.Clock = null;
                clocked = used;
            }
            if (used != null) used.Clock = player.Clock;
            player.ReserveSeconds = reserve;
            int length, count;
            AudioSettings.GetDSPBufferSize(out length, out count);
            player.Clock.LatencySeconds = length * count / (double)rateHz + extraLatency;
        }

        private void OnAudioFilterRead(float[] data, int channels)
        {
            BridgeClient client = source;
            // In the audio thread. Grows once, when the device's block becomes known.
            if (voice.Length != data.Length) voice = new float[data.Length];
            if (client == null) System.Array.Clear(voice, 0, voice.Length);
            else player.Fill(client, voice, channels, rateHz, PlaybackClock.Now);
            for (int index = 0; index < data.Length; ++index) data[index] *= voice[index];
        }
    }
}
