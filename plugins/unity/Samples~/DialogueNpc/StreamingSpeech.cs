// SPDX-License-Identifier: MIT
using System;
using System.Diagnostics;
using System.IO;
using System.Threading;
using System.Threading.Tasks;
using UnityEngine;

namespace RestBridge.Samples
{
    /// <summary>
    /// Text-to-speech that is spoken while it is still being made: espeak-ng on the desktop here, any
    /// service that delivers PCM in pieces in your game.
    /// </summary>
    public sealed class StreamingSpeech : MonoBehaviour
    {
        private const int RateHz = 22050, WavHeaderBytes = 44, PieceSamples = 2205;

        [SerializeField] private RestBridgeSpeaker speaker = null;
        [Tooltip("A program that writes a WAV file of 16-bit mono to its output.")]
        [SerializeField] private string program = "espeak-ng";

        /// <summary>Speaks a text and waits for its end.</summary>
        public Task<SpeechResult> Say(string text, CancellationToken token = default(CancellationToken))
        {
            SpeechLine line = speaker.Open(RateHz, 1, null, token);
            Task.Run(() => Push(line, text));
            return line.Finished;
        }

        private void Push(SpeechLine line, string text)
        {
            ProcessStartInfo start = new ProcessStartInfo(program, "--stdout \"" + text.Replace("\"", "") + "\"")
            {
                RedirectStandardOutput = true, UseShellExecute = false, CreateNoWindow = true
            };
            try
            {
                using (Process process = Process.Start(start))
                {
                    Stream output = process.StandardOutput.BaseStream;
                    Fill(output, new byte[WavHeaderBytes]);
                    byte[] bytes = new byte[PieceSamples * 2];
                    short[] samples = new short[PieceSamples];
                    int read;
                    while ((read = Fill(output, bytes)) > 0)
                    {
                        Buffer.BlockCopy(bytes, 0, samples, 0, read / 2 * 2);
                        line.Push(samples, 0, read / 2);
                    }
                }
            }
            catch (Exception error) when (error is System.ComponentModel.Win32Exception || error is IOException)
            {
                UnityEngine.Debug.LogWarning("[NPC] " + program + " cannot be run: " + error.Message, this);
            }
            finally
            {
                line.End();
            }
        }

        private static int Fill(Stream from, byte[] bytes)
        {
            int done = 0, read;
            while (done < bytes.Length && (read = from.Read(bytes, done, bytes.Length - done)) > 0) done += read;
            return done;
        }
    }
}
